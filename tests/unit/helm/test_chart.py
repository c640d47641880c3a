"""What the chart makes: closed by default, restricted, and the same workbench.yaml that the hub reads."""

import json

import pytest
import yaml
from chart_values import CHART, DEMO, DIGEST, EVERYTHING, EXTERNAL, GPU_DIGEST, MATRIX

import helm_tool


def pods(objects):
    """(name, pod specification, pod metadata) of everything that makes pods."""
    for found in objects:
        kind, name = found["kind"], found["metadata"]["name"]
        if kind == "Pod":
            yield f"{kind} {name}", found["spec"], found["metadata"]
        elif kind == "CronJob":
            inner = found["spec"]["jobTemplate"]["spec"]["template"]
            yield f"{kind} {name}", inner["spec"], inner["metadata"]
        elif kind in {"Deployment", "StatefulSet", "DaemonSet", "Job"}:
            yield f"{kind} {name}", found["spec"]["template"]["spec"], found["spec"]["template"]["metadata"]


def named(objects, kind, name):
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("case", MATRIX)
def test_every_pod_is_restricted(render, case):
    seen = 0
    for name, spec, _ in pods(render(MATRIX[case])):
        seen += 1
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), name
        assert spec.get("automountServiceAccountToken", True) is (name == "Deployment hub"), name
        assert not any("hostPath" in volume for volume in spec.get("volumes", [])), name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["privileged"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name
            assert container["resources"]["requests"]["cpu"], name
    assert seen >= 3


@pytest.mark.parametrize("case", MATRIX)
def test_the_network_is_closed_but_for_the_list(render, case):
    objects = render(MATRIX[case])
    policies = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "NetworkPolicy"}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for rule in policy.get("egress", []):
            assert rule.get("to"), f"{name} lets everything out"
            for peer in rule["to"]:
                cidr = peer.get("ipBlock", {}).get("cidr", "")
                assert not (cidr == "0.0.0.0/0" and name != "hub"), name  # the hub's is the API server's, by port
                assert not cidr.endswith("/0") or rule["ports"], name
    session = policies["singleuser"]["egress"]
    reached = [(str(peer), tuple(port["port"] for port in rule["ports"])) for rule in session for peer in rule["to"]]
    services = [(8082,)] if MATRIX[case].get("proxy", {}).get("tlsSecret") else []
    assert [ports for _, ports in reached] == [(53, 53), (8081,), (8000,), *services]
    assert not any("ipBlock" in peer for peer, _ in reached)


