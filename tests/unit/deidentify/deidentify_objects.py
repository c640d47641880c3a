"""DICOM objects to de-identify, made here: a small CT slice of a person who does not exist, and arbitrary nested data sets."""

import io
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite
from pydicom.datadict import DicomDictionary, dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr._concepts_dict import concepts
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

NAME = "Quxworth^Zebedee"
MARKS = ("quxworth", "zebedee", "7734991", "elmstead", "fairgate")
"""Words that stand for identity in these objects: none may be left anywhere."""


def ct_slice(**changes: Any) -> Dataset:
    """An identified CT slice of 4 x 4 pixels; keyword arguments set or, with None, delete attributes."""
    data_set = Dataset()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.file_meta = meta
    data_set.SOPClassUID = CTImageStorage
    data_set.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = "1.3.6.1.4.1.99999.1.2.3"
    data_set.StudyInstanceUID = "1.3.6.1.4.1.99999.1"
    data_set.SeriesInstanceUID = "1.3.6.1.4.1.99999.1.2"
    data_set.FrameOfReferenceUID = "1.3.6.1.4.1.99999.1.9"
    data_set.Modality = "CT"
    data_set.PatientName, data_set.PatientID, data_set.PatientBirthDate = NAME, "7734991", "19500321"
    data_set.PatientSex, data_set.PatientAge = "F", "067Y"
    data_set.StudyDate, data_set.StudyTime, data_set.AccessionNumber = "20170412", "093000", "7734991"
    data_set.InstitutionName, data_set.ReferringPhysicianName = "Fairgate Hospital", "Elmstead^A"
    data_set.StudyDescription, data_set.SeriesDescription = "CT chest", "chest 1.5 mm"
    data_set.BodyPartExamined, data_set.ImageType = "CHEST", ["ORIGINAL", "PRIMARY", "AXIAL"]
    data_set.Manufacturer, data_set.InstanceNumber = "SIEMENS", 1
    data_set.ImagePositionPatient, data_set.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    data_set.PixelSpacing, data_set.SliceThickness = [0.7, 0.7], "1.5"
    data_set.Rows = data_set.Columns = 4
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = 16, 12, 11, 0
    data_set.RescaleIntercept, data_set.RescaleSlope = "-1024", "1"
    data_set.PixelData = bytes(32)
    for keyword, value in changes.items():
        if value is None:
            delattr(data_set, keyword)
        else:
            setattr(data_set, keyword, value)
    return data_set


def as_file(data_set: Dataset) -> bytes:
    """The object as a DICOM file."""
    buffer = io.BytesIO()
    dcmwrite(buffer, data_set, enforce_file_format=True)
    return buffer.getvalue()


def write(data_set: Dataset, path: Path) -> Path:
    """Write the object and return its path."""
    path.write_bytes(as_file(data_set))
    return path


def value_for(vr: str, mark: str = "Quxworth") -> Any:
    """A value of a value representation that carries identity, as far as that kind can."""
    return {
        "PN": f"{mark}^Zebedee", "DA": "19500321", "TM": "101112", "DT": "19500321101112", "AS": "067Y", "UI": "1.3.6.1.4.1.99999.7734991",
        "DS": "7734991", "IS": "7734991", "CS": mark.upper(), "AE": mark.upper(), "SQ": Sequence([Dataset()]),
        "US": 7734, "SS": 7734, "UL": 7734991, "SL": 7734991, "UV": 7734991, "SV": 7734991, "FL": 7734.5, "FD": 7734.5, "AT": 0x00100010,
        "OB": mark.encode(), "OW": mark.encode() + b" " * (len(mark) % 2), "UN": mark.encode(),
        "OF": bytes(8), "OD": bytes(8), "OL": bytes(8), "OV": bytes(8),
    }.get(vr, f"{mark} of Elmstead, born 21.03.1950")  # fmt: skip


@st.composite
def coded_concepts(draw: st.DrawFn) -> Dataset:
    """A code item (PS3.3 8.8): of the standard's, of its form, or anything; with any meaning."""
    scheme, value = draw(
        st.one_of(
            st.sampled_from(_CONCEPTS),
            st.tuples(
                st.sampled_from(["SCT", "SRT", "FMA", "MDC", "DCM", "LN", "99QUX", ""]),
                st.from_regex(r"[0-9A-Z:.\-]{1,12}", fullmatch=True),
            ),
            st.tuples(st.just("SCT"), st.integers(10**3, 10**9).map(lambda n: f"{n}10{n % 10}")),
        )
    )
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = value, scheme
    item.CodeMeaning = draw(st.sampled_from(["Liver", "of Quxworth", "7734991", "", value, "Left kidney 12.03.1965"]))
    return item


_CONCEPTS = sorted((scheme, value) for scheme, names in concepts.items() for values in names.values() for value in values)
coded = coded_concepts()

