"""A workbench installed by its chart with PostgreSQL, an OpenID provider, two datasets through the ingest Job, a third at three hospitals,
and two pretended GPUs.

The images are those of `make images` and the one of `outside/Dockerfile`, on the nodes already: COHORTLAB_CLUSTER_IMAGES is a pattern
for their names, by default `localhost/cohortlab-{}:test` for hub, proxy, session, site and outside.
"""

import os
import secrets
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import surroundings
import yaml
from hospitals import FEDERATED, Hospitals
from hospitals import PROJECT as STUDY
from kube import Kube, helm

from certificates import certificate

CHART = Path(__file__).parents[2] / "helm" / "cohortlab"
RELEASE = "cohortlab"
PORT = 30080  # a NodePort: the provider sends people back to one address, which must be known before the install
ADDRESS = f"http://127.0.0.1:{PORT}/"
DATASETS = ("synthetic-lesions", "organs")  # the tutorial's, and another
PEOPLE = ("ana", "bob", "cy", "tina", "mallory", "steward")
PROJECT = "course"
GRACE = 5  # seconds that a revoked session has left
CLIENT_SECRET = "only-for-a-test"  # noqa: S105 - a test's
_WORKBENCH = "/etc/cohortlab/workbench.yaml"


def image(part: str) -> str:
    """The image of a part, as the nodes know it."""
    return os.environ.get("COHORTLAB_CLUSTER_IMAGES", "localhost/cohortlab-{}:test").format(part)


def _named(part: str) -> dict[str, str]:
    """The image as the chart's values have it."""
    repository, _, tag = image(part).rpartition(":")
    return {"repository": repository, "tag": tag}


@dataclass
class Bench:
    """The installed workbench. `values` are the chart's; `trust` verifies the provider's certificate."""

    kube: Kube
    outside: Kube
    folder: Path
    values: dict
    trust: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.trust = ssl.create_default_context(cafile=self.folder / "authority.pem")

    def upgrade(self, verb: str = "upgrade") -> None:
        """`helm install` or `helm upgrade` with the values as they are now."""
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(self.values))
        helm(self.kube, verb, RELEASE, CHART, "--values", file, "--timeout", "10m")

    def ready(self) -> None:
        """Wait until everything of the release answers."""
        self.kube.rolled_out("deployment/hub", "deployment/proxy", "deployment/services")

    def command(self, *arguments: object) -> str:
        """The `cohortlab` command as an operator has it, in the hub's pod."""
        return self.kube.inside("deploy/hub", "cohortlab", *arguments, "--workbench", _WORKBENCH)

    def grant(self, person: str, *datasets: str, condition: str = "IN_SITU_PROCESSING") -> None:
        """Let somebody have datasets."""
        self.command("grants", "add", *datasets, "--person", person, "--condition", condition, "--reason", "a test")

    def ingest(self, dataset: str, verb: str = "upgrade") -> None:
        """Have the chart's Job let a dataset in, at an upgrade or the install itself."""
        self.values["ingest"] |= {"enabled": True, "dataset": dataset, "source": {"claim": "dicom", "folder": dataset}}
        self.upgrade(verb)

        def jobs() -> list[str]:
            names = [job["metadata"]["name"] for job in self.kube.items("jobs")]
            return [name for name in names if name.startswith(f"ingest-{dataset}-")]

        [job] = self.kube.until(jobs, "the ingest job")
        self.kube.completed(job)


def _key(file: Path) -> str:
    """Make a key as an operator does; the public one."""
    command = Path(sys.executable).with_name("cohortlab")
    subprocess.run([command, "key", "create", file], check=True, capture_output=True)
    return file.with_suffix(".pub").read_text().strip()


def _values(issuer: str, node: str, trusted: str, elsewhere: str, hospitals: Hospitals) -> dict:
    profile = {"title": "Small", "image": image("session"), "cpu": 1, "cpu_guarantee": 0.05, "memory": "1Gi", "memory_guarantee": "128Mi"}
    gpu = {"title": "One GPU", "gpu": {"kind": "pretended"}, "max_hours": 8, "guaranteed_hours": 1}
    login = {
        "kind": "oidc",
        "recipe": "keycloak",
        "issuer": issuer,
        "client_id": surroundings.CLIENT,
        "client_secret": "/etc/cohortlab/files/sign-in/secret",
        "public_url": ADDRESS,
        "allow": {"groups": ["/readers"]},
    }
    small = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}}
    provider = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": elsewhere}},
        "podSelector": {"matchLabels": surroundings.PROVIDER_LABELS},
    }
    return {
        "images": {"pullPolicy": "IfNotPresent"},
        "workbench": {
            "trusted_keys": [trusted],
            "login": login,
            "steward_groups": ["/stewards"],
            "access": {"grace_seconds": GRACE},
            "queue": {"booking_groups": ["/trainers"]},
            "federation": {
                "key": "/etc/cohortlab/files/federation/hub.key",
                "sites": hospitals.settings("/etc/cohortlab/files/federation"),
                "projects": {PROJECT: {"title": "Course", "members": ["tina"]}, STUDY: {"title": "Demo study", "members": ["ana"]}},
            },
            "gpus": {"pretended": {"title": "Pretended GPU", "total": 2}},
            "profiles": {"small": profile, "gpu": profile | gpu},
            "datasets": {name: {"title": name.title(), "store": f"/stores/lake/{name}/1.0.0"} for name in DATASETS}
            | {FEDERATED: {"title": "Lesions at three hospitals", "sites": list(hospitals.tokens)}},
            "kubernetes": {"images_by_tag": True, "home": {"size": "1Gi"}},
        },
        "hub": {
            "image": _named("hub"),
            "resources": small,
            "extraEnv": [{"name": "SSL_CERT_FILE", "value": "/etc/cohortlab/files/sign-in/authority"}],
        },
        "proxy": {"image": _named("proxy"), "resources": small, "service": {"type": "NodePort", "nodePort": PORT}},
        "services": {"replicas": 2, "resources": small},
        "database": {"existingSecret": "database", "podLabels": surroundings.POSTGRES_LABELS},
        "secrets": {"files": ["sign-in", "federation"]},
        "stores": {"lake": {"storageClass": "standard", "size": "5Gi"}},
        "network": {
            "hubEgress": [
                {"to": [provider], "ports": [{"port": 8443}]},  # where the rule meets the address behind the Service
                {
                    "to": [{"ipBlock": {"cidr": f"{node}/32"}}],
                    "ports": [{"port": surroundings.PROVIDER_PORT}],
                },  # where it meets the one before
            ]
        },
        "ingest": {
            "enabled": False,
            "image": _named("site"),
            "store": "lake",
            "keySecret": "gate",
            "arguments": ["--deidentify", "--synthetic"],
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "4Gi"}},
        },
    }


