"""Side by side, in one run: a CT-like volume in our store and in the formats that others keep volumes in.

Every figure is of this machine, now: look at ratios, not at milliseconds. Each read opens its file or store anew, as a loader does, but
for "kept open". Files are in the system's cache, for a benchmark cannot empty that: all formats look faster than from a cold disk, most
of all those that read much. Of each place the faster of two reads counts, of all places the median: other work on the machine slows some.
Ratios are to .nii.gz with nibabel; above 1 is faster. It prints tables and never fails on a number.

    python tests/benchmarks/store.py [--size 600x512x512] [--seconds 10] [--folder FOLDER]
"""

import argparse
import importlib.metadata
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK
from pydicom.uid import CTImageStorage
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cohortlab.deidentify import gate
from cohortlab.deidentify.report import Options
from cohortlab.keys import PublicKey, create_key
from cohortlab.store import Store, verify_store
from cohortlab.store.workers import cores
from dicom_samples import instance
from http_files import serve

PATCH = 96
LATENCY = 0.020
NGFF_SLICES = 32  # it takes minutes for more
PLACES = 12  # where slices and patches are taken, one after the other


@dataclass(frozen=True)
class Way:
    """One format: how to read a slice, a patch or all of it, each giving an array; where it lies on the disk."""

    name: str
    axial: Callable[[int], Any]
    sagittal: Callable[[int], Any]
    patch: Callable[[int, int, int], Any]
    whole: Callable[[], Any]
    files: tuple[Path, ...] = ()


def ct_like(shape: tuple[int, ...], seed: int = 5) -> np.ndarray:
    """A body with lungs and a spine in air, with noise: int16 HU, z, y, x. Noise is what makes CT hard to compress."""
    noise = np.random.default_rng(seed)
    z, y, x = shape
    v, u = np.meshgrid(np.linspace(-1, 1, y), np.linspace(-1, 1, x), indexing="ij")
    volume = np.empty(shape, dtype=np.int16)
    for index in range(z):
        t = index / max(1, z - 1)
        plane = np.full((y, x), -1000.0, dtype=np.float32)
        plane[(u / 0.8) ** 2 + (v / 0.55) ** 2 < 1] = 40 + 20 * np.sin(6 * t)
        for side in (-1, 1):
            plane[((u - side * 0.35) / 0.25) ** 2 + (v / (0.3 + 0.1 * np.sin(3 * t))) ** 2 < 1] = -850
        plane[(u / 0.08) ** 2 + ((v - 0.4) / 0.08) ** 2 < 1] = 400
        plane += noise.standard_normal((y, x), dtype=np.float32) * np.where(plane > -990, 12, 5)
        volume[index] = np.clip(plane, -1024, 3071)
    return volume


def write_dicom(volume: np.ndarray, folder: Path) -> list[Path]:
    """The volume as a CT series, a file for each slice."""
    folder.mkdir()
    found = []
    for number, plane in enumerate(volume):
        stored = (plane.astype(np.int32) + 1024).astype(np.uint16)
        more = {"BodyPartExamined": "CHEST", "BitsStored": 12, "HighBit": 11, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}
        made = instance(number + 1, position=(0, 0, number * 0.8), spacing=(0.7, 0.7), pixels=stored, **more)
        made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, made.SOPInstanceUID
        found.append(folder / f"{number:05}.dcm")
        made.save_as(found[-1], enforce_file_format=True)
    return found


def opener(place: str | Path, trusted: PublicKey) -> Callable[[], Any]:
    """A function that opens the store, manifest and signature checked, and its only series."""

    def opened() -> Any:
        return Store.open(place, [trusted])[0].array()

    return opened


def our_store(name: str, opened: Callable[[], Any], files: tuple[Path, ...] = ()) -> Way:
    """Our store, read through `opened`, which gives a Zarr array."""

    def patch(z: int, y: int, x: int) -> Any:
        return opened()[z : z + PATCH, y : y + PATCH, x : x + PATCH]

    return Way(name, lambda k: opened()[k], lambda k: opened()[:, :, k], patch, lambda: opened()[:], files)


