"""A site's files: what is wrong is named with its place, and what was under way is remembered."""

import pytest
import yaml

from cohortlab.errors import InvalidInputError, NotFoundError, StorageError, UnavailableError
from cohortlab.federation.contracts import Reason, Ticket
from cohortlab.federation.site.config import PolicyFile, read_config, read_policy
from cohortlab.federation.site.journal import Entry, Journal, Phase, alone, write_private
from cohortlab.federation.site.stores import newest
from cohortlab.keys import create_key


def ticket(**changes):
    claims = {
        "aud": "north",
        "sub": "user-0123456789abcdef",
        "jti": "ticket-" + "a" * 32,
        "iat": 0,
        "nbf": 0,
        "exp": 1000,
        "job": "job-" + "b" * 32,
        "dataset": "lesions",
        "task": "histogram",
        "parameters": "sha256:" + "0" * 64,
        "project": "demo-study",
    }
    return Ticket(**(claims | changes))


@pytest.fixture
def document(tmp_path):
    key = create_key(tmp_path / "k.key").public.text
    token = tmp_path / "token"
    token.write_text("abc\n")
    token.chmod(0o600)
    return {
        "name": "north",
        "service_url": "http://127.0.0.1:8000/services/cohortlab",
        "token_file": "token",
        "ticket_keys": [key],
        "dataset_keys": [key],
    }


def written(tmp_path, document):
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_paths_are_relative_to_the_file(tmp_path, document):
    config = read_config(written(tmp_path, document))
    assert (config.policy, config.stores) == (tmp_path / "policy.yaml", tmp_path / "stores")
    assert config.service_url.endswith("/cohortlab/")
    assert config.token() == "abc"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": "North Hospital"}, "name"),
        ({"service_url": "http://hub.example.org/services/cohortlab"}, "service_url"),
        ({"service_url": "ftp://127.0.0.1/"}, "service_url"),
        ({"service_url": "https://user:word@hub.example.org/"}, "service_url"),
        ({"ticket_keys": []}, "ticket_keys"),
        ({"ticket_keys": ["ed25519:short"]}, "ticket_keys.0"),
        ({"time_limit": 0}, "time_limit"),
        ({"tokens": "x"}, "tokens"),
    ],
)
def test_a_wrong_site_file_is_refused_with_the_place(tmp_path, document, change, place):
    with pytest.raises(InvalidInputError, match=rf"\n  {place}: "):
        read_config(written(tmp_path, document | change))


def test_a_token_that_others_can_read_is_refused(tmp_path, document):
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(InvalidInputError, match="others"):
        read_config(written(tmp_path, document)).token()


@pytest.mark.parametrize("text", ["a: [", "- 1", "\x00", "minimum_count: 2", "projects: demo-study", "projects: [../x]"])
def test_a_wrong_policy_is_refused(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match="policy"):
        read_policy(path)


def test_a_missing_policy_is_an_error_and_an_empty_one_allows_nothing(tmp_path):
    with pytest.raises(NotFoundError):
        read_policy(tmp_path / "policy.yaml")
    (tmp_path / "policy.yaml").write_text("")
    assert read_policy(tmp_path / "policy.yaml").refusal(ticket()) is Reason.PROJECT_NOT_ALLOWED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"project": "other"}, Reason.PROJECT_NOT_ALLOWED),
        ({"task": "train"}, Reason.TASK_NOT_ALLOWED),
        ({"dataset": "others"}, Reason.DATASET_NOT_ALLOWED),
    ],
)
def test_the_policy_decides(change, reason):
    policy = PolicyFile(projects=("demo-study",), tasks=("histogram",), datasets=("lesions",))
    assert policy.refusal(ticket(**change)) is reason


def test_the_newest_version_counts_and_hidden_ones_do_not(tmp_path):
    for name in ("1.2.0", "1.10.0", "1.10.0-rc.1", ".2.0.0.partial-ab"):
        (tmp_path / "lesions" / name).mkdir(parents=True)
        (tmp_path / "lesions" / name / "dataset.json").write_text("{}")
    (tmp_path / "lesions" / "3.0.0").mkdir()
    assert newest(tmp_path, "lesions").name == "1.10.0"
    assert newest(tmp_path, "others") is None


def test_the_journal_survives_a_restart_and_forgets_late(tmp_path):
    journal = Journal(tmp_path / "tickets")
    entry = Entry(ticket=ticket(), token="t", parameters={"bins": 3}, phase=Phase.RUNNING, attempts=1)  # noqa: S106 - a ticket
    journal.put(entry)
    again = Journal(tmp_path / "tickets")
    assert list(again) == [entry]
    assert ticket().jti in again
    again.forget(now=1e9)
    assert ticket().jti in again  # not delivered yet
    again.put(entry.model_copy(update={"phase": Phase.DELIVERED}))
    again.forget(now=1000)
    assert ticket().jti in again  # could still be used again
    again.forget(now=1e9)
    assert list(Journal(tmp_path / "tickets")) == []


def test_a_damaged_journal_is_told(tmp_path):
    (tmp_path / "ticket-x.json").write_text("{")
    with pytest.raises(StorageError, match="damaged"):
        Journal(tmp_path)


def test_what_is_written_is_for_its_owner_only(tmp_path):
    write_private(tmp_path / "raw.json", "{}")
    assert (tmp_path / "raw.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(StorageError):
        write_private(tmp_path / "absent" / "raw.json", "{}")


def test_two_agents_cannot_share_a_state(tmp_path):
    with alone(tmp_path / "state"), pytest.raises(UnavailableError, match="Another agent"), alone(tmp_path / "state"):
        pass
