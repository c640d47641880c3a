"""Slabs: the same values as without them, read once, bounded, and no failure is kept."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr

from cohortlab.viewer import slabs
from cohortlab.viewer.slabs import SlabArray, Slabs

SHAPE = (2, 10, 30, 20)


@pytest.fixture(autouse=True)
def _deep(monkeypatch):
    monkeypatch.setattr(slabs, "SHALLOW", 3)


@pytest.fixture
def array(tmp_path):
    made = zarr.create_array(tmp_path / "a.zarr", shape=SHAPE, dtype="int16", chunks=(1, 4, 8, 8), shards=(1, 12, 32, 24))
    made[:] = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    return made


class Counted:
    """An array that counts what is read of it."""

    def __init__(self, array):
        self.array, self.reads = array, 0
        self.shape, self.dtype, self.chunks = array.shape, array.dtype, array.chunks

    def __getitem__(self, where):
        self.reads += 1
        return self.array[where]


def selections():
    whole = slice(None)
    for frame in range(2):
        for axis, count in ((1, 10), (2, 30), (3, 20)):
            for index in range(count):
                where = [frame, whole, whole, whole]
                where[axis] = index
                yield tuple(where)
        yield (frame, slice(2, 9), whole, whole)
        yield (frame, 3, slice(2, 9), whole)
        yield (frame, 3, whole, slice(0, 5))


def test_every_selection_gives_what_the_array_gives(array):
    counted = Counted(array)
    cut = SlabArray(counted, ("t", "z", "y", "x"), Slabs(), "a")
    for where in selections():
        np.testing.assert_array_equal(cut[where], array[where])
    assert counted.reads == 2 * (3 + 4 + 3 + 3)


def test_colour_keeps_its_samples(tmp_path):
    made = zarr.create_array(tmp_path / "c.zarr", shape=(3, 6, 7), dtype="uint8", chunks=(1, 4, 4))
    made[:] = np.arange(126, dtype=np.uint8).reshape(3, 6, 7)
    cut = SlabArray(made, ("c", "y", "x"), Slabs(), "c")
    for where in ((slice(None), slice(None), slice(None)), (slice(None), slice(1, 3), slice(None))):
        np.testing.assert_array_equal(cut[where], made[where])


def test_memory_is_bounded_and_the_newest_stay(array):
    counted = Counted(array)
    few = Slabs(kept=2 * 4 * 30 * 20 * 2)
    cut = SlabArray(counted, ("t", "z", "y", "x"), few, "a")
    whole = slice(None)
    for z in (0, 4, 8, 8, 4, 0):
        cut[0, z, whole, whole]
    assert counted.reads == 4
    assert few._bytes <= few._kept


def test_a_slab_that_is_too_large_is_not_made(array, monkeypatch):
    monkeypatch.setattr(slabs, "LARGEST_SLAB", 100)
    counted = Counted(array)
    kept = Slabs()
    cut = SlabArray(counted, ("t", "z", "y", "x"), kept, "a")
    for _ in range(2):
        np.testing.assert_array_equal(cut[0, 3, :, :], array[0, 3])
    assert (counted.reads, kept._bytes) == (2, 0)


def test_shallow_chunks_are_read_in_part(array, monkeypatch):
    monkeypatch.setattr(slabs, "SHALLOW", 8)
    counted = Counted(array)
    cut = SlabArray(counted, ("t", "z", "y", "x"), Slabs(), "a")
    for index in range(4):
        np.testing.assert_array_equal(cut[0, index, :, :], array[0, index])
    assert counted.reads == 4
    for index in range(8):
        np.testing.assert_array_equal(cut[0, :, index, :], array[0, :, index])
    assert counted.reads == 5


def test_many_askers_read_once():
    kept, begun, go, reads = Slabs(), threading.Event(), threading.Event(), []

    def read():
        begun.set()
        go.wait(60)
        reads.append(1)
        return np.ones(3)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(kept.get, "a", read)
        assert begun.wait(60)
        others = [pool.submit(kept.get, "a", read) for _ in range(3)]
        go.set()
        assert all(one.result(60).sum() == 3 for one in (first, *others))
    assert reads == [1]


def test_a_failure_is_told_and_forgotten():
    kept = Slabs()

    def fail():
        raise RuntimeError("codec")

    with pytest.raises(RuntimeError):
        kept.get("a", fail)
    assert kept.get("a", lambda: np.ones(2)).sum() == 2
