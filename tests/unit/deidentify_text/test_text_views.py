"""Pictures for the detector: tiles cover all that is worthwhile, no letters are left out, ground and colours do not matter."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohortlab.deidentify.text.views import CELL, FAINTEST, FAINTEST_LARGE, View, flattened, grey, plain, strokes, tiles, views, worthwhile


def lettered(shape, x, y, height):
    """A black plane with two letters of 1, the first one's upper left corner near (x, y); where they are."""
    cover = np.zeros(shape, dtype=np.uint8)
    cv2.putText(cover, "HW", (x, y + height), cv2.FONT_HERSHEY_SIMPLEX, height / 18, 255, max(1, height // 10), cv2.LINE_AA)
    return cover / np.float32(255), cover > 127


@given(st.integers(5, 260), st.integers(5, 260), st.integers(12, 40), st.sampled_from([1, -1]), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_no_letters_are_left_out_for_being_faint(x, y, height, sign, seed):
    """Letters of 12 pixels and more, at half more than the faintest contrast, over a smooth ground with grain."""
    noise = np.random.default_rng(seed)
    slope = np.add.outer(np.linspace(0, 500, 340), np.linspace(0, 500, 340)).astype(np.float32)
    ground = slope + noise.normal(0, 5, slope.shape).astype(np.float32)
    picture, cover = lettered((340, 340), x, y, height)
    mixed = ground + picture * sign * 1.5 * FAINTEST_LARGE * 1000
    cells = worthwhile(mixed.astype(np.float32), FAINTEST_LARGE)
    seen = np.kron(cells, np.ones((CELL, CELL), dtype=bool))[:340, :340]
    assert seen[cover].all()


def test_background_and_smooth_tissue_are_not_worth_a_look():
    slope = np.add.outer(np.linspace(0, 3000, 512), np.linspace(0, 3000, 512)).astype(np.float32)
    slope[:, 256:] = 0
    cells = worthwhile(cv2.GaussianBlur(slope, (0, 0), 9), FAINTEST_LARGE)
    assert not cells.any()
    assert not worthwhile(np.zeros((64, 64), dtype=np.float32), FAINTEST).any()


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.floats(0.0, 0.3),
    st.integers(20, 700),
    st.integers(0, 19),
    st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_tiles_cover_what_is_worthwhile(size, part, side, overlap, seed):
    rows, columns = size
    worth = np.random.default_rng(seed).random((rows, columns)) < part
    height, width = rows * CELL - seed % CELL, columns * CELL - seed % 7
    view = View("x", 1, np.zeros((height, width, 3), dtype=np.uint8), worth)
    covered = np.zeros((height, width), dtype=bool)
    for tile in tiles(view, side, overlap):
        assert 0 < tile.rows <= side
        assert 0 < tile.columns <= side
        assert tile.y >= 0 <= tile.x
        assert tile.y + tile.rows <= height
        assert tile.x + tile.columns <= width
        covered[tile.y : tile.y + tile.rows, tile.x : tile.x + tile.columns] = True
    assert covered[np.kron(worth, np.ones((CELL, CELL), dtype=bool))[:height, :width]].all()


def test_neighbours_share_the_overlap():
    view = View("x", 1, np.zeros((64, 2000, 3), dtype=np.uint8), np.ones((4, 125), dtype=bool))
    found = sorted(tiles(view, 1024, 128), key=lambda t: t.x)
    assert [t.rows for t in found] == [64] * len(found)
    assert all(a.x + a.columns - b.x == 128 for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("shape", "dtype", "scales"),
    [
        ((512, 512), np.int16, {("strokes", 1), ("strokes", 2), ("strokes", 0.5), ("plain", 1)}),
        ((128, 84), np.uint16, {("strokes", 1), ("strokes", 2), ("strokes", 4), ("plain", 1), ("plain", 2), ("plain", 4)}),
        ((600, 800, 3), np.uint8, {("strokes", 1), ("strokes", 2), ("strokes", 0.5), ("plain", 1)}),
        ((2600, 1400), np.uint16, {("strokes", 1), ("flattened", 0.5), ("strokes", 0.25), ("plain", 0.25)}),
        ((1, 1), np.float64, {("strokes", 1), ("strokes", 2), ("strokes", 4), ("plain", 1), ("plain", 2), ("plain", 4)}),
    ],
)
def test_views_of_a_frame(shape, dtype, scales):
    frame = np.random.default_rng(1).integers(0, 200, shape).astype(dtype)
    found = list(views(frame))
    assert {(view.name, view.scale) for view in found} == scales
    for view in found:
        assert view.picture.dtype == np.uint8
        assert view.picture.shape[2] == 3
        assert abs(view.picture.shape[0] - shape[0] * view.scale) <= 1
        assert view.worth.shape[0] * CELL >= view.picture.shape[0]
        assert view.worth.shape[1] * CELL >= view.picture.shape[1]


@pytest.mark.parametrize("make", [strokes, flattened])
def test_strokes_show_alike_on_any_ground_and_window(make):
    """The same letters with the same contrast, on black and on white ground, alone or beside a metal's brightness."""
    small, cover = lettered((200, 200), 40, 60, 20)
    for ground in (0, 3000):
        for metal in (0, 30_000):
            values = np.full((200, 200), ground, dtype=np.float32) + small * 400
            values[190:194, 190:194] += metal
            picture = make(values).astype(int)
            assert np.median(picture[cover]) - np.median(picture) > 60


def test_what_is_broad_is_no_stroke():
    disc = cv2.circle(np.zeros((400, 400), dtype=np.float32), (200, 200), 120, 1000.0, -1)
    disc[100:103, 180:220] += 400
    picture = strokes(disc).astype(int)
    assert abs(picture[200, 200] - 127) <= 1
    assert picture[101, 200] > 160


def test_colours_and_numbers_that_are_none():
    rgb = np.zeros((20, 20, 3), dtype=np.uint8)
    rgb[5, 5] = (10, 200, 30)
    assert plain(rgb) is not rgb
    assert np.array_equal(plain(rgb), rgb)
    wild = np.array([[np.nan, 1.0], [np.inf, -5.0]])
    assert np.array_equal(grey(wild), np.array([[-5, 1], [-5, -5]], dtype=np.float32))
