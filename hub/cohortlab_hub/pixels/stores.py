"""The stores that workbench.yaml names, as the pixel gateway reads them."""

from pathlib import Path

from cohortlab.viewer.gateway import Gateway
from cohortlab_hub.settings import Settings


class Stores(Gateway):
    """The gateway over the stores that workbench.yaml names, wherever they lie; it has no arrays of a kernel."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.state, tuple(settings.trusted))
        self._places = {name: dataset.store for name, dataset in settings.datasets.items() if dataset.store is not None}

    def place(self, dataset: str) -> Path | None:
        """The folder of a dataset's store."""
        return self._places.get(dataset)

    def names(self) -> list[str]:
        """All datasets that are not remote."""
        return sorted(self._places)
