"""What headers say about text in the pixels, and about faces."""

import pytest
from deidentify_objects import ct_slice

from cohortlab.deidentify.report import Reason
from cohortlab.deidentify.triage import burned_in, recognisable

SC = "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"BurnedInAnnotation": "NO"}, set()),
        ({"BurnedInAnnotation": "YES"}, {Reason.BURNED_IN}),
        ({"ImageType": ["DERIVED", "SECONDARY", "DOSE_INFO"]}, {Reason.SCREEN_CAPTURE}),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, {Reason.SCREEN_CAPTURE}),
        ({"ImageType": ["DERIVED", "PRIMARY", "LOCALIZER"]}, set()),
        ({"SeriesDescription": "Exam Summary"}, {Reason.SCREEN_CAPTURE}),
        ({"SeriesDescription": "Dose Report"}, {Reason.SCREEN_CAPTURE}),
        ({"SeriesDescription": "low dose chest"}, set()),
        ({"PhotometricInterpretation": "RGB"}, {Reason.COLOUR}),
        ({"SOPClassUID": SC}, {Reason.SCREEN_CAPTURE}),
        ({"SOPClassUID": SC, "Modality": "MG"}, set()),
        ({"SOPClassUID": SC, "Modality": "MG", "PhotometricInterpretation": "RGB"}, {Reason.COLOUR}),
        ({"SOPClassUID": SC, "Modality": "OT"}, set()),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", "Modality": "US"}, set()),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, {Reason.EMBEDDED_DOCUMENT}),
        ({"SOPClassUID": "1.2.840.10008.1.3.10"}, {Reason.MEDIA_DIRECTORY}),
    ],
)
def test_text_in_the_pixels(changes, expected):
    assert {finding.reason for finding in burned_in(ct_slice(**changes))} == expected


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
