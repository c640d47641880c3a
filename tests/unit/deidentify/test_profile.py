"""The profile: what survives of an identified object, and that nothing else does."""

import os
import random

import pytest
from deidentify_objects import MARKS, ct_slice, objects, value_for
from hypothesis import HealthCheck, example, given, settings
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence

from cohortlab.deidentify import rules
from cohortlab.deidentify.codes import _is_concept_id, known_meaning
from cohortlab.deidentify.files import quiet
from cohortlab.deidentify.profile import MAX_DEPTH, Profile
from cohortlab.deidentify.pseudonyms import Pseudonyms
from cohortlab.deidentify.verifier import _is_snomed, names_in, verify
from cohortlab.errors import InvalidInputError

PROFILE = Profile(Pseudonyms(b"s" * 32, "lesions"))


@pytest.fixture(autouse=True)
def _quiet():
    with quiet():
        yield


def apply(source, **kwargs):
    return PROFILE.apply(source, **kwargs)[0]


def text_of(data_set):
    """Everything that a data set says, values and all, lower case."""
    values = (element.value for element in data_set.iterall())
    return "\n".join(value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in values).lower()


def test_an_identified_slice():
    source = ct_slice()
    made, removed = PROFILE.apply(source)
    assert verify(made, names_in(source)) == []
    assert not any(mark in text_of(made) for mark in MARKS)
    assert made.PatientID == made.PatientName
    assert made.PatientBirthDate == made.AccessionNumber == ""
    assert made.SeriesDescription == "chest 1.5 mm"
    assert (made.PatientSex, made.PatientAge) == ("F", "067Y")
    assert made.PixelData == source.PixelData
    assert made.StudyDate < "20160412"
    assert removed.tags == {"InstitutionName": 1}
    assert source.PatientID == "7734991", "the source is not changed"


def test_it_says_what_it_did():
    made = apply(ct_slice())
    assert made.PatientIdentityRemoved == "YES"
    assert [c.CodeValue for c in made.DeidentificationMethodCodeSequence] == sorted(rules.OURS)
    assert {c.CodingSchemeDesignator for c in made.DeidentificationMethodCodeSequence} == {"DCM"}
    assert made.LongitudinalTemporalInformationModified == "MODIFIED"


@pytest.mark.parametrize(
    ("claims", "codes"), [(["113101"], {"113101"}), (["113102", "113110"], {"113102"}), (["113106"], set()), (["Quxworth"], set())]
)
def test_only_claims_about_pixels_are_taken_over(claims, codes):
    made = apply(ct_slice(), claims=claims)
    assert {c.CodeValue for c in made.DeidentificationMethodCodeSequence} - set(rules.OURS) == codes


def test_file_meta_is_our_own():
    source = ct_slice()
    source.file_meta.SourceApplicationEntityTitle = "QUXWORTH"
    source.file_meta.PrivateInformationCreatorUID = "1.2.3"
    source.file_meta.PrivateInformation = b"Quxworth"
    source.preamble = b"Quxworth".ljust(128, b"\0")
    made = apply(source)
    assert set(made.file_meta.dir()) == {
        "MediaStorageSOPClassUID",
        "MediaStorageSOPInstanceUID",
        "TransferSyntaxUID",
        "ImplementationClassUID",
    }
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    assert made.preamble == bytes(128)


def test_references_hold_across_objects():
    image, other = ct_slice(), ct_slice(SOPInstanceUID="1.3.6.1.4.1.99999.1.2.4")
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    other.SourceImageSequence = [reference]
    assert apply(other).SourceImageSequence[0].ReferencedSOPInstanceUID == apply(image).SOPInstanceUID
    assert apply(other).SOPInstanceUID != apply(image).SOPInstanceUID


def test_intervals_between_visits_stay():
    first, second = apply(ct_slice(StudyDate="20170412")), apply(ct_slice(StudyDate="20170512"))
    assert int(second.StudyDate) != int(first.StudyDate)
    assert (second["StudyDate"].value, first["StudyDate"].value) != ("20170512", "20170412")
    another = apply(ct_slice(PatientID="88", StudyDate="20170412"))
    assert another.StudyDate != first.StudyDate, "each patient moves by another span"


@pytest.mark.parametrize(
    ("age", "left"),
    [("067Y", "067Y"), ("089Y", "089Y"), ("090Y", "090Y"), ("101Y", "090Y"), ("011M", "011M"), ("67", None), ("abcY", None)],
)
def test_the_very_old_are_not_told_apart(age, left):
    assert apply(ct_slice(PatientAge=age)).get("PatientAge") == left


