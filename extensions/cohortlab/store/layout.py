"""How a series lies on disk: chunk and shard shapes, pyramid levels, names. Pure functions; the numbers are the design's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

IMAGES, SEGMENTATIONS, CATALOGUE = "images", "segmentations", "catalogue"
MANIFEST = "dataset.json"
CATALOGUE_FILE = f"{CATALOGUE}/series.parquet"

JPEG_CODEC = "cohortlab.jpeg"
"""Name of the Zarr codec of tiles that stay JPEG."""

FOLDER_VARIABLE, KEYS_VARIABLE = "COHORTLAB_DATASETS", "COHORTLAB_TRUSTED_KEYS"
"""What a session's environment says: the folder of its datasets, the gate keys whose stores it opens."""

SHARD_EDGE = 512
_CHUNK_3D = (16, 64, 64)
_CHUNK_2D = (512, 512)
_SMALL = 128  # a level whose y and x are no longer than this is the last
_NEARLY = 1.5  # an axis is halved while its voxel edge is below this many times the finest, so that voxels become cubes


@dataclass(frozen=True)
class Level:
    """One level of a pyramid: its shape, and per dimension how many level-0 voxels one voxel spans."""

    shape: tuple[int, ...]
    factors: tuple[int, ...]


def chunk_shape(shape: Sequence[int], dims: Sequence[str]) -> tuple[int, ...]:
    """Inner chunk: (min(16, Z), 64, 64) for volumes, (512, 512) for planes, 1 along a fourth axis; never above the shape."""
    space = _CHUNK_3D if "z" in dims else _CHUNK_2D
    wanted = (1,) * (len(shape) - len(space)) + space
    return tuple(min(w, s) for w, s in zip(wanted, shape, strict=True))


def shard_shape(shape: Sequence[int], chunks: Sequence[int]) -> tuple[int, ...]:
    """One shard for a level up to 512^3 voxels, else blocks of 512 a side; always whole chunks."""
    if math.prod(shape) <= SHARD_EDGE**3:
        edges = tuple(shape)
    else:
        lead = len(shape) - min(len(shape), 3)
        edges = tuple(1 if i < lead else min(s, SHARD_EDGE) for i, s in enumerate(shape))
    return tuple(math.ceil(e / c) * c for e, c in zip(edges, chunks, strict=True))


def pyramid(shape: Sequence[int], dims: Sequence[str], spacing: Sequence[float | None]) -> list[Level]:
    """All levels, full size first: y and x halved until both are at most 128, z only while its voxel edge is near the finest.

    An axis without a spacing (irregular slices, a single one) and a fourth axis stay whole.
    """
    levels = [Level(tuple(shape), (1,) * len(shape))]
    lead = len(shape) - len(spacing)
    edges: list[float | None] = [*(None for _ in range(lead)), *spacing]
    while max(levels[-1].shape[-2:]) > _SMALL:
        last = levels[-1]
        current = [None if e is None else e * f for e, f in zip(edges, last.factors, strict=True)]
        finest = min((c for c in current if c is not None), default=1.0)
        halve = [dims[i] in "yx" or (dims[i] == "z" and c is not None and c <= _NEARLY * finest) for i, c in enumerate(current)]
        halve = [h and last.shape[i] > 1 for i, h in enumerate(halve)]
        factors = tuple(f * 2 if h else f for f, h in zip(last.factors, halve, strict=True))
        levels.append(Level(tuple(math.ceil(s / 2) if h else s for s, h in zip(last.shape, halve, strict=True)), factors))
    return levels


def image_path(level: int) -> str:
    """The array of a level, from the series' group."""
    return f"scale{level}/image"
