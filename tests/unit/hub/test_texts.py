"""Languages: each message has its translation, sentences that the rules made are recognised, and a request's language is chosen rightly."""

import re
import string
from datetime import UTC, datetime

import message_sources as sources
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from cohortlab_hub.sessions import failures
from cohortlab_hub.texts import catalogue, languages, preferred, said
from cohortlab_hub.texts.templates import Texts

OTHERS = [code for code in languages() if code != "en"]
SAME = {"no", "{0} ({1})"}  # words that are alike in both languages


@pytest.mark.parametrize("language", OTHERS)
def test_each_message_has_a_translation_and_none_is_left_over(language):
    messages = catalogue(language).messages
    wanted = {**sources.of_templates(), **{text: (text,) for text in sources.of_rules()}}
    assert sorted(set(wanted) - set(messages)) == [], "messages without a translation"
    assert sorted(set(messages) - set(wanted)) == [], "translations of what nobody says any more"
    assert sorted(text for text, forms in messages.items() if forms[0] == text and text not in SAME) == []
    assert [text for text, forms in wanted.items() if len(forms) != len(messages[text])] == [], "another number of plural forms"


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_places_of_its_message(language):
    def places(text):
        return sorted(re.findall(r"%\(\w+\)s|\{\d\}|\b(?:TIME|FREE|TOTAL|PLACE)\b|<[^>]+>|`[^`]+`", text))

    for message, forms in catalogue(language).messages.items():
        if len(forms) == 1:
            assert places(message) == places(forms[0]), message


@pytest.mark.parametrize(
    ("text", "spanish"),
    [
        (
            "You have no grant for beta. Ask a data steward for access.",
            "No tiene permiso para beta. Pida acceso a un administrador de datos.",
        ),
        ("The session did not start within 10 minutes.", "La sesión no arrancó en 10 minutos."),
        (
            (
                "Refused: scans is for breast cancer research (DUO:0000007), the project's purpose is clinical care (DUO:0000043). "
                "Use a project with such a purpose, or ask a data steward."
            ),
            (
                "Denegado: scans es para investigación de breast cancer (DUO:0000007); el fin del proyecto es atención clínica "
                "(DUO:0000043). Use un proyecto con ese fin o pregunte a un administrador de datos."
            ),
        ),
        (
            (
                "Refused: scans has terms that your grant does not state as fulfilled: ethics approval is required (DUO:0000021), "
                "only in the agreed places (DUO:0000022). Send your ethics approval to a data steward. "
                "Tell a data steward from where you will work."
            ),
            (
                "Denegado: scans tiene condiciones que su permiso no da por cumplidas: se exige aprobación ética (DUO:0000021), "
                "solo en los lugares acordados (DUO:0000022). Envíe su aprobación ética a un administrador de datos. "
                "Diga a un administrador de datos desde dónde trabajará."
            ),
        ),
        (
            "Granted: opening it in a session (IN_SITU_PROCESSING) until 2026-03-01 13:00 UTC.",
            "Concedido: abrirlo en una sesión (IN_SITU_PROCESSING) hasta 2026-03-01 13:00 UTC.",
        ),
        # what somebody wrote stays as they wrote it, also between sentences that are known
        (
            (
                "This session has alpha open and will be stopped: Your grant for alpha was revoked on 2026-03-01 12:00 UTC: left. Gone. "
                "Ask a data steward for access. Save your work now."
            ),
            (
                "Esta sesión tiene abierto alpha y se detendrá: Su permiso para alpha fue revocado el 2026-03-01 12:00 UTC: left. Gone. "
                "Pida acceso a un administrador de datos. Guarde su trabajo ahora."
            ),
        ),
        ("Pulling image registry.example.org/x", "Pulling image registry.example.org/x"),
        ("", ""),
    ],
)
def test_sentences_that_the_rules_made(text, spanish):
    assert said(text, "es") == spanish
    assert said(text, "en") == text


@given(st.text(string.printable, max_size=200))
def test_any_text_can_be_shown(text):
    assert isinstance(said(text, "es"), str)


def test_each_failure_of_a_start_is_told_in_the_readers_language():
    pod = {"metadata": {"name": "p"}, "status": {"phase": "Failed", "reason": "Evicted", "conditions": []}}
    failure = failures.recognise(pod)
    shown = failure.shown(lambda text: said(text, "es"))
    assert "La sesión terminó porque su máquina se quedó sin disco o sin memoria." in shown
    assert "<summary>Detalle técnico</summary>" in shown
    error = failures.StartFailedError(failure)
    assert error.jupyterhub_html_message.failure is failure
    assert "because its machine ran out" in error.jupyterhub_html_message


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("es", "es"),
        ("es-MX,es;q=0.9,en;q=0.8", "es"),
        ("en,es;q=0.9", "en"),
        ("de-AT,de;q=0.9,es;q=0.4,en;q=0.3", "es"),
        ("fr", "en"),
        ("ES;Q=1", "es"),
        ("es;q=0", "en"),
        ("en;q=0.5, es;q=0.7", "es"),
        ("es;q=x,en;q=0.1", "en"),
        ("*", "en"),
        (";;,=,es;q", "en"),
        ("../../etc;q=1", "en"),
        ("x," * 5000 + "es", "en"),
    ],
)
def test_the_language_of_a_browser(header, language):
    assert preferred(header, languages()) == language


def test_a_template_escapes_what_it_is_given_and_counts():
    environment = Environment(autoescape=True, extensions=[Texts])
    drawn = environment.from_string("{% trans n=n %}One session runs, starts or waits.{% pluralize %}{{ n }}{% endtrans %}{{ _('Until') }}")
    assert drawn.render(n=1) == "One session runs, starts or waits.Until"
    assert environment.from_string("{% trans who=who %}by {{ who }}{% endtrans %}").render(who="<b>") == "by &lt;b&gt;"
    assert (
        catalogue("es")
        .many("One session runs, starts or waits.", "%(count)s sessions run, start or wait.", 3)
        .startswith("%(count)s sesiones")
    )


@pytest.mark.parametrize("zone", [None, UTC])
def test_a_time_without_a_zone_is_jupyterhubs_own_and_utc(zone):
    drawn = Environment(autoescape=True, extensions=[Texts]).from_string("{{ when | moment }}")
    when = datetime(2026, 3, 1, 12, tzinfo=zone)
    assert drawn.render(when=when) == '<time datetime="2026-03-01T12:00:00+00:00">2026-03-01 12:00 UTC</time>'
    assert drawn.render(when=None) == ""
