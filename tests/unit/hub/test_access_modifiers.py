"""Tables of cases: modifiers of the Data Use Ontology -> what a grant must state, and what a refusal tells the person to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access import Grant, NewGrant, Person, Terms, decide
from cohortlab_hub.access.purposes import STATED, Use, obligations, stateable, unmet

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRU = "DUO:0000042"
RS, NPUNCU, PUB, COL, IRB, GS, MOR, TS, US, PS, IS, RTN, NPU, NCU = (
    f"DUO:00000{n}" for n in (12, 18, 19, 20, 21, 22, 24, 25, 26, 27, 28, 29, 45, 46)
)
ANA = Person("ana", frozenset({"readers"}))
GRANT = Grant("g", "person", "ana", "scans", AccessCondition.DOWNLOAD)


def stating(*codes, **more):
    return replace(GRANT, fulfils=frozenset(codes), **more)


GROUPS = {"subject_kind": "group", "subject": "readers"}


@pytest.mark.parametrize(
    ("modifiers", "grants", "allowed", "says"),
    [
        # what must be there before: the grant states it
        ((IRB,), [GRANT], False, "ethics approval is required (DUO:0000021). Send your ethics approval to a data steward."),
        ((IRB,), [stating(IRB)], True, ""),
        ((COL,), [GRANT], False, "collaboration with the data's provider is required (DUO:0000020). Agree on the collaboration"),
        ((COL,), [stating(COL)], True, ""),
        ((GS,), [GRANT], False, "only in the agreed places (DUO:0000022). Tell a data steward from where you will work."),
        ((GS,), [stating(GS)], True, ""),
        ((IS,), [GRANT], False, "only at the approved institutions (DUO:0000028). Show a data steward that you belong"),
        ((IS,), [stating(IS)], True, ""),
        ((PS,), [GRANT], False, "only for the approved project (DUO:0000027). Tell a data steward which approved project"),
        ((PS,), [stating(PS)], True, ""),
        ((RS,), [GRANT], False, "research-specific restrictions apply (DUO:0000012). Show a data steward"),
        ((RS,), [stating(RS)], True, ""),
        ((NPU,), [GRANT], False, "not-for-profit organisations only (DUO:0000045). Show a data steward that your organisation"),
        ((NPU,), [stating(NPU)], True, ""),
        ((NPUNCU,), [GRANT], False, "not for profit, non-commercial use only (DUO:0000018)"),
        ((NPUNCU,), [stating(NPUNCU)], True, ""),
        # what the grant itself shows
        ((TS,), [GRANT], False, "only for the agreed time (DUO:0000025). Ask a data steward for a grant with the agreed end."),
        ((TS,), [replace(GRANT, until=NOW + timedelta(days=1))], True, "until 2026-03-02"),
        ((TS,), [stating(TS)], False, "only for the agreed time"),  # saying so is no end
        ((US,), [GRANT], True, ""),
        (
            (US,),
            [replace(GRANT, **GROUPS)],
            False,
            "only by the approved persons (DUO:0000026). Ask a data steward for a grant in your own",
        ),
        ((US,), [stating(US, **GROUPS)], False, "only by the approved persons"),
        # promises on what somebody will do
        ((PUB, MOR, RTN, NCU), [GRANT], True, ""),
        # several: one grant must meet all of them
        ((IRB, COL), [stating(IRB, COL)], True, ""),
        (
            (IRB, COL),
            [stating(IRB), stating(COL, id="h")],
            False,
            "collaboration with the data's provider is required (DUO:0000020). Agree",
        ),
        ((IRB, GS), [GRANT], False, "is required (DUO:0000021), only in the agreed places (DUO:0000022). Send your ethics approval"),
        ((IRB, COL, GS), [stating(IRB, COL), stating(id="h")], False, "fulfilled: only in the agreed places (DUO:0000022). Tell"),
        ((IRB,), [GRANT, stating(IRB, id="h")], True, ""),
        ((IRB,), [stating(GS)], False, "ethics approval is required"),
        ((), [GRANT], True, ""),
        # a grant that has ended states nothing any more
        ((IRB,), [stating(IRB, until=NOW), replace(GRANT, id="h")], False, "ethics approval is required"),
        ((IRB,), [stating(IRB, subject="bob"), replace(GRANT, id="h")], False, "ethics approval is required"),
    ],
)
def test_modifiers(modifiers, grants, allowed, says):
    terms = Terms("scans", AccessCondition.DOWNLOAD, Use(frozenset({GRU, *modifiers})))
    decision = decide(grants, ANA, terms, purpose=None, condition=AccessCondition.IN_SITU_PROCESSING, now=NOW)
    assert decision.allowed is allowed
    assert says in decision.reason
    assert allowed or decision.reason.startswith("Refused: scans has terms that your grant does not state as fulfilled: ")


def test_a_decision_rests_on_the_grant_that_states_what_is_needed_though_another_lasts_longer():
    terms = Terms("scans", AccessCondition.DOWNLOAD, Use(frozenset({GRU, IRB})))
    end = NOW + timedelta(hours=1)
    grants = [GRANT, stating(IRB, id="stated", until=end)]
    decision = decide(grants, ANA, terms, purpose=None, condition=AccessCondition.IN_SITU_PROCESSING, now=NOW)
    assert (decision.grant, decision.until) == ("stated", end)


@given(st.sets(st.sampled_from([*sorted(STATED), TS, US, PUB])), st.sets(st.sampled_from(sorted(STATED))), st.booleans(), st.booleans())
def test_to_state_more_never_takes_access_away(codes, stated, personal, ends):
    left = unmet(Use(frozenset(codes)), stated, personal=personal, ends=ends)
    assert set(left) <= set(unmet(Use(frozenset(codes)), (), personal=False, ends=False))
    assert set(left) == codes - stated - {PUB} - ({US} if personal else set()) - ({TS} if ends else set())


def test_every_modifier_is_enforced_or_told_as_a_promise():
    told = obligations(Use(frozenset({RS, NPUNCU, PUB, COL, IRB, GS, MOR, TS, US, PS, IS, RTN, NPU, NCU})))
    assert len(told) == 14
    assert set(stateable()) == STATED


@pytest.mark.parametrize("code", ["DUO:0000042", TS, US, "DUO:21", "irb"])
def test_a_grant_states_only_what_can_be_stated(code):
    with pytest.raises(ValidationError, match="A grant states these modifiers"):
        NewGrant(subject="ana", dataset="scans", reason="study", fulfils=[code])