_SKIPPED = {
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
}
_TAGS = sorted(tag for tag in DicomDictionary if tag >> 16 not in {0, 2, 0xFFFE} and tag & 0xFFFF and keyword_for_tag(tag) not in _SKIPPED)
_TEXT = st.one_of(
    st.text(max_size=24),
    st.sampled_from(
        [
            "chest",
            "t2_tse_tra",
            "Quxworth",
            "CT liver 12.03.1965",
            "7734991",
            "brain Zebedee",
            "2017-04-12",
            "AXIAL",
            "*ep_b400t",
            "YES",
            "1.5",
        ]
    ),
    st.from_regex(r"[A-Za-z0-9_ .\-]{1,20}", fullmatch=True),
).map(lambda text: text.replace("\\", "/").replace("\0", ""))


_REALS = st.floats(allow_nan=False, allow_infinity=False, width=32)
_BY_VR: dict[str, st.SearchStrategy[Any]] = {
    "DS": st.one_of(st.integers(-(10**6), 10**8).map(str), st.sampled_from(["", "1.5", "7734991"])),
    "IS": st.one_of(st.integers(-(10**6), 10**8).map(str), st.just("")),
    **dict.fromkeys(("US", "UL"), st.integers(0, 60_000)),
    **dict.fromkeys(("SS", "SL"), st.integers(-30_000, 30_000)),
    **dict.fromkeys(("UV", "SV"), st.integers(0, 2**40)),
    **dict.fromkeys(("FL", "FD"), _REALS),
    "AT": st.sampled_from([0x00200032, 0x00100010]),
    **dict.fromkeys(("OB", "OW", "OF", "OD", "OL", "OV", "UN"), st.binary(max_size=16)),
    "UI": st.sampled_from(["1.3.6.1.4.1.99999.4.5", "2.25.77349910000", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.4.1.1", "not a uid"]),
    **dict.fromkeys(
        ("DA", "TM", "DT"),
        st.one_of(st.sampled_from(["20170412", "093000.5", "20170412093000+0100", "1950", "00010101", "2359"]), _TEXT),
    ),
    "AS": st.one_of(st.sampled_from(["067Y", "095Y", "011M", "999D"]), _TEXT),
}


@st.composite
def elements(draw: st.DrawFn, children: st.SearchStrategy[Dataset]) -> DataElement:
    """One element of the standard's dictionary with a value of its kind."""
    tag = draw(st.sampled_from(_TAGS))
    vr = dictionary_VR(tag).split(" or ")[0]
    if vr == "SQ":
        items = st.one_of(children, coded) if "Code" in keyword_for_tag(tag) else children
        return DataElement(tag, vr, Sequence(draw(st.lists(items, max_size=2))))
    one = _BY_VR.get(vr, _TEXT)
    if dictionary_VM(tag) != "1" and vr in {"CS", "LO", "SH", "UI", "DS"} and draw(st.booleans()):
        return DataElement(tag, vr, draw(st.lists(one, min_size=2, max_size=3)))
    return DataElement(tag, vr, draw(one))


@st.composite
def private_blocks(draw: st.DrawFn) -> list[DataElement]:
    """A private creator and an element of it."""
    group = draw(st.sampled_from([0x0009, 0x0019, 0x0029, 0x0043, 0x2001]))
    creator = draw(st.sampled_from(["SIEMENS MR HEADER", "GEMS_PARM_01", "Philips Imaging DD 001", "Quxworth Inc"]))
    value = draw(st.one_of(st.binary(max_size=12), st.sampled_from([b"400 ", b"Quxworth"])))
    return [
        DataElement(group << 16 | 0x0010, "LO", creator),
        DataElement(group << 16 | 0x1000 | draw(st.sampled_from([0x03, 0x0C, 0x39, 0x50])), "OB", value),
    ]


@st.composite
def _data_sets(draw: st.DrawFn, children: st.SearchStrategy[Dataset]) -> Dataset:
    data_set = Dataset()
    for element in draw(st.lists(elements(children), max_size=8)):
        data_set.add(element)
    for element in draw(st.one_of(st.just([]), private_blocks())):
        data_set.add(element)
    return data_set


nested = st.recursive(st.builds(Dataset), _data_sets, max_leaves=6)
"""Arbitrary data sets, nested to some depth."""


# What says how the pixels lie in their bytes. One that does not fit them is refused, and has its own tests.
_LAYOUT = {
    "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
}  # fmt: skip


@st.composite
def objects(draw: st.DrawFn) -> Dataset:
    """A CT slice with arbitrary further elements, and the values that a store cannot do without."""
    data_set = ct_slice()
    for element in draw(_data_sets(nested)):
        if element.keyword not in _LAYOUT:
            data_set.add(element)
    return data_set
