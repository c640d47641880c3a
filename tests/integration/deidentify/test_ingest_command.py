"""`cohortlab ingest` as a data steward uses it, and every way in which it can go wrong."""

import json
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pydicom
import pytest
from deidentify_command import command

from cohortlab.keys import load_key
from cohortlab.samples import Patient, write_ct
from cohortlab.store import Store, verify_store


def leftovers(stores: Path) -> list[str]:
    """What lies under a root of stores that is no finished version."""
    return [p.name for p in stores.rglob("*") if p.name.startswith(".")] if stores.exists() else []


def test_generated_patients_come_in_and_verify(ingest, generated, gate_key):
    code, report, _ = ingest(generated, "--deidentify", "--synthetic", "--synthetic", "--title", "Lesions", "--duo", "DUO:0000042")
    assert code == 0
    assert (report["accepted"], report["refused"]) == (8, 0)
    path, trusted = Path(report["path"]), [load_key(gate_key).public]
    assert verify_store(path, trusted).ok
    store = Store.open(path, trusted=trusted)
    assert store.manifest.title == "Lesions"
    assert store.manifest.duo == ("DUO:0000042",)
    assert store.manifest.synthetic
    assert store.manifest.verdict == "accepted"
    assert store.manifest.gate.startswith("cohortlab-gate/")
    image = next(s for s in store if s.attributes.modality == "MR")
    assert image.segmentations
    assert "SYNTH" not in (path / "dataset.json").read_text()


def test_who_may_have_the_dataset_is_in_the_manifest(ingest, generated):
    options = (generated / "patient-001", "--deidentify", "--synthetic")
    code, report, _ = ingest(*options, "--access", "DOWNLOAD", "--access-rights", "PUBLIC")
    assert code == 0
    manifest = json.loads((Path(report["path"]) / "dataset.json").read_text())
    assert manifest["dcat"] == {"accessRights": "http://publications.europa.eu/resource/authority/access-right/PUBLIC"}
    code, _, said = ingest(*options, "--access-rights", "PUBLIC", dataset="contradicts-itself")
    assert code != 0
    assert "may be downloaded by anybody" in said
    code, _, said = ingest(*options, "--access-rights", "ANYBODY", dataset="unknown-word")
    assert code == 2


def test_the_same_patient_has_the_same_name_in_the_next_version(ingest, generated):
    _, first, _ = ingest(generated / "patient-001", "--deidentify", "--synthetic")
    _, second, _ = ingest(generated / "patient-001", "--deidentify", "--synthetic", "--version", "1.1.0")
    _, other, _ = ingest(generated / "patient-001", "--deidentify", "--synthetic", dataset="another")
    names = [{o["name"] for o in report["outcomes"]} for report in (first, second, other)]
    assert names[0] == names[1]
    assert not names[0] & names[2], "datasets cannot be joined by their ids"


def test_without_codes_and_without_leave_it_is_refused(ingest, generated, tmp_path):
    code, report, _ = ingest(generated)
    assert code == 1
    assert {f["reason"] for o in report["outcomes"] for f in o["findings"]} == {"not-deidentified"}
    assert not (tmp_path / "stores").exists()


def test_a_dry_run_writes_nothing(here, generated, tmp_path):
    assert here("key", "create", tmp_path / "gate.key").returncode == 0
    (tmp_path / "gate.secret").unlink()
    done = here(
        "ingest",
        generated,
        "--dataset",
        "d",
        "--store",
        tmp_path / "stores",
        "--key",
        tmp_path / "gate.key",
        "--deidentify",
        "--synthetic",
        "--dry-run",
    )
    assert done.returncode == 0, done.stderr
    assert "8 series would be accepted" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gate.key", "gate.pub"]


def test_the_report_for_people(cohortlab, generated, gate_key, tmp_path):
    done = cohortlab("ingest", generated, "--dataset", "lesions", "--store", tmp_path, "--key", gate_key)
    assert done.returncode == 1
    assert "not-deidentified" in done.stdout
    assert "--deidentify" in done.stdout
    assert "Nothing was written." in done.stdout
    assert "\x1b" not in done.stdout + done.stderr, "plain text where there is no terminal"


@pytest.fixture
def mixed(generated, tmp_path):
    """A good CT, a CT with a file cut short, a file that is no DICOM, one that only says so, and an index of a disc."""
    folder = tmp_path / "mixed"
    shutil.copytree(generated / "patient-001" / "ct", folder / "good")
    shutil.copytree(generated / "patient-002" / "ct", folder / "cut")
    path = folder / "cut" / "0003.dcm"
    path.write_bytes(path.read_bytes()[:-900])
    (folder / "notes.txt").write_text("no image")
    (folder / "broken.dcm").write_bytes(b"x" * 500)
    return folder


def test_a_bad_file_refuses_its_series_and_no_other(ingest, mixed, gate_key):
    code, report, _ = ingest(mixed, "--deidentify", "--synthetic")
    assert code == 0
    accepted = {(o["kind"], Path(o["place"]).name) for o in report["outcomes"] if o["accepted"]}
    refused = {(o["kind"], Path(o["place"]).name) for o in report["outcomes"] if not o["accepted"]}
    assert accepted == {("image", "good"), ("segmentation", "good")}
    assert refused == {("image", "cut"), ("segmentation", "cut"), ("image", "broken.dcm")}
    why = {(Path(o["place"]).name, o["kind"]): {f["reason"] for f in o["findings"]} for o in report["outcomes"]}
    assert why["cut", "image"] == {"truncated", "series-incomplete"}
    assert why["cut", "segmentation"] == {"source-image-missing"}
    assert why["broken.dcm", "image"] == {"unreadable"}
    assert report["files_skipped"] == 1
    assert len(Store.open(Path(report["path"]), trusted=[load_key(gate_key).public])) == 1


