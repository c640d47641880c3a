"""The Data Use Ontology: which purpose a dataset's codes allow, and what a refusal says."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access import Grant, Person, Terms, decide, leases
from cohortlab_hub.access.purposes import Diseases, Use, obligations, parts, refusal
from cohortlab_hub.access.rules import with_samples

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANA = Person("ana")
NRES, GRU, HMB, DS, POA, CC = (f"DUO:00000{n}" for n in ("04", "42", "06", "07", "11", "43"))
METHODS, POPULATION, ANCESTRY, BIOMEDICAL, GENETIC, DRUGS = (f"DUO:00000{n}" for n in (31, 32, 33, 37, 38, 39))
NMDS, NPOA, GSO, IRB, NPUNCU = (f"DUO:00000{n}" for n in (15, 44, 16, 21, 18))
BREAST, LUNG, CANCER, DUCTAL = "MONDO:0007254", "MONDO:0008903", "MONDO:0004992", "MONDO:0005590"
DISEASES = Diseases(
    {BREAST: "breast cancer", LUNG: "lung cancer"},
    {BREAST: frozenset({CANCER}), LUNG: frozenset({CANCER}), DUCTAL: frozenset({BREAST}), CANCER: frozenset({CANCER})},
)


def of(disease, code=DS):
    return f"{code}/{disease}"


@pytest.mark.parametrize(
    ("codes", "diseases", "purpose", "says"),
    [
        # no code says nothing and forbids nothing
        ((), (), None, ""),
        ((), (), of(LUNG), ""),
        # NRES
        ((NRES,), (), None, ""),
        ((NRES,), (), CC, ""),
        ((NRES,), (), "DUO:0000026", ""),
        # GRU: any research
        ((GRU,), (), None, ""),
        ((GRU,), (), GRU, ""),
        ((GRU,), (), ANCESTRY, ""),
        ((GRU,), (), METHODS, ""),
        ((GRU,), (), of(LUNG), ""),
        ((GRU,), (), CC, "is for general research (DUO:0000042), the project's purpose is clinical care (DUO:0000043)"),
        ((GRU,), (), "DUO:0000026", "is for general research"),
        # HMB: health research, not ancestry
        ((HMB,), (), None, ""),
        ((HMB,), (), BIOMEDICAL, ""),
        ((HMB,), (), DRUGS, ""),
        ((HMB,), (), of(LUNG), ""),
        ((HMB,), (), POA, "is for health and biomedical research (DUO:0000006)"),
        ((HMB,), (), POPULATION, "is for health and biomedical research"),
        ((HMB,), (), GRU, "is for health and biomedical research (DUO:0000006), the project's purpose is general research"),
        # DS: the disease, or one within it
        ((DS,), (BREAST,), of(BREAST), ""),
        ((DS,), (BREAST,), of(DUCTAL), ""),
        ((DS,), (CANCER,), of(DUCTAL), ""),
        ((DS,), (BREAST,), of(BREAST, METHODS), ""),
        ((DS,), (BREAST, LUNG), of(LUNG), ""),
        (
            (DS,),
            (BREAST,),
            of(LUNG),
            "is for breast cancer research (DUO:0000007), the project's purpose is lung cancer research (DUO:0000007)",
        ),
        ((DS,), (BREAST,), of(CANCER), "is for breast cancer research"),  # a wider disease is another purpose
        ((DS,), (BREAST,), DS, "is for breast cancer research (DUO:0000007), the project's purpose is disease-specific research"),
        ((DS,), (BREAST,), HMB, "is for breast cancer research"),
        ((DS,), (BREAST,), None, "is for breast cancer research (DUO:0000007), no purpose was stated"),
        ((DS,), (BREAST,), of(BREAST, ANCESTRY), "is for breast cancer research"),
        ((DS,), (), of(BREAST), "is for disease-specific research (DUO:0000007)"),  # for which one nobody has said
        ((DS,), ("free:my-disease",), of("free:my-disease"), ""),  # a code of one's own
        ((DS,), (BREAST,), of("mondo:0007254"), "is for breast cancer research"),
        # POA
        ((POA,), (), ANCESTRY, ""),
        ((POA,), (), None, "is for research on population origins or ancestry"),
        ((POA,), (), HMB, "is for research on population origins or ancestry"),
        # CC beside another one, and alone
        ((HMB, CC), (), CC, ""),
        ((HMB, CC), (), HMB, ""),
        ((CC,), (), HMB, "is for clinical care"),
        ((CC,), (), CC, ""),
        # two restrictions: both must allow it
        ((HMB, DS), (BREAST,), of(BREAST), ""),
        ((HMB, DS), (BREAST,), of(LUNG), "is for breast cancer research"),
        # modifiers that speak of the kind of research
        ((GRU, NMDS), (), METHODS, "is bound to: no development of methods (DUO:0000015)"),
        ((GRU, NMDS), (), of(BREAST, METHODS), "is bound to: no development of methods"),
        ((GRU, NMDS), (), HMB, ""),
        ((GRU, NPOA), (), ANCESTRY, "is bound to: no research on population origins"),
        ((GRU, GSO), (), GENETIC, ""),
        ((GRU, GSO), (), HMB, "is bound to: genetic studies only"),
        ((GRU, GSO), (), None, "is bound to: genetic studies only"),
        # what a grant must state, and promises, are no matter of the purpose (see test_access_modifiers)
        ((GRU, IRB, NPUNCU), (), HMB, ""),
    ],
)
def test_what_a_dataset_may_be_used_for(codes, diseases, purpose, says):
    said = refusal(Use(frozenset(codes), frozenset(diseases)), purpose, DISEASES)
    assert says in said
    assert bool(said) is bool(says)


@pytest.mark.parametrize(
    "text", ["lung", "DUO:7", "DUO:0000007/", "DUO:0000007/a b", "DUO:0000007/" + "x" * 60, "", "duo:0000007", "DUO:0000007/x/y"]
)
def test_what_is_no_purpose(text):
    with pytest.raises(ValueError, match="Not a purpose"):
        parts(text)


def grant(**more):
    return Grant(
        **({"id": "g", "subject_kind": "person", "subject": "ana", "dataset": "scans", "condition": AccessCondition.DOWNLOAD} | more)
    )


def terms(*codes, diseases=(BREAST,)):
    return Terms("scans", AccessCondition.DOWNLOAD, Use(frozenset(codes), frozenset(diseases)), DISEASES)


def ask(grants, of_dataset, purpose):
    return decide(grants, ANA, of_dataset, purpose=purpose, condition=AccessCondition.IN_SITU_PROCESSING, now=NOW)


def test_a_grant_never_goes_beyond_what_the_dataset_is_for():
    refused = ask([grant()], terms(DS), of(LUNG))
    assert not refused.allowed
    assert refused.reason == (
        "Refused: scans is for breast cancer research (DUO:0000007), the project's purpose is lung cancer research (DUO:0000007). "
        "Use a project with such a purpose, or ask a data steward."
    )
    assert ask([grant(purpose=of(LUNG))], terms(DS), of(LUNG)).allowed is False
    assert ask([grant()], terms(DS), of(DUCTAL)).allowed is True


@pytest.mark.parametrize(
    ("bound", "purpose", "allowed"),
    [
        (of(CANCER), of(BREAST), True),
        (of(BREAST), of(CANCER), False),
        (of(BREAST), DS, False),
        (DS, of(BREAST), True),
        (of(BREAST), of(BREAST, METHODS), False),
        (of(BREAST), None, False),
        (None, of(BREAST), True),
    ],
)
def test_a_grant_that_is_bound_to_a_purpose(bound, purpose, allowed):
    assert ask([grant(purpose=bound)], terms(), purpose).allowed is allowed


def test_obligations_come_with_a_yes():
    assert ask([grant(fulfils=frozenset({IRB}))], terms(GRU, IRB), None).obligations == ("ethics approval is required (DUO:0000021)",)
    assert obligations(Use(frozenset({GRU}))) == ()


def test_a_revocation_for_cause_is_told_apart():
    gone = grant(revoked_at=NOW, revoked_reason="misuse", for_cause=True)
    assert ask([gone], terms(), None).for_cause
    assert ask([gone, grant(id="h", until=NOW)], terms(), None).for_cause
    assert not ask([grant(revoked_at=NOW)], terms(), None).for_cause
    assert not ask([grant(revoked_at=NOW + timedelta(hours=1), for_cause=True), grant(id="h", until=NOW)], terms(DS), None).for_cause


def test_whoever_may_run_jobs_on_a_dataset_may_open_its_synthetic_sample_and_no_more():
    remote = AccessCondition.REMOTE_PROCESSING
    mine = with_samples([grant(dataset="far", condition=remote, purpose=of(BREAST), until=NOW + timedelta(1))], {"far": "made", "x": "y"})
    datasets = [Terms("far", remote), Terms("made", AccessCondition.DOWNLOAD), Terms("y", AccessCondition.DOWNLOAD)]
    situ = AccessCondition.IN_SITU_PROCESSING
    (lease,) = leases(mine, ANA, datasets, purpose=None, condition=situ, now=NOW)
    assert (lease.dataset, lease.until) == ("made", NOW + timedelta(1))
    download = AccessCondition.DOWNLOAD
    assert leases(mine, ANA, datasets, purpose=None, condition=download, now=NOW) == []


@given(
    st.sets(st.sampled_from([NRES, GRU, HMB, DS, POA, NMDS, NPOA, GSO])),
    st.sampled_from([None, HMB, GRU, METHODS, ANCESTRY, of(BREAST), of(LUNG)]),
)
def test_a_modifier_never_allows_more(codes, purpose):
    for modifier in (NMDS, NPOA, GSO, IRB):
        if not refusal(Use(frozenset(codes | {modifier}), frozenset({BREAST})), purpose, DISEASES):
            assert not refusal(Use(frozenset(codes - {modifier}), frozenset({BREAST})), purpose, DISEASES)
