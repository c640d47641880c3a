"""A real image with a name on its pixels at the command `cohortlab ingest`: refused with the place, or blanked by a rule and coded."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from burned_writing import letters
from pydicom import dcmread

from cohortlab.keys import create_key, load_key
from cohortlab.store import Store, verify_store

NAME, PLACE = "KOWALSKI ANNA", (20, 12)  # column and row of its first letter
RULES = """
rules:
  - name: avanto-banner
    match: {manufacturer: "SIEMENS", model: "Avanto", rows: 300, columns: 484}
    regions: [{x: 0, y: 0, width: 484, height: 40}]
"""


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "gate.key"
    create_key(path)
    return path


@pytest.fixture
def slices(tmp_path, packaged):
    """A folder with two series of one slice of an abdomen: as it is, and with a name; and the pixels of the second."""
    folder = tmp_path / "source"
    folder.mkdir()
    for number, name in enumerate(("clean", "named"), 1):
        source = packaged("examples_overlay")
        pixels = source.pixel_array.copy()
        if name == "named":
            cover = letters(NAME, 16, "aileron")
            pixels[PLACE[1] : PLACE[1] + cover.shape[0], PLACE[0] : PLACE[0] + cover.shape[1]][cover > 0.5] = pixels.max()
        source.PixelData = pixels.tobytes()
        source.SeriesInstanceUID, source.SOPInstanceUID = f"2.25.10{number}", f"2.25.20{number}"
        source.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID
        source.save_as(folder / f"{name}.dcm")
    return folder, pixels


def ingest(source, store, key, *options):
    """The command in a process of its own: exit code, report, all that it said."""
    arguments = ["ingest", source, "--dataset", "abdomen", "--store", store, "--key", key, "--deidentify", "--json", *options]
    done = subprocess.run(
        [sys.executable, "-c", "from cohortlab.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stdout + done.stderr


def test_a_name_is_refused_with_its_place_and_the_rest_comes_in(slices, tmp_path, key):
    source, _ = slices
    code, report, said = ingest(source, tmp_path / "stores", key, "--quarantine", tmp_path / "quarantine")
    assert (code, report["accepted"], report["refused"]) == (0, 1, 1)
    (refused,) = [outcome for outcome in report["outcomes"] if not outcome["accepted"]]
    (finding,) = refused["findings"]
    assert finding["reason"] == "burned-in-text-found"
    place = re.match(r"(\d+) x (\d+) pixels at column (\d+), row (\d+) of image 1, frame 1", finding["detail"])
    width, height, column, row = map(int, place.groups())
    assert abs(column - PLACE[0]) < 10
    assert abs(row - PLACE[1]) < 10
    assert 100 < width < 200
    assert 10 < height < 40
    told = said + "".join(path.read_text() for path in (tmp_path / "quarantine").rglob("*.json"))
    assert not any(word in told.upper() for word in ("KOWAL", "ALSKI", "ANNA"))
    trusted = [load_key(key).public]
    (series,) = Store.open(Path(report["path"]), trusted=trusted)
    clean = dcmread(source / "clean.dcm").pixel_array
    assert np.array_equal(np.asarray(series.array()).reshape(clean.shape), clean), "what has no text comes in as it is"


def test_a_rule_blanks_the_name_in_the_store(slices, tmp_path, key):
    source, named = slices
    (source / "clean.dcm").unlink()
    (tmp_path / "regions.yaml").write_text(RULES)
    code, report, said = ingest(source, tmp_path / "stores", key, "--regions", tmp_path / "regions.yaml")
    assert (code, report["accepted"]) == (0, 1), said
    path = Path(report["path"])
    trusted = [load_key(key).public]
    assert verify_store(path, trusted).ok
    store = Store.open(path, trusted=trusted)
    assert "113101" in store.manifest.deidentification["codes"]
    (series,) = store
    stored = np.asarray(series.array()).reshape(300, 484)
    assert len(np.unique(stored[:40])) == 1
    assert np.array_equal(stored[40:], named[40:])