def dicom_ways(files: list[Path]) -> Iterator[Way]:
    """The DICOM files, in the order of their slices, which a reader would first have to find out."""

    def plane(path: Path) -> np.ndarray:
        dataset = pydicom.dcmread(path)
        return dataset.pixel_array.astype(np.int16) + np.int16(dataset.RescaleIntercept)

    def stack(some: list[Path], cut: tuple[Any, ...] = ()) -> np.ndarray:
        return np.stack([plane(path)[cut] for path in some])

    yield Way(
        "DICOM, pydicom",
        lambda k: plane(files[k]),
        lambda k: stack(files, (slice(None), k)),
        lambda z, y, x: stack(files[z : z + PATCH], (slice(y, y + PATCH), slice(x, x + PATCH))),
        lambda: stack(files),
        tuple(files),
    )

    def itk(some: list[Path]) -> np.ndarray:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames([str(path) for path in some])
        return SimpleITK.GetArrayFromImage(reader.Execute())

    yield Way(
        "DICOM, SimpleITK",
        lambda k: itk(files[k : k + 1]),
        lambda k: itk(files)[:, :, k],
        lambda z, y, x: itk(files[z : z + PATCH])[:, y : y + PATCH, x : x + PATCH],
        lambda: itk(files),
    )


def nifti_way(name: str, volume: np.ndarray, path: Path) -> Way:
    """NIfTI with nibabel, x y z as NIfTI orders it; its proxy reads what is asked for, where the file lets it."""
    import nibabel  # noqa: PLC0415 - a peer, which may be absent

    nibabel.save(nibabel.Nifti1Image(volume.transpose(2, 1, 0), np.diag([0.7, 0.7, 0.8, 1])), path)

    def proxy() -> Any:
        return nibabel.load(path).dataobj

    return Way(
        name,
        lambda k: np.array(proxy()[:, :, k]),
        lambda k: np.array(proxy()[k]),
        lambda z, y, x: np.array(proxy()[x : x + PATCH, y : y + PATCH, z : z + PATCH]).transpose(2, 1, 0),
        lambda: np.array(proxy()[:]),
        (path,),
    )


def npy_way(volume: np.ndarray, path: Path) -> Way:
    """An .npy file through a memory map."""
    np.save(path, volume)

    def mapped() -> np.ndarray:
        return np.load(path, mmap_mode="r")

    return Way(
        ".npy, memory map",
        lambda k: np.array(mapped()[k]),
        lambda k: np.array(mapped()[:, :, k]),
        lambda z, y, x: np.array(mapped()[z : z + PATCH, y : y + PATCH, x : x + PATCH]),
        lambda: np.array(mapped()),
        (path,),
    )


def blosc2_way(volume: np.ndarray, path: Path) -> Way:
    """Much as nnU-Net v2 keeps its cases: b2nd, zstd 8, blocks for patches, one thread, memory map; but int16, where it has float32."""
    import blosc2  # noqa: PLC0415 - a peer, which may be absent

    chunks = tuple(min(n, 192) for n in volume.shape)
    settings = {"codec": blosc2.Codec.ZSTD, "clevel": 8, "nthreads": 1}
    blosc2.asarray(volume, urlpath=str(path), mode="w", chunks=chunks, blocks=tuple(min(n, 48) for n in chunks), cparams=settings)

    def opened() -> Any:
        return blosc2.open(urlpath=str(path), mode="r", dparams={"nthreads": 1}, mmap_mode="r")

    return our_store(".b2nd, as nnU-Net's", opened, (path,))


def timed(read: Callable[..., Any], places: list[tuple[int, ...]], seconds: float) -> float:
    """Median over places of the faster of two reads there; as many places as fit into `seconds`, three at least."""
    best: list[float] = []
    begun = time.perf_counter()
    for at in places:
        taken = []
        for _ in range(2):
            started = time.perf_counter()
            read(*at)
            taken.append(time.perf_counter() - started)
        best.append(min(taken))
        if len(best) >= min(3, len(places)) and time.perf_counter() - begun > seconds:
            break
    return statistics.median(best)


