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
def test_data() -> Path:
    """The folder of real DICOM. Absent: the test is skipped with the reason, on CI it fails."""
    folder = Path(os.environ.get("COHORTLAB_TEST_DATA", ROOT.parent / "shared" / "data" / "dicom"))
    if not folder.is_dir():
        why = "needs the folder of real DICOM: set COHORTLAB_TEST_DATA, or place it at ../shared/data/dicom"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return folder
