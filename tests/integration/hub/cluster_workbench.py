"""A tiny workbench whose sessions are pods of the fake Kubernetes API, and what its tests ask of it."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from person import Person
from running import Running
from tiny import write_workbench

sys.path.insert(0, str(Path(__file__).parents[2]))
from fake_kubernetes import Cluster, kubeconfig

DIGEST = "@sha256:" + "0" * 64
NODES = {
    "cpu-1": {"labels": {}, "capacity": {"cpu": "64", "memory": "256Gi"}},
    "gpu-1": {"labels": {"gpu": "a100"}, "capacity": {"cpu": "64", "memory": "256Gi", "nvidia.com/gpu": "2"}},
}


def profile(title: str, image: str = "session", **more: object) -> dict[str, object]:
    return {"title": title, "image": f"registry.example.org/{image}{DIGEST}", "cpu": 1, "memory": "1Gi", **more}


PROFILES = {
    "small": profile("Small", description="For looking around."),
    "gpu": profile("One GPU", gpu={"kind": "a100"}),
    "two": profile("Two GPUs", gpu={"kind": "a100", "count": 2}),
    "members": profile("For stewards", groups=["stewards"]),
    "missing": profile("No image", "missing"),
    "crash": profile("Crashes", "crash"),
    "oom": profile("Too small", "oom"),
    "large": profile("Larger than any machine", cpu=500),
    "brief": profile("Stops soon", idle_minutes=0.06),
    "beta": profile("Only beta", datasets=["beta"]),
}


def write(folder: Path, cluster: Cluster, accounts: dict[str, object] | None = None, **more: object) -> Path:
    """workbench.yaml for `cluster`, with `more` of its sections."""
    file = write_workbench(folder)
    document = yaml.safe_load(file.read_text())
    document["profiles"] = PROFILES
    document["gpus"] = {"a100": {"title": "A100", "node_selector": {"gpu": "a100"}}}
    document["access"] = {"grace_seconds": 0, "check_seconds": 1}
    document["kubernetes"] = {
        "namespace": "sessions",
        "hub_url": "http://hub.example.org:8081",
        "service_url": "http://proxy.example.org/services/cohortlab/",
        "volumes": {"stores": {"claim": "stores", "path": str(folder / "stores")}},
        "port": cluster.pods_port,
    }
    if accounts is not None:
        document["login"]["accounts"] = accounts
    for key, value in more.items():
        document[key] = {**document.get(key, {}), **value} if isinstance(value, dict) else value
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


def up(file: Path, cluster: Cluster) -> Running:
    """`cohortlab up` with `file`, ready."""
    return Running([str(file), "--port", "0"], KUBECONFIG=str(kubeconfig(file.parent, cluster.port))).ready()


def until(true: Callable[[], object], what: str, seconds: float = 60) -> object:
    """Wait until `true` is; its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = true()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


class Member(Person):
    """A person who starts pods."""

    def ask(self, **options: object) -> object:
        """Ask for a session; the answer."""
        return self.api("POST", f"hub/api/users/{self.name}/server", json=options)

    def server(self) -> dict[str, object]:
        """My session as the hub's API tells it."""
        servers = self.http.get(f"hub/api/users/{self.name}?include_stopped_servers=1").json()["servers"]
        return servers.get("", {})

    def ready(self) -> bool:
        """Whether my session runs."""
        return bool(self.server().get("ready"))

    def events(self, enough: Callable[[dict[str, object]], object]) -> list[dict[str, object]]:
        """What the waiting page is told, up to what is `enough`, or its end."""
        told = []
        with self.http.stream("GET", f"hub/api/users/{self.name}/server/progress") as lines:
            for line in lines.iter_lines():
                if line.startswith("data: "):
                    told.append(json.loads(line[6:]))
                    if enough(told[-1]):
                        break
        return told
