"""The hub as pods of a cluster: addresses, secrets from files, and what is said when one is missing."""

from pathlib import Path

import pytest
from traitlets.config import Config

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab_hub import cluster
from cohortlab_hub.configure import configure
from cohortlab_hub.settings_file import load

KEY = "ed25519:9IDMKb9KLGQcx8CZ9LcnZ22bTXRLISEUKUDyCHFmVXQ"
WORKBENCH = f"""
listen: {{host: 0.0.0.0, port: 8000}}
login: {{kind: demo, trial_in_cluster: true, accounts: {{researcher: {{}}}}}}
trusted_keys: ["{KEY}"]
kubernetes:
  namespace: imaging
  hub_url: http://hub.imaging.svc:8081
  service_url: http://proxy-public.imaging.svc/services/cohortlab/
profiles:
  cpu: {{image: "registry.example.org/session@sha256:{64 * "a"}"}}
"""


@pytest.fixture
def environment(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "hub.config.ConfigurableHTTPProxy.auth_token").write_text("proxy-token\n")
    (folder / "hub.config.JupyterHub.cookie_secret").write_text(64 * "c")
    (folder / "hub.config.CryptKeeper.keys").write_text(64 * "d")
    (folder / "hub.services.cohortlab.apiToken").write_text("service-token")
    (folder / "demo.password").write_text("a-password-of-the-demo")
    return {cluster.SECRETS_VARIABLE: str(folder)}


@pytest.fixture
def settings(tmp_path):
    def settings(more=""):
        file = tmp_path / "workbench.yaml"
        file.write_text(WORKBENCH + more)
        return load(file)

    return settings


def configured(settings, environment):
    c = Config()
    configure(c, settings, environment)
    return c


def test_the_proxy_is_a_pod_of_its_own_and_sessions_outlive_the_hub(settings, environment):
    c = configured(settings(), environment)
    assert c.ConfigurableHTTPProxy.should_start is False
    assert c.ConfigurableHTTPProxy.api_url == "http://proxy-api:8001"
    assert c.ConfigurableHTTPProxy.auth_token == "proxy-token"  # noqa: S105 - the test's own
    assert "command" not in c.ConfigurableHTTPProxy
    assert c.JupyterHub.hub_connect_url == "http://hub.imaging.svc:8081"
    assert (c.JupyterHub.cleanup_servers, c.JupyterHub.cleanup_proxy) == (False, False)
    assert c.JupyterHub.last_activity_interval <= 15  # seconds until a new proxy knows the sessions
    assert c.JupyterHub.cookie_secret == bytes.fromhex(64 * "c")
    assert c.CryptKeeper["keys"] == [bytes.fromhex(64 * "d")]
    assert c.SharedPasswordAuthenticator.user_password == "a-password-of-the-demo"  # noqa: S105 - the test's own


def test_with_sqlite_the_service_runs_beside_the_hub(settings, environment):
    service = configured(settings(), environment).JupyterHub.services[0]
    assert service["url"] == "http://services:8082"
    assert service["environment"][cluster.BIND_VARIABLE] == "0.0.0.0"  # noqa: S104 - inside a pod
    assert service["command"]
    assert "api_token" not in service


def test_with_postgresql_it_is_somewhere_else(settings, environment, tmp_path):
    (tmp_path / "records").write_text("postgresql+psycopg://user:word@database/records\n")
    (tmp_path / "jupyterhub").write_text("postgresql+psycopg://user:word@database/jupyterhub\n")
    c = configured(settings("database_file: records\nhub_database_file: jupyterhub\n"), environment)
    service = c.JupyterHub.services[0]
    assert (service["url"], service["api_token"]) == ("http://services:8082", "service-token")
    assert not {"command", "environment"} & set(service)
    assert c.JupyterHub.db_url == "postgresql+psycopg://user:word@database/jupyterhub"


@pytest.mark.parametrize(
    "wrong",
    [
        ("hub.config.ConfigurableHTTPProxy.auth_token", "", NotFoundError, "is not there"),
        ("hub.config.JupyterHub.cookie_secret", "no-hexadecimal", InvalidInputError, "hexadecimal"),
        ("hub.config.CryptKeeper.keys", "abcd", InvalidInputError, "2 bytes"),
        ("demo.password", "", NotFoundError, "is not there"),
    ],
)
def test_a_wrong_secret_is_named_and_not_shown(settings, environment, wrong):
    name, content, error, said = wrong
    (Path(environment[cluster.SECRETS_VARIABLE]) / name).write_text(content)
    with pytest.raises(error, match=said) as caught:
        configured(settings(), environment)
    assert name in str(caught.value)
    assert not content or content not in str(caught.value)


def test_a_hub_in_a_cluster_needs_to_know_it(settings, environment, tmp_path):
    settings()
    file = tmp_path / "workbench.yaml"
    file.write_text(f'login: {{kind: demo, accounts: {{researcher: {{}}}}}}\ntrusted_keys: ["{KEY}"]\n')
    with pytest.raises(InvalidInputError, match="kubernetes"):
        configured(load(file), environment)


def test_the_demo_login_is_not_shared_beyond_a_machine_unless_asked_for(tmp_path):
    file = tmp_path / "workbench.yaml"
    file.write_text(WORKBENCH.replace("trial_in_cluster: true, ", ""))
    with pytest.raises(InvalidInputError, match="only for this machine"):
        load(file)


def test_an_image_by_tag_is_for_a_trial_that_says_so(tmp_path):
    file = tmp_path / "workbench.yaml"
    by_tag = WORKBENCH.replace(f"session@sha256:{64 * 'a'}", "session:0.1.0")
    file.write_text(by_tag)
    with pytest.raises(InvalidInputError, match="by its digest"):
        load(file)
    file.write_text(by_tag.replace("  namespace: imaging", "  namespace: imaging\n  images_by_tag: true"))
    assert load(file).profiles["cpu"].image == "registry.example.org/session:0.1.0"
