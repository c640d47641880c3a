"""The projects of workbench.yaml: whose they are, and what for."""

from collections.abc import Mapping

from cohortlab.errors import RefusedError
from cohortlab_hub.access.rules import Person
from cohortlab_hub.settings import Project, Settings


def projects_of(settings: Settings, person: Person) -> Mapping[str, Project]:
    """The projects that `person` is in: as a member, or by a group."""
    known = settings.federation.projects if settings.federation else {}
    return {name: project for name, project in known.items() if person.name in project.members or person.groups & set(project.groups)}


def purposes_of(settings: Settings, person: Person) -> set[str]:
    """The purposes of the projects that `person` is in."""
    return {project.purpose for project in projects_of(settings, person).values() if project.purpose}


def purpose_of(settings: Settings, person: Person, project: str | None) -> str | None:
    """The purpose of `project`, None without one. Raises `RefusedError` when it is not one of the person's."""
    if not project:
        return None
    found = projects_of(settings, person).get(project)
    if found is None:
        raise RefusedError(f"You are not in the project {project}.", hint="Start without a project, or ask an operator.")
    return found.purpose
