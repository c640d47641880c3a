"""The pages of sessions: the form that a session is started with."""

import base64
from collections.abc import Callable
from typing import Any, Self

from cohortlab_hub.sessions import gpus, profiles
from cohortlab_hub.sessions.profiled import person_of
from cohortlab_hub.sessions.settings import Profile
from cohortlab_hub.settings import Settings

_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".webp": "image/webp"}


class Form(str):
    """What the form shows. JupyterHub takes it for the form's HTML; ``spawn.html`` draws it, in the language of its reader."""

    __slots__ = ("on_cluster", "profiles", "projects")

    def __new__(cls, profiles: list[dict[str, Any]], projects: list[str], *, on_cluster: bool) -> Self:
        """With these `profiles` and `projects` to choose between."""
        made = super().__new__(cls, "profiles")
        made.profiles, made.projects, made.on_cluster = profiles, projects, on_cluster
        return made

    profiles: list[dict[str, Any]]
    projects: list[str]
    on_cluster: bool


async def options_form(spawner: Any) -> str:
    """The form of `spawner`'s user: the profiles that they may use, with how many GPUs are free; empty: there is nothing to choose."""
    person, settings = person_of(spawner), spawner.settings
    offered = profiles.offered(profiles.known(settings), person.groups)
    joined = profiles.projects(settings, person.name, person.groups)
    if not settings.profiles and len(joined) < 2:  # noqa: PLR2004 - nothing to choose between: no form, the session starts
        return ""
    if not offered:
        return Form([], [], on_cluster=False)
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
    return Form(shown, joined, on_cluster=settings.kubernetes is not None)


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
