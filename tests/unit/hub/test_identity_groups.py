"""Groups of a provider -> group names, and group names that were built to be taken for others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortlab_hub.identity.groups import names

NAMESPACE, AUTHORITY = "urn:geant:lifescience-ri.eu", "aai.lifescience-ri.eu"


def entitlement(path, namespace=NAMESPACE, authority=AUTHORITY):
    return f"{namespace}:group:{path}#{authority}"


@pytest.mark.parametrize(
    ("form", "claim", "expected"),
    [
        ("plain", ["readers", "stewards"], {"readers", "stewards"}),
        ("plain", "readers", {"readers"}),
        ("plain", "a,b", {"a,b"}),  # one name
        ("plain", None, set()),
        ("plain", {"stewards": True}, set()),
        ("plain", [["stewards"], 7, None, {"name": "stewards"}], set()),
        # what could be taken for another group
        ("plain", ["stewards ", " stewards", "stewards\n", "stewards\u200b", "ste\x00wards", "", "x" * 256], set()),
        ("plain", ["Stewards", "STEWARDS", "st\u0435wards"], {"Stewards", "STEWARDS", "st\u0435wards"}),  # other groups, not folded
        ("path", ["/cohort/readers"], {"/cohort/readers"}),
        ("path", ["readers"], set()),  # a short name, which two groups may share
        ("path", ["/", "//readers", "/cohort/", "/cohort//readers", "cohort/readers"], set()),
        ("entitlement", [entitlement("cohort")], {"/cohort"}),
        ("entitlement", [entitlement("cohort:readers")], {"/cohort/readers"}),
        ("entitlement", [entitlement("cohort:role=manager")], {"/cohort/role=manager"}),
        ("entitlement", [entitlement("cohort%20x")], {"/cohort x"}),
        # another authority, another namespace, another form
        ("entitlement", [entitlement("cohort", authority="evil.example.org")], set()),
        ("entitlement", [entitlement("cohort", authority=AUTHORITY + ".evil.example.org")], set()),
        ("entitlement", [entitlement("cohort", namespace="urn:geant:lifescience-ri.eu.evil")], set()),
        ("entitlement", [f"urn:evil#{entitlement('cohort')}"], set()),
        ("entitlement", [f"{NAMESPACE}:group:cohort"], set()),
        ("entitlement", ["/cohort", "cohort"], set()),
        # an encoded separator would make one group look like another's subgroup
        ("entitlement", [entitlement("cohort%2Freaders"), entitlement("cohort%3Areaders"), entitlement("%2e%2e%2Fcohort")], set()),
        ("entitlement", [entitlement("cohort%252Freaders"), entitlement("cohort%23x"), entitlement("cohort%ff")], set()),
        ("entitlement", [entitlement(""), entitlement("cohort:"), entitlement(":cohort"), entitlement("a::b")], set()),
    ],
)
def test_names(form, claim, expected):
    assert names(claim, form, NAMESPACE, AUTHORITY) == expected


paths = st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8), min_size=1, max_size=3)


@given(paths, paths)
def test_two_groups_never_share_a_name(first, second):
    def made(parts):
        from urllib.parse import quote  # noqa: PLC0415 - only here

        return names([entitlement(":".join(quote(part, safe="=") for part in parts))], "entitlement", NAMESPACE, AUTHORITY)

    if first != second:
        assert made(first).isdisjoint(made(second))
