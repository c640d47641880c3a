"""kubespawner's watches, with listeners: who waits for one pod is woken by its changes, and asks for its events only.

kubespawner itself looks at every pod's state again and again, and sorts all events of the namespace for each waiting page: with
hundreds of starts at once that is what a hub's event loop is busy with.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kubespawner.reflector import ResourceReflector
from traitlets import validate

Resource = Mapping[str, Any]


class _Told(dict[str, Any]):
    """A dictionary that tells of each change of an entry."""

    def __init__(self, entries: Mapping[str, Any], changed: Any) -> None:
        super().__init__(entries)
        self._changed = changed

    def __setitem__(self, key: str, value: Any) -> None:
        before = self.get(key)
        super().__setitem__(key, value)
        self._changed(key, before, value)

    def pop(self, key: str, *rest: Any) -> Any:
        before = super().pop(key, *rest)
        self._changed(key, before, None)
        return before


class _Watch(ResourceReflector):  # type: ignore[misc]  # kubespawner has no types
    """A watch with listeners by the pod's ``namespace/name``."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self._listeners: dict[str, set[asyncio.Event]] = defaultdict(set)
        super().__init__(*arguments, **more)

    @validate("resources")
    def _list_came(self, proposal: Any) -> _Told:
        """A full list came: everything may have changed. Not `observe`: that is silent when the new list equals the old one."""
        told = _Told(proposal.value, self._changed)
        self._listed(told)
        self._wake(*self._listeners)
        return told

    def _listed(self, resources: Mapping[str, Resource]) -> None:
        """All entries are new."""

    def _changed(self, key: str, _before: Resource | None, _after: Resource | None) -> None:
        self._wake(key)

    def _wake(self, *keys: str) -> None:
        for key in keys:
            for heard in self._listeners.get(key, ()):
                heard.set()

    @contextmanager
    def listen(self, key: str, heard: asyncio.Event | None = None) -> Iterator[asyncio.Event]:
        """An event that is set at each change of what concerns the pod `key`."""
        heard = heard or asyncio.Event()
        self._listeners[key].add(heard)
        try:
            yield heard
        finally:
            self._listeners[key].discard(heard)
            if not self._listeners[key]:
                del self._listeners[key]


class Pods(_Watch):
    """The sessions' pods."""

    kind = "pods"

    @property
    def pods(self) -> dict[str, Any]:
        """``namespace/name`` -> pod."""
        resources: dict[str, Any] = self.resources
        return resources


class Events(_Watch):
    """The events of pods, by pod."""

    kind = "events"

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self._of: dict[str, dict[str, Resource]] = defaultdict(dict)
        super().__init__(*arguments, **more)

    @property
    def events(self) -> list[Resource]:
        """All events, oldest first."""
        return sorted(self.resources.values(), key=_when)

    def of(self, key: str, uid: str | None = None) -> list[Resource]:
        """The events of the pod `key`, oldest first; of one pod of that name with `uid`."""
        events = sorted(self._of.get(key, {}).values(), key=_when)
        return events if uid is None else [event for event in events if event["involvedObject"].get("uid") == uid]

    def _listed(self, resources: Mapping[str, Resource]) -> None:
        self._of.clear()
        for name, event in resources.items():
            self._of[_pod(event)][name] = event

    def _changed(self, key: str, before: Resource | None, after: Resource | None) -> None:
        event = after or before
        if event is None:
            return
        pod = _pod(event)
        if after is None:
            self._of[pod].pop(key, None)
        else:
            self._of[pod][key] = after
        self._wake(pod)


def _pod(event: Resource) -> str:
    concerns = event["involvedObject"]
    return f"{concerns.get('namespace')}/{concerns.get('name')}"


def _when(event: Resource) -> tuple[str, int]:
    version = event["metadata"].get("resourceVersion", "0")
    return event.get("lastTimestamp") or event.get("eventTime") or "", int(version) if version.isdigit() else 0
