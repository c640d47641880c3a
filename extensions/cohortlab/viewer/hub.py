"""A session's gateway and the hub: whether a dataset may still be shown, and how much of it was, for the audit.

A grant that is revoked ends the session only after the operator's grace; the gateway refuses before that. While images are asked for it
asks the hub's service for the session's leases, each decided now. An answer of the last seconds is used as it is; an older one
is used while a newer one is on its way, so that no slice waits for the hub; one that is too old is waited for, and where the hub
does not answer then nothing is shown. Without a hub (plain Jupyter) what is mounted is shown.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx

from cohortlab.errors import CohortlabError, RefusedError, UnavailableError
from cohortlab.viewer.api import Asked, Reply, datasets_of, problem, split
from cohortlab.viewer.arrays import ARRAYS
from cohortlab.viewer.tally import Seen, Tally

FRESH_SECONDS: Final = 10.0
"""An answer is asked for anew after this; how long a revocation takes to be seen while somebody scrolls."""

OLDEST_SECONDS: Final = 40.0
"""An older answer is not used: with what the hub itself keeps, a revocation counts within a minute."""

_TIMEOUT = 10.0
_LAST_TIMEOUT = 3.0  # of the report when the server ends: it must not be kept from ending
_ONCE_A = 2.0  # seconds between questions that fail

_CLEAR = '"cache"'  # of what Clear-Site-Data knows: neither cookies nor what a page stored

type Ask = Callable[[], Mapping[str, str]]
"""The session's datasets, each with why it may not be shown any more; "" when it may."""


class Hub:
    """The hub's service, asked with the session's token."""

    def __init__(self, url: str, token: str, server: str) -> None:
        self._server = server
        self._client = httpx.Client(
            base_url=url.rstrip("/") + "/api/v1/",
            headers={"Authorization": f"token {token}"},
            timeout=_TIMEOUT,
            trust_env=False,
        )

    @classmethod
    def from_environment(cls) -> "Hub | None":
        """That of this session; None where there is none."""
        url, token = os.environ.get("COHORTLAB_SERVICE_URL", ""), os.environ.get("JUPYTERHUB_API_TOKEN", "")
        return cls(url, token, os.environ.get("JUPYTERHUB_SERVER_NAME", "")) if url and token else None

    def leases(self) -> dict[str, str]:
        """See `Ask`. Raises `UnavailableError`, and `RefusedError` when the session's token does not count any more."""
        answer = self._call("GET", "sessions/self/leases", params={"server": self._server})
        try:
            return {str(one["dataset"]): "" if one["allowed"] else str(one["reason"]) for one in answer.json()}
        except (ValueError, KeyError, TypeError):
            raise UnavailableError("The hub's answer cannot be read, so it is not known whether you may still see this.") from None

    def report(self, number: str, seen: Sequence[Seen], timeout: float = _TIMEOUT) -> None:
        """Tell what was sent. Raises as `leases`."""
        sent = [
            {
                "dataset": one.dataset,
                "since": one.begin.isoformat(),
                "answers": one.answers,
                "bytes": one.bytes,
                "series": len(one.series),
                "cases": len(one.cases),
            }
            for one in seen
        ]
        self._call("POST", "pixels/reports", json={"id": number, "server": self._server, "sent": sent}, timeout=timeout)

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **more)
        except (httpx.HTTPError, RuntimeError):  # RuntimeError: closed meanwhile
            raise UnavailableError("The hub does not answer, so it is not known whether you may still see this.") from None
        if answer.is_server_error:
            raise UnavailableError("The hub cannot say now whether you may still see this.")
        if not answer.is_success:
            raise RefusedError("This session may not ask the hub any more.", hint="Restart your session.")
        return answer


@dataclass(frozen=True)
class _Known:
    at: float
    refusals: Mapping[str, str]


class EndedError(RefusedError):
    """What this session was given may not be shown any more."""


