"""What headers decide about burned-in text: how much is looked at, what is refused, which frames are sampled."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from cohortlab.deidentify.text.triage import Marks, Scope, Triage, look, sample
from cohortlab.deidentify.text.verdict import TextReason

CT, MR, US, MG, SC = (f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("2", "4", "6.1", "1.2", "7"))


def header(modality="CT", sop_class=CT, **values):
    made = Dataset()
    made.Modality, made.SOPClassUID, made.Rows, made.Columns, made.PhotometricInterpretation = modality, sop_class, 64, 64, "MONOCHROME2"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize(
    ("given_header", "scope", "reasons"),
    [
        (header(), Scope.SAMPLE, ()),
        (header("MR", MR), Scope.SAMPLE, ()),
        (header(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), Scope.SAMPLE, ()),
        (header("US", US, PhotometricInterpretation="RGB"), Scope.ALL, ()),
        (header("MG", MG), Scope.ALL, ()),
        (header("DX", "1.2.840.10008.5.1.4.1.1.1.1"), Scope.ALL, ()),
        (header("CR", "1.2.840.10008.5.1.4.1.1.1"), Scope.ALL, ()),
        (header("XA", "1.2.840.10008.5.1.4.1.1.12.1"), Scope.ALL, ()),
        (header("RF", "1.2.840.10008.5.1.4.1.1.12.2"), Scope.ALL, ()),
        (header("OP", "1.2.840.10008.5.1.4.1.1.77.1.5.1"), Scope.ALL, ()),
        (header("", "1.2.3"), Scope.ALL, ()),
        (header("SEG", "1.2.840.10008.5.1.4.1.1.66.4"), Scope.NONE, ()),
        (header("SM", "1.2.840.10008.5.1.4.1.1.77.1.6", ImageType=["ORIGINAL", "PRIMARY", "VOLUME"]), Scope.SAMPLE, ()),
        (header("SM", ImageType=["ORIGINAL", "PRIMARY", "OVERVIEW"]), Scope.ALL, ()),
        (header("SM", ImageType=["ORIGINAL", "PRIMARY", "LABEL"]), Scope.SAMPLE, (TextReason.LABEL_IMAGE,)),
        (header("SM", SpecimenLabelInImage="YES"), Scope.SAMPLE, (TextReason.LABEL_IMAGE,)),
        (header(BurnedInAnnotation="YES"), Scope.ALL, (TextReason.DECLARED,)),
        (header(BurnedInAnnotation="NO"), Scope.SAMPLE, ()),
        (header(PhotometricInterpretation="RGB"), Scope.SAMPLE, (TextReason.COLOUR,)),
        (header("MR", MR, PhotometricInterpretation="YBR_FULL_422"), Scope.SAMPLE, (TextReason.COLOUR,)),
        (header("CT", SC), Scope.ALL, (TextReason.SCREEN_CAPTURE,)),
        (header("OT", SC), Scope.ALL, (TextReason.SECONDARY_CAPTURE,)),
        (header("US", "1.2.840.10008.5.1.4.1.1.7.4"), Scope.ALL, (TextReason.SECONDARY_CAPTURE,)),
        (header("MG", SC), Scope.ALL, ()),  # a digitised film
        (header(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), Scope.SAMPLE, (TextReason.SCREEN_CAPTURE,)),
        (header(ImageType=["DERIVED", "SECONDARY", "DOSE_INFO"]), Scope.SAMPLE, (TextReason.SCREEN_CAPTURE,)),
        (header(ImageType=["DERIVED", "SECONDARY", "PATIENT_INFO"]), Scope.SAMPLE, (TextReason.SCREEN_CAPTURE,)),
        (header(SeriesDescription="Dose Report"), Scope.SAMPLE, (TextReason.SCREEN_CAPTURE,)),
        (header(SeriesDescription="EXAM_SUMMARY"), Scope.SAMPLE, (TextReason.SCREEN_CAPTURE,)),
        (header(SeriesDescription="low dose chest"), Scope.SAMPLE, ()),
    ],
    ids=lambda value: f"{value.Modality}" if isinstance(value, Dataset) else None,
)
def test_scope_and_reasons(given_header, scope, reasons):
    answer = look(given_header)
    assert (answer.scope, answer.reasons) == (scope, reasons)


def test_objects_without_pixels_are_not_looked_at():
    bare = Dataset()
    bare.Modality = "CT"
    assert look(bare) == Triage(Scope.NONE, Marks.PLANE, 0)
    assert look(header("RTSTRUCT")).scope is Scope.NONE


def test_a_person_who_looked_lets_in_captures_but_no_screens():
    assert look(header("OT", SC), pixels_checked=True).reasons == ()
    assert look(header("OT", SC), pixels_checked=True).scope is Scope.ALL
    assert look(header("CT", SC), pixels_checked=True).reasons == (TextReason.SCREEN_CAPTURE,)
    assert look(header("OT", SC, BurnedInAnnotation="YES"), pixels_checked=True).reasons == (TextReason.DECLARED,)


@pytest.mark.parametrize(
    ("modality", "marks"), [("MG", Marks.PROJECTION), ("DX", Marks.PROJECTION), ("CT", Marks.PLANE), ("US", Marks.PLANE)]
)
def test_marks(modality, marks):
    assert look(header(modality)).marks is marks


@pytest.mark.parametrize(("claimed", "frames"), [("", 1), ("1", 1), ("120", 120), ("-3", 1), ("99999999999", 1)])
def test_frames(claimed, frames):
    assert look(header(NumberOfFrames=claimed)).frames == frames


@given(st.integers(0, 3000), st.binary(max_size=8))
@settings(max_examples=30, deadline=None)
def test_a_sample_has_first_middle_last_and_is_the_same_again(count, key):
    chosen = sample(count, key)
    assert chosen == sample(count, key)
    assert list(chosen) == sorted(set(chosen))
    assert len(chosen) >= min(count, 12)
    if count:
        assert {0, count // 2, count - 1} <= set(chosen)
        assert max(chosen) < count


def test_another_key_gives_another_sample():
    assert sample(140, b"one") != sample(140, b"two")


def test_a_sample_of_less_than_nothing():
    with pytest.raises(ValueError, match="fewer"):
        sample(-1, b"")
