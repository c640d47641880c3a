"""Why a session does not start: from a pod, its events or the API's refusal to one sentence with what to do.

`recognise` is pure: the shell calls it on each change and gives a failure up to `patience` seconds to pass by itself. What
the pod says of itself (its phase, containers and conditions) comes before its events: a first start's last event names a volume
where the pod's PodScheduled condition says that there is no GPU. An event is only asked where the pod itself says nothing.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

from jupyterhub.spawner import SpawnException

_AGAIN = "Try again; if it happens again, tell whoever runs this workbench."
_OPERATOR = "Nothing that you did is wrong: tell whoever runs this workbench, and choose another profile until then."
_LONGEST_DETAIL = 2000
_GONE = ("not found", "manifest unknown", "does not exist", "unauthorized", "pull access denied", "forbidden")
_SECRET = re.compile(r"(?i)((?:token|password|secret|authorization)\S*?[=:]\s*)\S+")


@dataclass(frozen=True, slots=True)
class Failure:
    """`code`: a stable word, also the label of the metrics. `sentence` and `hint` are for the user, `detail` for an operator.

    `patience`: for how many seconds the same failure may pass by itself.
    """

    code: str
    sentence: str
    hint: str
    detail: str = ""
    patience: float = 0.0

    def shown(self, say: Callable[[str], str] = str) -> str:
        """As HTML: the sentence, what to do, and the detail folded; `say` puts a sentence into the reader's language."""
        text = f'<span class="start-failure">{html.escape(say(self.sentence))}</span> <span>{html.escape(say(self.hint))}</span>'
        if self.detail:
            text += f"<details><summary>{html.escape(say('Technical detail'))}</summary><pre>{html.escape(self.detail)}</pre></details>"
        return text


class Shown(str):
    """A failure's HTML in English, which a page that speaks another language makes anew from `failure`."""

    __slots__ = ("failure",)
    failure: Failure

    def __new__(cls, failure: Failure) -> Self:
        """Of `failure`."""
        made = super().__new__(cls, failure.shown())
        made.failure = failure
        return made


class StartFailedError(SpawnException):  # type: ignore[misc]  # jupyterhub has no types
    """A start that failed, as JupyterHub shows it: the sentence, what to do, and the detail folded."""

    def __init__(self, failure: Failure, status: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE) -> None:
        self.failure = failure
        text = f"{failure.sentence} {failure.hint}".strip()
        shown = Shown(failure)
        super().__init__(text, reason=failure.code, log_message=f"{text} [{failure.detail}]", message_html=shown, status_code=int(status))
        # what the page of a start that failed earlier, and the event stream, show
        self.jupyterhub_message, self.jupyterhub_html_message = text, shown


def recognise(pod: Mapping[str, Any] | None, events: Iterable[Mapping[str, Any]] = ()) -> Failure | None:
    """What keeps `pod` (None: it is gone) from running, by its status and its `events`, oldest first; None: nothing known."""
    if pod is None:
        return Failure("pod-removed", "The session was removed from the cluster while it started.", _AGAIN)
    told = list(events)
    detail = _detail(pod, told)
    for find in (_phase, _containers, _scheduled):
        found = find(pod, told)
        if found is not None:
            return Failure(found.code, found.sentence, found.hint, detail, found.patience)
    found = _volumes(told)
    return Failure(found.code, found.sentence, found.hint, detail, found.patience) if found else None


def too_late(pod: Mapping[str, Any] | None, events: Iterable[Mapping[str, Any]], minutes: float) -> Failure:
    """The session did not start in time: what is known by then."""
    told = list(events)
    known = recognise(pod, told)
    if known is not None:
        return known
    return Failure("timeout", f"The session did not start within {minutes:g} minutes.", _AGAIN, _detail(pod, told) if pod else "")


def refused(status: int, body: str | bytes | None) -> Failure:
    """The API refused to create a pod or a claim: `status` is HTTP's, `body` its Status object as it came."""
    message = _message(body.decode(errors="replace") if isinstance(body, bytes) else body or "")
    detail = f"HTTP {status}: {message}"[:_LONGEST_DETAIL]
    if status == HTTPStatus.FORBIDDEN and "exceeded quota" in message:
        return Failure(
            "quota",
            "The workbench has no room for another session: the limit that its operator set is reached.",
            "Wait until somebody stops a session, or stop another one of yours; a smaller profile may still fit.",
            detail,
        )
    if status == HTTPStatus.FORBIDDEN and "violates PodSecurity" in message:
        return Failure("pod-security", "The cluster refuses this profile's sessions by its security rules.", _OPERATOR, detail)
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}:
        return Failure("cluster-busy", "The cluster does not take new sessions at the moment.", "Try again in a few minutes.", detail)
    return Failure("refused", "The cluster refused to start this session.", _OPERATOR, detail)


def unanswered() -> Failure:
    """The API did not answer."""
    return Failure("cluster-silent", "The cluster does not answer at the moment.", "Try again in a few minutes; running sessions go on.")


