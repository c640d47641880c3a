"""A Kubernetes API on loopback that behaves like the real one, and misbehaves when asked to: what spawners are tested against.

Real HTTP: namespaced pods, claims and events with watches from a resourceVersion (chunked JSON lines, timeouts, ERROR 410
for a version that was compacted away), nodes, a scheduler that counts CPU, memory and extended resources, a kubelet that
pulls, mounts, starts and restarts, Pod Security `restricted`, ResourceQuota. Every running pod has the address 127.0.0.1
and one HTTP server answers for all of them, as a session's Jupyter server would (X-JupyterHub-Version).

Runs in a thread (`serve`) or by itself (``python fake_kubernetes.py``, which prints its two addresses). What a test changes (`quota`,
`image_faults`, …) takes effect at the next request.
"""

import asyncio
import copy
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web
from jupyterhub import __version__ as hub_version

Object = dict[str, Any]
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "k": 10**3, "M": 10**6, "G": 10**9, "m": 1e-3}
_PLURALS = {"pods": "Pod", "events": "Event", "persistentvolumeclaims": "PersistentVolumeClaim"}


def amount(quantity: str | float) -> float:
    """A Kubernetes quantity as a number."""
    text = str(quantity)
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    return float(text.removesuffix(unit)) * _UNITS.get(unit, 1)


