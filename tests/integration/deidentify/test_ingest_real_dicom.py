"""The folders of real DICOM go through the gate as their README says, positive and negative."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest

from cohortlab.deidentify import gate
from cohortlab.deidentify.report import Options
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
    code, report, _ = ingest(test_data / "small", test_data / "sr-example", "--deidentify", "--dry-run", "--synthetic")
    assert code == 0
    assert report["path"] is None
    refused = [(o["modality"], reasons(o)) for o in report["outcomes"] if not o["accepted"]]
    for modality in ("SR", "ANN", "RWV"):
        assert [why for kind, why in refused if kind == modality] != []
        assert all(why == {"sop-class-not-allowed"} for kind, why in refused if kind == modality)


SLIDES = ("sm_image", "sm_image_control", "sm_image_dots", "sm_image_numbers", "sm_image_jpegls", "sm_image_jpegls_nobot")
NO_IMAGES = ("sm_annotations", "sr_document", "sr_document_with_multiple_groups")
ALONE = {
    "ct_image": (1, 128, 128),
    "dx_image": (169, 211),
    **dict.fromkeys(SLIDES, (3, 50, 50)),
    **dict.fromkeys(("sm_image_grayscale", "sm_image_grayscale_reversed"), (1, 50, 50)),
    **dict.fromkeys(NO_IMAGES, "sop-class-not-allowed"),
}
"""What becomes of a file of `small` alone: the shape of what is stored, or the reason. Not of segmentations, which need their image."""

TOGETHER = {
    "seg_image_ct_binary_single_frame": "ct_image", "seg_image_sm_control_labelmap": "sm_image_control",
    "seg_image_sm_control_labelmap_palette_color": "sm_image_control", "seg_image_sm_dots_tiled_full": "sm_image_dots",
}  # fmt: skip
"""Segmentations that lie on the grid of an image of the folder."""


def judged(test_data, gate_key, tmp_path, *names, dry_run=True):
    """The gate's report on files of `small`, whose pixels are not read for text here."""
    options = Options(key=gate_key, deidentify=True, synthetic=True, dry_run=dry_run)
    return gate.ingest([test_data / "small" / f"{name}.dcm" for name in names], "small", tmp_path, options)


def test_each_small_object_alone(test_data, gate_key, tmp_path):
    names = {path.stem for path in (test_data / "small").glob("*.dcm")}
    assert names == {*ALONE, *(name for name in names if name.startswith("seg_"))}
    for name in sorted(names):
        (outcome,) = judged(test_data, gate_key, tmp_path, name).outcomes
        expected = ALONE.get(name, "source-image-missing")
        assert (outcome.shape or outcome.findings[0].reason.value) == expected, name


@pytest.mark.parametrize("segmentation", TOGETHER)
def test_a_dry_run_says_of_a_segmentation_what_a_run_says(test_data, gate_key, tmp_path, segmentation):
    wanted = None
    for dry_run in (True, False):
        report = judged(test_data, gate_key, tmp_path, TOGETHER[segmentation], segmentation, dry_run=dry_run)
        told = [(o.name, o.kind, o.accepted, o.shape, o.regular) for o in report.outcomes]
        assert [accepted for _, _, accepted, _, _ in told] == [True, True]
        assert told == (wanted or told)
        wanted = told


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