def measure(ways: list[Way], volume: np.ndarray, seconds: float) -> list[tuple[Way, list[float]]]:
    """Seconds for axial slice, sagittal slice, patch and whole volume of each way; a patch is compared to the volume first."""
    rng = np.random.default_rng(3)
    axial, sagittal = ([(int(k),) for k in rng.integers(0, n, PLACES)] for n in (volume.shape[0], volume.shape[2]))
    patches = [tuple(int(rng.integers(0, n - PATCH + 1)) for n in volume.shape) for _ in range(PLACES)]
    z, y, x = patches[0]
    found = []
    for way in ways:
        if not np.array_equal(np.asarray(way.patch(z, y, x)), volume[z : z + PATCH, y : y + PATCH, x : x + PATCH]):
            raise SystemExit(f"{way.name} gives other values than were put in")
        tasks = ((way.axial, axial), (way.sagittal, sagittal), (way.patch, patches), (way.whole, [()]))
        found.append((way, [timed(read, [*places], seconds) for read, places in tasks]))
    return found


def size_of(files: tuple[Path, ...]) -> int:
    """Bytes of files and of all in folders."""
    return sum(f.stat().st_size for path in files for f in ([path] if path.is_file() else path.rglob("*")) if f.is_file())


@contextmanager
def clock(into: dict[str, float], name: str) -> Iterator[None]:
    """Note how long something took."""
    started = time.perf_counter()
    yield
    into[name] = time.perf_counter() - started


def peers_ingest(files: list[Path], folder: Path, took: dict[str, float]) -> None:
    """How long others take from the same DICOM to their formats, where they are installed."""
    if tool := shutil.which("dcm2niix"):
        for flag, name in (("n", "dcm2niix to .nii"), ("y", "dcm2niix to .nii.gz")):
            (folder / f"dcm2niix-{flag}").mkdir()
            with clock(took, name):
                subprocess.run([tool, "-z", flag, "-o", folder / f"dcm2niix-{flag}", files[0].parent], check=True, capture_output=True)
    try:
        import ngff_zarr  # noqa: PLC0415 - a peer, which may be absent
    except ModuleNotFoundError:
        return
    some = files[:NGFF_SLICES]
    with clock(took, f"ngff-zarr, of {len(some)} slices (SimpleITK reads)"):
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames([str(path) for path in some])
        pixels = SimpleITK.GetArrayFromImage(reader.Execute())
        image = ngff_zarr.to_ngff_image(pixels, dims=("z", "y", "x"), scale=dict.fromkeys("zyx", 1.0))
        ngff_zarr.to_ngff_zarr(str(folder / "ngff.zarr"), ngff_zarr.to_multiscales(image, scale_factors=[2, 4], chunks=64), version="0.5")


def print_reads(console: Console, results: list[tuple[Way, list[float]]], raw: int) -> None:
    """The table of reads."""
    base = next((times for way, times in results if way.name.startswith(".nii.gz")), results[0][1])
    table = Table(
        "", *(f"{what}\nms (ratio)" for what in ("axial slice", "sagittal slice", f"{PATCH}^3 patch", "whole")), "size\nMB (ratio)"
    )
    for way, times in results:
        cells = [f"{1e3 * t:.1f} ({b / t:.1f})" for t, b in zip(times, base, strict=True)]
        size = size_of(way.files)
        table.add_row(way.name, *cells, f"{size / 1e6:.0f} ({raw / size:.2f})" if size else "")
    console.print(table)


