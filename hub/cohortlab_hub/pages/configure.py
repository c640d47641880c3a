"""JupyterHub's configuration of the pages: their handlers, what their templates know, the language they are in."""

from typing import Any

from cohortlab_hub.pages.gpus import Gpus
from cohortlab_hub.pages.home import datasets
from cohortlab_hub.pages.language import Language
from cohortlab_hub.pages.operators import People, Sessions
from cohortlab_hub.pages.roles import roles
from cohortlab_hub.pages.stewards import Decisions, Grants, Revoke
from cohortlab_hub.settings import Settings


def configure(c: Any, settings: Settings) -> None:
    """Add the pages to JupyterHub's config object `c`."""
    given = {"settings": settings}
    c.JupyterHub.extra_handlers = [
        *c.JupyterHub.extra_handlers,
        (r"/grants", Grants, given),
        (r"/grants/([0-9a-f-]{36})/revoke", Revoke, given),
        (r"/decisions", Decisions, given),
        (r"/people", People, given),
        (r"/sessions", Sessions, given),
        (r"/gpus", Gpus, given),
        (r"/language", Language),
    ]
    c.JupyterHub.jinja_environment_options = {"extensions": ["cohortlab_hub.texts.templates.Texts"]}
    c.JupyterHub.template_vars = {
        **c.JupyterHub.template_vars,
        "roles": lambda user: roles(settings, [group.name for group in user.groups] if user is not None and user.kind == "user" else []),
        "my_datasets": lambda user: datasets(settings, user),
        "ask_for_access": settings.access.contact or "",
    }
