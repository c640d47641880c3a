"""Stores beside the sample: PET on a CT, one slice, uneven slices, a deep stack, public data, a volume of 4 GiB, a real oblique series."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import zarr
from pydicom.uid import CTImageStorage, PositronEmissionTomographyImageStorage
from sample_store import instance

from cohortlab.keys import PrivateKey
from cohortlab.store import ManifestFields, StoreWriter
from cohortlab.store.contracts import AccessCondition, AccessRight, Manifest, StoreObject
from cohortlab.store.layout import chunk_shape, image_path, pyramid, shard_shape
from cohortlab.store.manifest import file_digest, sign_manifest, walk
from cohortlab.store.shards import compressor
from slide_samples import slide

VERSION = "1.0.0"
DEEP_SHAPE = (96, 64, 64)
HUGE_SHAPE = (2048, 1024, 1024)
HOT = {"x": (-4.0, 16.0), "y": (-16.0, 4.0), "z": (-4.0, 12.0)}
"""mm of the cube that takes up the tracer, in patient L, P, S; not in the middle, so that a mirrored picture is seen."""
EXTENT = {"x": 64.0, "y": 64.0, "z": 40.0}
"""mm of the CT that it lies in, about the origin."""


@dataclass(frozen=True)
class Kinds:
    """Ids of the series of the dataset ``kinds``."""

    ct: str
    pet: str
    single: str
    uneven: str
    slide: str


def fields(title: str, **more: Any) -> ManifestFields:
    """A manifest's fields."""
    return ManifestFields(title=title, deidentification={}, gate="test", verdict="accepted", synthetic=True, **more)


def stack(series: int, values: np.ndarray, modality: str, spacing: tuple[float, float, float]) -> list[pydicom.Dataset]:
    """Axial slices of `values` (z, y, x), voxels of `spacing` mm, the volume's middle at the origin."""
    sop_class = PositronEmissionTomographyImageStorage if modality == "PT" else CTImageStorage
    first = [-(count - 1) / 2 * gap for count, gap in zip(values.shape, spacing, strict=True)]
    made = []
    for z, pixels in enumerate(values):
        one = instance(sop_class, series, z + 1, pixels, modality)
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        one.ImagePositionPatient = [first[2], first[1], first[0] + z * spacing[0]]
        one.PixelSpacing, one.SliceThickness = [spacing[1], spacing[2]], spacing[0]
        one.RescaleSlope, one.RescaleIntercept = 1, 0
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        one.WindowCenter, one.WindowWidth = (5000, 10000) if modality == "PT" else (40, 400)
        if modality == "PT":
            one.Units = "BQML"
        else:
            one.RescaleType = "HU"
        made.append(one)
    return made


def write_kinds(root: Path, key: PrivateKey) -> Kinds:
    """PET and CT of one frame of reference, one slice, slices of which one is missing, and a slide."""
    axes = [-(count - 1) + 2.0 * np.arange(count) for count in (20, 32, 32)]  # centres of voxels of 2 mm
    z, y, x = np.meshgrid(*axes, indexing="ij")
    hot = np.all([(low < at) & (at < high) for at, (low, high) in ((x, HOT["x"]), (y, HOT["y"]), (z, HOT["z"]))], axis=0)
    flat = np.full((20, 64, 64), 40, np.int16)
    uneven = [one for number, one in enumerate(stack(24, np.full((7, 32, 32), 40, np.int16), "CT", (2, 1, 1))) if number != 3]
    with StoreWriter(root, "kinds", VERSION) as writer:
        found = [
            writer.add_series(datasets, {}).id
            for datasets in (
                stack(21, flat, "CT", (2, 1, 1)),
                stack(22, (hot * 10_000).astype(np.uint16), "PT", (2, 2, 2)),
                stack(23, deep_values()[:1], "CT", (2, 1, 1)),
                uneven,
                [slide(stained(), 1), slide(stained()[::2, ::2].copy(), 2, factor=2)],
            )
        ]
        writer.finish(fields("Kinds"), key)
    return Kinds(*found)


def stained() -> np.ndarray:
    """A slide's colours, (rows, columns, 3): red grows to the right, blue to the left."""
    made = np.full((320, 480, 3), 120, np.uint8)
    made[..., 0] = np.linspace(80, 240, 480)
    made[..., 2] = np.linspace(240, 80, 480)
    return made


def deep_values() -> np.ndarray:
    """HU of the deep stack: each slice has a grey of its own."""
    z, y, x = np.indices(DEEP_SHAPE)
    return (z * 3 - 120 + y - x).astype(np.int16)


def write_deep(root: Path, dataset: str, key: PrivateKey, **more: Any) -> str:
    """A dataset of one stack that is several chunks deep; its series' id."""
    with StoreWriter(root, dataset, VERSION) as writer:
        made = writer.add_series(stack(31, deep_values(), "CT", (2, 1, 1)), {}).id
        writer.finish(fields(dataset, **more), key)
    return made


