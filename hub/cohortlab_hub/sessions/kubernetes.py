"""The Kubernetes spawner: a thin shell around kubespawner that builds pods with `pods`, waits with `queue`, and tells with `failures`.

Of kubespawner it uses the watches, names' slugs, poll and delete; none of its traits describe the pod, so nothing of one profile
can be left over in the next. JupyterHub's order of a start is: options applied (a refusal here is the answer to the
request itself), then `run_pre_spawn_hook`, where a session waits for GPUs: JupyterHub's start_timeout only begins after it, so waiting
never counts as a slow or failed start. Then `start`, which watches its pod by events, recognises what cannot succeed, and says so
instead of waiting for a timeout.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import aiohttp
from jupyterhub.spawner import SpawnException
from kubernetes_asyncio.client import ApiException
from kubespawner import KubeSpawner
from traitlets import Dict, Instance, default

from cohortlab_hub.access import Person
from cohortlab_hub.access.projects import purpose_of
from cohortlab_hub.sessions import failures, gpus, leases, pods
from cohortlab_hub.sessions.failures import StartFailedError
from cohortlab_hub.sessions.gpus import GpuPod
from cohortlab_hub.sessions.pods import Session
from cohortlab_hub.sessions.profiled import apply_options, life, notes, person_of
from cohortlab_hub.sessions.profiles import PERSONAL, Choice
from cohortlab_hub.sessions.queue import Place, Start
from cohortlab_hub.sessions.room import Room, Running, Waiter
from cohortlab_hub.sessions.settings import GpuRequest, Kubernetes
from cohortlab_hub.sessions.watches import Events, Pods
from cohortlab_hub.settings import Settings

_CREATE_SECONDS, _TRIES = 20.0, 4
_RETRY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)


class LeftQueueError(SpawnException):  # type: ignore[misc]  # jupyterhub has no types
    """The user left the queue."""

    def __init__(self) -> None:
        text = "You left the queue. Nothing was started."
        super().__init__(text, reason="left-queue", status_code=int(HTTPStatus.CONFLICT))
        self.jupyterhub_message = text


class KubernetesSpawner(KubeSpawner):  # type: ignore[misc]  # as above
    """Starts a session as a pod. `settings` is set by `configure`; the rest follows from it."""

    settings = Instance(Settings, config=True, help="The workbench's settings.")
    kept = Dict(help="What a restarted hub must know of the session: profile, limits, datasets, request for GPUs.")

    choice: Choice | None = None
    waiter: Waiter | None = None
    _closing: "asyncio.Task[None] | None" = None
    _start_future: "asyncio.Future[str] | None"  # kubespawner's
    _creating: "dict[asyncio.AbstractEventLoop, asyncio.Semaphore]" = {}  # noqa: RUF012 - one a process

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._name()
        self.port = self.kubernetes.port
        self.room = Room.of(self.settings)
        self.room.spawners[self.user.name, self.name] = self
        self.room.gpu_pods = self._gpu_pods
        self.room.count_nodes = self._count_nodes

    # -- who and what

    @property
    def kubernetes(self) -> Kubernetes:
        """The cluster's settings."""
        assert self.settings.kubernetes is not None  # noqa: S101 - configure chooses this class only then
        return self.settings.kubernetes

    @property
    def person(self) -> Person:
        """Whose session it is."""
        return person_of(self)

    @property
    def _session(self) -> Session:
        return Session(self.user.name, self.person.groups, self.name)

    def _name(self) -> None:
        session = Session(self.user.name, server=self.name)
        self.pod_name, self.pvc_name = pods.pod_name(session), pods.home_claim(self.user.name)
        self.dns_name = f"{self.pod_name}.{self.namespace}"

    @default("namespace")
    def _namespace(self) -> str:
        return self.kubernetes.namespace

    def get_env(self) -> dict[str, str]:
        """JupyterHub's variables and the workbench's."""
        env: dict[str, str] = dict(super().get_env())
        if self.choice is not None and self.choice.profile.image is not None:
            env["JUPYTER_IMAGE"] = env["JUPYTER_IMAGE_SPEC"] = self.choice.profile.image
        env["JUPYTERHUB_ACTIVITY_INTERVAL"] = "60"  # seconds: well below any idle limit and its warning
        env["COHORTLAB_TRUSTED_KEYS"] = ",".join(self.settings.trusted_keys)
        env["COHORTLAB_SERVICE_URL"] = self.kubernetes.service_url
        return env

    # -- before the start: the queue

    async def run_pre_spawn_hook(self) -> None:
        """Wait for GPUs, where the profile needs some. Raises `LeftQueueError`, and `StartFailedError` when there are too few at all."""
        try:
            await asyncio.gather(self._start_watching_pods(), self._start_watching_events())
        except (ApiException, aiohttp.ClientError, TimeoutError):
            raise StartFailedError(failures.unanswered()) from None
        self.room.open()
        hook = super().run_pre_spawn_hook()
        if hook is not None:
            await hook
        if self._closing is not None:  # what is noted of the last session ends before this one notes anything
            await self._closing
        while self.choice is not None and self.choice.profile.gpu is not None:
            ticket, outcome = await self._queue(self.choice, self.choice.profile.gpu)
            if outcome is None:
                raise LeftQueueError
            if isinstance(outcome, Start):
                return
            await self.room.finish(ticket)
            self.kept = {}
            apply_options(self, {"profile": outcome})

    async def _queue(self, choice: Choice, gpu: GpuRequest) -> tuple[str, Start | str | None]:
        """The request's id, and what came of the wait."""
        total = (await self.room.totals())[gpu.kind]
        if gpu.count > total:
            told = f"This profile needs {gpu.count} GPUs; there are {total} of its kind."
            raise StartFailedError(failures.Failure("gpu", told, "Choose another profile."))
        self.waiter = await self.room.ask(self.user.name, self.name, choice)
        self.kept = {"ticket": self.waiter.ticket}
        self._ring()
        try:
            return self.waiter.ticket, await self.room.wait(self.waiter)
        finally:
            self.waiter = None

    def _ring(self) -> None:
        self.room.bell.ring(f"{self.user.name}/{self.name}")

    # -- the start

    def start(self) -> "asyncio.Future[str]":
        """The session's address, once its pod runs."""
        future: asyncio.Future[str] = super().start()
        self._ring()
        return future

    async def _start(self) -> str:
        choice = self.choice
        if choice is None:
            raise StartFailedError(failures.Failure("profile", "It was not said which profile to start.", "Choose one."))
        person, catalogue = self.person, self.room.catalogue  # JupyterHub's own objects stay in this thread
        purpose = purpose_of(self.settings, person, None if choice.project.startswith(PERSONAL) else choice.project)
        table = await self.room.transact(
            lambda database: leases.open_for(database, catalogue, person, choice.profile, server=self.name, purpose=purpose)
        )
        now, longest = datetime.now(UTC), choice.profile.max_hours
        self.kept = {**self.kept, **notes(choice, table, now)}
        ticket = self.kept.get("ticket")
        if ticket and longest:
            await self.room.transact(lambda database: gpus.ends(database, ticket, now + timedelta(hours=longest)))
        manifest = pods.pod(
            self._session,
            (choice.name, choice.profile),
            pods.mounts(table, self.kubernetes),
            self.kubernetes,
            self.settings.gpus,
            environment=self.get_env(),
            arguments=self.get_args(),
        )
        async with self._creating.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self.kubernetes.starts_at_once)):
            if self.kubernetes.home.claim is None and not self._pvc_exists:
                await self._ensure_home()
            uid = await self._create(manifest)
        pod = await self._running(uid)
        self.orm_spawner.user_options = dict(self.user_options)
        url: str = self._get_pod_url(pod)
        return url

    async def _ensure_home(self) -> None:
        claim = pods.home(self.user.name, self.kubernetes)
        try:
            made = await self._call(self.api.create_namespaced_persistent_volume_claim, self.namespace, claim)
        except ApiException as error:
            if error.status not in {HTTPStatus.CONFLICT, HTTPStatus.FORBIDDEN}:
                raise StartFailedError(failures.refused(error.status, error.body)) from None
            try:
                made = await self._call(self.api.read_namespaced_persistent_volume_claim, self.pvc_name, self.namespace)
            except ApiException:
                raise StartFailedError(failures.refused(error.status, error.body)) from None
        if made["metadata"].get("annotations", {}).get(pods.PERSON, self.user.name) != self.user.name:
            why = failures.Failure("home", "The home of your name belongs to somebody else.", "Tell whoever runs this workbench.")
            raise StartFailedError(why)
        self._pvc_exists = True

    async def _create(self, manifest: pods.Manifest) -> str:
        """Create the pod; its uid. One of that name that is left from an earlier session is removed first."""
        for _ in range(_TRIES):
            try:
                made = await self._call(self.api.create_namespaced_pod, self.namespace, manifest)
            except ApiException as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise StartFailedError(failures.refused(error.status, error.body)) from None
                uid = await self._made_already(manifest)
                if uid is not None:
                    return uid
                await self.stop(now=True)
            else:
                return str(made["metadata"]["uid"])
        raise StartFailedError(failures.refused(HTTPStatus.CONFLICT, "the pod of an earlier session does not go away"))

    async def _made_already(self, manifest: pods.Manifest) -> str | None:
        """The uid of the pod that is there, if it is the one of this very start, whose creation was answered too late."""
        try:
            there = await self._call(self.api.read_namespaced_pod, self.pod_name, self.namespace)
        except ApiException:
            return None
        mine = _token(manifest) == _token(there) and "deletionTimestamp" not in there["metadata"]
        return str(there["metadata"]["uid"]) if mine else None

    async def _call(self, method: Any, *arguments: Any) -> dict[str, Any]:
        """The API's answer to a call as it came; what is silent or busy is asked again.

        Raises `ApiException` with the body as text, and `StartFailedError` when it stays silent. (The client would make an object of
        every part of a pod, which is what most of a start's processor time would go to.)
        """
        for attempt in range(_TRIES):
            try:
                async with asyncio.timeout(_CREATE_SECONDS / _TRIES):
                    answer = await method(*arguments, _preload_content=False)
                    body = await answer.text()
            except (TimeoutError, aiohttp.ClientError):
                pass
            else:
                if answer.status < HTTPStatus.BAD_REQUEST:
                    made: dict[str, Any] = json.loads(body)
                    return made
                if answer.status not in _RETRY or attempt == _TRIES - 1:
                    error = ApiException(status=answer.status, reason=answer.reason)
                    error.body = body.encode()
                    raise error
            await asyncio.sleep(0.25 * 2**attempt)
        raise StartFailedError(failures.unanswered())

    async def _running(self, uid: str) -> Mapping[str, Any]:
        """The pod, once it runs. Raises `StartFailedError` as soon as it is known that it will not."""
        key = f"{self.namespace}/{self.pod_name}"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.kubernetes.start_minutes * 60
        since: dict[str, float] = {}
        shown = False
        with self.pod_reflector.listen(key) as heard, self.event_reflector.listen(key, heard):
            while True:
                heard.clear()
                pod = self.pod_reflector.pods.get(key)
                mine = pod is not None and pod["metadata"]["uid"] == uid
                shown = shown or mine
                if mine and self.is_pod_running(pod):
                    return dict(pod)
                events = self.event_reflector.of(key, uid)
                failure = failures.recognise(pod if mine else None, events) if shown else None
                wait = deadline - loop.time()
                if failure is not None:
                    since = {failure.code: since.get(failure.code, loop.time())}
                    left = since[failure.code] + failure.patience - loop.time()
                    if left <= 0:
                        raise StartFailedError(failure)
                    wait = min(wait, left)
                if deadline <= loop.time():
                    known = failures.too_late(pod if mine else {"metadata": {"name": self.pod_name}}, events, self.kubernetes.start_minutes)
                    raise StartFailedError(known)
                try:
                    async with asyncio.timeout(max(wait, 0.01)):
                        await heard.wait()
                except TimeoutError:
                    continue

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What the waiting page shows: the place in the queue, then what the cluster says."""
        place = None
        with self.room.bell.listen(f"{self.user.name}/{self.name}") as heard:
            while self._start_future is None:
                heard.clear()
                if self.waiter is not None and self.waiter.place not in {None, place}:
                    place = self.waiter.place
                    yield _in_queue(place)
                    continue
                await heard.wait()
        key, told = f"{self.namespace}/{self.pod_name}", 0
        yield {"progress": 20, "message": "Asking the cluster for your session.", "key": "asking", "queue": None}
        with self.event_reflector.listen(key) as heard:
            while self._start_future is not None and not self._start_future.done():
                heard.clear()
                events = self.event_reflector.of(key)
                for event in events[told:]:
                    told += 1
                    progress = int(90 - 70 * 0.7**told)
                    yield {"progress": progress, "message": f"{event['reason']}: {event['message']}", "raw_event": event}
                ended = asyncio.ensure_future(heard.wait())
                await asyncio.wait({ended, self._start_future}, return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()

    # -- its life

    def seen(self) -> Running | None:
        """As the room sees it."""
        if not self.active:
            return None
        return Running(self.user.name, self.name, self.ready, life(self), self.kept.get("ticket"))

    async def end(self, why: str) -> None:
        """Stop the session and tell JupyterHub, as if it had ended by itself."""
        self.log.info("Stopping the session of %s: %s", self._log_name, why)
        await self.stop()
        await self.poll_and_notify()

    async def poll(self) -> int | None:
        """None while the session runs. As long as the cluster does not answer it is taken to run: nothing is lost by an outage."""
        try:
            status: int | None = await super().poll()
        except (ApiException, aiohttp.ClientError, TimeoutError) as error:
            self.log.warning("The cluster does not tell how the session of %s is: %s", self._log_name, type(error).__name__)
            return None
        self.room.open()
        return status

    def get_state(self) -> dict[str, Any]:
        """What a restarted hub must know."""
        return {**super().get_state(), **({"kept": dict(self.kept)} if self.kept else {})}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a session that an earlier hub started."""
        super().load_state(state)
        self.kept = dict(state.get("kept", {}))

    def clear_state(self) -> None:
        """The session has ended, or a new one begins: nothing of the last one stays."""
        super().clear_state()
        self._name()
        ticket, self.kept, self.choice, self._start_future = self.kept.get("ticket"), {}, None, None
        self.orm_spawner.user_options = {}
        self._closing = self.room.close(self.user.name, self.name, ticket)

    # -- the cluster

    async def _start_watching_pods(self, replace: bool = False) -> Any:
        return await self._start_reflector("pods", Pods, replace=replace, labels={"component": pods.COMPONENT})

    async def _start_watching_events(self, replace: bool = False) -> Any:
        return await self._start_reflector("events", Events, replace=replace, fields={"involvedObject.kind": "Pod"})

    async def _start_reflector(self, kind: str, reflector_class: type, replace: bool = False, **more: Any) -> Any:
        """Of kubespawner: a watch that gave up after a long outage is begun anew, where it would stay blind for ever."""
        known = self.reflectors.get(self._get_reflector_key(kind))
        ended = known is not None and known.watch_task is not None and known.watch_task.done()
        return await super()._start_reflector(kind, reflector_class, replace=replace or ended, **more)

    def _gpu_pods(self) -> list[GpuPod]:
        """The pods that have GPUs."""
        reflector, found = self.pod_reflector, []
        for pod in (reflector.pods if reflector is not None else {}).values():
            kind, notes = pod["metadata"].get("labels", {}).get(pods.GPU_LABEL), pod["metadata"].get("annotations", {})
            if kind in self.settings.gpus and pod["status"].get("phase") not in {"Succeeded", "Failed"}:
                limits = pod["spec"]["containers"][0]["resources"]["limits"]
                count = int(limits.get(self.settings.gpus[kind].resource, 0))
                found.append(GpuPod(notes.get(pods.PERSON, ""), notes.get(pods.SERVER, ""), kind, count))
        return found

    async def _count_nodes(self) -> dict[str, int]:
        """GPUs of the nodes, by kind. Without leave to list nodes there are none."""
        counted = {}
        for name, kind in self.settings.gpus.items():
            if kind.total is not None:
                continue
            selector = ",".join(f"{key}={value}" for key, value in sorted(kind.node_selector.items()))
            try:
                nodes = json.loads(await (await self.api.list_node(label_selector=selector, _preload_content=False)).read())
            except (ApiException, aiohttp.ClientError) as error:
                self.log.warning("The nodes' GPUs cannot be counted (%s): set gpus.%s.total.", type(error).__name__, name)
                continue
            items = [node for node in nodes.get("items", []) if not node.get("spec", {}).get("unschedulable")]
            counted[name] = sum(int(node["status"]["allocatable"].get(kind.resource, 0)) for node in items)
        return counted


def _in_queue(place: Place) -> dict[str, Any]:
    """An event of the waiting page: a place in the queue."""
    queue = {"position": place.position, "estimate": place.estimate.isoformat() if place.estimate else None, "why": place.why}
    return {"progress": 5, "message": f"Waiting for a GPU: you are number {place.position}. {place.why}", "queue": queue}


def _token(pod: Mapping[str, Any]) -> str | None:
    """JupyterHub's token in the pod: each start has its own."""
    variables = pod["spec"]["containers"][0].get("env") or []
    return next((entry.get("value") for entry in variables if entry["name"] == "JUPYTERHUB_API_TOKEN"), None)
