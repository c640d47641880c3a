"""The recipes for LifeScience AAI and Keycloak at a real OpenID provider that says what those providers say, in their shape."""

import pytest
import yaml
from member import Member
from provider_process import CLIENT, Provider, needs_provider
from running import Running
from tiny import write_workbench

from cohortlab_hub import ports

AAI = "urn:geant:lifescience-ri.eu:group:"
AUTHORITY = "#aai.lifescience-ri.eu"
# subject -> claims, as each provider's userinfo has them
PEOPLE = {
    "lifescience-aai": {
        "4f2a@lifescience-ri.eu": {
            "name": "Ana Lima",
            "preferred_username": "ana",
            "eduperson_entitlement": [
                f"{AAI}eucaim:cohort{AUTHORITY}",
                f"{AAI}eucaim:cohort:stewards:role=owner{AUTHORITY}",
                f"{AAI}eucaim:stewards#aai.example.org",  # of another authority
                "urn:geant:example.org:group:eucaim:stewards" + AUTHORITY,  # of another namespace
                f"{AAI}eucaim%2Fstewards{AUTHORITY}",  # a slash would make it another group
                "urn:mace:dir:entitlement:common-lib-terms",
                "https://lifescience-ri.eu/stewards",
            ],
        },
        "77bd@lifescience-ri.eu": {"preferred_username": "bob", "eduperson_entitlement": f"{AAI}other{AUTHORITY}"},
        "90ce@lifescience-ri.eu": {"preferred_username": "cy", "groups": ["/eucaim/cohort"]},  # not the claim that counts
    },
    "keycloak": {
        "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0": {
            "name": "Ana Lima",
            "given_name": "Ana",
            "preferred_username": "ana",
            "groups": ["/cohort/readers", "/cohort/readers/lung", "stewards", "offline_access", "default-roles-cohort"],
            "realm_access": {"roles": ["offline_access", "/cohort/stewards", "stewards"]},  # roles are no groups
            "resource_access": {"cohortlab": {"roles": ["/cohort/stewards"]}},
        },
        "11111111-2222-3333-4444-555555555555": {"preferred_username": "bob", "groups": ["readers", "cohort/readers"]},  # short names
        "66666666-7777-8888-9999-000000000000": {"preferred_username": "cy", "realm_access": {"roles": ["/cohort/readers"]}},
    },
}
EXPECTED = {  # recipe -> (who is admitted as, their groups, whom the workbench lets in, who are stewards)
    "lifescience-aai": (
        "4f2a@lifescience-ri.eu",
        ["/eucaim/cohort", "/eucaim/cohort/stewards/role=owner"],
        "/eucaim/cohort",
        "/eucaim/stewards",
    ),
    "keycloak": ("ana", ["/cohort/readers", "/cohort/readers/lung"], "/cohort/readers", "/cohort/stewards"),
}


@pytest.fixture(params=sorted(PEOPLE))
def workbench(request, tmp_path):
    needs_provider()
    recipe = request.param
    [port] = ports.choose("127.0.0.1", 0, 0)
    hub = f"http://127.0.0.1:{port}/"
    provider = Provider(tmp_path / "provider", hub, PEOPLE[recipe])
    file = write_workbench(tmp_path)
    document = yaml.safe_load(file.read_text())
    document["login"] = {
        "kind": "oidc",
        "recipe": recipe,
        "issuer": provider.issuer,
        "client_id": CLIENT,
        "client_secret": "provider/secret",
        "public_url": hub,
        "allow": {"groups": [EXPECTED[recipe][2]]},
    }
    document["steward_groups"] = [EXPECTED[recipe][3]]
    file.write_text(yaml.safe_dump(document))
    running = Running([str(file), "--port", str(port)])
    try:
        running.until("is ready")
        yield recipe, hub
    finally:
        running.stop()
        provider.stop()


def test_groups_of_the_provider_s_own_form_and_nobody_else(workbench):
    recipe, hub = workbench
    name, groups, *_ = EXPECTED[recipe]
    first, *others = PEOPLE[recipe]
    with Member(hub, first, name) as ana:
        assert ana.answer.status_code == 200, ana.answer.text
        assert ana.signed_in
        token = ana.token()
        me = ana.http.get("hub/api/user", headers={"Authorization": f"token {token}"}).json()
        assert (me["name"], sorted(me["groups"])) == (name, groups)
        assert ana.service("grants", token).status_code == 403  # what only looks like it makes no steward
        assert ana.http.get("hub/grants").status_code == 403
    for other in others:
        with Member(hub, other) as somebody:
            assert somebody.answer.status_code == 403
            assert not somebody.signed_in
