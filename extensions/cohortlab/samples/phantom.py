"""Computed bodies: an ellipse of soft tissue with organs, bone and a lesion, in arrays over (z, y, x). They show no person.

Pure functions of a random generator. An abdomen in Hounsfield units for CT, a pelvis in arbitrary units for MR. Sizes are parts
of the array's, so that any size of 16 voxels and more per axis works; `aspect` is the height of the volume as a part of its width, so that
lesions are round in mm.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

type Volume = NDArray[np.float32]
type Labels = NDArray[np.uint8]

ORGAN: Final = 1
LESION: Final = 2


@dataclass(frozen=True)
class Phantom:
    """`image`: float32 (z, y, x), HU or arbitrary units. `labels`: uint8 of the same shape; 1 the organ without, 2 the lesion."""

    image: Volume
    labels: Labels


def _grid(size: tuple[int, int, int]) -> tuple[Volume, Volume, Volume]:
    """Coordinates z, y, x from -1 to 1, to be broadcast."""
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in size)
    return z[:, None, None], y[None, :, None], x[None, None, :]


def _ellipsoid(
    grid: tuple[Volume, Volume, Volume], center: tuple[float, float, float], radii: tuple[float, float, float]
) -> NDArray[np.bool_]:
    distance = sum(((axis - middle) / radius) ** 2 for axis, middle, radius in zip(grid, center, radii, strict=True))
    return np.asarray(distance) < 1


def _bumpy(
    grid: tuple[Volume, Volume, Volume], center: tuple[float, float, float], radius: float, aspect: float, random: np.random.Generator
) -> NDArray[np.bool_]:
    """A lesion: a ball with bumps."""
    z, y, x = (axis - middle for axis, middle in zip(grid, center, strict=True))
    turns = np.arctan2(y, x)
    height = np.arctan2(z * aspect, np.hypot(x, y))
    bumps = np.ones_like(turns)
    for frequency in (2, 3, 5):
        bumps = bumps + np.float32(random.uniform(0.04, 0.14)) * np.sin(frequency * turns + random.uniform(0, 6)) * np.cos(
            frequency * height
        )
    return np.asarray(np.sqrt((z * aspect) ** 2 + y**2 + x**2) < radius * bumps)


def _noise(size: tuple[int, int, int], sigma: float, random: np.random.Generator) -> Volume:
    """Noise with a grain of about two pixels, as reconstruction filters leave it."""
    grain = random.standard_normal(size, dtype=np.float32)
    for axis in (1, 2):
        grain = (grain + np.roll(grain, 1, axis)) / np.float32(np.sqrt(2))
    return grain * np.float32(sigma)


def _soften(image: Volume) -> Volume:
    """A little blur within the slice: no scanner has edges of one pixel."""
    for axis in (1, 2):
        image = (np.roll(image, 1, axis) + 2 * image + np.roll(image, -1, axis)) * np.float32(0.25)
    return image


def abdomen(size: tuple[int, int, int], random: np.random.Generator, aspect: float) -> Phantom:
    """An upper abdomen as CT shows it, in HU: fat, muscle, liver with a lesion, spleen, kidneys, aorta, spine."""
    grid = _grid(size)
    wide, deep = random.uniform(0.78, 0.9), random.uniform(0.56, 0.68)
    image = np.full(size, -1000, dtype=np.float32)
    image[_ellipsoid(grid, (0, 0, 0), (9, deep, wide))] = -95
    image[_ellipsoid(grid, (0, 0, 0), (9, deep * 0.88, wide * 0.9))] = 48
    image[_ellipsoid(grid, (0, -0.06, 0), (9, deep * 0.76, wide * 0.8))] = -70
    liver = _ellipsoid(grid, (random.uniform(-0.15, 0.15), -0.04, -0.3 * wide), (1.05, deep * 0.66, wide * 0.46))
    image[liver] = 104
    image[_ellipsoid(grid, (0.1, 0.14, 0.5 * wide), (0.8, deep * 0.34, wide * 0.2))] = 118
    for side in (-1, 1):
        kidney = (random.uniform(-0.4, -0.2), 0.26, side * 0.36 * wide)
        image[_ellipsoid(grid, kidney, (0.6, 0.15, 0.13))] = 165
        image[_ellipsoid(grid, kidney, (0.35, 0.06, 0.05))] = 30
    image[_ellipsoid(grid, (0, 0.08, 0.04), (9, 0.05, 0.05))] = 170
    image[_ellipsoid(grid, (0, deep * 0.62, 0), (9, 0.13, 0.14))] = 320
    image[_ellipsoid(grid, (0, deep * 0.62, 0), (9, 0.09, 0.1))] = 190
    image[_ellipsoid(grid, (0, deep * 0.62 + 0.15, 0), (9, 0.05, 0.05))] = 35
    center = (random.uniform(-0.25, 0.25), random.uniform(-0.16, 0.06), random.uniform(-0.4, -0.26) * wide)
    lesion = _bumpy(grid, center, random.uniform(0.09, 0.15), aspect, random) & liver
    image[lesion] = random.uniform(48, 66)
    return Phantom(_soften(image) + _noise(size, 11, random), _labels(liver, lesion))


def pelvis(size: tuple[int, int, int], random: np.random.Generator, aspect: float) -> Phantom:
    """A pelvis as T2-weighted MR shows it, in arbitrary units: fat, muscle, bladder, prostate with a dark lesion, rectum, hips."""
    grid = _grid(size)
    image = np.full(size, 12, dtype=np.float32)
    image[_ellipsoid(grid, (0, 0, 0), (9, 0.8, 0.95))] = 620
    image[_ellipsoid(grid, (0, 0.02, 0), (9, 0.68, 0.86))] = 130
    image[_ellipsoid(grid, (0, 0.02, 0), (9, 0.5, 0.5))] = 430
    for side in (-1, 1):
        image[_ellipsoid(grid, (0, -0.02, side * 0.68), (0.9, 0.2, 0.17))] = 380
    image[_ellipsoid(grid, (0.65, -0.2, 0), (0.55, 0.26, 0.3))] = 900
    prostate = _ellipsoid(grid, (random.uniform(-0.2, 0), 0.06, 0), (0.62, 0.17, 0.22))
    image[prostate] = 520
    image[_ellipsoid(grid, (-0.1, 0.02, 0), (0.5, 0.11, 0.13)) & prostate] = 330
    image[_ellipsoid(grid, (0, 0.36, 0.02), (9, 0.1, 0.12))] = 90
    center = (random.uniform(-0.3, 0.1), random.uniform(0.1, 0.16), random.choice([-1, 1]) * random.uniform(0.07, 0.12))
    lesion = _bumpy(grid, center, random.uniform(0.045, 0.075), aspect, random) & prostate
    image[lesion] = random.uniform(180, 230)
    z, y, x = grid
    bias = 1 + np.float32(0.12) * x - np.float32(0.1) * y + np.float32(0.04) * z
    return Phantom(np.abs(_soften(image) * bias + _noise(size, 14, random)), _labels(prostate, lesion))


def _labels(organ: NDArray[np.bool_], lesion: NDArray[np.bool_]) -> Labels:
    labels = organ.astype(np.uint8) * np.uint8(ORGAN)
    labels[lesion] = LESION
    return labels
