"""Sign-in at a provider: workbench.yaml -> JupyterHub's configuration, and what a wrong file says."""

import re
import stat
import sys

import pytest
import yaml
from traitlets.config import Config

from cohortlab.errors import RefusedError
from cohortlab.keys import create_key
from cohortlab_hub import configure, records
from cohortlab_hub.identity.arrivals import RESERVED, Arrivals
from cohortlab_hub.settings_file import SettingsError, load


@pytest.fixture(autouse=True)
def _proxy(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "configurable-http-proxy").touch(0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))


@pytest.fixture
def document(tmp_path):
    key = create_key(tmp_path / "gate.key")
    (tmp_path / "secret").write_text("not-to-be-seen-" * 3 + "\n")
    return {
        "state": "state",
        "listen": {"host": "0.0.0.0"},  # noqa: S104 - behind a gateway
        "login": {
            "kind": "oidc",
            "issuer": "https://login.example.org/realms/cohort",
            "client_id": "cohortlab",
            "client_secret": "secret",
            "public_url": "https://hub.example.org",
            "allow": {"groups": ["/cohort/readers"]},
        },
        "trusted_keys": [key.public.text],
    }


def put(document, path, value):
    *outer, last = path.split(".")
    for step in outer:
        document = document.setdefault(step, {})
    if value is ...:
        del document[last]
    else:
        document[last] = value


def write(folder, document):
    file = folder / "workbench.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def configured(folder, document, **environment):
    c = Config()
    configure(c, load(write(folder, document)), {"COHORTLAB_PORTS": "1,2,3,4", **environment})
    return c


@pytest.mark.parametrize(
    ("recipe", "name", "scopes"),
    [
        ("oidc", "sub", ["openid", "profile"]),
        ("keycloak", "preferred_username", ["openid", "profile"]),
        ("lifescience-aai", "sub", ["openid", "profile", "eduperson_entitlement"]),
    ],
)
def test_each_recipe(tmp_path, document, recipe, name, scopes):
    document["login"]["recipe"] = recipe
    auth = configured(tmp_path, document).WorkbenchAuthenticator
    assert (auth.username_claim, auth.scope) == (name, scopes)
    assert [bool(re.match(auth.username_pattern, one)) for one in ("ana@example.org", "command:root", "a b", "ana\n", "")] == [True] + [
        False
    ] * 4
    assert auth.oauth_callback_url == "https://hub.example.org/hub/oauth_callback"
    assert auth.enable_pkce
    assert auth.manage_groups
    assert auth.enable_auth_state
    assert auth.auth_refresh_strict
    assert auth.auth_refresh_age <= 45
    assert auth.allowed_groups == {"/cohort/readers"}
    assert (auth.allow_all, auth.allow_existing_users, auth.allowed_users) == (False, False, set())


def test_a_recipe_can_be_told_otherwise_and_passports_are_asked_for(tmp_path, document):
    document["login"] |= {"name_claim": "uid", "groups_claim": "roles", "scopes": ["openid", "offline_access"]}
    document["passports"] = {"issuers": {"https://rems.example.org/": {"keys": "https://rems.example.org/jwks"}}}
    auth = configured(tmp_path, document).WorkbenchAuthenticator
    assert (auth.username_claim, auth.scope) == ("uid", ["openid", "offline_access", "ga4gh_passport_v1"])
    assert auth.settings.login.how.groups_claim == "roles"


def test_an_institutions_own_authorities_count_whatever_the_client(tmp_path, document):
    assert "ca_certs" not in configured(tmp_path, document).WorkbenchAuthenticator.http_request_kwargs
    auth = configured(tmp_path, document, SSL_CERT_FILE="/etc/authority.pem").WorkbenchAuthenticator
    assert auth.http_request_kwargs["ca_certs"] == "/etc/authority.pem"


def test_peoples_tokens_are_encrypted_with_a_key_of_the_owners_only(tmp_path, document):
    c = configured(tmp_path, document)
    (key,) = c.CryptKeeper["keys"]
    file = tmp_path / "state" / "hub" / "crypt_key"
    assert len(key) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert configured(tmp_path, document).CryptKeeper["keys"] == [key]  # the same at the next start
    assert "keys" not in configured(tmp_path, document, JUPYTERHUB_CRYPT_KEY="x").CryptKeeper  # the operator's own


