"""Who may see which pixels at the hub: a table of cases."""

from datetime import UTC, datetime, timedelta

import pytest

from cohortlab.errors import RefusedError
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access import Grant, Person, Terms
from cohortlab_hub.pixels.rules import needed, permitted, visible

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REMOTE, SITU, DOWNLOAD = AccessCondition.REMOTE_PROCESSING, AccessCondition.IN_SITU_PROCESSING, AccessCondition.DOWNLOAD
ANA = Person("ana")
OPEN, SEEN, FAR = Terms("open", DOWNLOAD), Terms("seen", SITU), Terms("far", REMOTE)


def grant(dataset, condition, **more):
    return Grant("g1", "person", "ana", dataset, condition, **more)


@pytest.mark.parametrize(
    ("grants", "terms", "slices", "chunks"),
    [
        ([], SEEN, False, False),
        ([grant("seen", REMOTE)], SEEN, False, False),
        ([grant("seen", SITU)], SEEN, True, False),
        ([grant("seen", DOWNLOAD)], SEEN, True, False),  # the dataset's own condition is the ceiling
        ([grant("open", SITU)], OPEN, True, False),
        ([grant("open", DOWNLOAD)], OPEN, True, True),
        ([grant("far", DOWNLOAD)], FAR, False, False),
        ([grant("seen", SITU)], OPEN, False, False),
        ([grant("seen", SITU, until=NOW)], SEEN, False, False),
        ([grant("seen", SITU, revoked_at=NOW - timedelta(seconds=1))], SEEN, False, False),
    ],
)
def test_looking_and_fetching(grants, terms, slices, chunks):
    for kind, allowed in (("meta", slices), ("slice", slices), ("volume", slices), ("thumbnail", slices), ("chunk", chunks)):
        if allowed:
            assert permitted(grants, ANA, terms, kind, purpose=None, now=NOW).grant == "g1"
        else:
            with pytest.raises(RefusedError) as refused:
                permitted(grants, ANA, terms, kind, purpose=None, now=NOW)
            assert refused.value.message
    assert visible(grants, ANA, [terms], purpose=None, now=NOW) == ({terms.dataset} if slices else set())


def test_stored_objects_are_the_data():
    assert needed("chunk") is DOWNLOAD
    assert needed("slice") is SITU
