"""The verifier: accepts what is proven, refuses each way in which an object may still tell who it shows."""

import uuid

import pytest
from deidentify_objects import MARKS, ct_slice, value_for
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence

from cohortlab.deidentify import rules
from cohortlab.deidentify.codes import code_item
from cohortlab.deidentify.files import quiet
from cohortlab.deidentify.profile import Profile
from cohortlab.deidentify.pseudonyms import Pseudonyms
from cohortlab.deidentify.report import Reason
from cohortlab.deidentify.verifier import _is_ours, names_in, verify

TIMED = f"2.25.{uuid.UUID('c232ab00-9414-11ec-b3c8-9f6bdeced846').int}"  # version 1: tells time and machine
"""A version 1 UUID holds the machine's address and the time."""

PROFILE = Profile(Pseudonyms(b"s" * 32, "lesions"))


@pytest.fixture(autouse=True)
def _quiet():
    with quiet():
        yield


@pytest.fixture
def clean():
    return PROFILE.apply(ct_slice())[0]


def reasons(data_set, names=()):
    return {finding.reason for finding in verify(data_set, names)}


def test_a_clean_object_is_accepted(clean):
    assert verify(clean) == []


def set_value(keyword, value):
    return lambda d: setattr(d, keyword, value)


def no_number(data_set):
    data_set["SliceThickness"]._value = "Quxworth"


def add(keyword, vr, value):
    return lambda d: d.add(DataElement(tag_for_keyword(keyword), vr, value))


def compress(data_set, **changes):
    data_set.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"
    data_set.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0\x40\0\0\0" + bytes(64)
    for keyword, value in changes.items():
        setattr(data_set, keyword, value)


def floating(data_set, data):
    del data_set.PixelData
    data_set.BitsAllocated, data_set.FloatPixelData = 32, data


