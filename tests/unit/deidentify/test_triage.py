"""What headers say about text in the pixels, and about faces."""

import pytest
from deidentify_objects import ct_slice

from cohortlab.deidentify.report import Reason
from cohortlab.deidentify.triage import burned_in, recognisable

SC = "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize(
    ("changes", "checked", "expected"),
    [
        ({}, False, set()),
        ({"BurnedInAnnotation": "NO"}, False, set()),
        ({"BurnedInAnnotation": "YES"}, True, {Reason.BURNED_IN}),
        ({"ImageType": ["DERIVED", "SECONDARY", "DOSE_INFO"]}, True, {Reason.SCREEN_CAPTURE}),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, True, {Reason.SCREEN_CAPTURE}),
        ({"ImageType": ["DERIVED", "PRIMARY", "LOCALIZER"]}, False, set()),
        ({"SeriesDescription": "Exam Summary"}, True, {Reason.SCREEN_CAPTURE}),
        ({"SeriesDescription": "Dose Report"}, True, {Reason.SCREEN_CAPTURE}),
        ({"SeriesDescription": "low dose chest"}, False, set()),
        ({"PhotometricInterpretation": "RGB"}, True, {Reason.COLOUR}),
        ({"SOPClassUID": SC}, True, {Reason.SCREEN_CAPTURE}),
        ({"SOPClassUID": SC, "Modality": "MG"}, False, {Reason.SECONDARY_CAPTURE}),
        ({"SOPClassUID": SC, "Modality": "MG"}, True, set()),
        ({"SOPClassUID": SC, "Modality": "MG", "PhotometricInterpretation": "RGB"}, True, {Reason.COLOUR}),
        ({"SOPClassUID": SC, "Modality": "OT"}, False, {Reason.SECONDARY_CAPTURE}),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", "Modality": "US"}, False, {Reason.SECONDARY_CAPTURE}),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, True, {Reason.EMBEDDED_DOCUMENT}),
        ({"SOPClassUID": "1.2.840.10008.1.3.10"}, True, {Reason.MEDIA_DIRECTORY}),
    ],
)
def test_text_in_the_pixels(changes, checked, expected):
    assert {finding.reason for finding in burned_in(ct_slice(**changes), pixels_checked=checked)} == expected


@pytest.mark.parametrize(
    ("changes", "claims", "expected"),
    [
        ({"BodyPartExamined": "CHEST"}, set(), False),
        ({"BodyPartExamined": "HEAD"}, set(), True),
        ({"BodyPartExamined": "HEAD"}, {"113102"}, False),
        ({"BodyPartExamined": "CHEST", "SeriesDescription": "head and neck"}, set(), True),
        ({"BodyPartExamined": None, "SeriesDescription": "t2_tse_tra_brain", "StudyDescription": ""}, set(), True),
        ({"BodyPartExamined": None, "SeriesDescription": "abdomen", "StudyDescription": ""}, set(), False),
        ({"BodyPartExamined": None, "SeriesDescription": "thin", "StudyDescription": ""}, set(), True),
        ({"BodyPartExamined": "WHOLEBODY"}, set(), True),
        ({"BodyPartExamined": "BREAST", "Modality": "MG"}, set(), False),
        ({"BodyPartExamined": "HEAD", "Modality": "SEG"}, set(), False),
    ],
)
def test_faces(changes, claims, expected):
    assert recognisable(ct_slice(**changes), frozenset(claims)) == expected