def _dicom(kube: Kube) -> None:
    """Fill the claim `dicom` with a generated patient a dataset."""
    mounts = {"/dicom": {"persistentVolumeClaim": {"claimName": "dicom"}}, "/tmp": {"emptyDir": {}}}  # noqa: S108 - a pod's own
    made = [f"cohortlab samples /dicom/{name} --size 24x96x96 --seed {number}" for number, name in enumerate(DATASETS, 1)]
    spec = surroundings.pod_spec(image("site"), ["sh", "-c", " && ".join(made)], mounts) | {"restartPolicy": "Never"}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "dicom"}, "spec": {"backoffLimit": 0, "template": {"spec": spec}}}
    kube.apply(surroundings.claim("dicom"))
    # A scheduler that saw a pod before its volume may look again only after minutes.
    kube.until(lambda: kube.get("persistentvolumeclaim", "dicom")["status"].get("phase") == "Bound", "the claim's volume")
    kube.apply(job)


def node_address() -> str:
    """The address of a node, at which NodePorts answer."""
    addresses = Kube().items("nodes")[0]["status"]["addresses"]
    return next(one["address"] for one in addresses if one["type"] == "InternalIP")


def _namespaces(folder: Path) -> tuple[Kube, Kube]:
    mark = (folder / "mark").read_text()
    return Kube(f"imaging-{mark}"), Kube(f"elsewhere-{mark}")


def install(folder: Path) -> Bench:
    """Everything, from empty namespaces to two datasets that are let in and granted."""
    Kube().run("delete", "namespace", "--selector", surroundings.OURS, "--wait=true", seconds=300)
    mark = secrets.token_hex(3)  # names of their own, for a volume may outlive the namespace of its claim
    (folder / "mark").write_text(mark)
    kube, other = _namespaces(folder)
    for one in (kube, other):
        Kube().apply(surroundings.namespace(one.namespace))
    node = node_address()
    issuer = f"https://{node}:{surroundings.PROVIDER_PORT}"
    tls = certificate(node)
    people = {f"sub-{name}": {"preferred_username": name, "groups": ["/readers"]} for name in PEOPLE}
    people["sub-steward"]["groups"] += ["/stewards"]
    people["sub-tina"]["groups"] += ["/trainers"]
    other.apply(*surroundings.provider(image("outside"), issuer, ADDRESS, client_secret=CLIENT_SECRET, people=people, tls=tls))
    kube.apply(*surroundings.postgres(image("outside")))
    _dicom(kube)

    trusted = _key(folder / "gate.key")
    gate = {name: (folder / name).read_bytes() for name in ("gate.key", "gate.secret")}
    door = f"https://{node}:{surroundings.DOOR_PORT}/services/cohortlab/"
    hospitals = Hospitals(image("site"), door, tls["authority"], _key(folder / "hub.key"))
    other.apply(*surroundings.door(image("outside"), f"proxy-public.{kube.namespace}.svc"), *hospitals.objects(gate, trusted))
    kube.apply(
        surroundings.secret("gate", **{name.replace(".", "__"): value for name, value in gate.items()}),
        surroundings.secret("federation", hub__key=(folder / "hub.key").read_bytes(), **hospitals.tokens),
        surroundings.secret("sign-in", secret=CLIENT_SECRET, authority=tls["authority"]),
    )
    (folder / "authority.pem").write_bytes(tls["authority"])
    bench = Bench(kube, other, folder, _values(issuer, node, trusted, other.namespace, hospitals))
    other.rolled_out("deployment/provider")
    kube.rolled_out("deployment/postgres")
    kube.completed("dicom")
    bench.ingest(DATASETS[0], "install")
    bench.ready()
    for dataset in DATASETS[1:]:
        bench.ingest(dataset)
    bench.ready()
    for name in ("ana", "bob"):
        bench.grant(name, *DATASETS)
    bench.grant("mallory", DATASETS[0])
    bench.grant("ana", FEDERATED, condition="REMOTE_PROCESSING")
    other.rolled_out("deployment/door", *(f"deployment/{name}" for name in hospitals.tokens))
    return bench


def reopen(folder: Path) -> Bench:
    """The workbench that `install` left with `folder`."""
    return Bench(*_namespaces(folder), folder, yaml.safe_load((folder / "values.yaml").read_text()))