WRONG = {
    "no claim": (lambda d: delattr(d, "PatientIdentityRemoved"), Reason.CODES_MISSING),
    "claim says no": (set_value("PatientIdentityRemoved", "NO"), Reason.CODES_MISSING),
    "no codes": (lambda d: delattr(d, "DeidentificationMethodCodeSequence"), Reason.CODES_MISSING),
    "basic profile not among them": (set_value("DeidentificationMethodCodeSequence", [code_item("113105", "Clean")]), Reason.CODES_MISSING),
    "codes of another scheme": (
        set_value("DeidentificationMethodCodeSequence", [code_item("113100", "Basic", "99QUX")]),
        Reason.CODES_MISSING,
    ),
    "a code that is no method": (
        lambda d: d.DeidentificationMethodCodeSequence.append(code_item("121311", "Localizer")),
        Reason.CODES_MISSING,
    ),
    "no method": (set_value("DeidentificationMethod", ""), Reason.CODES_MISSING),
    "another method text": (set_value("DeidentificationMethod", "by Quxworth"), Reason.VALUE_NOT_ALLOWED),
    "a name": (set_value("PatientName", "Quxworth^Z"), Reason.VALUE_NOT_ALLOWED),
    "a name in a description": (set_value("SeriesDescription", "chest Quxworth"), Reason.VALUE_NOT_ALLOWED),
    "a date in a description": (set_value("SeriesDescription", "chest 12.03.65"), Reason.VALUE_NOT_ALLOWED),
    "a date the other way round": (set_value("SeriesDescription", "chest 1965-3-12"), Reason.VALUE_NOT_ALLOWED),
    "a number in a description": (set_value("SeriesDescription", "chest 7734991"), Reason.VALUE_NOT_ALLOWED),
    "a number in parts": (set_value("SeriesDescription", "chest 773 499 123 456 789"), Reason.VALUE_NOT_ALLOWED),
    "a long description": (set_value("SeriesDescription", "chest " * 12), Reason.VALUE_NOT_ALLOWED),
    "another script": (set_value("SeriesDescription", "chest Ж"), Reason.VALUE_NOT_ALLOWED),
    "a line break": (set_value("SeriesDescription", "chest\nct"), Reason.VALUE_NOT_ALLOWED),
    "a birth date": (set_value("PatientBirthDate", "19500321"), Reason.VALUE_NOT_ALLOWED),
    "an accession number": (set_value("AccessionNumber", "A1"), Reason.VALUE_NOT_ALLOWED),
    "an age above 90": (set_value("PatientAge", "093Y"), Reason.VALUE_NOT_ALLOWED),
    "a sex that is none": (set_value("PatientSex", "QUXWORTH"), Reason.VALUE_NOT_ALLOWED),
    "a body part that is none": (set_value("BodyPartExamined", "QUXWORTH"), Reason.VALUE_NOT_ALLOWED),
    "a foreign UID": (set_value("StudyInstanceUID", "1.2.826.0.1.3680043.2.1"), Reason.UID_NOT_OURS),
    "a UID that says when and where": (set_value("StudyInstanceUID", TIMED), Reason.UID_NOT_OURS),
    "a UID that is a number": (set_value("StudyInstanceUID", "2.25.7734991"), Reason.UID_NOT_OURS),
    "a foreign UID in the file meta": (lambda d: setattr(d.file_meta, "MediaStorageSOPInstanceUID", "1.2.3"), Reason.UID_NOT_OURS),
    "dates without claim": (lambda d: delattr(d, "LongitudinalTemporalInformationModified"), Reason.DATES_NOT_CLAIMED),
    "dates kept": (set_value("LongitudinalTemporalInformationModified", "UNMODIFIED"), Reason.DATES_NOT_CLAIMED),
    "no date": (set_value("StudyDate", "QUXWORTH"), Reason.VALUE_NOT_ALLOWED),
    "a time zone": (add("AcquisitionDateTime", "DT", "20170412093000+0100"), Reason.VALUE_NOT_ALLOWED),
    "an unlisted attribute": (set_value("InstitutionName", ""), Reason.ELEMENT_NOT_ALLOWED),
    "an unlisted sequence": (set_value("RequestAttributesSequence", [Dataset()]), Reason.ELEMENT_NOT_ALLOWED),
    "a private attribute": (lambda d: d.add_new(0x00091010, "LO", "chest"), Reason.ELEMENT_NOT_ALLOWED),
    "an overlay": (lambda d: d.add_new(0x60003000, "OW", b"ab"), Reason.ELEMENT_NOT_ALLOWED),
    "a document": (add("EncapsulatedDocument", "OB", b"%PDF"), Reason.ELEMENT_NOT_ALLOWED),
    "a group length": (lambda d: d.add_new(0x00080000, "UL", 7734991), Reason.ELEMENT_NOT_ALLOWED),
    "text for a number": (lambda d: d.add(DataElement("SliceThickness", "LT", "Quxworth")), Reason.VALUE_NOT_ALLOWED),
    "bytes for a number": (lambda d: d.add(DataElement("SliceThickness", "OW", b"Quxworth")), Reason.VALUE_NOT_ALLOWED),
    "no number": (no_number, Reason.VALUE_NOT_ALLOWED),
    "a preamble": (lambda d: setattr(d, "preamble", b"Quxworth".ljust(128, b"\0")), Reason.ELEMENT_NOT_ALLOWED),
    "a title in the file meta": (lambda d: setattr(d.file_meta, "SourceApplicationEntityTitle", "QUX"), Reason.ELEMENT_NOT_ALLOWED),
    "a version in the file meta": (lambda d: setattr(d.file_meta, "ImplementationVersionName", "QUX"), Reason.ELEMENT_NOT_ALLOWED),
    "another transfer syntax": (lambda d: setattr(d.file_meta, "TransferSyntaxUID", "1.2.3"), Reason.VALUE_NOT_ALLOWED),
    "data behind the pixels": (set_value("PixelData", bytes(32) + b"Quxworth"), Reason.TRAILING_DATA),
    "something above the stored bits": (set_value("PixelData", b"\x00\x70" * 16), Reason.HIDDEN_BITS),
    "pixels missing": (set_value("PixelData", bytes(30)), Reason.TRUNCATED),
    "frames that are not there": (set_value("NumberOfFrames", "2147483647"), Reason.TRUNCATED),
    "no rows": (set_value("Rows", 0), Reason.VALUE_NOT_ALLOWED),
    "more frames than fragments": (lambda d: compress(d, NumberOfFrames="2147483647"), Reason.TRUNCATED),
    "a frame larger than it can be": (lambda d: compress(d, Rows=65535, Columns=65535), Reason.TOO_LARGE),
    "data behind floating point pixels": (lambda d: floating(d, b"Quxworth" * 10), Reason.TRAILING_DATA),
    "a class that is no image": (set_value("SOPClassUID", "1.2.840.10008.5.1.4.1.1.104.1"), Reason.SOP_CLASS),
    "a private class": (set_value("SOPClassUID", "1.2.826.0.1.3680043.2.1"), Reason.SOP_CLASS),
    "text declared in the pixels": (set_value("BurnedInAnnotation", "YES"), Reason.VALUE_NOT_ALLOWED),
    "no patient": (lambda d: delattr(d, "PatientID"), Reason.VALUE_NOT_ALLOWED),
}


@pytest.mark.parametrize(("change", "reason"), WRONG.values(), ids=WRONG)
def test_what_is_refused(clean, change, reason):
    change(clean)
    findings = verify(clean)
    assert reason in {finding.reason for finding in findings}
    said = " ".join(f.model_dump_json() for f in findings).lower()
    assert not any(mark in said for mark in MARKS), "a finding tells no value"


def code(value, scheme, meaning):
    return code_item(value, meaning, scheme)


