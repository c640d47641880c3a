"""Name -> task: its parameters' model, and where its parts are. Importing this stays cheap: no numpy, no zarr."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab.federation.contracts import Model
from cohortlab.federation.tasks.histogram_model import HistogramParameters


@dataclass(frozen=True)
class TaskInfo:
    """One task: its name, what it does in a sentence, and the model of its parameters."""

    name: str
    title: str
    parameters: type[Model]

    def normalise(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters in full, defaults filled in, in JSON form: what the ticket's digest covers.

        Raises `InvalidInputError` that names the wrong parameter, never its value.
        """
        try:
            return self.parameters.model_validate(parameters).model_dump(mode="json")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or self.name
            raise InvalidInputError(f"Parameter {where} of {self.name}: {first['msg']}.") from None


TASKS: dict[str, TaskInfo] = {info.name: info for info in (TaskInfo("histogram", "Intensity histogram", HistogramParameters),)}


def task(name: str) -> TaskInfo:
    """The task of that name. Raises `NotFoundError`."""
    try:
        return TASKS[name]
    except KeyError:
        raise NotFoundError(f"There is no task {name!r}.", hint=f"Choose one of: {', '.join(TASKS)}.") from None
