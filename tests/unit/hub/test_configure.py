"""JupyterHub's configuration, as values."""

import sys

import pytest
import yaml
from traitlets.config import Config

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab.keys import create_key
from cohortlab_hub import configure
from cohortlab_hub.configure import proxy_command
from cohortlab_hub.settings import Listen
from cohortlab_hub.settings_file import load


@pytest.fixture
def settings(tmp_path):
    key = create_key(tmp_path / "hub.key")
    (tmp_path / "token").write_text("s3cret\n")
    document = {
        "login": {"kind": "demo", "accounts": {"ana": {"groups": ["stewards", "readers"]}, "bob": {"groups": ["readers"]}}},
        "trusted_keys": [key.public.text],
        "federation": {"key": "hub.key", "sites": {"north": {"token": "token"}}},
    }
    file = tmp_path / "workbench.yaml"
    file.write_text(yaml.safe_dump(document))
    return load(file)


@pytest.fixture(autouse=True)
def _proxy(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "configurable-http-proxy"
    program.touch(0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))


def configured(settings, **environment):
    c = Config()
    configure(c, settings, {"COHORTLAB_DEMO_PASSWORD": "x" * 16, "COHORTLAB_PORTS": "1,2,3,4", **environment})
    return c


def test_only_loopback_and_the_ports_that_were_found(settings):
    c = configured(settings)
    assert c.JupyterHub.bind_url == "http://127.0.0.1:1/"
    assert c.ConfigurableHTTPProxy.api_url == "http://127.0.0.1:2"
    assert c.JupyterHub.hub_bind_url == "http://127.0.0.1:3"
    assert c.JupyterHub.services[0]["url"] == "http://127.0.0.1:4"
    assert c.LocalSpawner.service_url == "http://127.0.0.1:1/services/cohortlab/"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "hub.example.org"])  # noqa: S104 - what must be refused
def test_the_demo_login_never_listens_beyond_this_machine(settings, host):
    with pytest.raises(InvalidInputError, match="never listens beyond"):
        configured(settings.model_copy(update={"listen": Listen(host=host)}))


def test_accounts_and_groups_are_those_of_the_file(settings):
    c = configured(settings)
    assert c.Authenticator.allowed_users == {"ana", "bob"}
    assert c.JupyterHub.load_groups == {"readers": {"users": ["ana", "bob"]}, "stewards": {"users": ["ana"]}}
    assert "admin_users" not in c.Authenticator


def test_a_site_may_call_the_service_and_nothing_else(settings):
    c = configured(settings)
    roles = {role["name"]: role for role in c.JupyterHub.load_roles}
    assert roles["cohortlab-sites"] == {"name": "cohortlab-sites", "scopes": ["access:services!service=cohortlab"], "services": ["north"]}
    assert {"name": "north", "api_token": "s3cret"} in c.JupyterHub.services
    assert "access:services!service=cohortlab" in roles["server"]["scopes"]


def test_wrong_ports_are_refused(settings):
    with pytest.raises(InvalidInputError, match="4 ports"):
        configured(settings, COHORTLAB_PORTS="1,2")


def test_without_a_proxy_it_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "bin" / "configurable-http-proxy").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFoundError, match="make setup"):
        proxy_command()
