"""A second opinion: what `dicom-anonymizer` removes or changes by its own table is not kept by us, but for a listed reason.

Its newest table (PS3.15 2026c) is applied to real objects that carry, besides what they came with, each of its attributes, once with a
value that tells who it is and once with a harmless one that the profile could let pass. Its rules go for the top only, so it is asked about
an item of a sequence by itself.
"""

import copy

import pydicom
import pytest
from dicomanonymizer import simpledicomanonymizer as other
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from cohortlab.deidentify import files, profile, rules
from cohortlab.deidentify.profile import Profile
from cohortlab.deidentify.pseudonyms import Pseudonyms
from cohortlab.samples import mammograms

_DESCRIPTORS = "Clean Descriptors: only words of the allow-list are left, none of a name or identifier of the object itself"
_PATIENT = "Retain Patient Characteristics"
_DATES = "Retain Longitudinal Temporal Information Modified Dates: moved back by the patient's own span of years, days and seconds"
_UIDS = "replaced by a UID of ours, as it does: references between the objects of a dataset hold"
_REFERENCES = "references to instances, each by its new UID"

KEPT = {
    **dict.fromkeys(
        ("ContrastBolusAgent", "DerivationDescription", "ProtocolName", "ROIDescription", "ROIName", "ROIObservationLabel",
         "SeriesDescription", "StructureSetLabel", "StudyDescription"),
        _DESCRIPTORS,
    ),
    "PatientAge": f"{_PATIENT}; 90 years and more become 90",
    **dict.fromkeys(("PatientSex", "PatientSize", "PatientWeight"), _PATIENT),
}  # fmt: skip
"""What it takes away and we leave as it is, and why."""

CHANGED = {
    **dict.fromkeys(
        ("AcquisitionDate", "AcquisitionDateTime", "AcquisitionTime", "ContentDate", "ContentTime", "ContrastBolusStartTime",
         "ContrastBolusStopTime", "DecayCorrectionDateTime", "EndAcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime",
         "InstanceCreationDate", "InstanceCreationTime", "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStartTime",
         "RadiopharmaceuticalStopDateTime", "RadiopharmaceuticalStopTime", "SeriesDate", "SeriesTime", "StartAcquisitionDateTime",
         "StudyDate", "StudyTime"),
        _DATES,
    ),
    **dict.fromkeys(
        ("ConcatenationUID", "DimensionOrganizationUID", "FrameOfReferenceUID", "IrradiationEventUID", "PaletteColorLookupTableUID",
         "PyramidUID", "ReferencedFrameOfReferenceUID", "ReferencedSOPInstanceUID", "SOPInstanceUID", "SeriesInstanceUID",
         "StudyInstanceUID", "SynchronizationFrameOfReferenceUID", "TrackingUID"),
        _UIDS,
    ),
    "PatientID": "a keyed pseudonym, the same in all of a dataset",
    "PatientName": "the same pseudonym",
    **dict.fromkeys(("ReferencedImageSequence", "SourceImageSequence"), _REFERENCES),
    **dict.fromkeys((keyword for keyword, why in KEPT.items() if why == _DESCRIPTORS), _DESCRIPTORS),
}  # fmt: skip
"""What it takes away or replaces and we leave in another form, and why."""

NEEDED = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "PatientName", "FrameOfReferenceUID"}
"""An object has them already; another value would make it another object."""

TELLING = {"PN": "Quxworth^Zebedee", "CS": "QUXWORTH", "AE": "QUXWORTH", "DA": "19500321", "TM": "101112", "DT": "19500321101112",
           "AS": "067Y", "UI": "1.3.6.1.4.1.99999.7734991", "DS": "77.5", "IS": "7734", "US": 7734, "SS": 7734, "UL": 7734991, "SL": 7734,
           "FD": 77.5, "FL": 77.5, "OB": b"Quxworth", "OW": b"Quxworth", "UN": b"Quxworth", "UR": "http://quxworth.org"}  # fmt: skip
HARMLESS = TELLING | {"CS": "AXIAL", "AE": "AXIAL", "DS": "1.5", "IS": "1", "US": 1, "SS": 1, "UL": 1, "SL": 1, "FD": 1.5}


