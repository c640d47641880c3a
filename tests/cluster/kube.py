"""kubectl and helm as processes, with waits that say what they waited for and what the cluster looked like."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable

import pytest
import yaml

import helm_tool

PATIENCE = 240.0  # seconds that any one condition may take on a loaded machine


def needs(present: object, why: str) -> None:
    """Skip the test with what is missing; on CI fail."""
    if present:
        return
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def until[T](true: Callable[[], T], what: str, seconds: float = PATIENCE, told: Callable[[], str] = str) -> T:
    """Wait until `true` is; its value. `told` describes the state of affairs when it does not become so."""
    deadline = time.monotonic() + seconds
    while True:
        value = true()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}\n{told()}")
        time.sleep(0.25)


class Kube:
    """One namespace of the cluster that KUBECONFIG names."""

    def __init__(self, namespace: str = "default") -> None:
        self.namespace = namespace

    def run(self, *arguments: object, check: bool = True, seconds: float = PATIENCE, given: str | None = None) -> str:
        """`kubectl` in this namespace; what it printed."""
        command = ["kubectl", "--namespace", self.namespace, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds, input=given)
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def apply(self, *objects: dict) -> None:
        """Make or change objects."""
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", given=yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str = "", selector: str = "") -> dict:
        """An object, or the list of a kind; an empty dict when it is not there."""
        which = [name] if name else ["--selector", selector] if selector else []
        found = self.run("get", kind, *which, "-o", "json", "--ignore-not-found")
        return json.loads(found) if found else {}

    def items(self, kind: str, selector: str = "") -> list[dict]:
        """The objects of a kind."""
        return self.get(kind, selector=selector).get("items", [])

    def state(self) -> str:
        """Pods and the last events, for a failure's message."""
        events = self.run("get", "events", "--sort-by=.lastTimestamp", check=False).splitlines()
        return "\n".join([self.run("get", "pods", "-o", "wide", check=False), *events[-25:]])

    def until(self, true: Callable[[], object], what: str, seconds: float = PATIENCE) -> object:
        """`until`, with this namespace's state when it fails."""
        return until(true, what, seconds, self.state)

    def rolled_out(self, *workloads: str) -> None:
        """Wait until all replicas of deployments and the like are ready."""

        def ready() -> bool:
            for workload in workloads:
                found = self.get(*workload.split("/"))
                status, generation = found.get("status", {}), found["metadata"]["generation"]
                counts = {status.get(key, 0) for key in ("readyReplicas", "updatedReplicas", "replicas")}
                if counts != {found["spec"]["replicas"]} or status.get("observedGeneration") != generation:
                    return False
            return True

        self.until(ready, f"{', '.join(workloads)} rolled out")

    def completed(self, job: str) -> None:
        """Wait for a Job; its log is in the failure."""

        def done() -> bool:
            status = self.get("job", job).get("status", {})
            failed = any(condition["type"] == "Failed" and condition["status"] == "True" for condition in status.get("conditions", []))
            assert not failed, self.run("logs", f"job/{job}", "--all-pods", check=False)
            return bool(status.get("succeeded"))

        self.until(done, f"the job {job} is done")

    def inside(self, workload: str, *command: object, check: bool = True, container: str = "") -> str:
        """Run a command in a pod."""
        return self.run("exec", workload, *(["-c", container] if container else []), "--", *command, check=check)

    def pod(self, selector: str) -> dict | None:
        """The one living pod of a selector."""
        alive = [pod for pod in self.items("pods", selector) if "deletionTimestamp" not in pod["metadata"]]
        return alive[0] if len(alive) == 1 else None


def helm(kube: Kube, verb: str, release: str, *arguments: object, seconds: float = 900) -> str:
    """`helm` on a release in the namespace of `kube`."""
    command = [helm_tool.find(), verb, release, "--namespace", kube.namespace, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}\n{kube.state()}"
    return done.stdout


def there() -> None:
    """Skip, on CI fail, without a cluster to test on."""
    needs(shutil.which("kubectl"), "needs kubectl on PATH: https://kubernetes.io/docs/tasks/tools/")
    try:
        helm_tool.find()
    except FileNotFoundError as error:
        needs(False, str(error))
    needs(os.environ.get("KUBECONFIG"), "needs KUBECONFIG: the file of a cluster for tests (kind, k3d), whose namespaces may be made anew")
    answer = subprocess.run(["kubectl", "get", "--raw", "/readyz"], capture_output=True, text=True, check=False, timeout=60)
    needs(answer.returncode == 0, f"needs a cluster that answers; the one of KUBECONFIG said: {answer.stderr}")
