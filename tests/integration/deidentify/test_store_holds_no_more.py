"""All that a store of real series says, decoded and searched for what the source said; and a signed store that says more is refused."""

import copy
import json
import shutil
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
import zarr
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement

from cohortlab.deidentify import Options, files, ingest, rules, stored, verifier
from cohortlab.errors import InvalidInputError
from cohortlab.keys import canonical_json, load_key
from cohortlab.store import verify_store
from cohortlab.store.contracts import SeriesAttributes, StoreObject
from cohortlab.store.manifest import file_digest, tree_digest
from cohortlab.store.sidecar import read_headers

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


def listed():
    """Each attribute of PS3.15 Table E.1-1 that can hold a value which is found again, with such a value."""
    for number, tag in enumerate(int(t, 16) for t in sorted(rules.table()) if "X" not in t):
        try:
            vr = dictionary_VR(tag).split(" or ")[0]
        except KeyError:
            vr = "LO"
        value = values(number, vr)
        if value is not None and tag >> 16 not in {0, 2, 0x7FE0}:
            yield DataElement(tag, vr, value)


def mark(data_set):
    """Put each listed attribute into a data set, at the top, in an item, in an item of that, and into private blocks."""
    inner, item = pydicom.Dataset(), pydicom.Dataset()
    for element in listed():
        for holder in (data_set, item, inner):
            if holder is not data_set or element.keyword not in _NEEDED:
                holder.add(copy.copy(element))
    item.PurposeOfReferenceCodeSequence, item.SourceImageSequence = [inner], [inner]
    data_set.SourceImageSequence, data_set.ReferencedImageSequence = [item], [item]
    for holder in (data_set, item, inner):
        holder.add_new(0x00190010, "LO", f"{MARK} 1.0")
        holder.add_new(0x00191008, "UN", MARK.encode())
    data_set.file_meta.SourceApplicationEntityTitle = MARK.upper()
    data_set.preamble = MARK.encode().ljust(128, b"\0")


SOURCES = ("ct-liver-seg", "prostatex-missing-slice", "small/dx_image.dcm")


@pytest.fixture(scope="module")
def marked(tmp_path_factory, gate_key, test_data):
    """A store of real series that were marked all over, and the words and UIDs that were in them before."""
    folder, known = tmp_path_factory.mktemp("marked"), set()
    for place in (test_data / source for source in SOURCES):
        for number, path in enumerate(sorted(p for p in [place, *place.rglob("*")] if p.is_file())):
            target = folder / "dicom" / f"{place.stem}-{number:03}.dcm"
            target.parent.mkdir(exist_ok=True)
            with files.quiet():
                data_set = pydicom.dcmread(path)
                known |= {f"{word}" for word in verifier.names_in(data_set) if len(word) > 5 and not word.isdigit()}
                known |= {str(e.value) for e in data_set.iterall() if e.VR == "UI" and not str(e.value).startswith("1.2.840.10008.")}
                mark(data_set)
                data_set.StudyDescription = data_set.SeriesDescription = f"CT liver {MARK}"
                data_set.save_as(target)
    # said to be computed: this is about headers, and reading pixels for text takes long
    report = ingest([folder / "dicom"], "marked", folder / "stores", Options(key=gate_key, deidentify=True, synthetic=True))
    assert report.path is not None, report.outcomes
    assert not report.refused, report.refused
    assert {outcome.modality for outcome in report.accepted} == {"CT", "SEG", "MR", "DX"}
    return report.path, known


@pytest.fixture(scope="module")
def store(marked):
    return marked[0]


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


def test_nothing_of_any_attribute_is_left_anywhere(marked):
    store, known = marked
    assert len(known) > 20
    marks = [MARK.lower(), "zebedee", "7734991", "1.3.6.1.4.1.99999", "101112.987654", "099y"]
    marks += [f"1950{month:02d}" for month in range(1, 13)]
    marks += [word for word in known if word]
    for name, data in said(store):
        assert [m for m in marks if m.lower().encode() in data.lower()] == [], name
    assert any(b"00080060" in data for _, data in said(store)), "headers are there and were decoded"


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


def header(store):
    path = next(store.glob("images/*.parquet"))
    rows = read_headers(path)
    body = json.loads(rows[0]["header"])
    body["00080080"] = {"vr": "LO", "Value": [MARK]}
    pq.write_table(pa.Table.from_pylist([rows[0] | {"header": json.dumps(body)}, *rows[1:]], schema=pq.read_schema(path)), path)


def whole_series(store):
    one = next(store.glob("images/*.zarr"))
    shutil.copytree(one, one.with_name("ct-0123456789ab.zarr"))


