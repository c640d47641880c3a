"""Second looks: the same line in each size and contrast, whichever way it lies, in grey and in colours as bright as each other."""

import cv2
import numpy as np
import pytest

from cohortlab.deidentify.text.looks import HEIGHTS, LOOKS, looks

CORNERS = np.array([[60, 40], [140, 40], [140, 60], [60, 60]], dtype=np.float32)  # 80 x 20


def bars(dtype=np.uint16, ground=1000, ink=1400):
    """A plane of 120 x 200 with four upright bars in the place."""
    plane = np.full((120, 200), ground, dtype=dtype)
    for x in range(66, 136, 20):
        plane[44:56, x : x + 4] = ink
    return plane


def columns(picture):
    """Where the picture's middle row is light, as a share of its width: the middle of each run."""
    row = picture[picture.shape[0] // 2, :, 0].astype(int)
    light = row > (int(row.max()) + int(np.median(row))) // 2
    edges = np.flatnonzero(np.diff(light.astype(int)))
    return (edges[::2] + edges[1::2]) / 2 / len(row)


@pytest.mark.parametrize(("dtype", "ground", "ink"), [(np.uint16, 1000, 1400), (np.int16, -900, -500), (np.float32, 0, 1e-6)])
def test_each_look_shows_the_line(dtype, ground, ink):
    found = list(looks(bars(dtype, ground, ink), CORNERS))
    assert len(found) == LOOKS
    for number, picture in enumerate(found):
        assert abs(picture.shape[0] - HEIGHTS[number // 3]) <= 1
        assert columns(picture) == pytest.approx([0.1, 0.35, 0.6, 0.85], abs=0.02)


def test_a_line_that_stands_is_laid_down():
    turned = np.rot90(bars(), 1)
    corners = np.stack([CORNERS[:, 1], 200 - CORNERS[:, 0]], axis=1)
    for picture in looks(turned, corners):
        assert picture.shape[1] > 3 * picture.shape[0]


def test_colours_as_bright_as_their_ground():
    """Red bars on a green of the same luminance."""
    cover = bars(np.uint8, 0, 1).astype(bool)
    frame = np.where(cover[..., None], (196, 0, 0), (0, 100, 0)).astype(np.uint8)
    assert (
        abs(int(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[cover].mean()) - int(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[~cover].mean())) <= 1
    )
    for picture in looks(frame, CORNERS):
        assert len(columns(picture)) == 4


def test_a_place_at_the_edge_and_one_of_nothing():
    for corners in (CORNERS - (60, 40), CORNERS * 0 + 5):
        assert all(0 not in picture.shape for picture in looks(bars(), np.asarray(corners, dtype=np.float32)))