@pytest.mark.parametrize(
    ("creator", "tag", "value", "expected"),
    [
        ("SIEMENS MR HEADER", 0x0019100C, b"400 ", 400.0),
        ("GEMS_PARM_01", 0x00431039, [1000000800, 8, 0, 0], 800.0),
        ("Philips Imaging DD 001", 0x20011003, 50.0, 50.0),
        ("SIEMENS MR HEADER", 0x0019100C, b"Quxworth", None),
        ("Quxworth Inc", 0x0019100C, b"400", None),
    ],
)
def test_b_values_of_vendors(creator, tag, value, expected):
    source = ct_slice(Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    source.add_new((tag & 0xFFFF0000) | 0x0010, "LO", creator)
    source.add_new(tag, "IS" if isinstance(value, list) else "FL" if isinstance(value, float) else "OB", value)
    made = apply(source)
    assert made.get("DiffusionBValue") == expected
    assert not [e for e in made if e.tag.is_private]


def test_codes_get_the_dictionarys_meaning():
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-62000", "SRT", "liver of Quxworth"
    unknown = Dataset()
    unknown.CodeValue, unknown.CodingSchemeDesignator, unknown.CodeMeaning = "7734991", "99QUX", "Quxworth"
    made = apply(ct_slice(AnatomicRegionSequence=[item, unknown]))
    assert "liver" in known_meaning("SRT", "T-62000").lower()
    assert [(c.CodeValue, c.CodeMeaning) for c in made.AnatomicRegionSequence] == [("T-62000", known_meaning("SRT", "T-62000"))]


@pytest.mark.parametrize(
    ("value", "scheme", "kept"),
    [("10200004", "SCT", True), ("10200005", "SCT", False), ("1075661000119104", "SCT", True), ("7734991", "SCT", False),
     ("7197", "FMA", True), ("7734991", "FMA", False), ("7:1289", "MDC", True), ("7734991", "MDC", False)],
)  # fmt: skip
def test_a_number_is_a_code_only_in_the_form_of_its_scheme(value, scheme, kept):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "liver"
    made = apply(ct_slice(AnatomicRegionSequence=[item]))
    assert ("AnatomicRegionSequence" in made) == kept
    assert verify(made) == []


def test_two_ways_to_check_a_snomed_identifier_agree():
    draw = random.Random(5)  # noqa: S311  nothing secret
    numbers = [str(draw.randrange(10**5, 10**18)) for _ in range(3000)] + [f"{draw.randrange(10**6)}10{n % 10}" for n in range(3000)]
    told = [_is_concept_id(number) for number in numbers]
    assert told == [_is_snomed(number) for number in numbers]
    assert 250 < sum(told) < 400, "about one in ten of those of the right kind"


def deep(levels):
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    for _ in range(levels):
        outer = Dataset()
        outer.SourceImageSequence = [item]
        item = outer
    return item


def test_too_deep_nesting_is_an_error():
    source = ct_slice(SourceImageSequence=[deep(MAX_DEPTH + 1)])
    with pytest.raises(InvalidInputError, match="too deep"):
        apply(source)


def test_an_object_without_uid_is_an_error():
    with pytest.raises(InvalidInputError, match="SOP Instance UID"):
        apply(ct_slice(SOPInstanceUID=None))


LISTED = sorted(tag for tag in rules.table() if "X" not in tag)


def tagged(tag):
    try:
        return DataElement(
            int(tag, 16), dictionary_VR(int(tag, 16)).split(" or ")[0], value_for(dictionary_VR(int(tag, 16)).split(" or ")[0])
        )
    except KeyError:
        return DataElement(int(tag, 16), "LO", value_for("LO"))


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_no_attribute_of_the_standards_table_survives_with_its_value(depth):
    """Inject each attribute of PS3.15 Table E.1-1, with a value of its kind that tells who it is, into an image at each depth."""
    assert len(LISTED) > 640
    for start in range(0, len(LISTED), 40):
        source = ct_slice()
        holder = source
        for _ in range(depth):
            item = Dataset()
            item.ReferencedSOPClassUID = source.SOPClassUID
            holder.SourceImageSequence = Sequence([item])
            holder = item
        for tag in LISTED[start : start + 40]:
            if tag not in {"0020000E", "0020000D"} or depth:
                holder.add(tagged(tag))
        made = apply(source)
        said = text_of(made)
        assert [mark for mark in (*MARKS, "19500321", "101112") if mark in said] == []
        assert verify(made, names_in(source)) == []


@pytest.mark.parametrize("tag", [0x60003000, 0x60004000, 0x60020022, 0x50003000, 0x00091010, 0x7FE10010, 0xFFFCFFFC, 0x00420011])
def test_overlays_curves_private_and_padding_go(tag):
    source = ct_slice()
    source.add_new(
        tag,
        "OB" if tag & 0x1000 or tag in {0xFFFCFFFC, 0x00420011} else "LO",
        value_for("OB" if tag & 0x1000 or tag in {0xFFFCFFFC, 0x00420011} else "LO"),
    )
    assert tag not in apply(source)


@pytest.mark.parametrize(
    ("keyword", "vr", "value"), [("SliceThickness", "LT", "Quxworth"), ("Rows", "LO", "Quxworth"), ("PixelSpacing", "UT", "1.5 Quxworth")]
)
def test_a_value_in_a_representation_that_is_not_the_attributes_goes(keyword, vr, value):
    source = ct_slice()
    source[keyword] = DataElement(source[keyword].tag, vr, value)
    assert keyword not in apply(source)


@settings(
    max_examples=int(os.environ.get("COHORTLAB_EXAMPLES", "100")), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(objects())
@example(ct_slice(StackID=""))
def test_the_verifier_accepts_whatever_the_profile_made(source):
    made = apply(source)
    assert verify(made, names_in(source)) == []
