"""What all tiers share: where the real DICOM is."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots FOLDER` keeps the pictures that the README shows; `--demo-state FOLDER` saves the demo's set-up."""
    parser.addoption("--screenshots", metavar="FOLDER", default=None, help="keep pictures of pages in this folder")
    parser.addoption("--demo-state", metavar="FOLDER", default=None, help="the demo's folder, kept between runs")


@pytest.fixture(scope="session")
def test_data_or_none() -> Path | None:
    """The folder of real DICOM, where it is there."""
    folder = Path(os.environ.get("COHORTLAB_TEST_DATA", ROOT.parent / "shared" / "data" / "dicom"))
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def test_data(test_data_or_none: Path | None) -> Path:
    """The folder of real DICOM. Absent: the test is skipped with the reason, on CI it fails."""
    if test_data_or_none is None:
        why = "needs the folder of real DICOM: set COHORTLAB_TEST_DATA, or place it at ../shared/data/dicom"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return test_data_or_none
