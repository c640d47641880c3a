"""The pod builder: golden objects, Pod Security `restricted`, names that never meet.

A golden file is written anew by ``COHORTLAB_WRITE_GOLDEN=1 pytest tests/unit/hub/test_pods.py``; look at the difference.
"""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cohortlab_hub.sessions import pods
from cohortlab_hub.sessions.pods import Mount, Session
from cohortlab_hub.sessions.settings import GpuKind, GpuRequest, Home, Kubernetes, Material, Profile, Shared, Toleration, Volume

GOLDEN = Path(__file__).parent / "golden"
IMAGE = "registry.example.org/cohortlab/session@sha256:" + "1" * 64
KUBERNETES = Kubernetes(
    namespace="sessions",
    hub_url="http://hub:8081",
    service_url="http://proxy-public/services/cohortlab/",
    volumes={"stores": Volume(claim="stores", path="/stores"), "courses": Volume(claim="courses", path="/courses")},
)
LARGE = KUBERNETES.model_copy(
    update={
        "shared": Shared(claim="shared", groups=["/lung", "/breast"]),
        "home": Home(claim="homes"),
        "groups": [4000],
        "pull_secrets": ["registry"],
        "node_selector": {"pool": "sessions"},
        "labels": {"release": "cohortlab"},
        "runtime_class": "gvisor",
        "user_namespaces": True,
    }
)
GPUS = {
    "a100": GpuKind(
        total=4,
        node_selector={"gpu": "a100"},
        tolerations=[Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")],
    )
}
PROFILES = {
    "small": Profile(image=IMAGE, cpu=1, memory="2Gi"),
    "gpu": Profile(image=IMAGE, cpu=8, cpu_guarantee=4, memory="64Gi", memory_guarantee="32Gi", gpu=GpuRequest(kind="a100", count=2)),
    "course": Profile(
        image=IMAGE,
        cpu=1.5,
        material={"intro": Material(volume="courses", folder="intro/2026")},
        environment={"COURSE": "intro", "HOME": "/root"},
        priority_class="courses",
        scratch="1Gi",
    ),
}
SCANS = Mount("scans", "stores", "scans/1.0.0")
FILMS = Mount("films", "stores", "films/2.0.0")
ENVIRONMENT = {"JUPYTERHUB_API_TOKEN": "a-token", "JUPYTERHUB_USER": "ana", "COURSE_": "x"}
CASES = {
    "small": (Session("ana"), "small", [], KUBERNETES),
    "small-with-datasets": (Session("ana"), "small", [SCANS, FILMS], KUBERNETES),
    "gpu": (Session("Ana.Müller@example.org", frozenset({"/lung"})), "gpu", [SCANS], LARGE),
    "course": (Session("bob", server="lesson-1"), "course", [FILMS], KUBERNETES),
}


def build(case):
    session, profile, datasets, kubernetes = CASES[case]
    return pods.pod(session, (profile, PROFILES[profile]), datasets, kubernetes, GPUS, environment=ENVIRONMENT, arguments=["--x=1"])


@pytest.mark.parametrize("case", CASES)
def test_each_profiles_pod_is_the_golden_one(case):
    session, _, _, kubernetes = CASES[case]
    made = {"pod": build(case), "home": pods.home(session.person, kubernetes)}
    file = GOLDEN / f"{case}.json"
    if os.environ.get("COHORTLAB_WRITE_GOLDEN"):
        file.write_text(json.dumps(made, indent=2, sort_keys=True) + "\n")
    assert made == json.loads(file.read_text())


def restricted(pod):
    """What Pod Security `restricted` (Kubernetes 1.31) finds wrong with a pod; none: []."""
    spec, wrong = pod["spec"], []
    wrong += [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    wrong += [f"volume {volume['name']}" for volume in spec["volumes"] if not set(volume) - {"name"} <= allowed]
    security = spec["securityContext"]
    if not security.get("runAsNonRoot") or security.get("runAsUser") == 0 or security["seccompProfile"]["type"] != "RuntimeDefault":
        wrong.append("pod securityContext")
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        own = container["securityContext"]
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False or own["capabilities"] != {"drop": ["ALL"]}:
            wrong.append(container["name"])
        wrong += [f"host port of {container['name']}" for port in container["ports"] if "hostPort" in port]
    return wrong


@pytest.mark.parametrize("case", CASES)
def test_every_pod_meets_the_restricted_standard_and_more(case):
    pod = build(case)
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    assert restricted(pod) == []
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"cpu", "memory"} <= set(container["resources"]["limits"])
    assert all(volume["emptyDir"].get("sizeLimit") for volume in spec["volumes"] if "emptyDir" in volume)
    assert pod["metadata"]["labels"]["hub.jupyter.org/network-access-hub"] == "true"


@pytest.mark.parametrize("case", CASES)
def test_datasets_are_read_only_by_sub_path_and_their_folder_too(case):
    spec = build(case)["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    below = {path: mount for path, mount in mounts.items() if path.startswith(("/datasets/", "/material/"))}
    for path, mount in below.items():
        assert mount["readOnly"] is True, path
        assert mount["subPath"]
        assert volumes[mount["name"]]["persistentVolumeClaim"]["readOnly"] is True
    datasets = {path.removeprefix("/datasets/") for path in below if path.startswith("/datasets/")}
    assert datasets == {mount.dataset for mount in CASES[case][2]}
    assert mounts.get("/datasets", {"readOnly": True})["readOnly"] is True
    writable = {path for path, mount in mounts.items() if not mount.get("readOnly")}
    assert {path for path in writable if not path.startswith("/shared/")} == {"/home/session", "/tmp", "/scratch", "/dev/shm"}  # noqa: S108


def test_a_profile_without_gpus_asks_for_none_and_sees_none():
    container = build("small")["spec"]["containers"][0]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in container["env"]
    gpu = build("gpu")
    assert gpu["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert gpu["metadata"]["labels"]["cohortlab/gpu"] == "a100"
    assert "NVIDIA_VISIBLE_DEVICES" not in {entry["name"] for entry in gpu["spec"]["containers"][0]["env"]}


def test_a_profiles_variables_replace_none_of_the_workbenchs():
    environment = {entry["name"]: entry["value"] for entry in build("course")["spec"]["containers"][0]["env"]}
    assert environment["HOME"] == "/home/session"
    assert environment["COURSE"] == "intro"
    assert environment["JUPYTERHUB_API_TOKEN"] == "a-token"  # noqa: S105 - the test's own


def test_stores_become_sub_paths_of_the_innermost_volume():
    inner = KUBERNETES.model_copy(update={"volumes": {**KUBERNETES.volumes, "deep": Volume(claim="deep", path="/stores/deep")}})
    made = pods.mounts({"scans": Path("/stores/scans/1.0.0"), "films": Path("/stores/deep/films")}, inner)
    assert made == [Mount("films", "deep", "films"), Mount("scans", "stores", "scans/1.0.0")]


@pytest.mark.parametrize("store", ["/elsewhere/scans", "/stores", "/storesx/scans"])
def test_a_store_in_no_volume_is_not_mounted(store):
    with pytest.raises(ValueError, match="in no volume"):
        pods.mounts({"scans": Path(store)}, KUBERNETES)


@pytest.mark.parametrize("dataset", ["../scans", "a/b", "", ".", "..", "/scans"])
def test_a_dataset_id_that_is_a_path_is_not_mounted(dataset):
    with pytest.raises(ValueError, match="Not a mount"):
        pods.mounts({dataset: Path("/stores/scans")}, KUBERNETES)


@given(st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=2, unique=True))
@example(["ana", "Ana"])
@example(["a-b", "a.b"])
@example(["/lung", "lung"])
@example(["/lung/a", "/lung-a"])
@example(["a--b", "a-b"])
@example(["x" * 33, "x" * 34])
def test_two_people_or_groups_never_share_a_name_or_path(names):
    first, second = map(pods.unique, names)
    assert first != second
    for made in (first, second):
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,46}[a-z0-9]|[a-z]", made)
        assert len(f"session-{made}") <= 63


@given(st.tuples(st.text(min_size=1, max_size=20), st.text(max_size=20)), st.tuples(st.text(min_size=1, max_size=20), st.text(max_size=20)))
@example(("ana", "lesson"), ("ana-lesson", ""))
@example(("ana", "lesson"), ("ana--lesson", ""))
@example(("a", "bc"), ("ab", "c"))
def test_two_sessions_never_share_a_pod(first, second):
    one, other = (pods.pod_name(Session(person, server=server)) for person, server in (first, second))
    assert (one == other) == (first == second)
    assert len(one) <= 63


@pytest.mark.parametrize(("quantity", "size"), [("1", 1), ("8Gi", 8 << 30), ("500M", 500_000_000), ("2Ti", 2 << 40), ("3k", 3000)])
def test_quantities(quantity, size):
    assert pods.size(quantity) == size
