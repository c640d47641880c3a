"""The data files of profile and verifier: complete, of the same mind, and not able to keep what the standard wants removed."""

import re

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from cohortlab.deidentify import clean, rules, verifier

NAMED = {
    "PatientName": "pseudonym", "PatientID": "pseudonym", "PatientBirthDate": "empty", "StudyDate": "date", "StudyInstanceUID": "uid",
    "SeriesDescription": "text", "Modality": "enum", "PixelData": "pixels",
}  # fmt: skip


def test_the_standards_table_is_there_with_its_actions():
    table = rules.table()
    assert len(table) > 640
    assert all(set(row.basic.replace("*", "").split("/")) <= set("XZDUCK") for row in table.values())
    assert table["00100010"].basic == "Z"
    assert table["00080080"].basic == "X/Z/D"
    assert table["0020000E"].basic == "U"
    assert table["00080020"].options == {"full_dates": "K", "modified_dates": "C"}


@pytest.mark.parametrize(
    ("tag", "keyword"),
    [(0x60003000, "OverlayData"), (0x60023000, "OverlayData"), (0x50000010, "CurveData"), (0x501E2500, "CurveData")],
)
def test_repeating_groups_are_listed(tag, keyword):
    listed = rules.listed(tag)
    assert listed is not None
    assert listed.keyword == keyword


def test_private_tags_are_removed_by_the_standard():
    assert rules.actions(0x00091010) == {"X"}


@pytest.mark.parametrize(("keyword", "rule"), NAMED.items())
def test_the_allow_list_says_how(keyword, rule):
    assert rules.allowed()[tag_for_keyword(keyword)].rule == rule


def test_nothing_on_the_allow_list_contradicts_the_standard():
    assert rules.surviving() == rules.allowed()


@pytest.mark.parametrize(
    ("option", "keyword"),
    [
        (rules.Option.MODIFIED_DATES, "StudyDate"),
        (rules.Option.DESCRIPTORS, "SeriesDescription"),
        (rules.Option.PATIENT, "PatientAge"),
    ],
)
def test_without_its_option_an_attribute_does_not_survive(option, keyword):
    tag = tag_for_keyword(keyword)
    assert tag in rules.surviving()
    assert tag not in rules.surviving(rules.OPTIONS - {option})


def test_the_verifier_has_a_place_for_everything_that_the_profile_leaves():
    lists = verifier._lists()
    for row in rules.allowed().values():
        known = row.keyword in lists.kinds or row.keyword in lists.enumerated or row.keyword in lists.patterns
        assert known or row.rule in {"code", "made"}, row.keyword
        if row.top_only and known and row.keyword not in verifier._ONCE:
            assert row.keyword in lists.study, row.keyword


def test_the_verifier_names_only_attributes_of_the_standard():
    lists = verifier._lists()
    for keyword in (*lists.kinds, *lists.enumerated, *lists.patterns):
        assert tag_for_keyword(keyword) is not None, keyword


def test_sequences_are_sequences():
    for keyword, kind in verifier._lists().kinds.items():
        assert (dictionary_VR(tag_for_keyword(keyword)) == "SQ") == (kind in {"sequences", "codes"}), keyword


def test_every_word_of_the_profile_is_one_of_the_verifiers():
    runs = {run for word in clean.words() for run in re.findall("[a-z]+", word)}
    assert runs <= verifier._lists().words


@pytest.mark.parametrize(
    "name",
    [
        "smith",
        "mueller",
        "jan",
        "maria",
        "lisa",
        "thomas",
        "jones",
        "rossi",
        "london",
        "berlin",
        "dr",
        "prof",
        "mister",
        "geb",
        "omar",
        "rao",
        "lao",
        "hu",
        "fan",
        "gross",
    ],
)
def test_no_list_holds_names_places_or_titles(name):
    assert name not in clean.words()
    assert name not in verifier._lists().words
