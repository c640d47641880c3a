"""Which profiles a person is offered, and which one a start asks for: pure functions."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cohortlab.errors import RefusedError
from cohortlab_hub.sessions.pods import unique
from cohortlab_hub.sessions.settings import Profile
from cohortlab_hub.settings import Settings

_KEYS = {"profile", "project"}
PERSONAL = "~"  # no project's name begins with it


@dataclass(frozen=True, slots=True)
class Choice:
    """What a start asks for: a profile, and the project that it is for (a person's own, beginning with `PERSONAL`)."""

    name: str
    profile: Profile
    project: str


_PLAIN = {"session": Profile(title="A session", idle_minutes=0)}


def known(settings: Settings) -> Mapping[str, Profile]:
    """The profiles that there are. Sessions of this machine need none in the file: there is a plain one then, without limits."""
    return settings.profiles if settings.profiles or settings.kubernetes is not None else _PLAIN


def offered(profiles: Mapping[str, Profile], groups: Collection[str]) -> dict[str, Profile]:
    """The profiles that somebody in `groups` may use, in the file's order."""
    return {name: profile for name, profile in profiles.items() if profile.open_to(groups)}


def projects(settings: Settings, person: str, groups: Collection[str]) -> list[str]:
    """The projects that `person` is a member of."""
    if settings.federation is None:
        return []
    known = settings.federation.projects.items()
    return sorted(name for name, project in known if person in project.members or not set(project.groups).isdisjoint(groups))


def bookable(settings: Settings, person: str, groups: Collection[str]) -> list[str]:
    """The projects that `person` may book GPUs for: all for those who book for others, else their own."""
    known_ones = settings.federation.projects if settings.federation else {}
    anybodys = not set(groups).isdisjoint(settings.queue.booking_groups)
    return sorted(known_ones) if anybodys else projects(settings, person, groups)


def choose(options: Mapping[str, Any], settings: Settings, person: str, groups: Collection[str]) -> Choice:
    """The profile that `options` of a start name, or the first one. Raises `RefusedError` with what may be asked for.

    A profile that is not there and one that is not for this person are refused in the same words.
    """
    mine = offered(known(settings), groups)
    if not mine:
        raise RefusedError("There is no profile that you may use.", hint="Ask whoever runs this workbench for access to one.")
    unknown = sorted(str(key) for key in set(options) - _KEYS)
    if unknown:
        raise RefusedError("A start takes the options `profile` and `project`, nothing else.", hint="Leave the others out.")
    name = options.get("profile") or next(iter(mine))
    if not isinstance(name, str) or name not in mine:
        raise RefusedError("There is no such profile that you may use.", hint=f"Yours are: {', '.join(mine)}.")
    joined = projects(settings, person, groups)
    project = options.get("project") or (joined[0] if len(joined) == 1 else PERSONAL + unique(person))
    if project != PERSONAL + unique(person) and project not in joined:
        raise RefusedError("You are in no such project.", hint=f"Yours are: {', '.join(joined)}." if joined else "Leave it out.")
    return Choice(name, mine[name], project)