def now() -> str:
    """RFC 3339, as the API writes times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Cluster:
    """The state of the cluster and its faults.

    nodes: name -> {"labels", "capacity"}. image_faults: text in an image's name -> what becomes of it: "missing" (ErrImagePull),
    "crash", "oom" (both after a start) or "hangs" (never gets ready). missing_claims are not found, broken_claims do not mount.
    quota: most pods. create_delay: seconds before the answer to a create, which has happened by then. forbid_nodes: no list of nodes.
    pull_seconds, start_seconds: what pulling an image and starting a container take.
    """

    def __init__(self, nodes: Mapping[str, Object] | None = None) -> None:
        self.nodes = dict(nodes or {"node-1": {"labels": {}, "capacity": {"cpu": "1000", "memory": "4000Gi"}}})
        self.image_faults: dict[str, str] = {}
        self.missing_claims: set[str] = set()
        self.broken_claims: set[str] = set()
        self.quota: int | None = None
        self.create_delay = 0.0
        self.pull_seconds = self.start_seconds = 0.0
        self.forbid_nodes = False
        self.port = self.pods_port = 0
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.log: list[tuple[int, str, str, str, Object]] = []  # version, plural, namespace, type, object
        self.version = 1000
        self.compacted = 0
        self.requests: dict[str, int] = defaultdict(int)
        self.watchers: dict[asyncio.Queue[tuple[str, str, str, Object] | None], web.StreamResponse] = {}
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self.scheduling = asyncio.Event()

    # -- what a test does, from any thread

    def do(self, action: Callable[..., Any], *arguments: Any) -> Any:
        """Run `action` in the cluster's own thread; its result."""

        async def run() -> Any:
            return action(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(timeout=10)

    def pods(self) -> list[Object]:
        """All pods, by name."""
        return self.do(lambda: [copy.deepcopy(one) for (kind, _, _), one in sorted(self.objects.items()) if kind == "pods"])

    def remove_pod(self, name: str) -> None:
        """Somebody deletes the pod behind the hub's back."""
        self.do(lambda: [self._remove(key) for key in list(self.objects) if key[0] == "pods" and key[2] == name])

    def drop_watches(self) -> None:
        """Cut every watch's connection."""

        def drop() -> None:
            for response in self.watchers.values():
                if response._req is not None and response._req.transport is not None:
                    response._req.transport.abort()

        self.do(drop)

    def compact(self) -> None:
        """Forget all history: a watch from before gets 410 Gone."""

        def forget() -> None:
            self.version += 1
            self.compacted = self.version
            self.log.clear()
            for queue in self.watchers:
                queue.put_nowait(None)

        self.do(forget)

    def finish_pod(self, name: str, reason: str = "Error", code: int = 1) -> None:
        """A running session's process ends for good."""

        def finish() -> None:
            pod = next(one for (kind, _, known), one in self.objects.items() if kind == "pods" and known == name)
            self._container(pod, {"terminated": {"exitCode": code, "reason": reason}}, phase="Failed")

        self.do(finish)

    # -- objects and their history

    def _publish(self, kind: str, change: str, made: Object) -> None:
        self.version += 1
        made["metadata"]["resourceVersion"] = str(self.version)
        snapshot = json.loads(json.dumps(made))
        namespace = made["metadata"]["namespace"]
        self.log.append((self.version, kind, namespace, change, snapshot))
        for queue in self.watchers:
            queue.put_nowait((kind, namespace, change, snapshot))
        if kind == "pods":
            self.scheduling.set()

    def _add(self, kind: str, namespace: str, made: Object) -> Object:
        made["metadata"] |= {"namespace": namespace, "uid": str(uuid4()), "creationTimestamp": now()}
        self.objects[kind, namespace, made["metadata"]["name"]] = made
        self._publish(kind, "ADDED", made)
        return made

    def _remove(self, key: tuple[str, str, str]) -> None:
        made = self.objects.pop(key, None)
        if made is not None:
            self._publish(key[0], "DELETED", made)

    def _event(self, pod: Object, kind: str, reason: str, message: str) -> None:
        meta = pod["metadata"]
        event = {
            "metadata": {"name": f"{meta['name']}.{uuid4().hex[:16]}"},
            "involvedObject": {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            "type": kind,
            "reason": reason,
            "message": message,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "eventTime": None,
            "count": 1,
        }
        self._add("events", meta["namespace"], event)

    def _container(self, pod: Object, state: Object, *, phase: str = "Pending", ready: bool = False, **more: Any) -> None:
        status = pod["status"]
        old = status.get("containerStatuses", [{"restartCount": 0, "lastState": {}}])[0]
        wanted = pod["spec"]["containers"][0]
        container = {"name": wanted["name"], "image": wanted["image"], "imageID": wanted["image"], "containerID": ""}
        container |= {"state": state, "ready": ready, "restartCount": old["restartCount"]}
        container["lastState"] = old["lastState"]
        container |= more
        status |= {"phase": phase, "containerStatuses": [container], "podIP": "127.0.0.1" if phase == "Running" else None}
        self._publish("pods", "MODIFIED", pod)

    # -- scheduler and kubelet

    def _asked(self, pod: Object) -> dict[str, float]:
        resources = pod["spec"]["containers"][0].get("resources", {})
        asked = {**resources.get("limits", {}), **resources.get("requests", {})}
        return {name: amount(quantity) for name, quantity in asked.items()}

    def free(self, node: str) -> dict[str, float]:
        """What of `node` no pod has."""
        left = {name: amount(quantity) for name, quantity in self.nodes[node]["capacity"].items()}
        for (kind, _, _), pod in self.objects.items():
            if kind == "pods" and pod["spec"].get("nodeName") == node and pod["status"]["phase"] in {"Pending", "Running"}:
                for name, quantity in self._asked(pod).items():
                    left[name] = left.get(name, 0) - quantity
        return left

    def _schedule(self, pod: Object) -> None:
        reasons: dict[str, int] = defaultdict(int)
        claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume]
        lost = [claim for claim in claims if claim in self.missing_claims]
        for name, node in [] if lost else self.nodes.items():
            if not pod["spec"].get("nodeSelector", {}).items() <= node["labels"].items():
                reasons["node(s) didn't match Pod's node affinity/selector"] += 1
                continue
            left = self.free(name)
            short = [f"Insufficient {what}" for what, quantity in self._asked(pod).items() if quantity > left.get(what, 0)]
            if not short:
                pod["spec"]["nodeName"] = name
                pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "True"}]
                self._event(pod, "Normal", "Scheduled", f"Successfully assigned {pod['metadata']['name']} to {name}")
                self._publish("pods", "MODIFIED", pod)
                task = asyncio.create_task(self._kubelet(pod))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
                return
            for one in short:
                reasons[one] += 1
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        message = f'persistentvolumeclaim "{lost[0]}" not found' if lost else f"0/{len(self.nodes)} nodes are available: {said}."
        old = pod["status"].get("conditions", [{}])[0].get("message")
        if message != old:
            pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]
            self._event(pod, "Warning", "FailedScheduling", message)
            self._publish("pods", "MODIFIED", pod)

    async def scheduler(self) -> None:
        """Schedule what is pending whenever something changes."""
        while True:
            await self.scheduling.wait()
            self.scheduling.clear()
            for key, pod in list(self.objects.items()):
                if key[0] == "pods" and not pod["spec"].get("nodeName") and "deletionTimestamp" not in pod["metadata"]:
                    self._schedule(pod)

    async def _kubelet(self, pod: Object) -> None:
        key = ("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        image = pod["spec"]["containers"][0]["image"]
        fault = next((fault for text, fault in self.image_faults.items() if text in image), "")
        broken = [v["persistentVolumeClaim"]["claimName"] for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v]
        broken = [claim for claim in broken if claim in self.broken_claims]
        self._container(pod, {"waiting": {"reason": "ContainerCreating"}})
        if broken:
            message = f'MountVolume.SetUp failed for volume "{broken[0]}": mount failed: exit status 32: server not responding'
            self._event(pod, "Warning", "FailedMount", message)
            return
        self._event(pod, "Normal", "Pulling", f'Pulling image "{image}"')
        await asyncio.sleep(self.pull_seconds)
        if fault == "missing":
            said = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
            self._event(pod, "Warning", "Failed", f'Failed to pull image "{image}": {said}')
            self._container(pod, {"waiting": {"reason": "ErrImagePull", "message": said}})
            await asyncio.sleep(0.05)
            if self.objects.get(key) is pod:
                self._container(pod, {"waiting": {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}})
            return
        self._event(pod, "Normal", "Created", "Created container notebook")
        await asyncio.sleep(self.start_seconds)
        if self.objects.get(key) is not pod:
            return
        if fault in {"crash", "oom"}:
            ended = {"exitCode": 137, "reason": "OOMKilled"} if fault == "oom" else {"exitCode": 1, "reason": "Error"}
            self._container(pod, {"terminated": ended}, phase="Running")
            waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container=notebook"}}
            self._container(pod, waiting, phase="Running", restartCount=1, lastState={"terminated": ended})
            self._event(pod, "Warning", "BackOff", "Back-off restarting failed container notebook")
            return
        self._event(pod, "Normal", "Started", "Started container notebook")
        self._container(pod, {"running": {"startedAt": now()}}, phase="Running", ready=fault != "hangs")


def _problem(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code}
    return web.json_response(body, status=code)


def _matches(made: Object, request: web.Request) -> bool:
    for term in filter(None, request.query.get("labelSelector", "").split(",")):
        key, _, value = term.partition("=")
        if made["metadata"].get("labels", {}).get(key) != value.lstrip("="):
            return False
    for term in filter(None, request.query.get("fieldSelector", "").split(",")):
        key, _, value = term.partition("=")
        found: Any = made
        for step in key.split("."):
            found = found.get(step, {})
        if found != value.lstrip("="):
            return False
    return True


def _not_restricted(pod: Object) -> str:
    spec = pod["spec"]
    security = spec.get("securityContext") or {}
    for container in spec["containers"]:
        own = container.get("securityContext") or {}
        for key in ("runAsNonRoot", "seccompProfile"):
            if not (own.get(key) or security.get(key)):
                return key
        if own.get("allowPrivilegeEscalation") is not False or (own.get("capabilities") or {}).get("drop") != ["ALL"]:
            return "allowPrivilegeEscalation or capabilities"
    return ""


class Api:
    """The HTTP face of a cluster."""

    def __init__(self, cluster: Cluster, *, restricted: bool) -> None:
        self.cluster, self.restricted = cluster, restricted

    def routes(self, app: web.Application) -> None:
        """Add the routes."""
        base = "/api/v1/namespaces/{namespace}/{plural}"
        app.router.add_get("/api/v1/nodes", self.nodes)
        app.router.add_get(base, self.list)
        app.router.add_post(base, self.create)
        app.router.add_get(base + "/{name}", self.read)
        app.router.add_delete(base + "/{name}", self.delete)

    async def nodes(self, _request: web.Request) -> web.Response:
        if self.cluster.forbid_nodes:
            return _problem(403, "Forbidden", 'nodes is forbidden: User "hub" cannot list resource "nodes" at the cluster scope')
        items = [
            {"metadata": {"name": name, "labels": node["labels"]}, "spec": {}, "status": {"allocatable": node["capacity"]}}
            for name, node in self.cluster.nodes.items()
        ]
        return web.json_response({"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def list(self, request: web.Request) -> web.StreamResponse:
        plural, namespace = request.match_info["plural"], request.match_info["namespace"]
        if request.query.get("watch") in {"true", "True", "1"}:
            return await self.watch(request, plural, namespace)
        self.cluster.requests[f"list {plural}"] += 1
        found = [one for (kind, where, _), one in self.cluster.objects.items() if kind == plural and where == namespace]
        metadata = {"resourceVersion": str(self.cluster.version)}
        body = {"kind": f"{_PLURALS[plural]}List", "apiVersion": "v1", "metadata": metadata}
        return web.json_response({**body, "items": [one for one in found if _matches(one, request)]})

    async def watch(self, request: web.Request, plural: str, namespace: str) -> web.StreamResponse:
        cluster = self.cluster
        cluster.requests[f"watch {plural}"] += 1
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        version = int(request.query.get("resourceVersion") or 0)
        queue: asyncio.Queue[tuple[str, str, str, Object] | None] = asyncio.Queue()
        if version < cluster.compacted:
            queue.put_nowait(None)
        for number, kind, where, change, made in cluster.log:
            if number > version:
                queue.put_nowait((kind, where, change, made))
        cluster.watchers[queue] = response
        try:
            async with asyncio.timeout(float(request.query.get("timeoutSeconds") or 300)):
                while True:
                    told = await queue.get()
                    if told is None:
                        gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": f"too old resource version: {version}"}
                        await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
                        break
                    kind, where, change, made = told
                    if kind == plural and where == namespace and _matches(made, request):
                        await response.write(json.dumps({"type": change, "object": made}).encode() + b"\n")
        except (TimeoutError, ConnectionError):
            pass
        finally:
            del cluster.watchers[queue]
        with suppress(ConnectionError):
            await response.write_eof()
        return response

    async def create(self, request: web.Request) -> web.Response:
        cluster, plural, namespace = self.cluster, request.match_info["plural"], request.match_info["namespace"]
        cluster.requests[f"create {plural}"] += 1
        made = await request.json()
        name = made["metadata"]["name"]
        if (plural, namespace, name) in cluster.objects:
            return _problem(409, "AlreadyExists", f'{plural} "{name}" already exists')
        if plural == "pods":
            wrong = self.restricted and _not_restricted(made)
            if wrong:
                return _problem(403, "Forbidden", f'pods "{name}" is forbidden: violates PodSecurity "restricted:latest": {wrong}')
            count = sum(1 for kind, where, _ in cluster.objects if kind == "pods" and where == namespace)
            if cluster.quota is not None and count >= cluster.quota:
                said = f"exceeded quota: sessions, requested: pods=1, used: pods={count}, limited: pods={cluster.quota}"
                return _problem(403, "Forbidden", f'pods "{name}" is forbidden: {said}')
            made["status"] = {"phase": "Pending"}
        made = cluster._add(plural, namespace, made)
        if cluster.create_delay:
            await asyncio.sleep(cluster.create_delay)
        return web.json_response(made, status=201)

    async def read(self, request: web.Request) -> web.Response:
        match = request.match_info
        made = self.cluster.objects.get((match["plural"], match["namespace"], match["name"]))
        return web.json_response(made) if made else _problem(404, "NotFound", f'{match["plural"]} "{match["name"]}" not found')

    async def delete(self, request: web.Request) -> web.Response:
        cluster, match = self.cluster, request.match_info
        key = (match["plural"], match["namespace"], match["name"])
        cluster.requests[f"delete {match['plural']}"] += 1
        made = cluster.objects.get(key)
        if made is None:
            return _problem(404, "NotFound", f'{match["plural"]} "{match["name"]}" not found')
        made["metadata"]["deletionTimestamp"] = now()
        cluster._publish(key[0], "MODIFIED", made)
        cluster.loop.call_soon(cluster._remove, key)
        return web.json_response(made)


async def _answer(_request: web.Request) -> web.Response:
    return web.json_response({"version": "2"}, headers={"X-JupyterHub-Version": hub_version})


async def run(cluster: Cluster, *, restricted: bool = True) -> Callable[[], Any]:
    """Start to serve; what stops it again. The cluster's ports are set."""
    api, sessions = web.Application(client_max_size=1 << 22), web.Application()
    Api(cluster, restricted=restricted).routes(api)
    sessions.router.add_route("*", "/{path:.*}", _answer)
    runners = []
    for app in (api, sessions):
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
    cluster.port, cluster.pods_port = (runner.addresses[0][1] for runner in runners)
    scheduler = asyncio.create_task(cluster.scheduler())

    async def stop() -> None:
        for task in (scheduler, *cluster.tasks):
            task.cancel()
        await asyncio.gather(scheduler, *cluster.tasks, return_exceptions=True)
        for runner in runners:
            await runner.cleanup()

    return stop


@contextmanager
def serve(nodes: Mapping[str, Object] | None = None, *, restricted: bool = True) -> Iterator[Cluster]:
    """A cluster that serves from a thread of its own."""
    started: list[Cluster] = []
    ready, end = threading.Event(), asyncio.Event()

    async def live() -> None:
        cluster = Cluster(nodes)
        stop = await run(cluster, restricted=restricted)
        started.append(cluster)
        ready.set()
        await end.wait()
        await stop()

    thread = threading.Thread(target=lambda: asyncio.run(live()), name="fake-kubernetes")
    thread.start()
    assert ready.wait(20), "the fake Kubernetes API did not start"
    try:
        yield started[0]
    finally:
        started[0].loop.call_soon_threadsafe(end.set)
        thread.join(20)


def kubeconfig(folder: Path, port: int) -> Path:
    """A kubeconfig file for the cluster whose API has `port`."""
    file = folder / "kubeconfig"
    address = {"server": f"http://127.0.0.1:{port}"}
    context = {"name": "fake", "context": {"cluster": "fake", "user": "fake"}}
    document = {"apiVersion": "v1", "kind": "Config", "current-context": "fake", "contexts": [context]}
    document |= {"clusters": [{"name": "fake", "cluster": address}], "users": [{"name": "fake", "user": {"token": "x"}}]}
    file.write_text(json.dumps(document))
    return file


if __name__ == "__main__":

    async def alone() -> None:
        """Serve until standard input ends."""
        cluster = Cluster()
        await run(cluster, restricted=False)
        sys.stdout.write(json.dumps({"api": cluster.port, "pods": cluster.pods_port}) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(alone())
