"""A workbench below a path: whoever asks the hub or the services asks there, and only that path leads in from outside."""

import re

import pytest
import yaml
from chart_values import DEMO, EVERYTHING

BASE = "/imaging/one/"
OWN = re.compile(r"(?<![a-z0-9])(?P<before>/[a-z0-9/.-]*)?(?P<path>hub/(?:health|error|metrics|api)|services/cohortlab/)")
"""Paths of the hub and of its services, with what stands before them."""
PLAIN = EVERYTHING | {"database": {}}


def below(objects):
    """Each path of hub and services that the objects name, with its beginning."""
    text = yaml.safe_dump_all([found for found in objects if found["kind"] != "NetworkPolicy"], width=10_000)
    return {(found["before"] or "", found["path"]) for found in OWN.finditer(re.sub(r"http://[a-z0-9.-]+(?::[0-9]+)?", "", text))}


def named(objects, kind, name):
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("values", [PLAIN, EVERYTHING], ids=["one pod", "services of their own"])
@pytest.mark.parametrize("base", ["/", BASE])
def test_every_path_of_hub_and_services_is_below_the_base_path(render, values, base):
    found = below(render(values | {"basePath": base}))
    asked = {"hub/health", "hub/error", "hub/metrics", "services/cohortlab/"} | ({"hub/api"} if values is EVERYTHING else set())
    assert found == {(base, path) for path in asked}


def test_hub_and_services_know_it(render):
    objects = render(EVERYTHING | {"basePath": BASE})
    workbench = yaml.safe_load(named(objects, "ConfigMap", "workbench")["data"]["workbench.yaml"])
    assert workbench["listen"]["base_path"] == BASE
    assert workbench["kubernetes"]["service_url"] == f"http://services.imaging.svc:8082{BASE}services/cohortlab/"
    (container,) = named(objects, "Deployment", "services")["spec"]["template"]["spec"]["containers"]
    given = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert given["JUPYTERHUB_SERVICE_PREFIX"] == f"{BASE}services/cohortlab/"
    assert given["JUPYTERHUB_API_URL"] == f"http://hub:8081{BASE}hub/api"
    (proxy,) = named(objects, "Deployment", "proxy")["spec"]["template"]["spec"]["containers"]
    assert f"--error-target=http://hub:8081{BASE}hub/error" in proxy["args"]
    assert {proxy[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")} == {
        "/_chp_healthz"
    }  # the proxy's own


@pytest.mark.parametrize(("base", "path"), [("/", "/"), (BASE, "/imaging/one")])
def test_from_outside_only_that_path_leads_in(render, base, path):
    objects = render(EVERYTHING | {"basePath": base})
    (ingress,) = named(objects, "Ingress", "cohortlab")["spec"]["rules"][0]["http"]["paths"]
    assert (ingress["path"], ingress["pathType"]) == (path, "Prefix")
    (rule,) = named(objects, "HTTPRoute", "cohortlab")["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": path}}]


@pytest.mark.parametrize("base", ["", "imaging/", "/imaging", "/Imaging/", "/a//b/", "/a b/"])
def test_another_form_is_refused(refusal, base):
    assert "/basePath" in refusal(DEMO | {"basePath": base})
