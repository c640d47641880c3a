"""The chart's objects as Kubernetes reads them: by its own strict schemas, and each name that one gives another is there."""

import re

import pytest
import yaml
from chart_values import CHART, DEMO, EVERYTHING, MATRIX
from jsonschema import Draft202012Validator

from kubernetes_schemas import VERSIONS, definitions

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
PORT = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")


def closed(required, **properties):
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


TEXT, NUMBER, MAP = {"type": "string"}, {"type": "integer"}, {"type": "object"}
MANY = {"type": "array", "minItems": 1}
DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h)){1,4}$"}
# Two kinds are not Kubernetes' own. Here is what the chart uses of them, after Gateway API v1 and the Prometheus operator's v1.
CUSTOM = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): closed(
        ["parentRefs", "rules"],
        parentRefs={**MANY, "items": closed(["name"], name=TEXT, namespace=TEXT, sectionName=TEXT, group=TEXT, kind=TEXT, port=NUMBER)},
        hostnames={**MANY, "items": TEXT},
        rules={
            **MANY,
            "items": closed(
                ["backendRefs"],
                matches={
                    **MANY,
                    "items": closed(
                        [], path=closed(["type", "value"], type={"enum": ["Exact", "PathPrefix", "RegularExpression"]}, value=TEXT)
                    ),
                },
                timeouts=closed([], request=DURATION, backendRequest=DURATION),
                backendRefs={**MANY, "items": closed(["name", "port"], name=TEXT, port=NUMBER)},
            ),
        },
    ),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): closed(
        ["endpoints", "selector"],
        selector=closed([], matchLabels=MAP),
        endpoints={
            **MANY,
            "items": closed(
                ["port"],
                port=TEXT,
                path={"type": "string", "pattern": "^/"},
                interval=DURATION,
                authorization=closed(["credentials"], type=TEXT, credentials=closed(["name", "key"], name=TEXT, key=TEXT)),
            ),
        },
    ),
}


@pytest.fixture(scope="session")
def schemas():
    """(version, apiVersion, kind) -> what validates such an object."""
    made = {}
    for version in VERSIONS:
        defined = definitions(version)
        for name, definition in defined.items():
            for group in definition.get("x-kubernetes-group-version-kind", []):
                api = "/".join(part for part in (group["group"], group["version"]) if part)
                made[version, api, group["kind"]] = Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": defined})
    return made


def wrong(schemas, version, found):
    """What is wrong with an object."""
    kind = found["apiVersion"], found["kind"]
    where = f"{found['kind']} {found['metadata']['name']}"
    if kind in CUSTOM:
        errors = list(Draft202012Validator(CUSTOM[kind]).iter_errors(found["spec"]))
    else:
        errors = list(schemas[version, *kind].iter_errors(found))
    return [f"{where} ({version}) {error.json_path}: {error.message[:200]}" for error in errors]


@pytest.mark.parametrize("case", MATRIX)
def test_every_object_is_of_kubernetes_own_schema(schemas, objects, case):
    assert [problem for version in VERSIONS for found in objects(case) for problem in wrong(schemas, version, found)] == []


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("Deployment", lambda spec: spec["template"]["spec"].update(securityContex={})),
        ("Deployment", lambda spec: spec.update(replicas="two")),
        ("Service", lambda spec: spec["ports"][0].pop("port")),
        ("HTTPRoute", lambda spec: spec["rules"][0].update(timeout="1s")),
        ("ServiceMonitor", lambda spec: spec["endpoints"][0].update(interval="soon")),
    ],
)
def test_a_wrong_object_is_found(schemas, render, kind, spoil):
    found = next(found for found in render(EVERYTHING) if found["kind"] == kind)
    assert wrong(schemas, VERSIONS[-1], found) == []
    spoil(found["spec"])
    assert wrong(schemas, VERSIONS[-1], found)


def templates(objects):
    """(name, metadata, specification) of each kind of pod."""
    for found in objects:
        name = f"{found['kind']} {found['metadata']['name']}"
        if found["kind"] == "Pod":
            yield name, found["metadata"], found["spec"]
        elif found["kind"] == "CronJob":
            inner = found["spec"]["jobTemplate"]["spec"]["template"]
            yield name, inner["metadata"], inner["spec"]
        elif "template" in found.get("spec", {}):
            yield name, found["spec"]["template"]["metadata"], found["spec"]["template"]["spec"]


@pytest.mark.parametrize("case", MATRIX)
def test_names_and_labels_are_ones_that_kubernetes_takes(objects, case):
    seen = set()
    for found in objects(case):
        meta = found["metadata"]
        assert NAME.fullmatch(meta["name"]), meta["name"]
        key = found["kind"], meta["name"]
        assert key not in seen, f"{key} is there twice"
        seen.add(key)
        for labels in [meta.get("labels", {}), *(inner["labels"] for _, inner, _ in templates([found]))]:
            for name, value in labels.items():
                assert LABEL_KEY.fullmatch(name), name
                assert isinstance(value, str), name
                assert LABEL.fullmatch(value), value


