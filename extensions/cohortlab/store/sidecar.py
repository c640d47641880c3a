"""The parquet files of a store: the header of every instance beside its series, and the catalogue of all series.

A header is the DICOM JSON model (PS3.18 annex F) of the de-identified instance without its pixel data: enough to write a DICOM
SEG or SR that refers to it. The allow-list is the gate's; here only pixels are left out.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from pydicom import Dataset

from cohortlab.errors import InvalidInputError
from cohortlab.store.contracts import SeriesAttributes
from cohortlab.store.series import SeriesGroup

_PIXELS = 0x7FE0

HEADERS_SCHEMA = pa.schema(
    [
        ("sop_class_uid", pa.string()),
        ("sop_instance_uid", pa.string()),
        ("transfer_syntax_uid", pa.string()),
        ("frame", pa.int32()),
        ("lead", pa.int32()),
        ("z", pa.int32()),
        ("pixel_sha256", pa.string()),
        ("header", pa.string()),
    ]
)

CATALOGUE_SCHEMA = pa.schema(
    [
        ("series", pa.string()),
        ("kind", pa.string()),
        ("modality", pa.string()),
        ("description", pa.string()),
        ("body_part", pa.string()),
        ("patient_id", pa.string()),
        ("study_uid", pa.string()),
        ("series_uid", pa.string()),
        ("sop_class_uid", pa.string()),
        ("dims", pa.list_(pa.string())),
        ("shape", pa.list_(pa.int64())),
        ("spacing", pa.list_(pa.float64())),
        ("dtype", pa.string()),
        ("regular", pa.bool_()),
        ("irregular_reason", pa.string()),
        ("units", pa.string()),
        ("instances", pa.int64()),
        ("segments", pa.list_(pa.string())),
        ("source_series", pa.string()),
        ("path", pa.string()),
    ]
)


def header_json(dataset: Dataset) -> str:
    """An instance's header as DICOM JSON, without pixel data. Raises `InvalidInputError` when an element cannot be written."""
    kept = Dataset()
    kept.update({tag: dataset.get_item(tag) for tag in dataset.keys() if tag.group != _PIXELS})  # noqa: SIM118 - iterating a Dataset parses it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values that break their VR's rules were the gate's matter; here they are kept as they are
            return json.dumps(kept.to_json_dict(), separators=(",", ":"), ensure_ascii=False)
    except (ValueError, TypeError, AttributeError, NotImplementedError):
        raise InvalidInputError("The header of an instance cannot be written as DICOM JSON.") from None


def write_headers(path: Path, group: SeriesGroup, frame_digests: Sequence[str]) -> None:
    """Write the header sidecar: one row an image in the array's order, its header on the first row of each instance only."""
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    flat = [(t, z, frame) for t, volume in enumerate(group.frames) for z, frame in enumerate(volume)]
    for position, (lead, z, frame) in enumerate(flat):
        dataset = frame.dataset
        rows.append(
            {
                "sop_class_uid": str(dataset.get("SOPClassUID", "")),
                "sop_instance_uid": frame.uid,
                "transfer_syntax_uid": str(dataset.file_meta.get("TransferSyntaxUID", "")),
                "frame": frame.number,
                "lead": lead,
                "z": z,
                "pixel_sha256": frame_digests[position] if frame_digests else None,
                "header": None if frame.uid in seen else header_json(dataset),
            }
        )
        seen.add(frame.uid)
    pq.write_table(pa.Table.from_pylist(rows, schema=HEADERS_SCHEMA), path, compression="zstd")


def read_headers(source: Path | BinaryIO) -> list[dict[str, Any]]:
    """The rows of a header sidecar; `header` as text of DICOM JSON, for `pydicom.Dataset.from_json`."""
    return list(pq.read_table(source).to_pylist())


def catalogue(series: Sequence[SeriesAttributes]) -> pa.Table:
    """The catalogue's rows, one a series, images before segmentations, each by id."""
    rows = []
    for item in sorted(series, key=lambda s: (s.kind, s.id)):
        row = {name: value for name, value in item.to_json().items() if name in CATALOGUE_SCHEMA.names}
        folder = "images" if item.kind == "image" else "segmentations"
        rows.append(row | {"series": item.id, "segments": [s.label for s in item.segments], "path": f"{folder}/{item.id}.zarr"})
    return pa.Table.from_pylist(rows, schema=CATALOGUE_SCHEMA)


def write_catalogue(path: Path, series: Sequence[SeriesAttributes]) -> None:
    """Write ``catalogue/series.parquet``."""
    pq.write_table(catalogue(series), path, compression="zstd")
