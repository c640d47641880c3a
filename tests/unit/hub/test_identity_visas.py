"""GA4GH Passport v1: a table with a row for each rule on visas."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cohortlab_hub.identity.visas import Trust, VisaError, admit, clause_matches, pattern_matches, read

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
T = int(NOW.timestamp())
REMS, UNI, HUB = "https://rems.example.org/", "https://uni.example.org/", "https://broker.example.org/"
DATA, DAC = "https://data.example.org/datasets/scans", "https://dac.example.org"
ANA = ("ana-sub", HUB)
CUSTOM = "https://example.org/visa/custom"
SAME = Trust(same_subjects=True)
TRUST = {REMS: SAME, UNI: SAME, HUB: Trust(links=True)}


def claims(kind="ControlledAccessGrants", *, value=DATA, body=None, **more):
    """A right visa with changes; a claim that is `...` is left out."""
    visa = {"type": kind, "asserted": T - 100, "value": value, "source": DAC, "by": "dac"} | (body or {})
    found = {"iss": REMS, "sub": "ana-sub", "iat": T - 50, "exp": T + 3600, "ga4gh_visa_v1": visa} | more
    found["ga4gh_visa_v1"] = {k: v for k, v in visa.items() if v is not ...} if "ga4gh_visa_v1" not in more else more["ga4gh_visa_v1"]
    return {k: v for k, v in found.items() if v is not ...}


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({}, None),
        # "The standard JWT payload claims iss, sub, iat, exp are all REQUIRED"
        ({"iss": ...}, "claim iss"),
        ({"sub": ...}, "claim sub"),
        ({"iat": ...}, "claim iat"),
        ({"exp": ...}, "claim exp"),
        ({"sub": 7}, "claim sub"),
        ({"sub": ""}, "claim sub"),
        ({"exp": True}, "claim exp"),
        ({"exp": "2030"}, "claim exp"),
        ({"exp": 1e300}, "claim exp"),
        ({"exp": float("nan")}, "claim exp"),
        ({"jti": ...}, None),
        # expiry: a cut-off after which no access is granted
        ({"exp": T}, "expired"),
        ({"exp": T - 1}, "expired"),
        ({"exp": T + 1}, None),
        ({"iat": T + 3600}, "from the future"),
        ({"iat": T + 30}, None),  # clocks differ
        ({"nbf": T + 3600}, "from the future"),
        # RFC 7519 4.1.3: a token for somebody else is not for us
        ({"aud": "somebody"}, "somebody else"),
        ({"aud": ["somebody", "cohortlab"]}, None),
        ({"aud": []}, "somebody else"),
        # AAI OIDC Profile, "Visa Access Token Format" 5: "MUST NOT include aud"; "Conformance for Passport Clearinghouses" 5.2.2:
        # one that is more than an hour old counts only where its issuer is polled
        ({"scope": "openid", "aud": "cohortlab"}, "has aud"),
        ({"scope": "openid ga4gh", "iat": T - 3599}, None),
        ({"scope": "openid ga4gh", "iat": T - 3600}, "expired"),
        ({"scope": "notopenid", "iat": T - 3601}, None),
        # the visa object and its REQUIRED claims
        ({"ga4gh_visa_v1": ...}, "no ga4gh_visa_v1"),
        ({"ga4gh_visa_v1": []}, "no ga4gh_visa_v1"),
        ({"body": {"type": ...}}, "claim type"),
        ({"body": {"asserted": ...}}, "claim asserted"),
        ({"body": {"value": ...}}, "claim value"),
        ({"body": {"source": ...}}, "claim source"),
        ({"body": {"value": ["x"]}}, "claim value"),
        ({"body": {"asserted": T + 3600}}, "asserted in the future"),
        # other claims MAY exist within the object and are ignored
        ({"body": {"colour": "red"}}, None),
        # "MUST include the by claim": ControlledAccessGrants, AcceptedTermsAndPolicies
        ({"body": {"by": ...}}, "needs `by`"),
        ({"kind": "AcceptedTermsAndPolicies", "body": {"by": ...}}, "needs `by`"),
        ({"kind": "ResearcherStatus", "body": {"by": ...}}, None),
        # fixed vocabulary of by
        ({"body": {"by": "DAC"}}, "no word"),
        ({"body": {"by": "boss"}}, "no word"),
        ({"body": {"by": ["dac"]}}, "no word"),
        ({"body": {"by": 1}}, "no word"),
        # URL claims: at most 255 characters, an opaque string
        ({"body": {"source": "x" * 20}}, "source is no URL"),
        ({"body": {"source": "https://e.org/" + "x" * 255}}, "source is no URL"),
        ({"body": {"source": "https://no.organization"}}, None),
        ({"value": "scans"}, "value is no URL"),
        ({"value": "https://e.org/a b"}, "value is no URL"),
        ({"value": "https://e.org/" + "x" * 255}, "value is no URL"),
        ({"kind": "ResearcherStatus", "value": "researcher"}, "value is no URL"),
        ({"kind": "AcceptedTermsAndPolicies", "value": "yes"}, "value is no URL"),
        # AffiliationAndRole is split at the first @, "or otherwise producing an error"
        ({"kind": "AffiliationAndRole", "value": "faculty@uni.example.org"}, None),
        ({"kind": "AffiliationAndRole", "value": "faculty"}, "role@affiliation"),
        ({"kind": "AffiliationAndRole", "value": "@uni.example.org"}, "role@affiliation"),
        ({"kind": "AffiliationAndRole", "value": "faculty@"}, "role@affiliation"),
        ({"kind": "AffiliationAndRole", "value": "faculty@uni@example.org"}, None),  # at the first @
        # custom roles: a namespace, a dot; a-z, digits, - and _, a letter first; without an institution no.organization
        ({"kind": "AffiliationAndRole", "value": "nih.researcher@med.example.org"}, None),
        ({"kind": "AffiliationAndRole", "value": "public.citizen-scientist@no.organization"}, None),
        ({"kind": "AffiliationAndRole", "value": "NIH.Researcher@med.example.org"}, "nor a custom role"),
        ({"kind": "AffiliationAndRole", "value": "nih.1st@med.example.org"}, "nor a custom role"),
        ({"kind": "AffiliationAndRole", "value": "nih.@med.example.org"}, "nor a custom role"),
        (
            {"kind": "AffiliationAndRole", "value": "nih.lab.researcher@med.example.org"},
            "nor a custom role",
        ),  # a dot is no character of a role
        # of eduPersonScopedAffiliation "faculty, student, or member"; eduPerson's affiliate and library-walk-in are nobody's members
        ({"kind": "AffiliationAndRole", "value": "student@uni.example.org"}, None),
        ({"kind": "AffiliationAndRole", "value": "member@uni.example.org"}, None),
        ({"kind": "AffiliationAndRole", "value": "affiliate@uni.example.org"}, "nor a custom role"),
        ({"kind": "AffiliationAndRole", "value": "Faculty@uni.example.org"}, "nor a custom role"),
        ({"body": {"conditions": None}}, "conditions"),
        ({"body": {"conditions": {}}}, "conditions"),
        ({"body": {"conditions": "x"}}, "conditions"),
        ({"kind": "https://example.org/visa/custom", "value": "anything"}, None),  # ignored later, not an error
    ],
)
def test_read(changed, refusal):
    if refusal is None:
        assert read(claims(**changed), NOW, "cohortlab").issuer == REMS
    else:
        with pytest.raises(VisaError, match=refusal):
            read(claims(**changed), NOW, "cohortlab")


def visa(*arguments, **more):
    return read(claims(*arguments, **more), NOW)


def faculty(**more):
    return visa("AffiliationAndRole", **({"value": "faculty@uni.example.org", "iss": UNI, "body": {"by": "so", "source": UNI}} | more))


def granting(*conditions, **more):
    return visa(body={"conditions": list(conditions)}, **more)


SO = {"type": "AffiliationAndRole", "value": "const:faculty@uni.example.org", "by": "const:so"}
STATUS = {"type": "ResearcherStatus", "value": "const:https://doi.org/10.1038/s41431-018-0219-y"}
BONA_FIDE = {"value": "https://doi.org/10.1038/s41431-018-0219-y"}


def researcher(**more):
    return visa("ResearcherStatus", **BONA_FIDE, **more)


@pytest.mark.parametrize(
    ("visas", "counts"),
    [
        ([visa()], True),
        # trust: the issuer, and the source that asserts
        ([visa(iss="https://evil.example.org/")], False),
        ([visa(iss=REMS.rstrip("/"))], False),  # a URL is compared letter by letter
        ([visa(iss=REMS.upper())], False),
        # custom types are ignored
        ([visa("https://example.org/visa/custom")], False),
        ([visa("controlledaccessgrants")], False),
        # who asserts it for themselves is granted nothing
        ([visa(body={"by": "self"})], False),
        ([visa(body={"by": "peer"})], False),
        ([visa(body={"by": "system"})], True),
        # a visa about somebody else (replayed into this passport)
        ([visa(sub="bob-sub")], False),
        ([visa(sub="ANA-SUB")], False),
        # conditions: disjunctive normal form
        ([granting([SO])], False),
        ([granting([SO]), faculty()], True),
        ([granting([SO, STATUS]), faculty()], False),  # AND
        ([granting([SO, STATUS]), faculty(), researcher()], True),
        ([granting([STATUS], [SO]), faculty()], True),  # OR
        ([granting([STATUS], [SO]), researcher()], True),
        ([granting(), faculty()], True),  # an empty list asks for nothing
        ([granting([]), faculty()], False),  # an alternative without clauses is none
        ([granting(SO), faculty()], False),  # not a list of lists
        ([granting([[SO]]), faculty()], False),
        ([granting(["AffiliationAndRole"]), faculty()], False),
        # all claims of a clause match the same visa
        (
            [granting([SO]), faculty(body={"by": "system", "source": UNI}), faculty(value="student@y", body={"by": "so", "source": UNI})],
            False,
        ),
        # what meets a condition must itself count
        ([granting([SO]), faculty(iss="https://evil.example.org/")], False),
        ([granting([SO]), faculty(sub="bob-sub")], False),
        # visas with conditions meet none: no nesting, no loops
        ([granting([SO]), faculty(body={"by": "so", "source": UNI, "conditions": [[STATUS]]}), researcher()], False),
        ([granting([SO]), faculty(body={"by": "so", "source": UNI, "conditions": []})], False),
        ([granting([{"type": "ControlledAccessGrants", "value": f"const:{DATA}"}])], False),  # itself
        # custom types that are not supported are ignored, in conditions too
        ([granting([{"type": CUSTOM, "value": "const:x"}]), visa(CUSTOM, value="x")], False),
    ],
)
def test_which_visas_count(visas, counts):
    found = admit(visas, ANA, TRUST, NOW)
    assert any(one.type == "ControlledAccessGrants" for one, _ in found.visas) is counts


@pytest.mark.parametrize(
    ("clause", "matches"),
    [
        ({"type": "AffiliationAndRole", "value": "const:faculty@uni.example.org"}, True),
        ({"type": "AffiliationAndRole", "value": "const:Faculty@uni.example.org"}, False),  # case-sensitive
        ({"type": "AffiliationAndRole", "value": "const:faculty@uni.example.or"}, False),  # the whole string
        ({"type": "AffiliationAndRole", "value": "const:faculty@*"}, False),  # no pattern in const
        ({"type": "AffiliationAndRole", "value": "pattern:faculty@*"}, True),
        ({"type": "AffiliationAndRole", "value": "pattern:*@uni.example.???"}, True),
        ({"type": "AffiliationAndRole", "value": "pattern:faculty@uni.example.??"}, False),
        ({"type": "AffiliationAndRole", "value": "split_pattern:faculty@*"}, True),
        ({"type": "AffiliationAndRole", "value": "pattern:[f]aculty@*"}, False),  # only ? and * are special
        ({"type": "AffiliationAndRole", "by": "const:so"}, True),
        ({"type": "AffiliationAndRole", "source": f"const:{UNI}"}, True),
        ({"type": "AffiliationAndRole", "source": f"const:{UNI}", "by": "const:dac"}, False),
        ({"type": "ResearcherStatus", "value": "pattern:*"}, False),
        # the type is const and has no prefix
        ({"type": "const:AffiliationAndRole", "value": "pattern:*"}, False),
        ({"type": "*", "value": "pattern:*"}, False),
        # a type and at least one claim more
        ({"type": "AffiliationAndRole"}, False),
        ({"value": "const:faculty@uni.example.org"}, False),
        ({}, False),
        ("AffiliationAndRole", False),
        # prefix unknown, absent, or no text: fails to match
        ({"type": "AffiliationAndRole", "value": "regex:.*"}, False),
        ({"type": "AffiliationAndRole", "value": "faculty@uni.example.org"}, False),
        ({"type": "AffiliationAndRole", "value": ":faculty@uni.example.org"}, False),
        ({"type": "AffiliationAndRole", "value": ["pattern:*"]}, False),
        # MUST NOT include conditions or a timestamp
        ({"type": "AffiliationAndRole", "value": "pattern:*", "conditions": []}, False),
        ({"type": "AffiliationAndRole", "value": "pattern:*", "asserted": "pattern:*"}, False),
        ({"type": "AffiliationAndRole", "value": "pattern:*", "colour": "pattern:*"}, False),
    ],
)
def test_a_condition_clause(clause, matches):
    assert clause_matches(clause, faculty()) is matches


def test_a_clause_on_a_claim_that_the_visa_does_not_have():
    assert not clause_matches({"type": "ResearcherStatus", "by": "pattern:*"}, researcher(body={"by": ...}))


def test_split_pattern_is_the_standards_own_example():
    value = "001,https:%2F%2Fexample1.org;123,https:%2F%2Fexample2.org;456,https:%2F%2Fexample3.org"
    linked = visa("LinkedIdentities", value=value)
    for how, matches in (("split_pattern:123,https:%2F%2Fexample?.org", True), ("pattern:123,https:%2F%2Fexample?.org", False)):
        assert clause_matches({"type": "LinkedIdentities", "value": how}, linked) is matches


def linked(*pairs, iss=HUB, sub="ana-sub", exp=T + 3600):
    value = ";".join(f"{subject},{issuer.replace(':', '%3A').replace('/', '%2F')}" for subject, issuer in pairs)
    return visa("LinkedIdentities", value=value, iss=iss, sub=sub, exp=exp)


OTHER = {REMS: Trust(), UNI: Trust(links=True), HUB: Trust(links=True)}


@pytest.mark.parametrize(
    ("links", "until"),
    [
        ([], None),
        ([linked(("123", REMS))], T + 3600),  # one visa that links
        ([linked(("123", REMS), ("9", UNI))], T + 3600),  # or a superset
        ([linked(("9", UNI)), linked(("123", REMS), iss=UNI, sub="9")], T + 3600),  # or a chain
        ([linked(("123", REMS), exp=T + 60)], T + 60),  # no longer than the link
        ([linked(("9", UNI), exp=T + 60), linked(("123", REMS), iss=UNI, sub="9")], T + 60),
        ([linked(("123", REMS), exp=T + 60), linked(("123", REMS), exp=T + 900)], T + 900),  # the best of two
        ([linked(("123", REMS), iss=UNI, sub="somebody")], None),  # a link of others
        ([linked(("123", REMS), iss=REMS, sub="ana-sub")], None),  # by an issuer whose links do not count
        ([linked(ANA, iss=REMS, sub="123")], None),  # which says that its own 123 is ana
        ([linked(("124", REMS))], None),
        ([visa("LinkedIdentities", value="123;https://rems.example.org/", iss=HUB)], None),  # of another form
        ([visa("LinkedIdentities", value="9,x; 123,https%3A%2F%2Frems.example.org%2F", iss=HUB)], None),  # "no added whitespace"
        ([visa("LinkedIdentities", value="123,https%3A%2F%2Frems.example.org%2F,x", iss=HUB)], None),
    ],
)
def test_identities_are_combined_only_by_a_trusted_link(links, until):
    found = admit([visa(sub="123", exp=T + 3600), *links], ANA, OTHER, NOW)
    ends = [int(end.timestamp()) for one, end in found.visas if one.type == "ControlledAccessGrants"]
    assert ends == ([] if until is None else [until])


def test_the_same_subject_of_another_issuer_is_another_person_unless_the_operator_says_otherwise():
    """General Requirements 8.4: Visa Identities are combined only by LinkedIdentities of a trusted issuer."""
    assert admit([visa()], ANA, {REMS: Trust()}, NOW).visas == ()
    assert admit([visa(iss=HUB)], ANA, {HUB: Trust()}, NOW).visas  # of the provider itself
    assert admit([visa()], ANA, {REMS: SAME}, NOW).visas


def test_a_visa_of_an_issuer_that_nobody_trusts_is_refused_for_that():
    assert admit([visa(iss="https://evil.example.org/")], ANA, TRUST, NOW).refused == ("Its issuer is not trusted.",)


def test_a_visa_that_is_an_access_token_counts_for_an_hour():
    assert visa(scope="openid", iat=T - 600, exp=T + 86400).expires == NOW + timedelta(seconds=3000)
    assert visa(scope="openid", iat=T - 600, exp=T + 60).expires == NOW + timedelta(seconds=60)


def test_expiry_is_the_earliest_of_all_visas_that_were_needed():
    found = admit([granting([SO, STATUS]), faculty(exp=T + 600), faculty(exp=T + 900), researcher(exp=T + 700)], ANA, TRUST, NOW)
    assert {int(end.timestamp()) for one, end in found.visas if one.conditions} == {T + 700}


def test_an_operator_may_limit_how_long_after_its_assertion_a_visa_counts():
    trust = {REMS: Trust(same_subjects=True, longest=timedelta(seconds=300))}
    ((_, ends),) = admit([visa()], ANA, trust, NOW).visas
    assert int(ends.timestamp()) == T - 100 + 300
    assert admit([visa(body={"asserted": T - 300})], ANA, trust, NOW).visas == ()


def test_an_operator_may_name_the_sources_that_count():
    assert admit([visa()], ANA, {REMS: Trust(same_subjects=True, sources=frozenset({DAC}))}, NOW).visas
    assert admit([visa()], ANA, {REMS: Trust(same_subjects=True, sources=frozenset({DAC + "/"}))}, NOW).visas == ()


def simple(pattern, text):
    """Says the same by the definition, slowly."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(simple(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in {"?", text[0]} and simple(pattern[1:], text[1:])


@given(st.text("ab?*", max_size=8), st.text("ab*", max_size=8))
@example("*", "")
@example("?", "")
@example("", "")
@example("a*b*c", "abbbc")
def test_patterns_are_what_the_standard_says(pattern, text):
    assert pattern_matches(pattern, text) is simple(pattern, text)


def test_a_pattern_cannot_keep_the_hub_busy():
    assert not pattern_matches("*a" * 500, "a" * 499 + "b" * 4000)
