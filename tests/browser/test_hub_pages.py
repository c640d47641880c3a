"""The hub's pages in Chromium, below a base path: stewards, operators, GPUs, home; by keyboard, in Spanish, and by axe-core."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration" / "hub"))

import accessible
from cluster_workbench import NODES, up, write

from cohortlab_hub import records
from cohortlab_hub.access import NewGrant, add
from cohortlab_hub.settings_file import load
from fake_kubernetes import serve

BASE = "/lab/one/"
ACCOUNTS = {"bob": {}, "cy": {}, "ana": {}, "dora": {}, "steward": {"groups": ["stewards"]}, "operator": {"groups": ["operators"]}}
MANY = 30
START = """(profile) => new Promise((done) => require(["jhapi"], (JHAPI) => new JHAPI(jhdata.base_url).api_request(
  `users/${jhdata.user}/server`,
  {type: "POST", data: JSON.stringify({profile}), dataType: null, success: () => done(true), error: () => done(false)})))"""
"""Starts a session as a page does, without going there: a pod of the fake cluster has no pages."""
LOADED = "window._jupyterhub_page_loaded"
"""JupyterHub's own scripts listen to the page's buttons now."""


@pytest.fixture(scope="module")
def workbench(tmp_path_factory):
    accessible.needs_axe()
    with serve(NODES) as cluster:
        projects = {"key": "keys/gate.key", "projects": {"course": {"members": ["ana"]}, "lung": {"members": ["cy"]}}}
        file = write(tmp_path_factory.mktemp("pages"), cluster, ACCOUNTS, federation=projects, listen={"base_path": BASE})
        settings = load(file)
        with records.opened(settings.database_url) as database:
            for number in range(MANY):
                add(
                    database, "steward", NewGrant(subject=f"user-{number:02}", dataset="beta", reason="a long list"), set(settings.datasets)
                )
        cluster.image_faults = {"missing": "missing"}
        cluster.pull_seconds = 0.0
        running = up(file, cluster)
        assert running.address.endswith(BASE)
        yield cluster, running, file
        assert running.stop() == 0, "".join(running.said)


@pytest.fixture
def signed_in(workbench, browser):
    """Pages of signed-in people: a context each, watched as `context` is, in the language that is asked for."""
    from page_watch import Watch  # noqa: PLC0415 - found by the path above

    opened = []

    def sign_in(name, language="en"):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, locale=language)
        context.set_default_timeout(60_000)
        opened.append((context, Watch(context)))
        page = context.new_page()
        page.goto(f"{workbench[1].address}hub/login")
        page.fill("#username_input", name)
        page.fill("#password_input", workbench[1].password)
        page.press("#password_input", "Enter")
        page.wait_for_url(f"**{BASE}hub/**")
        return page

    yield sign_in
    for context, watch in opened:
        context.close()
        watch.check()


def go(page, workbench, path):
    page.goto(f"{workbench[1].address}hub/{path}")
    return page


def state(page, says):
    """Wait until the home page says so of the session, loading it anew until then."""
    page.wait_for_function(
        "(says) => document.querySelector('#session-state')?.textContent.includes(says) || (location.reload(), false)", arg=says
    )


def test_a_steward_grants_finds_and_decides_by_keyboard(workbench, signed_in):
    page = go(signed_in("steward"), workbench, "grants")
    accessible.check(page)
    assert page.locator("tr[data-grant]").count() == 25  # a part of them
    page.click("a[rel=next]")
    page.wait_for_url("**page=2")
    assert page.locator("tr[data-grant]").count() == MANY - 25
    assert page.locator("a[rel=next]").count() == 0

    page.focus("#subject")
    for key in ("ana", "Tab", "alpha", "Tab", "Tab", "Tab", "Tab"):
        page.keyboard.press(key) if key == "Tab" else page.keyboard.type(key)
    page.focus("#fulfils-4")
    page.keyboard.press("Space")
    page.focus("#reason")
    page.keyboard.type("Approved by the committee.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#done")
    page.fill("#to", "ana")
    page.press("#to", "Enter")
    page.wait_for_url("**to=ana**")
    row = page.inner_text("tr[data-grant]")
    assert "alpha" in row
    assert "fulfilled: DUO:0000021" in row
    assert "by steward" in row

    go(page, workbench, "decisions")
    accessible.check(page)
    assert "Name an account" in page.inner_text("#nothing")
    page.fill("#person", "ana")
    page.press("#person", "Enter")
    page.wait_for_selector("tr[data-dataset=alpha][data-allowed=yes]")
    assert "You have no grant for beta." in page.inner_text("tr[data-dataset=beta][data-allowed=no]")
    assert "This account is in no group." in page.inner_text("#decisions")
    accessible.check(page)
    go(page, workbench, "decisions?person=zoe")
    assert "Nobody has signed in with this account yet" in page.inner_text("#decisions")


def test_a_steward_revokes_with_a_reason(workbench, signed_in):
    settings = load(workbench[2])
    with records.opened(settings.database_url) as database:
        add(database, "steward", NewGrant(subject="rosa", dataset="alpha", reason="a study"), set(settings.datasets))
    page = go(signed_in("steward"), workbench, "grants?to=rosa")
    page.focus("tr[data-grant] a.btn")
    page.keyboard.press("Enter")
    page.wait_for_selector("#revoke")
    accessible.check(page)
    page.fill("#reason", "The study has ended.")
    page.press("#for_cause", "Space")
    page.click("button[type=submit].btn-danger")
    page.wait_for_selector("#done")
    go(page, workbench, "grants?to=rosa")
    assert "No grant is like this." in page.inner_text("#nothing")
    go(page, workbench, "grants?to=rosa&all=1")
    assert "The study has ended." in page.inner_text("tr[data-grant]")
    accessible.check(page)


def test_what_is_wrong_with_a_form_is_said_and_what_was_written_stays(workbench, browser):
    context = browser.new_context()  # not watched: Chromium logs the answer's own status, 422, as an error
    page = context.new_page()
    page.goto(f"{workbench[1].address}hub/login?next={BASE}hub/grants")
    page.fill("#username_input", "steward")
    page.fill("#password_input", workbench[1].password)
    page.click("#login_submit")
    page.wait_for_selector("#new-grant")
    page.fill("#subject", "ana")
    page.fill("#until", "2001-01-01")
    page.fill("#reason", "A study.")
    page.click("#new-grant button[type=submit]")
    page.wait_for_selector("#wrong")
    assert "end before it begins" in page.inner_text("#wrong")
    assert page.input_value("#subject") == "ana"
    accessible.check(page)
    context.close()


def test_an_operator_sees_people_and_sessions_and_stops_one(workbench, signed_in):
    cluster = workbench[0]
    operator = go(signed_in("operator"), workbench, "sessions")
    assert "No session runs now." in operator.inner_text("#nothing")
    accessible.check(operator)
    bob = go(signed_in("bob"), workbench, "spawn")
    accessible.check(bob)
    assert bob.evaluate(START, "small")
    go(bob, workbench, "home")
    state(bob, "is running")

    go(operator, workbench, "sessions")
    row = operator.locator("tr[data-person=bob]")
    assert "runs" in row.inner_text()
    accessible.check(operator)
    go(operator, workbench, "people?name=b")
    assert operator.locator("tr[data-person]").count() == 1
    accessible.check(operator)
    go(operator, workbench, "people?name=nobody")
    assert "Nobody's account begins so." in operator.inner_text("#nothing")

    go(operator, workbench, "sessions")
    operator.fill("#reason-1", "The machine is replaced.")
    operator.fill("#minutes-1", "0")
    operator.click("tr[data-person=bob] button")
    operator.wait_for_selector("#done")
    go(bob, workbench, "home")
    state(bob, "not running")
    assert all(pod["metadata"]["annotations"]["hub.jupyter.org/username"] != "bob" for pod in cluster.pods())


def test_gpus_are_booked_given_back_and_the_queue_is_left_in_spanish(workbench, signed_in):
    page = go(signed_in("ana", "es-MX"), workbench, "gpus")
    assert page.evaluate("document.documentElement.lang") == "es"
    assert "Nadie espera." in page.inner_text("#nobody-waits")
    assert "No hay nada reservado." in page.inner_text("#nothing-booked")
    accessible.check(page)
    page.fill("#count", "2")
    page.fill("#start", "2031-01-01T09:00")
    page.fill("#end", "2031-01-01T11:00")
    page.fill("#reason", "Una clase.")
    page.click("#book button[type=submit]")
    page.wait_for_selector("#done")
    assert "reservadas" in page.inner_text("#done")
    assert "course" in page.inner_text("#bookings")
    accessible.check(page)
    page.click("#bookings button")
    page.wait_for_selector("#nothing-booked")

    # Ana takes both GPUs, cy waits and sees so in Spanish, the operator sees who it is
    assert page.evaluate(START, "two")
    go(page, workbench, "home")
    state(page, "en marcha")
    cy = go(signed_in("cy", "es"), workbench, "spawn")
    assert "Elija un tipo de sesión" in cy.inner_text("#profiles legend")
    assert "0 de 2 libres" in cy.inner_text(".gpu[data-profile=gpu]")
    assert "Esperaría en la cola." in cy.inner_text(".gpu[data-profile=gpu]")
    accessible.check(cy)
    cy.check("#profile-gpu")
    cy.press("#profile-gpu", "Enter")  # the form is sent by keyboard
    cy.wait_for_selector("#queue:not([hidden])")
    assert cy.inner_text("h1") == "Su sesión espera una GPU"
    assert "Usted es el número 1" in cy.inner_text("#queue")
    assert "Usted es el siguiente." in cy.inner_text("#queue-why")
    assert "Se espera que empiece" in cy.inner_text("#queue-estimate")
    assert cy.inner_text("#stop-server-btn") == "Dejar la cola"
    accessible.check(cy)
    operator = go(signed_in("operator"), workbench, "gpus")
    assert "cy" in operator.inner_text("#queue")
    accessible.check(operator)
    go(page, workbench, "gpus")
    assert "alguien" in page.inner_text("#queue")
    assert "cy" not in page.inner_text("#queue tbody")

    go(cy, workbench, "home")
    cy.wait_for_selector("#gpu-queue:not([hidden])")
    assert "número 1" in cy.inner_text("#gpu-queue tbody")
    assert "No tiene permiso para alpha. Pida acceso a un administrador de datos." in cy.inner_text("#my-datasets")
    accessible.check(cy)
    go(cy, workbench, "gpus")
    cy.click("#queue button")
    cy.wait_for_selector("#nobody-waits")


def test_a_failed_start_in_spanish_and_the_choice_of_a_language(workbench, browser):
    context = browser.new_context(locale="es")  # not watched: Chromium logs the page's own status, 503, as an error
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{workbench[1].address}hub/login")
    assert page.inner_text("h1") == "Entrar"
    accessible.check(page)
    page.fill("#username_input", "dora")
    page.fill("#password_input", "not it")
    page.click("#login_submit")
    assert "La cuenta o la contraseña no es correcta" in page.inner_text(".login_error")
    page.fill("#username_input", "dora")
    page.fill("#password_input", workbench[1].password)
    page.click("#login_submit")
    go(page, workbench, "spawn")
    page.check("#profile-missing")
    page.click("button[type=submit]")
    page.wait_for_selector(".start-failure")
    assert "No se pudo obtener la imagen de software de este perfil." in page.inner_text(".start-failure")
    assert "Detalle técnico" in page.inner_text("details summary")
    accessible.check(page)
    page.goto(f"{workbench[1].address}hub/spawn-pending/dora")
    assert page.inner_text("h1") == "Su sesión no arrancó"
    accessible.check(page)
    page.goto(f"{workbench[1].address}hub/people")
    assert page.inner_text("h1") == "No puede hacer esto."
    assert "Esta página no es para usted." in page.inner_text("#error-detail")
    accessible.check(page)

    go(page, workbench, "token")
    page.click("#languages [data-language=en]")
    page.wait_for_url("**/hub/token")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert "Sign out" in page.inner_text("#login_widget")
    go(page, workbench, "home")
    assert page.inner_text("h1") == "My session"
    context.close()


def test_tokens_and_what_did_not_work_in_spanish(workbench, browser):
    context = browser.new_context(locale="es")  # not watched: Chromium logs the refusal's own status, 400, as an error
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{workbench[1].address}hub/login?next={BASE}hub/token")
    page.fill("#username_input", "dora")
    page.fill("#password_input", workbench[1].password)
    page.click("#login_submit")
    page.wait_for_url("**/hub/token")
    assert page.inner_text("h1") == "Fichas de acceso"
    page.wait_for_function(LOADED)
    page.fill("#token-note", "un programa")
    page.press("#token-note", "Enter")
    page.wait_for_selector("#token-result:not(:empty)")
    accessible.check(page)
    go(page, workbench, "token")
    page.wait_for_function(LOADED)
    row = page.locator("#api-tokens-table .token-row", has_text="un programa")
    assert "nunca" in row.inner_text()
    accessible.check(page)
    row.get_by_role("button", name="Revocar la ficha para un programa").click()
    row.wait_for(state="detached")
    page.fill("#token-note", "otro programa")
    page.fill("#token-scopes", "no-such-scope")
    page.press("#token-scopes", "Enter")
    page.wait_for_function("getComputedStyle(document.querySelector('#error-dialog.show') ?? document.body).position === 'fixed'")
    page.wait_for_function("getComputedStyle(document.querySelector('#error-dialog')).opacity === '1'")
    assert page.inner_text("#error-dialog h2") == "Esto no funcionó"
    assert page.inner_text("#error-dialog .ajax-error").startswith("El banco de trabajo respondió (400):")
    accessible.check(page)
    page.click("#error-dialog .modal-footer button >> text=Cerrar")
    page.wait_for_selector("#error-dialog", state="hidden")
    context.close()
