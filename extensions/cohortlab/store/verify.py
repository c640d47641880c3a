"""Recompute everything that a manifest claims about a store: signature, tree, every object, every pixel.

Digests of objects find any change on the disk. Pixels are decoded again all the same and compared to the digest that was taken
from DICOM when the store was written, so that an error of the writer itself is found too. So is whatever the layout has no place for,
though it be signed: see `closed`. Files and pixels go in a thread for each core.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

from cohortlab.errors import CohortlabError, NotFoundError
from cohortlab.keys import PublicKey
from cohortlab.store.closed import surplus
from cohortlab.store.contracts import Manifest, StoreObject
from cohortlab.store.manifest import file_digest, read_manifest, walk
from cohortlab.store.read import Store
from cohortlab.store.tiles import tile_digest
from cohortlab.store.workers import cores

type Problem = Literal["signature", "missing", "added", "changed", "unreadable", "pixels", "attributes", "surplus"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its kind, the path in the store, a sentence."""

    problem: Problem
    path: str
    message: str


@dataclass(frozen=True)
class Report:
    """What verification found. `ok` when nothing is wrong."""

    path: str
    dataset: str | None
    version: str | None
    key_id: str | None
    objects: int
    bytes: int
    series: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the store is exactly what was signed."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"ok": self.ok} | asdict(self)


def verify_store(path: str | Path, trusted: Sequence[PublicKey], progress: Callable[[int, int], None] | None = None) -> Report:
    """Check the store at `path` whole. `progress` is called with (done, all) bytes.

    Raises `NotFoundError` when there is no store. All else that is wrong is in the report.
    """
    where = Path(path).absolute()
    try:
        manifest = read_manifest(where, trusted)
    except NotFoundError:
        raise
    except CohortlabError as error:
        finding = Finding("signature", "dataset.json", error.message)
        return Report(str(where), None, None, None, 0, 0, 0, (finding,))
    count = _Count(2 * sum(item.size for item in manifest.objects), progress)
    store = Store(where, manifest)
    with ThreadPoolExecutor(cores(), thread_name_prefix="cohortlab-verify") as pool:
        try:
            findings, sound = _objects(where, manifest, pool, count)
            findings += [Finding("surplus", name, said) for name, said in surplus(where, sorted(sound), manifest)]
            findings += _all_pixels(store, {f.path for f in findings}, pool, count)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C: only what has begun is seen through
            raise
    return Report(
        str(where),
        manifest.id,
        manifest.version,
        manifest.signature.key_id,
        len(sound),
        sum(sound.values()),
        len(manifest.series),
        tuple(findings),
    )


class _Count:
    """Bytes done of all, those of a series counted twice: as files and as pixels."""

    def __init__(self, total: int, progress: Callable[[int, int], None] | None) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def add(self, size: int) -> None:
        """So many more."""
        self._done += size
        if self._progress is not None:
            self._progress(self._done, self._total)


def _objects(where: Path, manifest: Manifest, pool: Executor, count: _Count) -> tuple[list[Finding], dict[str, int]]:
    """Compare the files there are with those that were signed; also the sizes of the sound ones."""
    findings: list[Finding] = []
    sound: dict[str, int] = {}
    known = {item.path: item for item in manifest.objects}
    there = {relative.as_posix() for relative in walk(where)}
    findings += [Finding("added", name, "This is not part of the store.") for name in sorted(there - known.keys())]
    items = [item for _, item in sorted(known.items())]
    for item, finding in zip(items, pool.map(lambda item: _object(where, item, there=item.path in there), items), strict=True):
        if finding is None:
            sound[item.path] = item.size
        else:
            findings.append(finding)
        count.add(item.size)
    return findings, sound


def _object(where: Path, item: StoreObject, *, there: bool) -> Finding | None:
    """What is wrong with one object; None when nothing is."""
    file = where / item.path
    if not there:
        return Finding("missing", item.path, "The file is gone.")
    if file.is_symlink() or not file.is_file():
        return Finding("changed", item.path, "This is not a file.")
    try:
        found = file_digest(file)
    except OSError as error:
        return Finding("unreadable", item.path, f"The file cannot be read: {error.strerror}.")
    return None if found == (item.size, item.sha256) else Finding("changed", item.path, "The file's content is not what was signed.")


def _all_pixels(store: Store, broken: set[str], pool: Executor, count: _Count) -> list[Finding]:
    """Decode the series whose files are sound, and compare."""
    series = [s for s in (*store, *store.segmentations) if not any(path.startswith(f"{s.name}/") for path in broken)]
    sizes: Counter[str] = Counter()
    for item in store.manifest.objects:
        sizes["/".join(item.path.split("/")[:2])] += item.size
    findings: list[Finding] = []
    for ref, found in zip(series, pool.map(lambda ref: _pixels(store, ref.id), series), strict=True):
        findings += found
        count.add(sizes[ref.name])
    return findings


def _pixels(store: Store, series: str) -> list[Finding]:
    """Decode level 0 slab by slab and compare its digest."""
    ref = store[series]
    name = ref.path.relative_to(store.path).as_posix()
    try:
        attributes, array = ref.attributes, ref.array()
        found = tile_digest(ref.path, attributes) if attributes.tiles else pixel_digest(array)
    except CohortlabError as error:
        return [Finding("attributes", name, error.message)]
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:  # what zarr and zarrs raise on chunks that do not decode
        return [Finding("pixels", name, f"The pixels cannot be decoded ({type(error).__name__}).")]
    if attributes.shape != array.shape or attributes.dtype != array.dtype.name:
        return [Finding("attributes", name, "Shape or type of the array is not what the attributes say.")]
    if found != attributes.digests.pixels:
        return [Finding("pixels", name, "The pixels are not those of the DICOM that was stored.")]
    return []


def pixel_digest(array: "zarr.Array[Any]") -> str:
    """SHA-256 of an array's values, little endian, in C order, read slab by slab."""
    digest = hashlib.sha256()
    for block in _slabs(array.shape):
        digest.update(np.ascontiguousarray(array[block], dtype=array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _slabs(shape: Sequence[int], most: int = 1 << 24) -> list[tuple[int | slice, ...]]:
    """Indices that cover an array in C order, each about `most` voxels at the most."""
    if len(shape) <= 2:  # noqa: PLR2004 - a plane
        return [(slice(None),) * len(shape)]
    step = max(1, most // max(1, shape[-1] * shape[-2]))
    step = max(16, step // 16 * 16) if shape[-3] > 16 else shape[-3]  # noqa: PLR2004 - whole inner chunks
    leads: list[tuple[int, ...]] = list(np.ndindex(*shape[:-3]))
    return [(*lead, slice(z, min(z + step, shape[-3]))) for lead in leads for z in range(0, shape[-3], step)]