@pytest.mark.parametrize(
    ("item", "fine"),
    [
        (code("10200004", "SCT", "Liver"), True),
        (code("T-62000", "SRT", "Liver"), True),
        (code("{SUVbw}g/ml", "UCUM", "Standardized Uptake Value body weight"), True),
        (code("10200004", "SCT", "Quxworth"), False),
        (code("Quxworth", "SCT", "Liver"), False),
        (code("7734991", "99QUX", "Liver"), False),
        (code("Quxworth", "UCUM", "Quxworth"), False),
        (code("mm", "UCUM", "millimeter"), True),
        (code("QUX", "DCM", "QUX"), False),
        (code("121311", "DCM", "Localizer"), True),
        (code("7734991", "NEU", "7734991"), False),
        (code("10200004", "SCT", "Liver 7734991123456"), False),
        (code("10200005", "SCT", "Liver"), False),  # another check digit
        (code("77349910", "SCT", "Liver"), False),  # no concept's partition
        (code("1075661000119104", "SCT", "1075661000119104"), True),
        (code("7:1289", "MDC", "7:1289"), True),
        (code("7734991", "MDC", "7734991"), False),
        (code("7734991", "FMA", "7734991"), False),
        (code("7197", "FMA", "Liver"), True),
        (code("236987", "RXNORM", "236987"), True),  # the only one that PS3.16 lists
        (code("773499", "RXNORM", "773499"), False),
    ],
)
def test_a_coded_concept(clean, item, fine):
    clean.AnatomicRegionSequence = [item]
    assert (verify(clean) == []) == fine


def test_nothing_else_hides_in_a_coded_concept(clean):
    item = code("10200004", "SCT", "Liver")
    item.CodeValue = "10200004"
    item.ContextUID = "1.2.3"
    clean.AnatomicRegionSequence = [item]
    assert reasons(clean) == {Reason.ELEMENT_NOT_ALLOWED}


def test_what_belongs_to_the_study_is_refused_in_an_item(clean):
    for keyword in ("PatientID", "StudyDate", "StudyInstanceUID", "SeriesDescription", "PixelData", "PatientSex"):
        item = Dataset()
        item[keyword] = clean[keyword]
        clean.SourceImageSequence = [item]
        assert reasons(clean) == {Reason.ELEMENT_NOT_ALLOWED}, keyword


def test_a_patients_own_words_are_refused_even_when_they_are_known_words(clean):
    source = ct_slice(PatientName="Chest^Quxworth")
    assert "chest" in names_in(source)
    assert reasons(clean, names_in(source)) == {Reason.IDENTIFIER_LEFT}


def test_names_are_found_at_any_depth():
    source = ct_slice()
    item = Dataset()
    item.PersonName = "Elm^Liver"
    source.ContentSequence = [item]
    assert {"elm", "liver"} <= names_in(source)


@pytest.mark.parametrize(
    ("uid", "ours"),
    [
        (Pseudonyms(b"s" * 32, "d").uid("x"), True),
        (f"2.25.{uuid.UUID('919108f7-52d1-4320-9bac-f847db4148a8').int}", True),
        (f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, 'x').int}", True),
        (TIMED, False),
        ("2.25.0", False),
        ("2.25.07734991", False),
        ("2.25." + str(2**128), False),
        ("1.2.840.10008.1.2", False),
    ],
)
def test_a_uid_of_ours(uid, ours):
    assert _is_ours(uid) == ours


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_each_attribute_of_the_standards_table_is_refused(depth):
    """Inject each attribute of PS3.15 Table E.1-1 with an identifying value into an accepted object: nothing gets past the verifier."""
    passed = []
    for tag in (int(tag, 16) for tag in rules.table() if "X" not in tag):
        try:
            vr = dictionary_VR(tag).split(" or ")[0]
        except KeyError:
            vr = "LO"
        holder = made = PROFILE.apply(ct_slice())[0]
        for _ in range(depth):
            item = Dataset()
            holder.SourceImageSequence = Sequence([item])
            holder = item
        holder.add(DataElement(tag, vr, value_for(vr)))
        if not verify(made):
            passed.append(holder[tag].keyword)
    numbers_and_dates = {"PatientAge", "PatientSize", "PatientWeight"} | {
        k for k in passed if dictionary_VR(tag_for_keyword(k)) in {"DA", "TM", "DT", "SQ"}
    }
    assert set(passed) <= numbers_and_dates, "what cannot tell a shifted date from a true one relies on the claim"


@pytest.mark.parametrize(
    ("signed", "stored", "high", "value", "fine"),
    [
        (0, 12, 11, 0x0FFF, True),
        (0, 12, 11, 0x1000, False),
        (0, 16, 15, 0xFFFF, True),
        (1, 12, 11, 0xFFFF, True),  # minus one, its sign extended
        (1, 12, 11, 0x07FF, True),
        (1, 12, 11, 0x0FFF, True),  # negative, its sign not extended: nothing lies there
        (1, 12, 11, 0x17FF, False),
        (0, 12, 15, 0xFFF0, True),
        (0, 12, 15, 0xFFF1, False),
        (0, 0, 11, 0, False),  # no such layout
    ],
)
def test_bits_beside_the_stored_ones(clean, *, signed, stored, high, value, fine):
    clean.PixelRepresentation, clean.BitsStored, clean.HighBit = signed, stored, high
    clean.PixelData = value.to_bytes(2, "little") + bytes(30)
    assert (verify(clean) == []) == fine
