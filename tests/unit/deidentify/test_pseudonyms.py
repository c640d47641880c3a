"""Keyed pseudonyms: stable, unlinkable without the secret, valid DICOM."""

import stat
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortlab.deidentify.pseudonyms import Pseudonyms, load_secret, secret_path
from cohortlab.deidentify.verifier import _is_ours
from cohortlab.errors import InvalidInputError

NAMES = Pseudonyms(b"s" * 32, "lesions")


@given(st.text(min_size=1))
def test_uids_are_valid_and_ours(text):
    uid = NAMES.uid(text)
    assert len(uid) <= 64
    assert _is_ours(uid)
    assert NAMES.uid(text) == uid


@given(st.text(), st.text())
def test_different_things_have_different_names(one, other):
    assert (NAMES.uid(one) == NAMES.uid(other)) == (one.strip() == other.strip())
    assert (NAMES.patient(one) == NAMES.patient(other)) == (one.strip() == other.strip())


@pytest.mark.parametrize("others", [Pseudonyms(b"t" * 32, "lesions"), Pseudonyms(b"s" * 32, "prostates")])
def test_another_secret_or_dataset_gives_other_names(others):
    assert others.uid("1.2.3") != NAMES.uid("1.2.3")
    assert others.patient("A") != NAMES.patient("A")
    assert others.shift("A") != NAMES.shift("A")


@given(st.text())
def test_dates_move_back_by_one_to_ten_years_and_part_of_a_day(patient):
    shift = NAMES.shift(patient)
    assert timedelta(days=366) <= shift < timedelta(days=3651)
    assert shift.seconds > 0
    assert shift.microseconds == 0


def test_nothing_of_the_secret_is_shown():
    assert "s" * 8 not in repr(NAMES) + str(NAMES)
    assert repr(NAMES) == "<Pseudonyms>"


def test_the_secret_is_made_once_for_its_owner_only(tmp_path):
    key = tmp_path / "keys" / "gate.key"
    first = load_secret(key, create=True)
    assert load_secret(key, create=True) == first
    assert stat.S_IMODE(secret_path(key).stat().st_mode) == 0o600
    assert [p.name for p in key.parent.iterdir()] == ["gate.secret"]


def test_a_dry_run_leaves_no_secret(tmp_path):
    assert load_secret(tmp_path / "gate.key", create=False) != load_secret(tmp_path / "gate.key", create=False)
    assert not list(tmp_path.iterdir())


def test_a_broken_secret_is_not_replaced(tmp_path):
    (tmp_path / "gate.secret").write_text("half")
    with pytest.raises(InvalidInputError, match="no pseudonym secret"):
        load_secret(tmp_path / "gate.key", create=True)
    assert (tmp_path / "gate.secret").read_text() == "half"
