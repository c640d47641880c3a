"""All that a store says, decoded and searched for what the source said; and a signed store that says more is refused."""

import json
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
import zarr
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement

from cohortlab.deidentify import Options, ingest, rules
from cohortlab.keys import canonical_json, load_key
from cohortlab.samples import Patient, write_ct
from cohortlab.store import verify_store
from cohortlab.store.contracts import StoreObject
from cohortlab.store.manifest import file_digest, tree_digest

MARK = "Quxworth"
_NEEDED = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "PatientID", "EncapsulatedDocument"}
"""At the top as they are: an image has to have them; a document refuses the whole object."""


def values(number, vr):
    """A value of a value representation that is found again, other for each attribute; None where the kind can hold none."""
    uid = f"1.3.6.1.4.1.99999.7734991.{number}"
    text = f"{MARK}{number}"
    return {
        "UI": uid, "PN": f"{text}^Zebedee", "CS": text.upper(), "AE": text.upper(), "SH": text, "LO": text, "ST": text, "LT": text,
        "UT": text, "UC": text, "UR": f"http://{text}", "DA": f"1950{number % 12 + 1:02d}{number % 28 + 1:02d}",
        "DT": f"1950{number % 12 + 1:02d}21101112",
        "TM": "101112.987654", "AS": "099Y", "OB": text.encode().ljust(16), "OW": text.encode().ljust(16), "UN": text.encode().ljust(16),
        "DS": f"7734991.{number}", "IS": f"7734991{number:03d}",
    }.get(vr)  # fmt: skip


def mark(data_set):
    """Put each attribute of PS3.15 Table E.1-1 into a data set, at the top, in an item, in an item of that, and into private blocks."""
    inner, item = pydicom.Dataset(), pydicom.Dataset()
    for number, tag in enumerate(int(t, 16) for t in sorted(rules.table()) if "X" not in t):
        try:
            vr = dictionary_VR(tag).split(" or ")[0]
        except KeyError:
            vr = "LO"
        value = values(number, vr)
        if value is None or tag >> 16 in {0, 2, 0x7FE0}:
            continue
        for holder, needed in ((data_set, False), (item, True), (inner, True)):
            element = DataElement(tag, vr, value)
            if needed or element.keyword not in _NEEDED:
                holder.add(element)
    item.PurposeOfReferenceCodeSequence, item.SourceImageSequence = [inner], [inner]
    data_set.SourceImageSequence, data_set.ReferencedImageSequence = [item], [item]
    for holder in (data_set, item, inner):
        holder.add_new(0x00190010, "LO", f"{MARK} 1.0")
        holder.add_new(0x00191008, "UN", MARK.encode())
    data_set.file_meta.SourceApplicationEntityTitle = MARK.upper()
    data_set.preamble = MARK.encode().ljust(128, b"\0")


@pytest.fixture(scope="module")
def stored(tmp_path_factory, gate_key):
    folder = tmp_path_factory.mktemp("marked")
    for path in write_ct(folder / "ct", Patient(1, 5), (16, 16, 16))[:-1]:
        data_set = pydicom.dcmread(path)
        data_set.StudyDescription = data_set.SeriesDescription = f"CT liver {MARK}"
        mark(data_set)
        data_set.save_as(path)
    for path in (folder / "ct").glob("*seg*"):
        path.unlink()
    report = ingest([folder / "ct"], "marked", folder / "stores", Options(key=gate_key, deidentify=True))
    assert report.path is not None, report.outcomes
    return report.path


def said(store):
    """Everything in a store: tables decoded, JSON as it is, shards as bytes and as numbers."""
    for path in sorted(p for p in store.rglob("*") if p.is_file()):
        yield path.name, path.read_bytes()
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            yield path.name, json.dumps([table.to_pylist(), str(table.schema.metadata)], default=str, ensure_ascii=False).encode()
        elif path.name == "zarr.json" and json.loads(path.read_bytes())["node_type"] == "array":
            buffer = BytesIO()
            buffer.write(zarr.open_array(path.parent, mode="r")[...].tobytes())
            yield path.parent.name, buffer.getvalue()


def test_nothing_of_any_attribute_is_left_anywhere(stored):
    marks = [MARK.lower(), "zebedee", "7734991", "1.3.6.1.4.1.99999", "101112.987654", "099y"]
    marks += [f"1950{month:02d}" for month in range(1, 13)]
    for name, data in said(stored):
        assert [m for m in marks if m.encode() in data.lower()] == [], name
    assert any(b"00080060" in data for _, data in said(stored)), "headers are there and were decoded"


def sign_again(store: Path, key):
    """What a broken gate would do: sign whatever lies there."""
    manifest = json.loads((store / "dataset.json").read_bytes())
    del manifest["signature"]
    objects = []
    for path in sorted(p for p in store.rglob("*") if p.is_file() and p.name != "dataset.json"):
        size, digest = file_digest(path)
        objects.append(StoreObject(path=path.relative_to(store).as_posix(), size=size, sha256=digest))
    manifest |= {"objects": [o.to_json() for o in objects], "tree_sha256": tree_digest(objects)}
    manifest["signature"] = {"algorithm": "Ed25519", "key_id": key.id, "value": key.sign(canonical_json(manifest))}
    (store / "dataset.json").write_text(json.dumps(manifest))


def column(store):
    path = next(store.glob("images/*.parquet"))
    table = pq.read_table(path)
    pq.write_table(table.append_column("operator", pa.array([MARK] * len(table))), path)


def table_metadata(store):
    path = store / "catalogue" / "series.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({"comment": MARK}), path)


def edit(pattern, change):
    def edited(store):
        path = next(store.glob(pattern))
        body = json.loads(path.read_bytes())
        change(body)
        path.write_text(json.dumps(body))

    return edited


def file(store):
    (store / "images" / "notes.txt").write_text(MARK)


WRONG = {
    "a column in a sidecar": column,
    "metadata of a table": table_metadata,
    "an attribute of a series": edit("images/*.zarr/zarr.json", lambda b: b["attributes"].update(note=MARK)),
    "a field in our attributes": edit("images/*.zarr/zarr.json", lambda b: b["attributes"]["cohortlab"].update(note=MARK)),
    "a field in OME's": edit("images/*.zarr/zarr.json", lambda b: b["attributes"]["ome"].update(note=MARK)),
    "an attribute of an array": edit("images/*.zarr/scale0/image/zarr.json", lambda b: b["attributes"].update(note=MARK)),
    "an attribute of a level": edit("images/*.zarr/scale0/zarr.json", lambda b: b["attributes"].update(note=MARK)),
    "a key beside Zarr's": edit("images/*.zarr/scale0/zarr.json", lambda b: b.update(note=MARK)),
    "a file": file,
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_signed_store_that_says_more_is_refused(stored, gate_key, tmp_path, change):
    key, store = load_key(gate_key), tmp_path / "store"
    for path in stored.rglob("*"):
        if path.is_file():
            (store / path.relative_to(stored)).parent.mkdir(parents=True, exist_ok=True)
            (store / path.relative_to(stored)).write_bytes(path.read_bytes())
    sign_again(store, key)
    assert verify_store(store, [key.public]).ok
    change(store)
    sign_again(store, key)
    assert "surplus" in {finding.problem for finding in verify_store(store, [key.public]).findings}
