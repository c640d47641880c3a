"""A store holds nothing but what its layout names: no further file, column, key or attribute in which something could be brought along.

`verify_store` asks these functions. They look at what a store says beside its pixels: the header sidecars, the catalogue, the metadata of
groups and arrays. What a signed store holds beyond the layout was not written by this gate, whoever signed it.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cohortlab.errors import CohortlabError
from cohortlab.store.contracts import Manifest, ManifestSeries, SeriesAttributes
from cohortlab.store.layout import CATALOGUE_FILE
from cohortlab.store.sidecar import CATALOGUE_SCHEMA, HEADERS_SCHEMA, catalogue, read_headers

_ID: Final = r"[a-z0-9-]{1,64}"
_PLACES: Final = re.compile(
    rf"(?:images|segmentations)/{_ID}(?:\.headers\.parquet|\.zarr/(?:zarr\.json|scale[0-9]{{1,2}}/(?:zarr\.json|[a-z]{{1,8}}/(?:zarr\.json|"
    r"c(?:/[0-9]{1,9}){0,6}))))"
)
_CLINICAL: Final = re.compile(r"clinical/(?:[a-z0-9_-]{1,64}/){0,2}[a-z0-9_-]{1,64}\.(?:parquet|csv|json)")
_GATE: Final = "cohortlab-verifier/"
_GROUP: Final = frozenset({"zarr_format", "node_type", "attributes", "consolidated_metadata"})
_ARRAY: Final = frozenset(
    {"zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs", "attributes",
     "dimension_names", "storage_transformers"}
)  # fmt: skip
_UNIT: Final = re.compile(r"[A-Za-z0-9 /%^.*-]{0,32}")
_LARGEST: Final = 1 << 28  # bytes of metadata
_WORD: Final = re.compile(r"[A-Za-z0-9_./ -]{0,64}")
_OME: Final = frozenset({"version", "multiscales", "omero", "image-label", "bioformats2raw.layout"})


def surplus(where: Path, names: list[str], manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Path and sentence of each of the store's objects that is no part of the layout, or that says more than the layout has words for.

    Where the manifest says that the gate's verifier judged the dataset, headers and attributes are judged again.
    """
    series = {entry.path.removesuffix(".zarr"): entry for entry in manifest.series}
    for name in names:
        if name == CATALOGUE_FILE:
            yield from ((name, said) for said in _table(where / name, CATALOGUE_SCHEMA))
        elif _CLINICAL.fullmatch(name):
            continue  # the data steward's own tables: what is in them is not the layout's
        elif not _PLACES.fullmatch(name):
            yield name, "The layout of a store has no such file."
        elif "/".join(name.split("/")[:2]).split(".")[0] not in series:
            yield name, "The manifest lists no such series."
        elif name.endswith(".parquet"):
            yield from ((name, said) for said in _table(where / name, HEADERS_SCHEMA))
        elif name.endswith(".json"):
            yield from ((name, said) for said in _metadata(where / name))
    if str(manifest.deidentification.get("verifier", "")).startswith(_GATE):
        yield from _judged(where, series)


def _judged(where: Path, series: Mapping[str, ManifestSeries]) -> Iterator[tuple[str, str]]:
    """What the gate would not have let in: in headers, attributes, the catalogue and the manifest's own list."""
    from cohortlab.deidentify import stored  # noqa: PLC0415  the gate is built on the store: only this looks the other way

    known: list[SeriesAttributes] = []
    for place, entry in sorted(series.items()):
        try:
            rows = read_headers(where / f"{place}.headers.parquet")
            body = json.loads((where / f"{place}.zarr" / "zarr.json").read_bytes())["attributes"]["cohortlab"]
            attributes = SeriesAttributes.from_json(body, "The attributes")
        except (CohortlabError, pa.ArrowException, OSError, ValueError, LookupError, TypeError, RecursionError):
            yield f"{place}.headers.parquet", "Headers and attributes of the series cannot be read together."
            continue
        for said in dict.fromkeys(stored.judge(rows, body)):
            yield f"{place}.headers.parquet", said
        same = (entry.id, entry.kind, entry.modality, entry.description, entry.source_series)
        if same != (attributes.id, attributes.kind, attributes.modality, attributes.description, attributes.source_series):
            yield f"{place}.zarr/zarr.json", "The manifest says otherwise of the series than its own attributes."
        known.append(attributes)
    try:
        listed = pq.read_table(where / CATALOGUE_FILE)
    except (pa.ArrowException, OSError, ValueError):
        return  # `_table` says so
    if not listed.equals(_as_read(catalogue(known))):
        yield CATALOGUE_FILE, "The catalogue says otherwise than the series' attributes."