def test_strict_writes_all_or_nothing(ingest, mixed, tmp_path):
    code, report, _ = ingest(mixed, "--deidentify", "--synthetic", "--strict")
    assert code == 1
    assert report["path"] is None
    assert not list((tmp_path / "stores").rglob("dataset.json"))
    assert leftovers(tmp_path / "stores") == []


def test_quarantine_holds_the_refused_files_untouched(ingest, mixed, tmp_path):
    code, report, _ = ingest(mixed, "--deidentify", "--synthetic", "--quarantine", tmp_path / "quarantine")
    assert code == 0
    (folder,) = (tmp_path / "quarantine").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    cut = next(o for o in report["outcomes"] if Path(o["place"]).name == "cut" and o["kind"] == "image")
    kept = sorted(p.read_bytes() for p in Path(cut["quarantine"]).iterdir())
    assert kept == sorted(p.read_bytes() for p in (mixed / "cut").glob("0*.dcm"))
    written = json.loads((folder / "report.json").read_text())
    assert {o["name"] for o in written} == {o["name"] for o in report["outcomes"] if not o["accepted"]}
    assert "SYNTH" not in (folder / "report.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{empty}"], 1, "no DICOM file"),
        (["{text}"], 1, "no DICOM file"),
        (["{absent}"], 1, "nothing at"),
        (["{good}", "--key", "{absent}"], 1, "No key at"),
        (["{good}", "--dataset", "No Id"], 1, "Not a dataset id"),
        (["{good}", "--version", "one"], 1, "Not a dataset version"),
        (["{good}", "--access", "EVERYBODY"], 2, "Invalid value"),
        (["{good}", "--nonsense"], 2, "No such option"),
        ([], 2, "Missing argument"),
    ],
)
def test_wrong_input_says_what_is_wrong(here, generated, gate_key, tmp_path, *, arguments, code, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("no image")
    names = {"empty": tmp_path / "empty", "text": tmp_path / "text", "absent": tmp_path / "absent", "good": generated}
    filled = [a.format(**names) for a in arguments]
    options = {"--dataset": "d", "--store": tmp_path / "stores", "--key": gate_key}
    rest = [part for name, value in options.items() if name not in filled for part in (name, value)]
    done = here("ingest", *filled, *rest, "--deidentify", "--synthetic")
    assert (done.returncode, said in " ".join(done.stderr.split())) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "stores").exists()


def test_a_version_never_changes(ingest, generated):
    assert ingest(generated / "patient-001", "--deidentify", "--synthetic")[0] == 0
    code, report, said = ingest(generated / "patient-002", "--deidentify", "--synthetic")
    assert (code, report) == (1, {})
    assert "exists already" in said


def test_a_full_disk(cohortlab, generated, gate_key, tmp_path):
    """A file system of one megabyte, where the system lets us mount one."""
    place = tmp_path / "small"
    place.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place], check=False, capture_output=True).returncode
    ):
        why = "needs the right to mount a tmpfs: run as root"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    try:
        arguments = ["ingest", generated, "--dataset", "d", "--store", place, "--key", gate_key, "--deidentify", "--synthetic"]
        done = cohortlab(*arguments)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "full" in done.stderr or "space" in done.stderr, done.stderr
        assert not list(place.rglob("dataset.json"))
        assert leftovers(place) == []
        subprocess.run(["mount", "-o", "remount,size=64m", place], check=True, capture_output=True)
        assert cohortlab(*arguments).returncode == 0, "the next run works"
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("moment", ["reading headers", "de-identifying", "storing"])
def test_interrupted_it_leaves_nothing(cohortlab, gate_key, tmp_path, moment):
    source, stores = tmp_path / "source", tmp_path / "stores"
    write_ct(source, Patient(1, 3), (128, 256, 256))
    arguments = ["ingest", source, "--dataset", "d", "--store", stores, "--key", gate_key, "--deidentify", "--synthetic"]
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr
        while moment not in (line := process.stderr.readline()):
            assert line, "ended before it came to that"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 130, said
        assert "Traceback" not in said
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
    assert leftovers(stores) == []
    assert not list(stores.rglob("dataset.json"))
    done = cohortlab(*arguments)
    assert done.returncode == 0, done.stderr


def test_an_object_with_a_name_everywhere_keeps_none(ingest, generated, tmp_path):
    """A real way in for names: vendors' private blocks, overlays, nested sequences, file meta, the preamble."""
    folder = tmp_path / "named"
    shutil.copytree(generated / "patient-001" / "ct", folder)
    for path in folder.glob("0*.dcm"):
        data_set = pydicom.dcmread(path)
        data_set.OperatorsName = data_set.PatientComments = data_set.ImageComments = data_set.StationName = "Quxworth"
        data_set.SeriesDescription = "CT liver Quxworth"
        data_set.add_new(0x00090010, "LO", "Quxworth Inc")
        data_set.add_new(0x00091001, "OB", b"Quxworth")
        data_set.add_new(0x60003000, "OW", b"Quxworth")
        item = pydicom.Dataset()
        item.PersonName, item.TextValue = "Quxworth^Z", "Quxworth"
        data_set.ContentSequence = [item]
        data_set.file_meta.SourceApplicationEntityTitle = "QUXWORTH"
        data_set.preamble = b"Quxworth".ljust(128, b"\0")
        data_set.save_as(path)
    code, report, _ = ingest(folder, "--deidentify", "--synthetic")
    assert code == 0
    for path in Path(report["path"]).rglob("*"):
        if path.is_file():
            assert b"quxworth" not in path.read_bytes().lower(), path
