"""Descriptions: the words that stay, the words that do not."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cohortlab.deidentify.clean import MAX_TEXT, clean, clean_term, identifying
from cohortlab.deidentify.verifier import _text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("t2_tse_tra", "t2_tse_tra"),
        ("ep2d_diff_tra_DYNDIST_ADC", "ep2d_diff_tra_DYNDIST_ADC"),
        ("*ep_b50_800", "*ep_b50_800"),
        ("STD BRAIN 1MM, iDose", "STD BRAIN 1MM, iDose"),
        ("CT chest for Dr. Quxworth", "CT chest for"),
        ("Quxworth", ""),
        ("liver 12-03-1965", "liver"),
        ("liver 7734991", "liver"),
        ("call 020 7946 0018 liver", "liver"),
        ("Jörg brain", "brain"),
        ("liver\nQuxworth\r\nspleen", "liver spleen"),
        ("brainQuxworth", ""),
        ("b1400 diff", "b1400 diff"),
        ("", ""),
    ],
)
def test_a_description(text, left):
    assert clean(text) == left


def test_a_patients_own_words_go_even_when_they_are_known_words():
    banned = identifying(["HEAD^PLASTIC", "Brain_01"])
    assert clean("head CT, brain and neck", banned) == "CT and neck"


def test_short_parts_of_a_name_take_nothing_away():
    assert identifying(["Li^A B", "MR"]) == frozenset()


@pytest.mark.parametrize(
    ("value", "left"), [("CHEST", "CHEST"), ("SPINE ECHO", "SPINE ECHO"), ("QUXWORTH", ""), ("CHEST QUXWORTH", ""), (" HEAD ", "HEAD")]
)
def test_a_term_stays_whole_or_goes(value, left):
    assert clean_term(value) == left


@given(st.text(max_size=80), st.frozensets(st.sampled_from(["liver", "head", "tra"])))
@example("1 2 3 4 5 6 7 8", frozenset())
@example("b1234b1234", frozenset())
@example("19 03 65 chest", frozenset())
@example("1/2/65", frozenset())
@example("12:03:65", frozenset())
@example("12 von 03 im 65", frozenset())
def test_what_stays_is_what_the_verifier_accepts(text, banned):
    left = clean(text, banned)
    assert len(left) <= MAX_TEXT
    assert clean(left, banned) == left
    assert list(_text(left, "SeriesDescription", banned)) == []