class Leases:
    """Whether this session may still show a dataset. Safe to be used by several threads; see the module for when it asks."""

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._known: _Known | None = None
        self._tried = float("-inf")
        self._asking = threading.Lock()

    def check(self, dataset: str) -> None:
        """Raise `RefusedError`, in words, when the dataset may not be shown (`EndedError` when it could be before).

        Raise `UnavailableError` when that is not known.
        """
        reason = self._refusals().get(dataset)
        if reason is None:
            raise RefusedError(f"This session was not given {dataset}.")
        if reason:
            raise EndedError(reason, hint="Nothing more of it is shown. The session goes on until it is stopped.")

    def shown(self) -> frozenset[str]:
        """The datasets that may be shown. Raises `UnavailableError`."""
        return frozenset(dataset for dataset, reason in self._refusals().items() if not reason)

    def _refusals(self) -> Mapping[str, str]:
        known, now = self._known, self._clock()
        if known is not None and now - known.at < FRESH_SECONDS:
            return known.refusals
        if known is not None and now - known.at < OLDEST_SECONDS:
            if now - self._tried >= _ONCE_A and self._asking.acquire(blocking=False):
                threading.Thread(target=self._renew, name="cohortlab-leases", daemon=True).start()
            return known.refusals
        with self._asking:
            known = self._known
            if known is None or self._clock() - known.at >= FRESH_SECONDS:
                known = self._asked()
            return known.refusals

    def _renew(self) -> None:
        """Ask beside the reading. The lock is held; an answer that does not come leaves the old one, until that is too old."""
        try:
            self._asked()
        except UnavailableError:
            pass
        except RefusedError as error:
            self._known = _Known(self._clock(), dict.fromkeys(self._known.refusals if self._known else (), error.message))
        finally:
            self._asking.release()

    def _asked(self) -> _Known:
        at = self._tried = self._clock()  # before the question: what is revoked while it is answered may not be in the answer
        known = self._known = _Known(at, self._ask())
        return known


def decided(leases: Leases | None, asked: Asked) -> frozenset[str] | Reply | None:
    """What may be listed (None: all) for an allowed request, else the refusal. `leases`: None without a hub."""
    if leases is None:
        return None
    try:
        if split(asked.path).kind == "datasets":
            return leases.shown()
        for dataset in datasets_of(asked):
            if dataset != ARRAYS:
                leases.check(dataset)
    except CohortlabError as error:
        return _refusal(asked, error)
    return None


def _refusal(asked: Asked, error: CohortlabError) -> Reply:
    """The error as a problem. With the description of a series whose lease ended the browser is told to empty its cache of this host.

    Slices are cached for ever: what a person has seen would lie there on. The cache is emptied whole, as there is no way to name a part;
    that costs downloads, no work, and so it is said only where a viewer asks once, not with each slice of a scroll.
    """
    reply = problem(error)
    if isinstance(error, EndedError) and split(asked.path).kind == "meta":
        return replace(reply, headers={**reply.headers, "Clear-Site-Data": _CLEAR})
    return reply


class Reports:
    """Sends what `tally` counted; a report that did not arrive is sent again, under its own id, before anything newer."""

    def __init__(self, tally: Tally, hub: Hub) -> None:
        self._tally = tally
        self._hub = hub
        self._waiting: tuple[str, list[Seen]] | None = None
        self._lock = threading.Lock()

    def send(self, *, last: bool = False) -> None:
        """Send once. Raises `UnavailableError`, after which it is sent again next time, and `RefusedError`, after which it is not."""
        with self._lock:
            if self._waiting is None:
                seen = [one for one in self._tally.take() if one.dataset != ARRAYS]
                if not seen:
                    return
                self._waiting = (str(uuid.uuid4()), seen)
            try:
                self._hub.report(*self._waiting, timeout=_LAST_TIMEOUT if last else _TIMEOUT)
            except RefusedError:
                self._waiting = None
                raise
            self._waiting = None