def _as_read(table: pa.Table) -> pa.Table:
    """A table as it comes back from Parquet."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return pq.read_table(io.BytesIO(buffer.getvalue()))


def _table(path: Path, schema: pa.Schema) -> Iterator[str]:
    try:
        found = pq.read_schema(path)
    except (pa.ArrowException, OSError, ValueError):
        yield "This is no table that can be read."
        return
    if _columns(found) != _columns(schema):
        yield "The table has other columns than the layout."
    elif found.metadata or any(set(field.metadata or {}) - {b"PARQUET:field_id"} for field in found):
        yield "The table says something about itself."


def _columns(schema: pa.Schema) -> list[tuple[str, str]]:
    """Names and types; Parquet calls the values of a list otherwise than Arrow."""
    return [(field.name, str(field.type).replace("<item:", "<element:")) for field in schema]


def _metadata(path: Path) -> Iterator[str]:
    try:
        body = json.loads(path.read_bytes()) if path.stat().st_size <= _LARGEST else None
    except (ValueError, RecursionError, OSError):
        body = None
    if not isinstance(body, dict):
        yield "This is no metadata that can be read."
        return
    yield from _node(body, root=path.parent.suffix == ".zarr")


def _node(body: Mapping[str, Any], *, root: bool) -> Iterator[str]:
    """A group or array: its keys, its attributes, and the same of all nodes in a group's consolidated metadata."""
    attributes, inner = body.get("attributes") or {}, body.get("consolidated_metadata") or {}
    if not isinstance(attributes, dict) or not isinstance(inner, dict):
        yield "The metadata are no metadata of Zarr."
        return
    array = body.get("node_type") == "array"
    if set(body) - (_ARRAY if array else _GROUP):
        yield "The metadata have other keys than Zarr."
    if array:
        if set(attributes) - {"units"} or not all(isinstance(v, str) and _UNIT.fullmatch(v) for v in attributes.values()):
            yield "The array has attributes that the layout does not have."
    elif root:
        yield from _root(attributes)
    elif attributes:
        yield "The group has attributes that the layout does not have."
    nodes = inner.get("metadata") or {}
    if set(inner) - {"kind", "must_understand", "metadata"} or not isinstance(nodes, dict):
        yield "The consolidated metadata have other keys than Zarr."
        return
    for node in nodes.values():
        if isinstance(node, dict):
            yield from _node(node, root=False)
        else:
            yield "The consolidated metadata are no metadata of Zarr."


def _root(attributes: Mapping[str, Any]) -> Iterator[str]:
    """The attributes of a series' group: the model of ours, and OME's with nothing but words, numbers and names of axes."""
    if set(attributes) - {"cohortlab", "ome"}:
        yield "The series has attributes that the layout does not have."
    ours, ome = attributes.get("cohortlab"), attributes.get("ome") or {}
    try:
        SeriesAttributes.from_json(ours if isinstance(ours, dict) else {}, "The attributes")
    except (CohortlabError, ValueError, RecursionError):
        yield "The series' own attributes are not valid."
    if not isinstance(ome, dict) or set(ome) - _OME or not all(_WORD.fullmatch(text) for text in _texts(ome)):
        yield "The OME metadata say more than the layout."


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