def test_the_service_may_see_who_has_sessions_and_end_them_and_nothing_else(tmp_path, document):
    roles = {role["name"]: role for role in configured(tmp_path, document).JupyterHub.load_roles}
    assert roles["cohortlab-service"]["services"] == ["cohortlab"]
    assert set(roles["cohortlab-service"]["scopes"]) == {
        "list:users",
        "read:users:name",
        "read:users:groups",
        "read:servers",
        "delete:servers",
    }


@pytest.mark.parametrize(
    ("path", "value", "where", "says"),
    [
        ("login.allow", {}, "login.allow", "Say who is admitted"),
        ("login.allow", {"groups": []}, "login.allow", "Say who is admitted"),
        ("login.allow", ..., "login.allow", "This key is needed"),
        ("login.allow.groups", ["/cohort/readers "], "login.allow.groups.0", "no space first or last"),
        ("login.allow.groups", ["/cohort\u200b"], "login.allow.groups.0", "printable"),
        ("login.issuer", "http://login.example.org", "login.issuer", "begins with https://"),
        ("login.issuer", "https://login.example.org/?x=1", "login.issuer", "begins with https://"),
        ("login.issuer", "https://user:pass@login.example.org/", "login.issuer", "begins with https://"),
        ("login.public_url", "ftp://hub.example.org", "login.public_url", "begins with https://"),
        ("login.client_secret", "nowhere", "login.client_secret", "no file"),
        ("login.recipe", "saml", "login.recipe", "lifescience-aai"),
        ("login.refresh_seconds", 300, "login.refresh_seconds", "less than or equal to 45"),
        ("login.kind", "saml", "login.kind", "'demo' or 'oidc'"),
        ("login.kind", ..., "login.kind", "This key is needed"),
        ("login.colour", "red", "login.colour", "no such key"),
        ("passports", {"issuers": {}}, "passports.issuers", "at least 1 item"),
        ("passports", {"issuers": {"https://x/": {"keys": "http://x/"}}}, "passports.issuers.https://x/.keys", "https://"),
        ("access.negotiators", {"n": {"secret": "gate.key", "datasets": ["none"]}}, "access.negotiators.n.datasets.0", "no dataset none"),
        ("access.negotiators", {"n": {"secret": "short", "datasets": ["x"]}}, "access.negotiators.n.secret", "shorter than 32"),
        ("access.diseases", {"breast cancer": {"title": "x"}}, "access.diseases.breast cancer", "MONDO:0007254"),
        ("access.grace_seconds", -1, "access.grace_seconds", "greater than or equal to 0"),
    ],
)
def test_each_error_has_its_path(tmp_path, document, path, value, where, says):  # noqa: PLR0917 - the columns of the table
    (tmp_path / "short").write_text("x" * 31)
    put(document, path, value)
    with pytest.raises(SettingsError) as caught:
        load(write(tmp_path, document))
    found = dict(caught.value.problems)
    assert where in found, found
    assert says in found[where]
    assert "not-to-be-seen" not in str(caught.value)


def test_passports_need_a_provider(tmp_path, document):
    document["listen"] = {}
    document["login"] = {"kind": "demo", "accounts": {"ana": {}}}
    document["passports"] = {"issuers": {"https://x/": {"keys": "https://x/"}}}
    with pytest.raises(SettingsError, match="Passports come with a sign-in"):
        load(write(tmp_path, document))


def test_an_accounts_name_belongs_to_the_first_who_had_it(tmp_path, document):
    settings = load(write(tmp_path, document))
    records.migrate(settings.database_url)
    arrivals = Arrivals(settings)
    issuer = "https://login.example.org/"
    arrivals.bind("ana", ("s1", issuer), {"/a"}, None)
    arrivals.bind("ana", ("s1", issuer), {"/a"}, {"/a"})
    arrivals.bind("Ana", ("s2", issuer), set(), None)  # another name, another person
    for name, identity in [
        ("ana", ("s3", issuer)),
        ("ana", ("s1", "https://other/")),
        ("bob", ("s1", issuer)),
        ("x" * 256, ("s4", issuer)),
    ]:
        with pytest.raises(RefusedError):
            arrivals.bind(name, identity, set(), None)
    for name in sorted(RESERVED):
        with pytest.raises(RefusedError, match="workbench's own"):
            arrivals.bind(name.upper(), ("s5", issuer), set(), None)
    arrivals.close()
