"""The runner: one process for one computation. It verifies the store, computes, and leaves the raw result for the release process."""

import sys
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from cohortlab.errors import CohortlabError, IntegrityError, NotFoundError
from cohortlab.federation.contracts import Reason
from cohortlab.federation.site.journal import write_private
from cohortlab.federation.site.protocol import Answer, Channel, RunOrder, log_failure
from cohortlab.federation.tasks.histogram import histogram
from cohortlab.federation.tasks.histogram_model import HistogramParameters, RawHistogram
from cohortlab.keys import PublicKey
from cohortlab.store.manifest import file_digest
from cohortlab.store.read import SeriesRef, Store
from cohortlab.viewer.slices import read_label_slice

_CHUNK = 32 * 2**20
"""Bytes of voxels that are read at once, about."""
_STEP = 0.02
"""Progress is told in steps of this."""


def _as_signed(store: Store, ref: SeriesRef) -> bool:
    """Whether the files of a series are those that the manifest names, no more and no fewer, each with its digest."""
    prefix = ref.path.relative_to(store.path).as_posix() + "/"
    signed = {item.path: (item.size, item.sha256) for item in store.manifest.objects if item.path.startswith(prefix)}
    there = {path.relative_to(store.path).as_posix() for path in ref.path.rglob("*") if path.is_symlink() or not path.is_dir()}
    return there == signed.keys() and all(
        not (file := store.path / name).is_symlink() and file_digest(file) == claim for name, claim in signed.items()
    )


def _slabs(shape: tuple[int, ...], itemsize: int, depth: int) -> Iterator[tuple[int | slice, ...]]:
    """Index expressions that cover an array of `shape` once, each some slices of one volume; in the order of the array."""
    outer, volume = shape[:-3], shape[-3:] if len(shape) > 2 else (1, *shape)  # noqa: PLR2004 - three axes in space
    plane = volume[1] * volume[2] * itemsize
    step = max(depth, _CHUNK // max(plane, 1) // depth * depth)
    for index in np.ndindex(outer):
        if len(shape) == 2:  # noqa: PLR2004 - a projection
            yield (slice(None), slice(None))
            continue
        for z in range(0, volume[0], step):
            yield (*index, slice(z, z + step))


def _chunks(ref: SeriesRef, region: str, told: Callable[[int], None]) -> Iterator[npt.NDArray[Any]]:
    """The voxels of a series, chunk by chunk; those in its segmentations with region ``segmentation``."""
    array = ref.array(0)
    if region == "segmentation" and not ref.segmentations:
        return
    depth = 1 if region == "segmentation" else 16
    for where in _slabs(array.shape, array.dtype.itemsize, depth):
        values = np.asarray(array[where])
        size = values.size
        if region == "segmentation":
            first = next((w.start for w in where if isinstance(w, slice)), 0) or 0
            count = values.shape[0] if array.ndim > 2 else 1  # noqa: PLR2004 - a projection is one slice
            masks = [np.any([read_label_slice(seg, ref, "z", first + i) > 0 for seg in ref.segmentations], axis=0) for i in range(count)]
            values = values.reshape(np.shape(masks))[np.asarray(masks)]
        yield values
        told(size)


def compute(order: RunOrder, told: Callable[[float], None]) -> RawHistogram | Reason:
    """The raw result of an order, or why there is none. `told` hears the progress, from 0 to 1."""
    parameters = HistogramParameters.model_validate(order.parameters)
    trusted = [PublicKey(key) for key in order.trusted]
    try:
        store = Store.open(order.store, trusted=trusted)
    except IntegrityError:
        return Reason.DATASET_NOT_TRUSTED
    except NotFoundError:
        return Reason.DATASET_NOT_HERE
    if store.id != order.dataset:
        return Reason.DATASET_NOT_TRUSTED
    chosen = [ref for ref in store if ref.kind == "image" and ref.attributes.modality == parameters.modality]
    if parameters.region == "segmentation":
        chosen = [ref for ref in chosen if ref.segmentations]
    if not chosen:
        return Reason.NO_MATCHING_SERIES
    read = [*chosen, *(seg for ref in chosen for seg in ref.segmentations if parameters.region == "segmentation")]
    if not all(_as_signed(store, ref) for ref in read):
        return Reason.DATASET_NOT_TRUSTED
    total = sum(int(np.prod(ref.attributes.shape)) for ref in chosen)
    seen = 0

    def count(voxels: int) -> None:
        nonlocal seen
        seen += voxels
        told(min(seen / total, 1.0))

    def series() -> Iterator[tuple[Hashable, Iterator[npt.NDArray[Any]]]]:
        for ref in chosen:
            yield ref.attributes.patient_id, _chunks(ref, parameters.region, count)

    return histogram(series(), parameters)


def main() -> int:
    """Take one order, if any comes. Exit code 0 also for a refusal: the answer says it."""
    channel = Channel()
    order = channel.order(RunOrder)
    if order is None:
        return 0
    last = 0.0

    def told(progress: float) -> None:
        nonlocal last
        if progress - last >= _STEP:
            last = progress
            channel.answer(Answer(progress=progress))

    try:
        raw = compute(order, told)
        if isinstance(raw, Reason):
            channel.answer(Answer(reason=raw))
            return 0
        write_private(order.raw, raw.model_dump_json())
    except (CohortlabError, ValueError, ArithmeticError, LookupError, TypeError, OSError, MemoryError, RuntimeError) as error:
        log_failure(error)
        channel.answer(Answer(reason=Reason.COMPUTATION_FAILED))
        return 1
    channel.answer(Answer(progress=1.0, done=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
