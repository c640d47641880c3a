"""Ingest in several processes and within bounded memory: the same store as by one, and clean whatever ends it."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import CTImageStorage, generate_uid
from store_helpers import read_folder

from cohortlab.deidentify import gate
from cohortlab.deidentify.files import read
from cohortlab.deidentify.report import Options
from cohortlab.errors import InvalidInputError, UnavailableError
from cohortlab.keys import create_key, load_key
from cohortlab.store import Store, verify_store
from cohortlab.store.deferred import PixelFile
from cohortlab.store.frames import frames_of, stored_pixels
from cohortlab.store.workers import each
from dicom_samples import instance

INGEST = Path(__file__).with_name("ingest_process.py")


def write_series(folder, series, slices, size=64):
    """CT slices with numbers that compress a little, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1)
    study = generate_uid(prefix="2.25.", entropy_srcs=["study"])
    for n in range(slices):
        pixels = noise.integers(0, 64, (size, size), dtype=np.uint16) + n
        made = instance(
            n + 1, position=(0, 0, n), pixels=pixels, series=f"2.25.{series}", BodyPartExamined="CHEST", BitsStored=12, HighBit=11
        )
        made.StudyInstanceUID, made.SOPClassUID, made.ImageType = study, CTImageStorage, ["ORIGINAL", "PRIMARY", "AXIAL"]
        made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, made.SOPInstanceUID
        made.save_as(folder / f"{series}-{n:04}.dcm", enforce_file_format=True)


@pytest.fixture(scope="module")
def gate_key(tmp_path_factory):
    create_key(tmp_path_factory.mktemp("gate") / "gate.key")
    return next(tmp_path_factory.getbasetemp().glob("gate*/gate.key"))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    for series in (1, 2, 3, 4):
        write_series(folder, series, 40)
    return folder


def start(source, root, key, workers, **more):
    return subprocess.Popen(
        [sys.executable, str(INGEST), str(source), str(root), str(key), str(workers)], stdout=subprocess.PIPE, text=True, **more
    )


def wait_for(process, word, count):
    seen = 0
    for line in process.stdout:
        seen += line.startswith(word)
        if seen >= count:
            return
    pytest.fail(f"it ended before it said {word!r} {count} times")


def test_several_processes_make_the_same_store_as_one(source, gate_key, tmp_path, test_data, monkeypatch):
    monkeypatch.setattr(gate, "_WORTH_A_PROCESS", 1)
    trees = []
    for workers in (1, 3):
        said = []
        options = Options(
            key=gate_key, deidentify=True, synthetic=True, workers=workers, progress=lambda *news, said=said: said.append(news)
        )
        report = gate.ingest([source, test_data / "ct-liver-seg"], "made", tmp_path / str(workers), options)
        assert len(report.accepted) == 7, report.refused
        assert [o.name for o in report.accepted if o.kind == "segmentation"]
        files = len(list(source.iterdir())) + len(list((test_data / "ct-liver-seg").rglob("*.dcm")))
        assert max(done for what, done, _ in said if what == "de-identifying and verifying") == files
        assert verify_store(report.path, [load_key(gate_key).public]).ok
        trees.append(report.manifest.tree_sha256)
    assert trees[0] == trees[1]


