"""The pages of sessions: the form that a session is started with."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader

from cohortlab_hub.sessions import gpus, profiles
from cohortlab_hub.sessions.settings import Profile
from cohortlab_hub.settings import Settings

if TYPE_CHECKING:
    from cohortlab_hub.sessions.kubernetes import KubernetesSpawner

_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".webp": "image/webp"}
_TEMPLATES = Environment(loader=FileSystemLoader(str(files("cohortlab_hub") / "templates")), autoescape=True)


async def options_form(spawner: "KubernetesSpawner") -> str:
    """The form of `spawner`'s user: the profiles that they may use, with how many GPUs are free."""
    person, settings = spawner.person, spawner.settings
    offered = profiles.offered(settings.profiles, person.groups)
    if not offered:
        return _TEMPLATES.get_template("profiles.html").render(profiles=[], projects=[])
    free = await spawner.room.transact(gpus.free)
    waiting = await spawner.room.transact(gpus.tickets)
    queued = {kind: sum(row.kind == kind and row.state == gpus.WAITING for row in waiting) for kind in settings.gpus}
    totals = await spawner.room.totals()
    shown = []
    for name, profile in offered.items():
        gpu = None
        if profile.gpu is not None:
            kind = profile.gpu.kind
            total = totals.get(kind, 0)
            gpu = {
                "count": profile.gpu.count,
                "title": settings.gpus[kind].title or kind,
                "total": total,
                "free": min(total, free[kind].free) if kind in free else total,
                "queued": queued[kind],
            }
        shown.append({"name": name, "profile": profile, "gpu": gpu, "picture": picture(profile)})
    joined = profiles.projects(settings, person.name, person.groups)
    return _TEMPLATES.get_template("profiles.html").render(profiles=shown, projects=joined, now=datetime.now(UTC))


def at_once(settings: Settings) -> Callable[[Any], list[tuple[str, str]]]:
    """For the waiting page: the profiles (name, title) without GPUs that its user may take instead."""

    def of(user: Any) -> list[tuple[str, str]]:
        groups = {group.name for group in user.groups} if user is not None else set()
        offered = profiles.offered(settings.profiles, groups)
        return [(name, profile.title or name) for name, profile in offered.items() if profile.gpu is None]

    return of


def options_from_form(form: dict[str, list[str]]) -> dict[str, Any]:
    """What the form says, as options of a start. Values are checked where all starts are."""
    return {key: form[key][0] for key in ("profile", "project") if form.get(key) and form[key][0]}


def picture(profile: Profile) -> str:
    """The profile's picture as a data URL, empty without one."""
    if profile.picture is None:
        return ""
    kind = _TYPES[profile.picture.suffix.lower()]
    return f"data:{kind};base64,{base64.b64encode(profile.picture.read_bytes()).decode()}"