WRONG = {
    "an element in a header": header,
    "a series that the manifest does not list": whole_series,
    "a description": edit("images/*.zarr/zarr.json", lambda b: b["attributes"]["cohortlab"].update(description=MARK)),
    "a description in the manifest": edit("dataset.json", lambda b: b["series"][0].update(description=MARK)),
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
def test_a_signed_store_that_says_more_is_refused(store, gate_key, tmp_path, change):
    key, broken = load_key(gate_key), tmp_path / "store"
    shutil.copytree(store, broken, copy_function=shutil.copyfile)  # not read-only
    sign_again(broken, key)
    change(broken)
    sign_again(broken, key)
    assert "surplus" in {finding.problem for finding in verify_store(broken, [key.public]).findings}


def test_signing_again_alone_changes_nothing_and_clinical_tables_belong_to_a_store(store, gate_key, tmp_path):
    key, again = load_key(gate_key), tmp_path / "store"
    shutil.copytree(store, again, copy_function=shutil.copyfile)
    (again / "clinical" / "omop").mkdir(parents=True)
    for name in ("person.parquet", "omop/condition_occurrence.csv"):
        (again / "clinical" / name).write_bytes(b"what the data steward put there")
    assert {f.problem for f in verify_store(again, [key.public]).findings} == {"added"}, "it is not in the manifest"
    sign_again(again, key)
    assert verify_store(again, [key.public]).ok


def one_of(store, kind):
    """A header row and the attributes of a series of the store."""
    path = min(store.glob(f"{kind}/*.parquet"))
    body = json.loads((path.with_name(path.name.replace(".headers.parquet", ".zarr")) / "zarr.json").read_bytes())
    return read_headers(path)[0], body["attributes"]["cohortlab"]


CORE = {"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientName", "PatientID", "Modality",
        "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
        "LongitudinalTemporalInformationModified"}  # fmt: skip
"""What a header has to have."""


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_each_attribute_in_a_sidecars_header_is_refused(store, depth):
    row, attributes = one_of(store, "images")
    assert list(stored.judge([row], attributes)) == []
    whole = pydicom.Dataset.from_json(json.loads(row["header"]))
    parsed = pydicom.Dataset({e.tag: e for e in whole if e.keyword in CORE})  # little, for it is judged often
    assert list(stored.judge([row | {"header": json.dumps(parsed.to_json_dict())}], {})) == []
    passed = []
    for element in listed():
        changed = holder = pydicom.Dataset({e.tag: e for e in parsed})  # a copy would share the elements' dictionary
        for _ in range(depth):
            item = pydicom.Dataset()
            holder.SourceImageSequence = [item]
            holder = item
        if element.keyword in holder:
            del holder[element.tag]
        holder.add(element)
        if not list(stored.judge([row | {"header": json.dumps(changed.to_json_dict())}], {})):
            passed.append(element.keyword)
    dates = {k for k in passed if dictionary_VR(k) in {"DA", "TM", "DT"}}
    assert set(passed) - dates <= {"PatientSize", "PatientWeight"}, (
        "a shifted date cannot be told from a true one, nor a number from another"
    )


def places(value, path=()):
    """Where texts are in nested JSON."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@pytest.mark.parametrize("kind", ["images", "segmentations"])
def test_each_text_in_a_series_attributes_is_refused_when_it_tells_who_it_is(store, kind):
    row, attributes = one_of(store, kind)
    attributes |= {
        "description": "liver",
        "body_part": "LIVER",
        "view": "AP",
        "laterality": "L",
        "suv": {"reason": "a"},
        "irregular_reason": "a",
    }
    found = list(places(attributes))
    assert len(found) > 20
    for path in found:
        changed = copy.deepcopy(attributes)
        holder = changed
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = f"{MARK} 7734991"
        said = list(stored.judge([row], changed))
        assert any(f" {path[0]} " in sentence for sentence in said), path
        assert not any(MARK in sentence for sentence in said)


def test_no_attribute_of_the_table_is_an_attribute_of_a_series(store):
    _, attributes = one_of(store, "images")
    SeriesAttributes.from_json(attributes, "The attributes")
    for element in listed():
        for name in (element.keyword, str(element.tag)):
            with pytest.raises(InvalidInputError):
                SeriesAttributes.from_json(attributes | {name: str(element.value)}, "The attributes")


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '{"0008": 1}', '{"00100010": {"vr": "PN", "BulkDataURI": "file:///etc/passwd"}}', "[" * 5000]
)
def test_a_header_that_is_none_is_refused(store, text):
    row, attributes = one_of(store, "images")
    assert list(stored.judge([row | {"header": text}], attributes)) != []
