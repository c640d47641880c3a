"""The values for stock zero-to-jupyterhub: of the shape that its chart takes, and its hub configured by the same package.

The chart itself comes from a host of its own, so it is not here: `SHAPE` is what its schema says of the values that we set (3.3 to 4.3),
and `before` is what its jupyterhub_config.py does before it runs `hub.extraConfig`. An install of it is not tried.
"""

import os

import pytest
import yaml
from chart_values import CHART
from traitlets.config import Config

from cohortlab_hub.settings_file import load

VALUES = yaml.safe_load((CHART.parent / "z2jh-values.yaml").read_text())
TEXT, FLAG, ANY, LIST = str, bool, dict, list
SHAPE = {
    "hub": {
        "image": {"name": TEXT, "tag": TEXT},
        "db": {"type": TEXT, "pvc": {"storage": TEXT}},
        "containerSecurityContext": ANY,
        "extraEnv": ANY,
        "services": ANY,
        "extraFiles": ANY,
        "extraVolumes": LIST,
        "extraVolumeMounts": LIST,
        "extraConfig": ANY,
        "service": {"extraPorts": LIST},
        "networkPolicy": {"ingress": LIST},
    },
    "singleuser": {
        "storage": {"type": TEXT},
        "cloudMetadata": {"blockWithIptables": FLAG},
        "networkPolicy": {
            "enabled": FLAG,
            "egress": LIST,
            "egressAllowRules": {
                "cloudMetadataServer": FLAG,
                "dnsPortsCloudMetadataServer": FLAG,
                "dnsPortsKubeSystemNamespace": FLAG,
                "dnsPortsPrivateIPs": FLAG,
                "nonPrivateIPs": FLAG,
                "privateIPs": FLAG,
            },
        },
    },
    "cull": {"enabled": FLAG},
    "scheduling": {"userScheduler": {"enabled": FLAG}},
    "prePuller": {"hook": {"enabled": FLAG}, "continuous": {"enabled": FLAG}, "extraImages": ANY},
}
KEYS = {
    "hub.config.ConfigurableHTTPProxy.auth_token": "p" * 64,
    "hub.config.JupyterHub.cookie_secret": "c" * 64,
    "hub.config.CryptKeeper.keys": "d" * 64,
    "hub.services.cohortlab.apiToken": "s" * 32,
    "hub.services.cohortlab-metrics.apiToken": "m" * 32,
}


def unknown(values, shape, path=""):
    """Paths that are not in `shape`, or are of another type."""
    for key, value in values.items():
        here, expected = f"{path}.{key}", shape.get(key)
        if isinstance(expected, dict):
            yield from unknown(value, expected, here) if isinstance(value, dict) else [here]
        elif expected is None or not isinstance(value, expected):
            yield here


def test_its_values_are_ones_that_the_chart_knows():
    assert list(unknown(VALUES, SHAPE)) == []
    for file in VALUES["hub"]["extraFiles"].values():
        assert set(file) <= {"mountPath", "data", "stringData", "binaryData", "mode"}