@pytest.mark.parametrize("case", MATRIX)
def test_what_is_referred_to_is_there_or_the_operators(objects, case):
    made = {(found["kind"], found["metadata"]["name"]) for found in objects(case)}
    given = str(MATRIX[case])
    for name, _, spec in templates(objects(case)):
        account = spec.get("serviceAccountName")
        assert account is None or ("ServiceAccount", account) in made, name
        volumes = {}
        for volume in spec.get("volumes", []):
            volumes[volume["name"]] = volume
            for kind, key, field in (
                ("Secret", "secret", "secretName"),
                ("ConfigMap", "configMap", "name"),
                ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
            ):
                if key in volume:
                    assert (kind, volume[key][field]) in made or f"'{volume[key][field]}'" in given, f"{name} {volume}"
        mounted = {mount["name"] for container in spec["containers"] for mount in container.get("volumeMounts", [])}
        assert mounted == set(volumes), name
        for container in spec["containers"]:
            ports = {port["name"] for port in container.get("ports", [])}
            assert all(PORT.fullmatch(port) for port in ports), ports
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert probe not in container or container[probe]["httpGet"]["port"] in ports, name
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            assert len(paths) == len(set(paths)), name


@pytest.mark.parametrize("case", MATRIX)
def test_each_service_leads_to_a_port_of_its_pods_and_policies_open_only_such(objects, case):
    pods = [(meta["labels"], {port["name"]: port["containerPort"] for c in spec["containers"] for port in c.get("ports", [])})
            for _, meta, spec in templates(objects(case))]  # fmt: skip
    for found in objects(case):
        if found["kind"] == "Service":
            mine = [ports for labels, ports in pods if found["spec"]["selector"].items() <= labels.items()]
            assert mine, found["metadata"]["name"]
            assert all(port["targetPort"] in ports for ports in mine for port in found["spec"]["ports"]), found["metadata"]["name"]
        if found["kind"] == "NetworkPolicy" and found["spec"]["podSelector"].get("matchLabels"):
            selected = found["spec"]["podSelector"]["matchLabels"].items()
            mine = [ports for labels, ports in pods if selected <= labels.items()]
            for rule in found["spec"].get("ingress", []):
                assert all(given["port"] in ports.values() for ports in mine for given in rule["ports"]), found["metadata"]["name"]


@pytest.mark.parametrize("case", MATRIX)
def test_every_pod_of_every_kind_is_under_a_policy_of_its_own(objects, case):
    policies = [found["spec"] for found in objects(case) if found["kind"] == "NetworkPolicy"]
    for name, meta, _ in templates(objects(case)):
        mine = [one for one in policies if one["podSelector"].get("matchLabels", {"": ""}).items() <= meta["labels"].items()]
        egress = [rule for one in mine for rule in one.get("egress", [])]
        if name.endswith(" image-puller") or "placeholder" in name:
            assert not egress, name  # they speak to nobody
        assert not any(rule.get("to") in (None, []) for rule in egress), name


