"""Writing under fire: a full disk, Ctrl-C, kill -9, a rival. Nothing half-written is ever visible and the next run works."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from store_helpers import FIELDS, RECORD, write

from cohortlab.errors import InvalidInputError, RefusedError, StorageError
from cohortlab.keys import create_key, load_key
from cohortlab.store import Store, StoreWriter, verify_store
from cohortlab.store.series import series_id
from dicom_samples import instance, volume

WRITER = Path(__file__).with_name("writer_process.py")


def start(root, key_file, series=3, slices=60, prefix=()):
    command = [*prefix, sys.executable, str(WRITER), str(root), str(key_file), str(series), str(slices)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pipesize=4096)  # see writer_process


def wait_for(process, word, count=1):
    seen = 0
    for line in process.stdout:
        seen += line.startswith(word)
        if seen >= count:
            return
    pytest.fail(f"the writer ended before it said {word!r}")


def visible(root):
    return [p for p in (root / "killed").glob("*") if not p.name.startswith(".")]


@pytest.fixture
def key_file(tmp_path):
    create_key(tmp_path / "gate.key")
    return tmp_path / "gate.key"


def finish_now(root, key_file):
    """The next run works, and leaves just the version."""
    process = start(root, key_file, series=1, slices=4)
    assert "finished" in process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert [p.name for p in (root / "killed").iterdir()] == ["1.0.0"]


@pytest.mark.parametrize(("word", "count"), [("begun", 1), ("slice", 1), ("slice", 61), ("slice", 150), ("finishing", 1)])
def test_kill_9_leaves_no_visible_version_and_the_next_run_works(tmp_path, key_file, word, count):
    process = start(tmp_path, key_file)
    wait_for(process, word, count)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    if visible(tmp_path):  # the kill may come after the rename: then the version is whole
        assert verify_store(tmp_path / "killed" / "1.0.0", [trusted(key_file)]).ok
    else:
        finish_now(tmp_path, key_file)


def partial(root):
    (found,) = (root / "killed").glob(".1.0.0.partial-*")
    return found


def written_at(root):
    return {p.name: p.stat().st_mtime_ns for p in (root / "images").glob("*.headers.parquet")}


@pytest.mark.parametrize("lost", [False, True])
def test_the_next_run_continues_with_the_series_that_are_whole(tmp_path, key_file, lost):
    process = start(tmp_path, key_file)
    wait_for(process, "slice", 150)  # two of three series are whole
    process.kill()
    process.communicate()
    before = written_at(partial(tmp_path))
    assert len(before) == 2
    if lost:  # as after a power failure: a journal that promises what the disk no longer has
        shard = next(p for p in sorted(partial(tmp_path).rglob("scale0/image/c/0/0/0")))
        shard.chmod(0o644)
        shard.write_bytes(shard.read_bytes()[:-5000])
    process = start(tmp_path, key_file)
    words = process.communicate(timeout=60)[0].split()
    assert words.count("slice") == 180
    assert words[-1] == "finished"
    after = written_at(tmp_path / "killed" / "1.0.0")
    assert sum(after[name] == before[name] for name in before) == (1 if lost else 2)
    assert len(after) == 3
    assert verify_store(tmp_path / "killed" / "1.0.0", [trusted(key_file)]).ok
    assert [p.name for p in (tmp_path / "killed").iterdir()] == ["1.0.0"]


def test_a_new_version_shares_what_did_not_change(tmp_path, key):
    same, other = series_id("CT", "2.25.1"), series_id("CT", "2.25.2")
    first = write(tmp_path, "one", [*volume(series="2.25.1"), *volume(series="2.25.2")], key)
    second = write(tmp_path, "one", [*volume(series="2.25.1"), *volume(6, series="2.25.2")], key, version="1.1.0")
    for file in (second / "images" / f"{same}.zarr").rglob("*"):
        assert file.is_dir() or file.samefile(first / file.relative_to(second))
    shard = f"images/{other}.zarr/scale0/image/c/0/0/0"
    assert not (second / shard).samefile(first / shard)
    for version in (first, second):
        assert verify_store(version, [key.public]).ok


def test_a_damaged_version_lends_nothing(tmp_path, key):
    first = write(tmp_path, "one", volume(), key)
    shard = next(first.rglob("scale0/image/c/0/0/0"))
    shard.chmod(0o644)
    shard.write_bytes(shard.read_bytes()[::-1])
    second = write(tmp_path, "one", volume(), key, version="1.1.0")
    assert verify_store(second, [key.public]).ok
    assert not verify_store(first, [key.public]).ok


def trusted(key_file):
    return load_key(key_file).public


@pytest.mark.parametrize(("word", "count"), [("begun", 1), ("slice", 70)])
def test_ctrl_c_leaves_nothing_at_all(tmp_path, key_file, word, count):
    process = start(tmp_path, key_file)
    wait_for(process, word, count)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert list((tmp_path / "killed").iterdir()) == []
    finish_now(tmp_path, key_file)


def small_disk():
    """The words before a command that give it a tmpfs of 4 MB at /mnt, in a mount namespace of its own; or why there are none."""
    prefix = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    probe = subprocess.run([*prefix, "sh", "-c", "mount -t tmpfs -o size=4m tmpfs /mnt"], capture_output=True, text=True, check=False)
    if probe.returncode:
        why = f"needs a tmpfs: run as root, or where unprivileged user namespaces are allowed ({probe.stderr.strip()[:100]})"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return prefix


def test_a_full_disk_is_said_and_leaves_nothing(key_file):
    prefix = small_disk()
    script = (
        f"mount -t tmpfs -o size=4m tmpfs /mnt && {sys.executable} {WRITER} /mnt {key_file} 2 60; echo exit $?; "
        f"find /mnt -type f; {sys.executable} {WRITER} /mnt {key_file} 1 4; echo exit $?; ls -A /mnt/killed"
    )
    done = subprocess.run([*prefix, "sh", "-c", script], capture_output=True, text=True, check=False, timeout=120)
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip() not in {"slice", ""}]
    assert lines[0] == "begun"
    assert lines[1].startswith("storage: ")
    assert "no space left on device" in lines[1]
    assert lines[2] == "exit 1"
    assert lines[3:] == ["begun", "finishing", "finished", "exit 0", "1.0.0"], done.stderr


def test_a_folder_that_cannot_be_written(tmp_path, key):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write(tmp_path / "file", "x", volume(), key)


def test_a_second_writer_is_refused_while_the_first_works(tmp_path, key):
    with StoreWriter(tmp_path, "one", "1.0.0") as first:
        with pytest.raises(RefusedError, match="Another process"), StoreWriter(tmp_path, "one", "1.0.0"):
            pass
        first.add_series(volume(), RECORD)
        with StoreWriter(tmp_path, "one", "1.0.1"):
            pass  # another version is another matter
        first.finish(FIELDS, key)
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == ["1.0.0"]


def add_and_finish(writer, count, key):
    writer.add_series(volume(count), RECORD)
    writer.finish(FIELDS, key)


def test_of_two_writers_one_wins_even_without_the_lock(tmp_path, key):
    first, second = StoreWriter(tmp_path, "one", "1.0.0"), StoreWriter(tmp_path, "one", "1.0.0")
    with first:
        (tmp_path / "one" / ".1.0.0.lock").unlink()  # as on a file system whose locks do not hold
        with second:
            add_and_finish(second, 4, key)
        with pytest.raises((RefusedError, StorageError, FileNotFoundError, LookupError)):
            add_and_finish(first, 5, key)
    assert Store.open(tmp_path / "one" / "1.0.0", [key.public])[0].attributes.shape[0] == 4
    assert verify_store(tmp_path / "one" / "1.0.0", [key.public]).ok


def test_a_version_never_changes(tmp_path, key):
    place = write(tmp_path, "one", volume(), key)
    before = (place / "dataset.json").read_bytes()
    with pytest.raises(RefusedError, match="exists already"):
        write(tmp_path, "one", volume(7), key)
    assert (place / "dataset.json").read_bytes() == before
    assert not any(p.stat().st_mode & 0o222 for p in place.rglob("*") if p.is_file())
    write(tmp_path, "one", volume(7), key, version="1.1.0")


def test_nothing_to_store_is_refused(tmp_path, key):
    with pytest.raises(InvalidInputError, match="no series"):
        write(tmp_path, "one", [], key)
    assert list((tmp_path / "one").iterdir()) == []


def test_a_series_that_fails_leaves_nothing_in_a_version_that_goes_on(tmp_path, key):
    bad, odd = volume(40, series="2.25.2"), volume(3, series="2.25.3")
    bad[39].PixelData = b""
    odd[0].WindowCenter, odd[0].WindowWidth = float("nan"), 10
    with StoreWriter(tmp_path, "one", "1.0.0") as writer:
        good = writer.add_series(volume(), RECORD)
        for made in (bad, odd):
            with pytest.raises(InvalidInputError):
                writer.add_series(made, RECORD)
        writer.finish(FIELDS, key)
    names = {p.name.split(".")[0] for p in (tmp_path / "one" / "1.0.0" / "images").iterdir()}
    assert names == {good.id}
    assert [s.id for s in Store.open(tmp_path / "one" / "1.0.0", [key.public])] == [good.id]


@pytest.mark.parametrize("damage", ["truncated", "empty", "absent", "huge", "colour"])
def test_pixels_that_cannot_be_read_are_refused_whole(tmp_path, key, damage):
    made = volume()
    match damage:
        case "truncated":
            made[3].PixelData = made[3].PixelData[:-20]
        case "empty":
            made[3].PixelData = b""
        case "absent":
            del made[3].PixelData
        case "huge":
            for dataset in made:
                dataset.Rows = dataset.Columns = 65535
        case "colour":
            for dataset in made:
                dataset.PhotometricInterpretation = "PALETTE COLOR"
    with pytest.raises(InvalidInputError):
        write(tmp_path, "one", made, key)
    assert list((tmp_path / "one").iterdir()) == []


@pytest.mark.parametrize(
    ("values", "intercept", "dtype"),
    [
        pytest.param(np.array([0, 4095], np.uint16), -1024, "int16", id="unsigned 12 bit"),
        pytest.param(np.array([-2000, 31000], np.int16), -1024, "int16", id="signed 16 bit that fits"),
        pytest.param(np.array([-32768, 32767], np.int16), -1024, "int32", id="signed 16 bit that does not fit"),
        pytest.param(np.array([0, 65535], np.uint16), 0, "int32", id="unsigned 16 bit that does not fit"),
        pytest.param(np.array([0, 4095], np.uint16), -1024.5, "uint16", id="a half"),
    ],
)
def test_no_value_is_ever_rounded_or_clipped(tmp_path, key, values, intercept, dtype):
    made = [instance(n + 1, position=(0, 0, n), pixels=np.resize(values, (4, 6)), RescaleIntercept=intercept) for n in range(3)]
    ref = Store.open(write(tmp_path, "one", made, key), [key.public])[0]
    rescale = ref.attributes.rescale
    assert ref.attributes.dtype == dtype
    result = ref.array()[:].astype(float) if rescale.applied else ref.array()[:] * rescale.slope + rescale.intercept
    assert result[0].ravel()[:2].tolist() == (values.astype(float) + intercept).tolist()
    assert verify_store(tmp_path / "one" / "1.0.0", [key.public]).ok
