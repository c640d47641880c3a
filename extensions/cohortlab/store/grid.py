"""The grid of an image that labels are laid on, and where a frame of a segmentation lies there."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydicom import Dataset

from cohortlab.store.contracts import Affine, SeriesAttributes, SliceGeometry
from cohortlab.store.frames import Frame, functional_group
from cohortlab.store.geometry import normal, place_slice, same_plane
from cohortlab.store.slide import slide_affine, slide_spacing, total_size

_NEAR: Final = 0.01  # of a voxel


@dataclass(frozen=True)
class Grid:
    """Voxels of `image` without its colours and its fourth axis, but for a clip's time: dims, shape, place, spacing in mm."""

    image: SeriesAttributes
    dims: tuple[Literal["t", "c", "z", "y", "x"], ...]
    shape: tuple[int, ...]
    affine: Affine | None
    spacing: tuple[float | None, ...]


def grid_of(image: SeriesAttributes, level: int = 0) -> Grid:
    """The grid of an image: ``z, y, x`` of a volume, ``t, y, x`` of a clip, ``y, x`` of a projection or of a level of a slide."""
    wanted = [
        (dim, size)
        for dim, size in zip(image.dims, image.levels[level], strict=True)
        if dim in "zyx" or (dim == "t" and "z" not in image.dims)
    ]
    affine, spacing = image.affine, image.spacing
    if image.level_affines is not None:
        affine = image.level_affines[level]
        spacing = tuple(float(np.linalg.norm(np.asarray(affine)[:3, axis])) for axis in (1, 2))
    return Grid(image, tuple(dim for dim, _ in wanted), tuple(size for _, size in wanted), affine, spacing)


def plane_at(geometry: SliceGeometry | None, image: SeriesAttributes) -> int | None:
    """The slice of `image` at this place, None when there is none."""
    if geometry is None:
        return None
    if image.affine is not None:
        z, y, x = place_slice(geometry, image.affine)
        index = round(z)
        near = max(abs(z - index), abs(y), abs(x)) <= _NEAR and same_plane(geometry, image.affine)
        return index if near and 0 <= index < image.shape[-3] else None
    for index, slice_ in enumerate(image.slices or ()):
        shift = np.abs(np.subtract(geometry.position, slice_.position)).max() <= _NEAR * min(slice_.spacing)
        if shift and np.allclose(normal(geometry), normal(slice_), atol=1e-4) and np.allclose(geometry.spacing, slice_.spacing, rtol=1e-4):
            return index
    return None


def referenced_frame(frame: Frame, image: SeriesAttributes) -> int | None:
    """The frame of `image`, a projection or clip of one instance, that a segmentation's frame says it was made from."""
    derivation = functional_group(frame.dataset, frame.number, "DerivationImageSequence")
    sources = list(derivation.get("SourceImageSequence") or [])
    if not sources:  # it may say so once for all its frames
        series = frame.dataset.get("ReferencedSeriesSequence") or []
        sources = [item for one in series for item in one.get("ReferencedInstanceSequence") or []]
    for source in sources:
        if str(source.get("ReferencedSOPInstanceUID", "")) == image.sop_instance_uid:
            number = source.get("ReferencedFrameNumber") or 1
            index = int(number if isinstance(number, int | str) else number[0]) - 1
            return index if 0 <= index < (image.shape[0] if "t" in image.dims else 1) else None
    return None


def slide_level(dataset: Dataset, image: SeriesAttributes) -> int | None:
    """The level of a slide that a tiled segmentation lies on: same size, same place within a hundredth of a pixel; None without one."""
    spacing = slide_spacing(dataset)
    ours = np.asarray(slide_affine(dataset, spacing))[:3, 1:]
    for number, affine in enumerate(image.level_affines or ()):
        theirs = np.asarray(affine)[:3, 1:]
        size = image.levels[number][-2:]
        far = np.abs((ours - theirs) @ np.asarray([(0, 0, 1), (*size, 1)]).T).max()
        if total_size(dataset) == size and far <= _NEAR * min(spacing):
            return number
    return None