def actions():
    return other.initialize_actions("dicomfields_2026c")


def single_tags():
    """The tags of its table, but for repeating groups and file meta information, which `test_profile` and `test_verifier` attack."""
    return sorted(tag[0] << 16 | tag[1] for tag in actions() if len(tag) == 2 and tag[0] not in {0x0002, 0x7FE0})


def _value(keyword, vr, values):
    if values is TELLING or keyword in profile._IDENTIFIERS:  # a word of an identifier stays in no text: a harmless one would be none
        return values.get(vr, "Quxworth of Elmstead")
    return "F" if keyword == "PatientSex" else values.get(vr, "axial")


def filled(holder, values, *, top):
    """Put each attribute into a data set, where it is not needed as it is."""
    for tag in single_tags():
        keyword = keyword_for_tag(tag)
        try:
            vr = dictionary_VR(tag).split(" or ")[0]
        except KeyError:
            vr = "LO"
        if (top and keyword in NEEDED) or keyword == "EncapsulatedDocument":
            continue
        if vr == "SQ":
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "10200004", "SCT", "Liver"
            item.ReferencedSOPInstanceUID = "1.3.6.1.4.1.99999.7734991"
            holder.add(DataElement(tag, vr, Sequence([item])))
        else:
            holder.add(DataElement(tag, vr, _value(keyword, vr, values)))
    return holder


SOURCES = ["prostatex/ProstateX-0000", "ct-head-phantom", "ct-head-tilted", "ct-liver-seg", "small/dx_image.dcm", "small/sm_image.dcm",
           "small/seg_image_ct_binary.dcm", "small/ct_image.dcm", "mammograms"]  # fmt: skip


@pytest.fixture(params=SOURCES, ids=lambda name: name.replace("/", "-"))
def source(request, test_data):
    place = mammograms() if request.param == "mammograms" else test_data / request.param
    path = place if place.is_file() else min(p for p in place.rglob("*") if p.is_file())
    return pydicom.dcmread(path)


def said(element):
    """A value for comparison: text, without padding."""
    if element.VR == "SQ":
        return [[said(inner) for inner in item] for item in element.value]
    return str(element.value).strip()


def verdicts(before, theirs, ours):
    """(keyword, "kept" | "changed") of each attribute that they took away or changed and of which we left something."""
    for element in before:
        if element.tag.is_private:
            assert element.tag not in ours, element.tag
            continue
        after, mine = theirs.get(element.tag), ours.get(element.tag)
        if mine is None or not said(mine) or (after is not None and said(after) == said(element)):
            continue
        yield element.keyword, "kept" if said(mine) == said(element) else "changed"


@pytest.mark.parametrize("values", [TELLING, HARMLESS], ids=["telling", "harmless"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_dicom_anonymizer_takes_away_we_keep_only_for_a_reason(source, values):
    with files.quiet():
        item = filled(Dataset(), values, top=False)
        filled(source, values, top=True)
        source.SourceImageSequence = [copy.deepcopy(item)]
        theirs, their_item = copy.deepcopy(source), copy.deepcopy(item)
        other.anonymize_dataset(theirs, base_rules_gen=actions)
        other.anonymize_dataset(their_item, base_rules_gen=actions)
        ours = Profile(Pseudonyms(b"s" * 32, "lesions")).apply(source)[0]
        found = {*verdicts(source, theirs, ours), *verdicts(item, their_item, ours.SourceImageSequence[0])}
    assert {keyword for keyword, what in found if what == "kept"} <= KEPT.keys()
    assert {keyword for keyword, what in found if what == "changed"} <= CHANGED.keys()
    if values is HARMLESS:
        assert {keyword for keyword, what in found if what == "kept"} == KEPT.keys(), "no reason for what does not happen"


def test_it_knows_the_table_that_the_profile_follows():
    assert rules.STANDARD.endswith("2026c")
    ours = {int(tag, 16) for tag in rules.table() if "X" not in tag}
    assert set(single_tags()) <= ours
    assert len(single_tags()) > 600