def write_public(root: Path, dataset: str, key: PrivateKey) -> str:
    """The same as public data."""
    return write_deep(root, dataset, key, access_condition=AccessCondition.DOWNLOAD, dcat={"accessRights": AccessRight.PUBLIC.uri})


def huge_values(z: int) -> np.ndarray:
    """HU of slice `z` of the huge volume, where it is not 0 all over; None of its other slices is more than that."""
    y, x = np.indices(HUGE_SHAPE[1:])
    return (y // 4 - x // 4 + z - HUGE_SHAPE[0] // 2).astype(np.int16)


def write_huge(root: Path, dataset: str, key: PrivateKey) -> str:
    """A volume of 4 GiB whose middle 16 slices are on the disk; chunks that are not there hold 0, as Zarr has it."""
    with StoreWriter(root, dataset, VERSION) as writer:
        small = writer.add_series(stack(41, np.zeros((16, 32, 32), np.int16), "CT", (1, 1, 1)), {})
        manifest = writer.finish(fields("Huge"), key)
    place = root / dataset / VERSION
    levels = pyramid(HUGE_SHAPE, small.dims, (1.0, 1.0, 1.0))
    group = place / "images" / f"{small.id}.zarr"
    for number, level in enumerate(levels):
        chunks = chunk_shape(level.shape, small.dims)
        array = zarr.create_array(
            group / image_path(number),
            shape=level.shape,
            dtype="int16",
            chunks=chunks,
            shards=shard_shape(level.shape, chunks),
            compressors=compressor(),
            fill_value=0,
            dimension_names=small.dims,
            overwrite=True,
        )
        if number == 0:
            middle = HUGE_SHAPE[0] // 2
            array[middle : middle + 16] = np.stack([huge_values(z) for z in range(middle, middle + 16)])
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[0, 2] = affine[1, 1] = affine[2, 0] = 1
    shapes = [list(level.shape) for level in levels]
    about = {"shape": shapes[0], "levels": shapes, "affine": affine.tolist(), "positions": [float(z) for z in range(HUGE_SHAPE[0])]}
    file = group / "zarr.json"
    body = json.loads(file.read_text())
    body["attributes"]["cohortlab"] |= about
    file.write_text(json.dumps(body))
    sign_again(place, manifest, key)
    return small.id


def sign_again(place: Path, manifest: Manifest, key: PrivateKey) -> None:
    """Sign what lies in a store now."""
    objects = []
    for path in walk(place):
        size, sha256 = file_digest(place / path)
        objects.append(StoreObject(path=str(path), size=size, sha256=sha256))
    said = ManifestFields.from_json({name: manifest.to_json()[name] for name in ManifestFields.model_fields}, "The fields")
    made = sign_manifest((manifest.id, manifest.version), said, manifest.series, objects, key)
    (place / "dataset.json").write_text(json.dumps(made.to_json()))


def tilted(test_data: Path) -> tuple[tuple[float, ...], list[Path]]:
    """Of a PROSTATEx patient's series whose slices are parallel the one that leans most: its ImageOrientationPatient and files."""
    headers: dict[str, list[tuple[tuple[float, ...], Path]]] = {}
    for file in sorted((test_data / "prostatex" / "ProstateX-0000").rglob("*.dcm")):
        header = pydicom.dcmread(file, stop_before_pixels=True)
        headers.setdefault(str(header.SeriesInstanceUID), []).append((tuple(map(float, header.ImageOrientationPatient)), file))
    parallel = [series for series in headers.values() if len({orientation for orientation, _ in series}) == 1]
    leaning = min(parallel, key=lambda series: min(np.abs(np.reshape(series[0][0], (2, 3))).max(axis=1)))
    return leaning[0][0], [file for _, file in leaning]


def write_oblique(root: Path, dataset: str, key: PrivateKey, files: list[Path]) -> str:
    """A dataset of one series of real files; its id."""
    with StoreWriter(root, dataset, VERSION) as writer:
        made = writer.add_series([pydicom.dcmread(file) for file in files], {}).id
        writer.finish(fields("Oblique"), key)
    return made


def workbench_of(datasets: Mapping[str, str], key: PrivateKey) -> dict[str, Any]:
    """workbench.yaml over stores of these datasets."""
    return {
        "title": "Viewer",
        "state": ".",
        "login": {"kind": "demo", "accounts": {"ana": {}, "steward": {"groups": ["stewards"]}}},
        "trusted_keys": [key.public.text],
        "access": {"grace_seconds": 3600},
        "datasets": {dataset: {"store": f"stores/{dataset}/{VERSION}"} for dataset in datasets},
    }