def test_sessions_are_closed_by_default():
    allowed = VALUES["singleuser"]["networkPolicy"]["egressAllowRules"]
    assert [name for name, yes in allowed.items() if yes] == ["dnsPortsKubeSystemNamespace"]
    assert VALUES["singleuser"]["networkPolicy"]["egress"] == []
    labels = VALUES["hub"]["extraFiles"]["workbench"]["data"]["kubernetes"]["labels"]
    assert {"app", "release"} <= set(labels)  # by these the chart's policies know a session


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The hub's configuration, as the chart's jupyterhub_config.py leaves it after `hub.extraConfig`."""
    secrets, stores = tmp_path / "secret", tmp_path / "stores"
    for folder in (secrets, stores, tmp_path / "oidc"):
        folder.mkdir()
    for name, content in KEYS.items():
        (secrets / name).write_text(content)
    (tmp_path / "oidc" / "client-secret").write_text("of-the-provider")
    places = {"/usr/local/etc/jupyterhub/secret": secrets, "/srv/jupyterhub": tmp_path / "srv", "/etc/cohortlab/oidc": tmp_path / "oidc"}
    text = yaml.safe_dump(VALUES["hub"]["extraFiles"]["workbench"]["data"])
    for inside, here in places.items():
        text = text.replace(inside, str(here))
    (tmp_path / "workbench.yaml").write_text(text)
    for name, value in VALUES["hub"]["extraEnv"].items():
        monkeypatch.setenv(name, str(places.get(value, value)))
    monkeypatch.setenv("COHORTLAB_WORKBENCH", str(tmp_path / "workbench.yaml"))
    c = before(Config())
    for _, code in sorted(VALUES["hub"]["extraConfig"].items()):
        exec(code, {"c": c, "__builtins__": __builtins__})  # noqa: S102 - as the chart does it
    return c, load(tmp_path / "workbench.yaml")


def before(c):
    """What the chart has set by then, where it matters to us."""
    c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
    c.JupyterHub.hub_bind_url, c.JupyterHub.hub_connect_url = "http://:8081", "http://hub:8081"
    c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"
    c.JupyterHub.services = [{"name": name, "api_token": "x"} for name in VALUES["hub"]["services"]]
    c.JupyterHub.load_roles = []
    c.JupyterHub.cookie_secret = "c" * 64
    c.CryptKeeper.keys = ["d" * 64]
    c.ConfigurableHTTPProxy.api_url, c.ConfigurableHTTPProxy.should_start = "http://proxy-api:8001", False
    c.KubeSpawner.start_timeout, c.KubeSpawner.image = 300, "quay.io/jupyterhub/k8s-singleuser-sample:4"
    return c


def test_the_hub_is_configured_by_the_same_package(hub):
    c, settings = hub
    assert c.JupyterHub.spawner_class.__name__ == "KubernetesSpawner"
    assert c.JupyterHub.authenticator_class == "cohortlab_hub.identity.authenticator.WorkbenchAuthenticator"
    assert (c.ConfigurableHTTPProxy.should_start, c.ConfigurableHTTPProxy.api_url) == (False, "http://proxy-api:8001")
    assert c.ConfigurableHTTPProxy.auth_token == KEYS["hub.config.ConfigurableHTTPProxy.auth_token"]
    assert c.JupyterHub.cookie_secret == bytes.fromhex("c" * 64)
    services = {service["name"]: service for service in c.JupyterHub.services}
    assert services["cohortlab"]["url"] == "http://hub:8082"
    assert services["cohortlab-metrics"]["api_token"] == KEYS["hub.services.cohortlab-metrics.apiToken"]
    assert c.JupyterHub.db_url == f"sqlite:///{settings.state}/hub/jupyterhub.sqlite"
    assert (settings.state / "hub" / "records.sqlite").exists()
    assert c.JupyterHub.tornado_settings["slow_spawn_timeout"] == 3


def test_what_the_service_listens_on_is_open_to_who_asks(hub):
    _, settings = hub
    ports = {port["name"]: port["targetPort"] for port in VALUES["hub"]["service"]["extraPorts"]}
    assert settings.kubernetes.services_url == f"http://hub:{ports['services']}"
    assert settings.metrics.port == ports["metrics"]
    (rule,) = VALUES["hub"]["networkPolicy"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [ports["services"]]
    mounts = {mount["mountPath"]: mount for mount in VALUES["hub"]["extraVolumeMounts"]}
    volumes = {volume["name"] for volume in VALUES["hub"]["extraVolumes"]}
    assert all(mount["readOnly"] and mount["name"] in volumes for mount in mounts.values())
    assert {volume.path for volume in settings.kubernetes.volumes.values()} <= set(mounts)
    assert os.path.dirname(VALUES["hub"]["extraFiles"]["workbench"]["data"]["login"]["client_secret"]) in mounts  # noqa: PTH120 - a path in a pod