def all_ways(console: Console, volume: np.ndarray, folder: Path, place: Path, trusted: PublicKey) -> list[Way]:
    """Write the volume in all formats, but DICOM and our store, which are there; how to read each."""
    kept = Store.open(place, [trusted])[0].array()
    ways = [our_store("Cohortlab", opener(place, trusted), (place,)), our_store("Cohortlab, kept open", lambda: kept)]
    for make in (
        lambda: nifti_way(".nii.gz, nibabel", volume, folder / "volume.nii.gz"),
        lambda: nifti_way(".nii, nibabel", volume, folder / "volume.nii"),
        lambda: blosc2_way(volume, folder / "volume.b2nd"),
    ):
        try:
            ways.append(make())
        except ModuleNotFoundError as error:
            console.print(f"left out, for {error.name} is not installed: `make bench` installs it")
    return [*ways, npy_way(volume, folder / "volume.npy")]


def run(console: Console, folder: Path, shape: tuple[int, ...], seconds: float) -> None:
    """All of it, in `folder`."""
    volume = ct_like(shape)
    files = write_dicom(volume, folder / "dicom")
    source = size_of(tuple(files))
    key = folder / "gate.key"
    trusted = create_key(key).public
    took: dict[str, float] = {}
    begun = time.process_time()
    with clock(took, "dry run"):
        gate.ingest([files[0].parent], "bench", folder / "root", Options(key=key, deidentify=True, synthetic=True, dry_run=True))
    checked = len(files) / (time.process_time() - begun)
    with clock(took, "Cohortlab (gate, store, signature)"):
        report = gate.ingest(
            [files[0].parent], "bench", folder / "root", Options(key=key, deidentify=True, synthetic=True, workers=cores())
        )
    begun = time.perf_counter()
    gate.ingest([files[0].parent], "bench", folder / "other", Options(key=key, deidentify=True, dry_run=True))
    looked = time.perf_counter() - begun - took["dry run"]
    if report.path is None:
        raise SystemExit(f"the gate refused: {report.refused}")
    place = report.path
    with clock(took, "verify"):
        verify_store(place, [trusted])
    ways = [*all_ways(console, volume, folder, place, trusted), *dicom_ways(files)]
    with serve(folder / "root", LATENCY) as web:
        address = f"{web.address}/bench/1.0.0"
        remote = Store.open(address, [trusted])[0].array()
        name = f"Cohortlab, HTTP {1e3 * LATENCY:.0f} ms"
        ways += [our_store(name, opener(address, trusted)), our_store(f"{name}, kept open", lambda: remote)]
        results = measure(ways, volume, seconds)
    peers_ingest(files, folder, took)
    load = os.getloadavg()[0]
    console.print(
        f"\n{'x'.join(map(str, shape))} int16, {volume.nbytes / 1e6:.0f} MB; {cores()} cores, load {load:.1f}; files in cache; "
        "ratios of speed to .nii.gz, of size to the raw volume"
    )
    print_reads(console, results, volume.nbytes)
    table = Table("from DICOM", "MB/s", "s")
    del took["dry run"]
    verified = size_of((place,)) / 1e6 / took.pop("verify")
    for what, spent in sorted(took.items(), key=lambda item: item[1]):
        part = min(1.0, NGFF_SLICES / len(files)) if what.startswith("ngff") else 1.0
        table.add_row(what, f"{part * source / 1e6 / spent:.1f}", f"{spent:.1f}")
    console.print(table)
    console.print(f"gate, nothing written: {checked:.0f} files a second of processor time; verify: {verified:.0f} MB/s of store")
    console.print(f"not in these: looking for writing on the pixels, which computed images need not, {looked:.1f} s for a series like this")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory of all this, the volume itself included: {peak:.0f} MiB")
    console.print(", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("zarr", "zarrs", "pydicom", "SimpleITK")))


def main() -> None:
    """Make the volume, write it in all formats, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="600x512x512", help="slices x rows x columns (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="most that one figure may take (default %(default)s)")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    shape = tuple(int(n) for n in options.size.split("x"))
    if len(shape) != 3 or min(shape) < PATCH:  # z, y, x
        parser.error(f"--size is slices x rows x columns, each at least {PATCH}")
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="cohortlab-bench-") as name:
        run(console, Path(name), shape, options.seconds)


if __name__ == "__main__":
    main()
