"""Three hospitals beside the workbench: each keeps its part of a dataset in a pod of its own and fetches jobs by HTTPS. One refuses."""

import secrets
from dataclasses import dataclass, field

import yaml
from surroundings import deployment, pod_spec, secret

FEDERATED = "lesions-federated"
PROJECT = "demo-study"
NAMES = {"north-hospital": "North Hospital", "south-hospital": "South Hospital", "west-hospital": "West Hospital"}
REFUSING = "west-hospital"
_FILES = "/etc/site"
_GENERATED = f"--deidentify --synthetic --access REMOTE_PROCESSING --dataset {FEDERATED} --store /work/stores"


@dataclass
class Hospitals:
    """Names, tokens and files. `address` is the hub's service, which `authority` (PEM) certifies; `key` the hub's public one."""

    image: str
    address: str
    authority: bytes
    key: str
    tokens: dict[str, str] = field(default_factory=lambda: {name: secrets.token_hex(32) for name in NAMES})

    def settings(self, files: str) -> dict:
        """The sites of workbench.yaml; their tokens are in the folder `files`."""
        return {name: {"title": title, "token": f"{files}/{name}"} for name, title in NAMES.items()}

    def objects(self, gate: dict[str, bytes], trusted: str) -> list[dict]:
        """What each hospital needs. `gate`: the files of the gate's key, whose public one is `trusted`."""
        return [made for number, name in enumerate(NAMES) for made in self._hospital(name, number, gate, trusted)]

    def _hospital(self, name: str, number: int, gate: dict[str, bytes], trusted: str) -> list[dict]:
        config = {
            "name": name,
            "service_url": self.address,
            "token_file": "/work/token",
            "policy": f"{_FILES}/policy.yaml",
            "stores": "/work/stores",
            "state": "/work/state",
            "ticket_keys": [self.key],
            "dataset_keys": [trusted],
        }
        project = "another-study" if name == REFUSING else PROJECT
        policy = {"projects": [project], "tasks": ["histogram"], "datasets": [FEDERATED], "minimum_count": 10, "minimum_subjects": 5}
        files = secret(
            name,
            token=self.tokens[name],
            authority=self.authority,
            site__yaml=yaml.safe_dump(config),
            policy__yaml=yaml.safe_dump(policy),
            **{key.replace(".", "__"): value for key, value in gate.items()},
        )
        mounts = {_FILES: {"secret": {"secretName": name}}, "/work": {"emptyDir": {}}, "/tmp": {"emptyDir": {}}}  # noqa: S108 - a pod's own
        # A token's file is its owner's alone, which a mounted Secret's never is.
        made = (
            f"install -m 600 {_FILES}/token /work/token && mkdir -p -m 700 /work/keys && install -m 600 {_FILES}/gate.* /work/keys && "
            f"cohortlab samples /work/dicom --patients 6 --seed {101 + number} --size 16x48x48 && "
            f"cohortlab ingest /work/dicom {_GENERATED} --key /work/keys/gate.key"
        )
        environment = [{"name": "SSL_CERT_FILE", "value": f"{_FILES}/authority"}, {"name": "HOME", "value": "/tmp"}]  # noqa: S108 - as above
        spec = pod_spec(self.image, ["cohortlab", "site", "run", "--config", f"{_FILES}/site.yaml"], mounts, env=environment)
        [main] = spec["containers"]
        spec["initContainers"] = [main | {"name": "data", "command": ["sh", "-c", made]}]
        return [files, deployment(name, {"app": name}, spec)]
