"""Chunks, shards and pyramids: the numbers of the design, and properties that hold for every shape."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortlab.store.layout import chunk_shape, pyramid, shard_shape
from cohortlab.store.pyramid import halve_mean, halve_mode

ZYX = ("z", "y", "x")


@pytest.mark.parametrize(
    ("shape", "dims", "chunks", "shards"),
    [
        ((140, 512, 512), ZYX, (16, 64, 64), (144, 512, 512)),
        ((512, 512, 512), ZYX, (16, 64, 64), (512, 512, 512)),
        ((513, 512, 512), ZYX, (16, 64, 64), (512, 512, 512)),
        ((3, 20, 30), ZYX, (3, 20, 30), (3, 20, 30)),
        ((3, 19, 128, 84), ("c", *ZYX), (1, 16, 64, 64), (3, 32, 128, 128)),
        ((60, 600, 512, 512), ("t", *ZYX), (1, 16, 64, 64), (1, 512, 512, 512)),
        ((4688, 2592), ("y", "x"), (512, 512), (5120, 3072)),
    ],
)
def test_chunks_and_shards(shape, dims, chunks, shards):
    assert chunk_shape(shape, dims) == chunks
    assert shard_shape(shape, chunks) == shards


@pytest.mark.parametrize(
    ("shape", "spacing", "levels"),
    [
        ((64, 512, 512), (1.0, 1.0, 1.0), [(64, 512, 512), (32, 256, 256), (16, 128, 128)]),
        ((19, 384, 384), (3.0, 0.5, 0.5), [(19, 384, 384), (19, 192, 192), (19, 96, 96)]),
        ((40, 512, 512), (1.0, 0.5, 0.5), [(40, 512, 512), (40, 256, 256), (20, 128, 128)]),
        ((28, 257, 100), (None, 0.5, 0.5), [(28, 257, 100), (28, 129, 50), (28, 65, 25)]),
        ((5, 128, 128), (1.0, 1.0, 1.0), [(5, 128, 128)]),
        ((1, 200, 1), (1.0, 1.0, 1.0), [(1, 200, 1), (1, 100, 1)]),
    ],
)
def test_levels_make_voxels_into_cubes(shape, spacing, levels):
    assert [level.shape for level in pyramid(shape, ZYX, spacing)] == levels


@given(st.tuples(st.integers(1, 700), st.integers(1, 5000), st.integers(1, 5000)))
def test_every_shape_has_whole_chunks_and_an_end(shape):
    chunks = chunk_shape(shape, ZYX)
    shards = shard_shape(shape, chunks)
    assert all(s % c == 0 for s, c in zip(shards, chunks, strict=True))
    assert math.prod(shards) <= 528**3 or math.prod(shape) <= 512**3
    levels = pyramid(shape, ZYX, (1.0, 1.0, 1.0))
    assert max(levels[-1].shape[1:]) <= 128
    assert len(levels) < 10


def test_means_are_rounded_and_edges_repeated():
    values = np.array([[[0, 1, 4], [2, 4, 4], [8, 8, 7]]], dtype=np.int16)
    assert halve_mean(values, (1, 2)).tolist() == [[[2, 4], [8, 7]]]
    assert halve_mean(-values, (1, 2)).tolist() == [[[-2, -4], [-8, -7]]]
    assert halve_mean(values.astype(np.float32), (1, 2)).tolist() == [[[1.75, 4], [8, 7]]]


@given(st.integers(0, 2**16 - 1), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_a_constant_stays_constant(value, z, y, x):
    values = np.full((z, y, x), value, dtype=np.uint16)
    for halve in (halve_mean, halve_mode):
        halved = halve(values, (0, 1, 2))
        assert halved.shape == (-(-z // 2), -(-y // 2), -(-x // 2))
        assert (halved == value).all()


def test_labels_are_never_mixed():
    labels = np.array([[[1, 1, 3, 0], [1, 5, 0, 0]]], dtype=np.uint8)
    assert halve_mode(labels, (1, 2)).tolist() == [[[1, 0]]]
    assert halve_mode(np.array([[[0, 2], [0, 2]]], dtype=np.uint8), (1, 2)).tolist() == [[[2]]]
