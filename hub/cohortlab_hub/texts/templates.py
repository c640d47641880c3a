"""Templates in the language of the request: gettext's calls and blocks, the filter `said`, and `language`.

JupyterHub makes its template environments itself; this extension is named in their options. Which request a template is drawn for it
learns from `static_url`, which every page of JupyterHub has and which is a method of the request's handler; a template that is
drawn for no request is given `language`.
"""

from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, pass_context
from jinja2.ext import InternationalizationExtension
from jinja2.runtime import Context
from markupsafe import Markup

from cohortlab_hub.texts.catalogue import ENGLISH, catalogue, languages
from cohortlab_hub.texts.language import of_request
from cohortlab_hub.texts.said import said


def handler_of(context: Context) -> Any:
    """The handler of the request that a page is drawn for, None for none."""
    return getattr(context.get("static_url"), "__self__", None)


@pass_context
def language(context: Context) -> str:
    """The page's language."""
    handler = handler_of(context)
    return of_request(handler) if handler is not None else ENGLISH


@pass_context
def _gettext(context: Context, message: str) -> str:
    return catalogue(language(context)).one(message)


@pass_context
def _ngettext(context: Context, singular: str, plural: str, number: int) -> str:
    return catalogue(language(context)).many(singular, plural, number)


@pass_context
def _said(context: Context, text: str) -> str:
    return said(str(text), language(context)) if text else ""


@pass_context
def _shown(context: Context, failure: Any) -> str:
    """Why a start failed, as its own HTML, in the page's language."""
    tongue = language(context)
    return Markup(failure.shown(lambda text: said(text, tongue)))  # noqa: S704 - `shown` escapes


def _moment(when: datetime | None) -> str:
    """A time as an element that the page's script writes in the reader's own zone; without it, UTC, as which one without a zone counts."""
    if when is None:
        return ""
    when = when if when.tzinfo else when.replace(tzinfo=UTC)  # JupyterHub's own have none
    made: str = Markup('<time datetime="{}">{}</time>').format(when.isoformat(), f"{when:%Y-%m-%d %H:%M} UTC")
    return made


class Texts(InternationalizationExtension):
    """The extension. It extends each environment that it is named for."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._install_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[arg-type]  # jinja gives them the context, as they ask for
        environment.globals.update(language=language, languages=languages)
        environment.filters.update(said=_said, shown=_shown, moment=_moment)
