"""Which marks belong on an image: the closed lists, what is left of a mark at the edge, what is text all the same."""

import pytest

from cohortlab.deidentify.text.tokens import alike, is_letter, is_marker, is_shape, signs
from cohortlab.deidentify.text.triage import Marks

P, S = Marks.PROJECTION, Marks.PLANE


@pytest.mark.parametrize(
    "text", ["RCC", "LCC", "RMLO", "LMLO", "R MLO", "r-cc", "CC", "MLO", "L ML", "RLM", "RXCCL", "AP", "L LAT", "LC", "MLO.", "RMLO "]
)
def test_marks_of_projections(text):
    assert is_marker(text, P)


@pytest.mark.parametrize("text", ["RML0", "1CC", "LML0", "|MLO"])
def test_marks_as_they_are_misread(text):
    assert is_marker(text, P)


@pytest.mark.parametrize("text", ["AR", "LP", "HFS", "FFS"])
def test_marks_of_planes(text):
    assert is_marker(text, S)


@pytest.mark.parametrize(
    "text",
    ["SMITH", "RCC AB", "RCC 12/03", "JS", "LI", "WU", "MRN 1", "李明", "R李", "2024", "RMLO SMITH", "LMLOX", "ID", "NO", "12.03.61"],
)
@pytest.mark.parametrize("marks", [P, S])
def test_everything_else_is_text(text, marks):
    assert not is_marker(text, marks)
    assert not is_letter(text, marks)


def test_marks_of_projections_are_none_on_planes():
    assert not is_marker("RCC", S)


@pytest.mark.parametrize(("text", "cut"), [("PCC", True), ("PCC", False), ("MLQ", True), ("SMITH", True), ("JCCB", True)])
def test_a_letter_at_the_edge_may_be_half_a_letter(text, cut):
    assert is_marker(text, P, cut=cut) == (cut and text in {"PCC", "MLQ"})


@pytest.mark.parametrize(
    ("text", "marks", "alone"),
    [("R", S, True), ("", S, True), ("15", P, True), ("15", S, False), ("1S", P, False), ("152", P, False), (".7", S, True)],
)
def test_what_stands_alone(text, marks, alone):
    assert is_letter(text, marks) is alone


def test_shapes_are_no_letters():
    assert is_shape("O")
    assert is_shape("口")
    assert not is_shape("A")


def test_signs_of_any_script():
    assert [signs(t) for t in ("SMITH^J", " -.", "李明", "Ж1", "é")] == [6, 0, 2, 2, 1]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("Garcia, Maria", "GARRA MRIA", True), ("vears", "year's", True), ("XX", "XX", True), ("XX", "AOR", False), ("to", "es", False),
     ("12.03.1961", "12961", True), ("李明", "李明", True), ("769", "", False)],
)  # fmt: skip
def test_readings_of_the_same_writing_are_alike(one, other, same):
    assert alike(one, other) is same