def workers_of(process):
    """Its child processes that are still there."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(c) for c in children]


def gone(pid):
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc to see a process's children")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_whatever_ends_it_ends_the_workers_and_the_next_run_works(source, gate_key, tmp_path, how):
    process = start(source, tmp_path, gate_key, 2, start_new_session=True)
    wait_for(process, "storing", 50)
    children = [os.pidfd_open(pid) for pid in workers_of(process)]
    assert len(children) >= 2
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: all of the group
    else:
        process.kill()
    process.communicate(timeout=60)
    for child in children:
        ready, _, _ = select.select([child], [], [], 30)
        assert ready, "a worker lives on"
        os.close(child)
    assert not (tmp_path / "made" / "1.0.0").exists()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert list((tmp_path / "made").iterdir()) == []
    again = start(source, tmp_path, gate_key, 2)
    said = again.communicate(timeout=120)[0]
    assert "accepted 4 refused 0" in said
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["1.0.0"]
    assert verify_store(tmp_path / "made" / "1.0.0", [load_key(gate_key).public]).ok


def test_memory_does_not_grow_with_the_series(gate_key, tmp_path):
    """A series of 157 MB takes less than half of that more than one of 8 MB."""
    peaks, sizes = [], []
    for slices in (16, 300):
        folder = tmp_path / f"source-{slices}"
        write_series(folder, 7, slices, size=512)
        sizes.append(sum(p.stat().st_size for p in folder.iterdir()))
        process = start(folder, tmp_path / f"store-{slices}", gate_key, 1)
        said = process.communicate(timeout=300)[0]
        assert "accepted 1 refused 0" in said
        peaks.append(int(said.split()[-1]))
    assert peaks[1] - peaks[0] < 0.5 * (sizes[1] - sizes[0]), (peaks, sizes)


def test_a_file_that_changes_between_the_check_and_the_store_is_refused(tmp_path):
    write_series(tmp_path, 1, 1)
    (path,) = tmp_path.iterdir()
    dataset = read(path)
    assert isinstance(dataset.PixelData, PixelFile)
    (frame,) = frames_of(dataset)
    assert (stored_pixels(frame) == read_folder(tmp_path)[0].pixel_array).all()
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(InvalidInputError):
        stored_pixels(frame)
    other = tmp_path / "other"
    other.write_bytes(content)
    other.replace(path)
    with pytest.raises(InvalidInputError, match="changed"):
        dataset.PixelData.read()
    path.unlink()
    with pytest.raises(InvalidInputError, match=r"gone|changed"):
        dataset.PixelData.read()


def held_open(folder):
    """Files of a folder that this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            found.append(link.readlink())
    return [path for path in found if path.is_relative_to(folder)]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc to see what is open")
def test_no_file_of_the_source_stays_open(gate_key, tmp_path):
    write_series(tmp_path / "source", 1, 2)
    write_series(tmp_path / "source", 2, 2, size=32)
    broken = tmp_path / "source" / "2-0001.dcm"
    broken.write_bytes(broken.read_bytes()[:-100])
    report = gate.ingest([tmp_path / "source"], "made", tmp_path / "stores", Options(key=gate_key, deidentify=True, synthetic=True))
    assert [o.accepted for o in report.outcomes].count(True) == 1
    assert held_open(tmp_path) == []
    dataset = read(tmp_path / "source" / "1-0000.dcm")
    assert dataset.PixelData.read(1)
    assert held_open(tmp_path) != [], "the file that was read last, for the next frame"
    (tmp_path / "source" / "1-0000.dcm").unlink()
    with pytest.raises(InvalidInputError):
        dataset.PixelData.read()
    assert held_open(tmp_path) == []


def double(piece, line):
    line.tell(piece)
    match piece:
        case "fail":
            raise InvalidInputError("It failed.")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "ask":
            return line.ask("how much")
    return piece * 2


@pytest.mark.parametrize("processes", [1, 3])
def test_work_comes_back_in_order(processes):
    heard = []
    done = list(each(double, [*range(9), "ask"], processes=processes, answer=lambda q: f"{q}?", hear=heard.append))
    assert done == [*range(0, 18, 2), "how much?"]
    assert sorted(map(str, heard)) == sorted([*map(str, range(9)), "ask"])


@pytest.mark.parametrize(("piece", "error"), [("fail", InvalidInputError), ("die", UnavailableError)])
def test_a_worker_that_fails_or_dies_is_an_error_and_no_hang(piece, error):
    with pytest.raises(error):
        list(each(double, [1, piece, 3], processes=2))


def test_the_store_is_in_order(source, gate_key, tmp_path):
    process = start(source, tmp_path, gate_key, 2)
    process.communicate(timeout=120)
    store = Store.open(tmp_path / "made" / "1.0.0", [load_key(gate_key).public])
    assert [r.attributes.shape for r in store] == [(40, 64, 64)] * 4
