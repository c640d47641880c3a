"""A session's gateway asks the hub: refusals in time and in words, no wait where an answer is known, reports that count once."""

import threading

import pytest

from cohortlab.errors import RefusedError, UnavailableError
from cohortlab.viewer.api import Asked, Reply
from cohortlab.viewer.hub import FRESH_SECONDS, OLDEST_SECONDS, Hub, Leases, Reports, decided
from cohortlab.viewer.tally import Tally

REVOKED = "Your grant for lungs was revoked on 2026-01-01 00:00 UTC: the course is over. Ask a data steward for access."


class Service:
    """What the hub says of leases: `said` is its answer or its error; `asked` counts."""

    def __init__(self, said):
        self.said, self.asked, self.now = said, 0, 1000.0
        self.answered = threading.Event()

    def ask(self):
        self.asked += 1
        self.answered.set()
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    def later(self, seconds):
        """Let time pass; what is asked beside the reading from now on is waited for by `heard`."""
        self.now += seconds
        self.answered.clear()

    def leases(self):
        return Leases(self.ask, lambda: self.now)


def heard(service, leases):
    """The question that runs beside the reading has been answered, and its answer is kept."""
    assert service.answered.wait(60)
    with leases._asking:
        pass


def test_what_the_session_holds_is_shown_and_nothing_else():
    service = Service({"lungs": "", "liver": REVOKED})
    leases = service.leases()
    leases.check("lungs")
    for dataset, words in (("liver", "the course is over"), ("brain", "not given brain")):
        with pytest.raises(RefusedError, match=words):
            leases.check(dataset)
    assert leases.shown() == {"lungs"}
    assert service.asked == 1


def test_a_revocation_is_seen_within_seconds_and_no_slice_waits_for_it():
    service = Service({"lungs": ""})
    leases = service.leases()
    leases.check("lungs")
    service.said = {"lungs": REVOKED}
    service.later(FRESH_SECONDS)
    leases.check("lungs")  # the old answer, while the new one is on its way
    heard(service, leases)
    with pytest.raises(RefusedError, match="revoked"):
        leases.check("lungs")


def test_an_old_answer_is_never_used():
    service = Service({"lungs": ""})
    leases = service.leases()
    leases.check("lungs")
    service.said = {"lungs": REVOKED}
    service.later(OLDEST_SECONDS)
    with pytest.raises(RefusedError, match="revoked"):
        leases.check("lungs")


def test_without_the_hub_what_is_known_holds_for_seconds_and_then_nothing_is_shown():
    service = Service({"lungs": ""})
    leases = service.leases()
    leases.check("lungs")
    service.said = UnavailableError("away")
    service.later(FRESH_SECONDS)
    leases.check("lungs")
    heard(service, leases)
    leases.check("lungs")
    service.later(OLDEST_SECONDS)
    with pytest.raises(UnavailableError):
        leases.check("lungs")
    service.said = {"lungs": ""}
    leases.check("lungs")


def test_a_session_whose_token_ended_shows_nothing_more():
    service = Service({"lungs": ""})
    leases = service.leases()
    leases.check("lungs")
    service.said = RefusedError("This session may not ask the hub any more.")
    service.later(FRESH_SECONDS)
    leases.check("lungs")
    heard(service, leases)
    with pytest.raises(RefusedError, match="any more"):
        leases.check("lungs")


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("series/lungs/ct-000000000000/slice", "plane=axial&index=0", None),
        ("series/lungs/seg-000000000000/slice", "plane=axial&index=0&on=ct-000000000000", None),
        ("series/lungs/seg-000000000000/slice", "plane=axial&index=0&on=liver%2Fct-000000000000", 403),
        ("series/liver/ct-000000000000/meta", "", 403),
        ("series/_arrays/array-000000000000-0000000000000000/meta", "", None),
        ("nothing", "", 404),
        ("series/lungs/ct-000000000000/slice", "on=a&on=b", 400),
    ],
)
def test_each_request_is_decided(path, query, status):
    answer = decided(Service({"lungs": "", "liver": REVOKED}).leases(), Asked("GET", path, query))
    assert (answer.status if isinstance(answer, Reply) else answer) == status


@pytest.mark.parametrize(
    ("dataset", "what", "cleared"),
    [("liver", "meta", '"cache"'), ("liver", "slice", None), ("brain", "meta", None), ("lungs", "meta", None)],
)
def test_where_a_lease_ended_the_browser_forgets_what_it_keeps(dataset, what, cleared):
    leases = Service({"lungs": "", "liver": REVOKED}).leases()
    answer = decided(leases, Asked("GET", f"series/{dataset}/ct-000000000000/{what}"))
    assert (answer.headers.get("Clear-Site-Data") if isinstance(answer, Reply) else None) == cleared


def test_only_what_may_be_shown_is_listed():
    assert decided(Service({"lungs": "", "liver": REVOKED}).leases(), Asked("GET", "datasets")) == {"lungs"}
    assert decided(None, Asked("GET", "datasets")) is None
    assert decided(Service(UnavailableError("away")).leases(), Asked("GET", "datasets")).status == 503


class Reported(Hub):
    """A hub that notes reports, and fails as it is told."""

    def __init__(self):
        self.taken, self.error = [], None

    def report(self, number, seen, timeout=0.0):
        del timeout
        self.taken.append((number, [(one.dataset, one.bytes) for one in seen]))
        if self.error is not None:
            raise self.error


def test_a_report_that_did_not_arrive_is_sent_again_under_its_id_and_newer_counts_after_it():
    tally, hub = Tally(), Reported()
    reports = Reports(tally, hub)
    reports.send()
    assert hub.taken == []
    tally.count("", "lungs", "a", "case", 10)
    tally.count("", "_arrays", "b", "", 99)  # the person's own
    hub.error = UnavailableError("away")
    with pytest.raises(UnavailableError):
        reports.send()
    tally.count("", "lungs", "a", "case", 5)
    hub.error = None
    reports.send()
    reports.send()
    (first, one), (again, same), (second, other) = hub.taken
    assert first == again != second
    assert (one, same, other) == ([("lungs", 10)], [("lungs", 10)], [("lungs", 5)])
    hub.error = RefusedError("no")
    tally.count("", "lungs", "a", "case", 1)
    with pytest.raises(RefusedError):
        reports.send()
    hub.error = None
    reports.send()  # what is refused once is refused for good
    assert len(hub.taken) == 4


def test_no_hub_no_questions(monkeypatch):
    monkeypatch.delenv("COHORTLAB_SERVICE_URL", raising=False)
    assert Hub.from_environment() is None


def test_a_hub_that_is_not_there_is_unavailable():
    tally = Tally()
    tally.count("", "lungs", "a", "case", 10)
    hub = Hub("http://127.0.0.1:9/services/cohortlab/", "token", "")
    with pytest.raises(UnavailableError):
        hub.leases()
    with pytest.raises(UnavailableError):
        Reports(tally, hub).send()
    assert tally.take() == []
    hub._client.close()
