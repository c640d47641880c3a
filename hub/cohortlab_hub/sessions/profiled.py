"""What spawners of all kinds have in common: which profile a start asks for, what is noted of the session, and its limits."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Protocol

from jupyterhub.spawner import SpawnException

from cohortlab.errors import CohortlabError
from cohortlab_hub.access import Person
from cohortlab_hub.sessions import profiles
from cohortlab_hub.sessions.keeper import Life
from cohortlab_hub.sessions.profiles import Choice
from cohortlab_hub.settings import Settings


class NoProfileError(SpawnException):  # type: ignore[misc]  # jupyterhub has no types
    """A start asked for what its user may not have."""

    def __init__(self, error: CohortlabError) -> None:
        super().__init__(str(error), reason="profile", status_code=int(HTTPStatus.FORBIDDEN))
        self.jupyterhub_message = str(error)


class Profiled(Protocol):
    """What `apply_options` needs of a spawner, beside JupyterHub's own. `kept`: what a restarted hub must know of the session."""

    settings: Settings
    choice: Choice | None
    kept: dict[str, Any]
    user: Any
    orm_spawner: Any
    user_options: dict[str, Any]
    ready: bool


def person_of(spawner: Any) -> Person:
    """Whose session it is."""
    return Person(spawner.user.name, frozenset(group.name for group in spawner.user.groups))


def apply_options(spawner: Profiled, options: Mapping[str, Any]) -> None:
    """JupyterHub's `apply_user_options`: what the start asks for. Raises `NoProfileError`."""
    spawner.orm_spawner.user_options = {}  # a start that fails leaves nothing to the next
    person = person_of(spawner)
    try:
        spawner.choice = profiles.choose(options, spawner.settings, person.name, person.groups)
    except CohortlabError as error:
        raise NoProfileError(error) from None
    spawner.user_options = {"profile": spawner.choice.name, "project": spawner.choice.project}


def notes(choice: Choice, mounted: Mapping[str, object], now: datetime) -> dict[str, Any]:
    """What is kept of a session of `choice` that starts `now` with the datasets `mounted`."""
    return {
        "profile": choice.name,
        "project": choice.project,
        "mounted": sorted(mounted),
        "started": now.isoformat(),
        "idle_minutes": choice.profile.idle_minutes,
        "max_hours": choice.profile.max_hours,
        "extend_hours": choice.profile.extend_hours,
    }


def life(spawner: Profiled) -> Life | None:
    """The session's limits, once it runs; they are those of its start, whatever has become of its profile since."""
    kept = spawner.kept
    if not spawner.ready or "started" not in kept:
        return None
    activity = spawner.orm_spawner.last_activity
    started = datetime.fromisoformat(kept["started"])
    return Life(
        started=started,
        last_activity=activity.replace(tzinfo=UTC) if activity else started,
        idle=timedelta(minutes=kept["idle_minutes"]) if kept.get("idle_minutes") else None,
        longest=timedelta(hours=kept["max_hours"]) if kept.get("max_hours") else None,
        extend=timedelta(hours=kept.get("extend_hours") or 0),
    )