def test_sessions_that_outlive_the_release_stay_closed(render):
    objects = render(EVERYTHING)
    for name in ("default-deny", "singleuser"):
        assert named(objects, "NetworkPolicy", name)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_what_an_operator_lists_a_session_may_reach(render):
    rule = {"to": [{"ipBlock": {"cidr": "10.20.30.40/32"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    objects = render(DEMO | {"network": {"sessionEgress": [rule]}})
    assert named(objects, "NetworkPolicy", "singleuser")["spec"]["egress"][-1] == rule


@pytest.mark.parametrize("case", MATRIX)
def test_rights_are_the_namespaces_and_no_more(render, case):
    objects = render(MATRIX[case])
    assert not [o for o in objects if o["kind"].startswith("Cluster")]
    for role in (o for o in objects if o["kind"] == "Role"):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            assert "secrets" not in rule["resources"]
            assert not any("/" in resource for resource in rule["resources"])  # no exec, no attach


def test_the_image_of_each_profile_is_pulled(render):
    puller = named(render(EVERYTHING), "DaemonSet", "image-puller")
    assert {c["image"] for c in puller["spec"]["template"]["spec"]["containers"]} == {DIGEST, GPU_DIGEST}


def test_no_secret_outside_of_secrets(render):
    objects = render(DEMO)
    values = list(named(objects, "Secret", "hub")["data"].values())
    assert len(values) == len(set(values)) == 6
    others = yaml.safe_dump_all([o for o in objects if o["kind"] != "Secret"])
    assert not [value for value in values if value in others]


def test_an_own_secret_and_one_database_for_several_replicas(render):
    objects = render(EXTERNAL)
    assert not [o for o in objects if o["kind"] in {"Secret", "PersistentVolumeClaim"}]
    services = named(objects, "Deployment", "services")
    assert services["spec"]["replicas"] == 3
    assert {"name": "secrets", "secret": {"secretName": "own", "defaultMode": 0o440}} in services["spec"]["template"]["spec"]["volumes"]


@pytest.mark.parametrize("case", MATRIX)
def test_stores_are_read_only_but_for_the_gate(render, case):
    for name, spec, _ in pods(render(MATRIX[case])):
        for container in spec["containers"]:
            for mount in container.get("volumeMounts", []):
                if mount["mountPath"].startswith("/stores/") and not name.startswith("Job ingest-"):
                    assert mount["readOnly"] is True, name


def test_selectors_match_their_pods(render):
    for found in render(EVERYTHING):
        if found["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}:
            labels = found["spec"]["template"]["metadata"]["labels"]
            assert found["spec"]["selector"]["matchLabels"].items() <= labels.items()
    objects = render(EVERYTHING)
    labels = [meta["labels"] for _, _, meta in pods(objects)]
    for service in (o for o in objects if o["kind"] == "Service"):
        assert any(service["spec"]["selector"].items() <= of_pod.items() for of_pod in labels), service["metadata"]["name"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "workbench.login is empty"),
        ({"workbench": {"login": {"kind": "demo"}, "trusted_keys": DEMO["workbench"]["trusted_keys"]}}, "allowDemoLogin"),
        ({"workbench": {"login": {"kind": "oidc"}}}, "trusted_keys is empty"),
        (DEMO | {"hub": {"replicas": 2}}, "'replicas' not allowed"),
        (DEMO | {"stores": {"lake": {"size": "1Ti"}}}, "stores.lake: give one of"),
        (DEMO | {"ingest": {"enabled": True}}, "/ingest/keySecret"),
        (DEMO | {"ingress": {"enabled": True}}, "/ingress/hosts"),
        (DEMO | {"sessions": {"placeholders": [{"name": "a", "replicas": 1, "cpu": "1", "memory": "1Gi"}]}}, "need a priority"),
        (DEMO | {"workbench": {**DEMO["workbench"], "database": "sqlite://"}}, "/workbench"),
        (DEMO | {"hub": {"resources": {"limits": {"memory": []}}}}, "/hub/resources/limits/memory"),
    ],
)
def test_wrong_values_are_refused_with_what_to_do(refusal, values, said):
    assert said in refusal(values)


@pytest.mark.parametrize("program", helm_tool.all_majors(), ids=lambda program: f"helm {helm_tool.major(program)}")
@pytest.mark.parametrize("case", MATRIX)
def test_lint_finds_nothing(helm, case, program):
    """With each major version of Helm that is here."""
    done = helm(MATRIX[case], "--strict", verb="lint", program=program)
    assert done.returncode == 0, done.stdout


def test_metrics_are_read_with_the_token_and_by_who_is_listed(render):
    objects = render(EVERYTHING)
    monitor = named(objects, "ServiceMonitor", "cohortlab")["spec"]
    ports = {port["name"]: service for service in objects if service["kind"] == "Service" for port in service["spec"]["ports"]}
    for endpoint in monitor["endpoints"]:
        service = ports[endpoint["port"]]
        assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        if endpoint["port"] != "proxy-metrics":  # its numbers are not about anybody, and it knows no tokens
            key = endpoint["authorization"]["credentials"]
            assert key == {"name": "hub", "key": "hub.services.cohortlab-metrics.apiToken"}
            assert key["key"] in named(objects, "Secret", "hub")["data"]
    listed = EVERYTHING["network"]["metricsIngress"]
    for name, port in (("hub", 8081), ("services", 8083), ("proxy", 8002)):
        rules = [rule for rule in named(objects, "NetworkPolicy", name)["spec"]["ingress"] if rule.get("from") == listed]
        assert [given["port"] for rule in rules for given in rule["ports"]][:1] == [port], name
    workbench = yaml.safe_load(named(objects, "ConfigMap", "workbench")["data"]["workbench.yaml"])
    assert workbench["metrics"]["token"].endswith(key["key"])
    for policy in (o for o in render(DEMO) if o["kind"] == "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            assert not {8083, 8002} & {given["port"] for given in rule["ports"]}, "nobody is listed"


def test_the_dashboard_is_there_for_grafana(render):
    board = named(render(EVERYTHING), "ConfigMap", "cohortlab-dashboard")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(board["data"]["cohortlab.json"]) == json.loads((CHART / "dashboards" / "cohortlab.json").read_text())
    assert not [o for o in render(DEMO) if o["metadata"]["name"] == "cohortlab-dashboard"]