def _phase(pod: Mapping[str, Any], _events: list[Mapping[str, Any]]) -> Failure | None:
    status = pod.get("status") or {}
    if "deletionTimestamp" in pod["metadata"]:
        return Failure("pod-removed", "The session was removed from the cluster while it started.", _AGAIN)
    if status.get("phase") != "Failed":
        return None
    reason = status.get("reason") or ""
    if reason == "Evicted":
        return Failure("evicted", "The session was ended because its machine ran out of disk or memory.", _AGAIN)
    if "gpu" in reason.lower() or reason == "UnexpectedAdmissionError":
        return Failure("gpu", "The machine could not give the session its GPU.", "Try again, or take a profile without a GPU.")
    return None if status.get("containerStatuses") else Failure("pod-failed", "The cluster could not run this session.", _AGAIN)


def _containers(pod: Mapping[str, Any], _events: list[Mapping[str, Any]]) -> Failure | None:
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason") or "", (waiting.get("message") or "").lower()
        if reason in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}:
            sure = reason in {"InvalidImageName", "ErrImageNeverPull"} or any(word in message for word in _GONE)
            return Failure("image", "The software image of this profile could not be fetched.", _OPERATOR, patience=0 if sure else 60)
        if reason in {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}:
            return Failure("container", "The session's container could not be set up.", _OPERATOR, patience=10)
        ended = (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated")
        if ended and not container.get("ready"):
            return _crash(ended)
    return None


def _crash(ended: Mapping[str, Any]) -> Failure:
    if ended.get("reason") == "OOMKilled":
        return Failure("memory", "The session needed more memory than its profile has, already while starting.", "Take a larger profile.")
    return Failure(
        "crash",
        f"The session's program ended at once (exit code {ended.get('exitCode')}).",
        "If you changed start-up files in your home (.bashrc, .jupyter, .ipython), undo that; otherwise tell whoever runs this workbench.",
    )


def _scheduled(pod: Mapping[str, Any], events: list[Mapping[str, Any]]) -> Failure | None:
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") != "PodScheduled" or condition.get("status") != "False":
            continue
        if condition.get("reason") not in {"Unschedulable", None}:
            return None  # a gate, or the scheduler's own trouble
        growing = any(event.get("reason") == "TriggeredScaleUp" for event in events)
        return _unschedulable(condition.get("message") or "", 900 if growing else 15)
    return None


def _unschedulable(message: str, patience: float) -> Failure:
    low = message.lower()
    lacking = set(re.findall(r"insufficient ([a-z0-9./-]*[a-z0-9])", low))
    gpus = {name for name in lacking if "/" in name}
    if "persistentvolumeclaim" in low:
        bound = "unbound" in low
        return Failure("volume", "A volume that this session needs is not there.", _OPERATOR, patience=90 if bound else 15)
    if "volume node affinity conflict" in low:
        return Failure("volume", "Your home lies where no machine has room for this profile.", "Take a smaller profile.", patience=patience)
    if gpus:
        hint = "Ask again later: you will wait in the queue. Or take a profile without a GPU now."
        return Failure("gpu", "No machine has a free GPU of this kind, although one was expected.", hint, patience=patience)
    if "memory" in lacking or "cpu" in lacking:
        what = " and ".join(word for key, word in (("cpu", "processors"), ("memory", "memory")) if key in lacking)
        hint = "Take a smaller profile, or try again when others have stopped their sessions."
        return Failure("no-room", f"No machine has enough {what} free for this profile.", hint, patience=patience)
    if "affinity/selector" in low or "untolerated taint" in low:
        return Failure("no-machine", "No machine of the cluster is meant for this profile.", _OPERATOR, patience=patience)
    return Failure("unschedulable", "The cluster finds no machine for this session.", _AGAIN, patience=patience)


def _volumes(events: list[Mapping[str, Any]]) -> Failure | None:
    if any(event.get("reason") in {"FailedMount", "FailedAttachVolume"} for event in events):
        return Failure("mount", "A volume of this session, its home or a dataset's, could not be mounted.", _AGAIN, patience=45)
    return None


def _message(body: str) -> str:
    try:
        status = json.loads(body)
    except ValueError:
        return body
    return str(status.get("message", "")) if isinstance(status, dict) else body


def _detail(pod: Mapping[str, Any], events: list[Mapping[str, Any]]) -> str:
    status = pod.get("status") or {}
    lines = [f"pod {pod['metadata'].get('name')}: {status.get('phase')} {status.get('reason') or ''}".rstrip()]
    failed = [one for one in status.get("conditions") or [] if one.get("status") == "False" and one.get("message")]
    lines += [f"{condition['type']}: {condition['message']}" for condition in failed]
    for container in status.get("containerStatuses") or []:
        for when in ("state", "lastState"):
            lines += [f"container {when}: {name}: {_words(state)}" for name, state in (container.get(when) or {}).items() if state]
    lines += [f"{event.get('type')} {event.get('reason')}: {event.get('message')}" for event in events if event.get("type") == "Warning"]
    return _SECRET.sub(r"\1…", "\n".join(lines))[:_LONGEST_DETAIL]


def _words(state: Mapping[str, Any]) -> str:
    return ", ".join(str(state[key]) for key in ("reason", "exitCode", "message") if state.get(key) not in {None, ""})
