"""Read a folder of DICOM, write a store of it: what the tests of the store share."""

from pathlib import Path

import pydicom

from cohortlab.keys import PrivateKey
from cohortlab.store import ManifestFields, StoreWriter, group

FIELDS = ManifestFields(title="Made for a test", deidentification={"profile": "none: test data"}, gate="test", verdict="accepted")
RECORD = {"codes": ["113100"]}


def read_folder(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(f) for f in sorted(folder.rglob("*")) if f.is_file()]


def write(root: Path, name: str, datasets: list[pydicom.Dataset], key: PrivateKey, version: str = "1.0.0") -> Path:
    with StoreWriter(root, name, version) as writer:
        for series in group(datasets):
            writer.add_series(series, RECORD)
        writer.finish(FIELDS, key)
    return root / name / version
