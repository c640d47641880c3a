"""Parts that die: nothing is lost, and what people notice meanwhile is measured and printed."""

import json
import os
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager

import httpx
import pytest
from bench import ADDRESS
from kube import Kube, needs, until

MINUTE = 60


class Watcher:
    """Asks for a page again and again, and counts the answers."""

    def __init__(self, visitor, path):
        self._ended = threading.Event()
        self.answers, self.longest, self._bad_since = Counter(), 0.0, None
        self._client = httpx.Client(base_url=ADDRESS, cookies=visitor.http.cookies, timeout=10, trust_env=False)
        self._thread = threading.Thread(target=self._watch, args=(path,))

    def _watch(self, path):
        while not self._ended.wait(0.2):
            try:
                answer = str(self._client.get(path).status_code)
            except httpx.TransportError as error:
                answer = type(error).__name__
            self.answers[answer] += 1
            now = time.monotonic()
            if answer == "200":
                self._bad_since = None
            else:
                self._bad_since = self._bad_since or now
                self.longest = max(self.longest, now - self._bad_since)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        self._client.close()

    def __str__(self):
        answers = ", ".join(f"{count} x {answer}" for answer, count in self.answers.most_common())
        return f"{answers}; longest without: {self.longest:.0f} s"


def audited(bench):
    """Digests of all events of the audit, whose chain holds."""
    bench.command("audit", "verify")
    return {event["digest"] for event in json.loads(bench.command("audit", "list", "--limit", "100000", "--json"))}


def kernel(visitor):
    """A kernel of the session; what is defined in it shows later that it is the same."""
    headers = {"Authorization": f"token {visitor.token()}"}
    answer = visitor.http.post(f"user/{visitor.name}/api/kernels", headers=headers, json={"name": "python3"})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def asked(visitor, path, **more):
    """The answer as JSON; None where nothing answers, or something else."""
    try:
        answer = visitor.http.get(path, **more)
        return answer.json() if answer.status_code == 200 else None
    except (httpx.TransportError, json.JSONDecodeError):
        return None


def kernels(visitor):
    return [one["id"] for one in asked(visitor, f"user/{visitor.name}/api/kernels") or []]


@pytest.mark.parametrize("part", ["hub", "proxy", "services", "postgres"])
def test_a_part_dies_mid_session_and_mid_start(bench, person, table, part):
    ana, bob = person("ana"), person("bob")
    ana.start()
    token = {"Authorization": f"token {ana.token()}"}
    mine, pod, before = kernel(ana), ana.pod()["metadata"]["uid"], audited(bench)
    selector = "app=postgres" if part == "postgres" else f"component={part},app=jupyterhub"
    victim = bench.kube.items("pods", selector)[0]["metadata"]["name"]

    bob.ask(profile="small")
    with (
        Watcher(ana, "user/ana/api/status") as session,
        Watcher(ana, "hub/health") as hub,
        Watcher(ana, "services/cohortlab/health") as api,
    ):
        began = time.monotonic()
        bench.kube.run("delete", "pod", victim, "--grace-period=1", "--wait=true")
        bench.ready()
        bench.kube.rolled_out("deployment/postgres")
        bench.kube.until(lambda: mine in kernels(ana), "ana's kernel, through the proxy")
        bench.kube.until(lambda: asked(ana, "services/cohortlab/api/v1/datasets", headers=token), "the service")
        took = time.monotonic() - began
        bench.kube.until(lambda: settled(bob), "the end of bob's start, or nothing of it")
        outcome = "went through" if bob.ready() else "ended; begun again by its user"
        if not bob.ready():
            bob.start()
    assert ana.pod()["metadata"]["uid"] == pod
    assert mine in kernels(ana)
    assert bob.run("print(6 * 7)").strip() == "42"
    assert len(bench.kube.items("pods", "component=singleuser-server")) == 2  # nothing is left over
    assert before <= audited(bench)
    rows = [("all answer again after", f"{took:.0f} s"), ("a start meanwhile", outcome), ("a running session", session), ("the hub", hub)]
    table(f"The {part} pod dies", ("what", "what people see"), *rows, ("the service", api))


@contextmanager
def hung_kubelet():
    """The node's kubelet stops; at the end it goes on."""
    command = os.environ.get("COHORTLAB_CLUSTER_KUBELET", "")
    needs(
        command,
        "needs COHORTLAB_CLUSTER_KUBELET, which sends the kubelet a signal in place of {}, as `docker exec NODE pkill -{} kubelet`",
    )
    subprocess.run(command.format("STOP"), shell=True, check=True)  # noqa: S602 - the tester's own command
    try:
        yield
    finally:
        subprocess.run(command.format("CONT"), shell=True, check=True)  # noqa: S602 - as above


def node_is_ready():
    [node] = Kube().items("nodes")
    return next(one["status"] for one in node["status"]["conditions"] if one["type"] == "Ready") == "True"


def test_the_nodes_kubelet_hangs_for_a_minute(bench, person, table):
    ana, bob = person("ana"), person("bob")
    ana.start()
    token = {"Authorization": f"token {ana.token()}"}
    mine, pod, before = kernel(ana), ana.pod()["metadata"]["uid"], audited(bench)
    with (
        Watcher(ana, "user/ana/api/status") as session,
        Watcher(ana, "hub/health") as hub,
        Watcher(ana, "services/cohortlab/health") as api,
    ):
        with hung_kubelet():
            began = time.monotonic()
            bob.ask(profile="small")  # nobody is there to start its pod
            until(lambda: time.monotonic() - began > MINUTE, "a minute", 2 * MINUTE)
            noticed = not node_is_ready()
        began = time.monotonic()
        until(node_is_ready, "the node")
        bench.ready()
        bench.kube.rolled_out("deployment/postgres")
        bench.kube.until(lambda: mine in kernels(ana), "ana's kernel, through the proxy")
        bench.kube.until(lambda: asked(ana, "services/cohortlab/api/v1/datasets", headers=token), "the service")
        took = time.monotonic() - began
        bench.kube.until(lambda: settled(bob), "the end of bob's start, or nothing of it")
        outcome = "went through" if bob.ready() else "ended; begun again by its user"
        if not bob.ready():
            bob.start()
    assert ana.pod()["metadata"]["uid"] == pod
    assert bob.run("print(6 * 7)").strip() == "42"
    assert len(bench.kube.items("pods", "component=singleuser-server")) == 2
    assert before <= audited(bench)
    rows = [("the node was taken for lost", "yes" if noticed else "no"), ("all answer again, once it goes on, after", f"{took:.0f} s")]
    rows += [("a start meanwhile", outcome), ("a running session", session), ("the hub", hub), ("the service", api)]
    table(f"The node's kubelet hangs for {MINUTE} s", ("what", "what people see"), *rows)


def settled(visitor):
    """Whether the session runs, or nothing is pending any more."""
    told = asked(visitor, f"hub/api/users/{visitor.name}", params={"include_stopped_servers": "1"})
    if told is None:
        return False
    server = told["servers"].get("", {})
    return bool(server.get("ready")) or not server.get("pending")