def test_from_outside_all_ways_lead_to_the_proxy_under_tls(render):
    objects = render(EVERYTHING)
    by_kind = {found["kind"]: found["spec"] for found in objects if found["kind"] in {"Ingress", "HTTPRoute"}}
    (proxy,) = [found["spec"] for found in objects if found["kind"] == "Service" and found["metadata"]["name"] == "proxy-public"]
    (port,) = proxy["ports"]
    assert (port["name"], port["port"]) == ("https", 443)
    assert by_kind["Ingress"]["tls"] == [{"hosts": EVERYTHING["ingress"]["hosts"], "secretName": "tls"}]
    (path,) = by_kind["Ingress"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": "proxy-public", "port": {"name": "https"}}
    assert by_kind["HTTPRoute"]["rules"][0]["backendRefs"] == [{"name": "proxy-public", "port": 443}]
    (deployment,) = [spec for name, _, spec in templates(objects) if name == "Deployment proxy"]
    (container,) = deployment["containers"]
    assert {"--ssl-key=/etc/tls/tls.key", "--ssl-cert=/etc/tls/tls.crt"} <= set(container["args"])
    assert container["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"
    plain = render(EVERYTHING | {"proxy": {}, "ingress": {"enabled": False}, "httpRoute": {"enabled": False}})
    assert not [found for found in plain if found["kind"] in {"Ingress", "HTTPRoute"}]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(("database", "where"), [({}, "hub"), ({"existingSecret": "database"}, "services")])
def test_sessions_ask_the_services_themselves_where_the_proxy_speaks_tls(render, tls, database, where):
    """The proxy's certificate names the public host, which a session does not reach."""
    found = render(DEMO | {"database": database} | ({"proxy": {"tlsSecret": "proxy-tls"}} if tls else {}))
    host = "services.imaging.svc:8082" if tls else "proxy-public.imaging.svc"
    (config,) = [one for one in found if one["kind"] == "ConfigMap" and "workbench.yaml" in one.get("data", {})]
    told = yaml.safe_load(config["data"]["workbench.yaml"])
    assert told["kubernetes"]["service_url"] == f"http://{host}/services/cohortlab/"
    policies = {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "NetworkPolicy"}
    sessions = {"component": "singleuser-server"}
    into = [peer for rule in policies[where]["ingress"] if rule["ports"][0]["port"] == 8082 for peer in rule["from"]]
    assert ({"podSelector": {"matchLabels": sessions}} in into) is tls
    out = [rule["ports"][0]["port"] for rule in policies["singleuser"]["egress"]]
    assert (8082 in out) is tls


def test_placeholders_give_way_to_sessions(render):
    for case, sessions, placeholders in (("everything", "release-sessions", "release-placeholders"), ("gpu", "high", "low")):
        objects = render(MATRIX[case])
        classes = {found["metadata"]["name"]: found for found in objects if found["kind"] == "PriorityClass"}
        if case == "everything":
            assert classes[placeholders]["value"] < classes[sessions]["value"]
            assert classes[placeholders]["preemptionPolicy"] == "Never"
        else:
            assert not classes
        (holder,) = [spec for name, _, spec in templates(objects) if name == "StatefulSet placeholder-course"]
        assert holder["priorityClassName"] == placeholders
        (container,) = holder["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
        (workbench,) = [found for found in objects if found["kind"] == "ConfigMap" and found["metadata"]["name"] == "workbench"]
        profiles = yaml.safe_load(workbench["data"]["workbench.yaml"])["profiles"]
        assert {profile["priority_class"] for profile in profiles.values()} == {sessions}


def test_gpu_sessions_pullers_and_placeholders_share_their_nodes(render):
    objects = render(MATRIX["gpu"])
    for name in ("DaemonSet image-puller", "StatefulSet placeholder-course"):
        (spec,) = [spec for found, _, spec in templates(objects) if found == name]
        assert spec["nodeSelector"] == {"pool": "gpu"}
        assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    (workbench,) = [found for found in objects if found["kind"] == "ConfigMap" and found["metadata"]["name"] == "workbench"]
    kubernetes = yaml.safe_load(workbench["data"]["workbench.yaml"])["kubernetes"]
    assert (kubernetes["node_selector"], kubernetes["tolerations"]) == ({"pool": "gpu"}, [{"key": "nvidia.com/gpu", "operator": "Exists"}])


def test_a_backup_reaches_the_records_where_they_are(render):
    for case in ("everything", "gpu"):
        ((_, _, spec),) = [one for one in templates(render(MATRIX[case])) if one[0] == "CronJob backup"]
        claims = {volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume}
        assert "backups" in claims
        assert ("hub-state" in claims) is (case == "gpu")
        assert ("affinity" in spec) is (case == "gpu")  # SQLite: on the hub's node


VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = yaml.safe_load((CHART / "values.schema.json").read_text())
SAME_EVERYWHERE = {
    "resources",
    "requests",
    "limits",
    "nodeSelector",
    "tolerations",
    "affinity",
    "annotations",
    "image",
    "enabled",
    "policies",
}
MAPS = {
    ("dashboard", "labels"),
    ("network", "apiServer"),
    ("network", "dns", "namespaceLabels"),
    ("network", "dns", "podLabels"),
    ("ingest", "source"),
}
FREE = {"workbench", "stores", "global"}  # maps of the operator's own keys


def leaves(values, path=()):
    for key, value in values.items():
        if isinstance(value, dict) and value and key not in SAME_EVERYWHERE and (*path, key) not in MAPS:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def test_each_value_has_its_schema_and_each_schema_its_value():
    def compare(values, schema, path):
        properties = schema.get("properties", {})
        if path and path[0] in FREE:
            return
        if "properties" not in schema:
            return
        assert set(values) == set(properties) - ({"global"} if not path else set()), path
        assert schema["additionalProperties"] is False, path
        for key, value in values.items():
            if isinstance(value, dict):
                compare(value, properties[key], (*path, key))

    compare(VALUES, SCHEMA, ())


def test_each_value_is_explained():
    """By a comment above it or beside it, or as one of those that are the same everywhere; each part by a comment above it."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    explained, path = set(), []
    for number, line in enumerate(lines):
        found = re.match(r"( *)([A-Za-z][\w.]*):", line)
        if found:
            path = [*path[: len(found[1]) // 2], found[2]]
            if lines[number - 1].strip().startswith("#") or " # " in line:
                explained.add(tuple(path))
    missing = []
    for leaf in leaves(VALUES):
        own = leaf in explained or leaf[-1] in SAME_EVERYWHERE
        pair = leaf == ("ingest", "version")  # said with the line above it
        if not (own or pair):
            missing.append(".".join(leaf))
    assert missing == []
    parts = {key for key, value in VALUES.items() if isinstance(value, dict) and (key,) not in explained}
    assert parts == set()
