"""The pages of a session's start in Chromium: the form, the queue, leaving it, and a start that failed; pods of a fake Kubernetes API."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration" / "hub"))

from cluster_workbench import NODES, Member, until, up, write

from fake_kubernetes import serve


@pytest.fixture(scope="module")
def workbench(tmp_path_factory):
    with serve(NODES) as cluster:
        running = up(write(tmp_path_factory.mktemp("pages"), cluster, {"bob": {}, "cy": {}}), cluster)
        yield cluster, running
        assert running.stop() == 0, "".join(running.said)


def signed_in(context, running):
    page = context.new_page()
    page.goto(f"{running.address}hub/login")
    page.fill("#username_input", "cy")
    page.fill("#password_input", running.password)
    page.click("#login_submit")
    return page


def test_from_the_form_through_the_queue_and_out_of_it(workbench, context):
    cluster, running = workbench
    with Member(running.address, "bob", running.password) as bob:
        bob.ask(profile="two")
        until(bob.ready, "a session with both GPUs")

    page = signed_in(context, running)
    page.goto(f"{running.address}hub/spawn")
    assert "0 of 2 free" in page.inner_text(".gpu[data-profile=gpu]")
    page.check("#profile-gpu")
    page.click("button[type=submit]")
    page.wait_for_selector("#queue:not([hidden])")
    assert page.inner_text("#queue-position") == "1"
    assert "expected to start by" in page.inner_text("#queue-estimate")
    assert page.inner_text("h1") == "Your session waits for a GPU"
    assert page.query_selector("#instead-profile option").inner_text() == "Small"

    page.goto(f"{running.address}hub/home")
    page.wait_for_selector("#gpu-queue:not([hidden])")
    assert "number 1" in page.inner_text("#gpu-queue tbody")

    page.goto(f"{running.address}hub/spawn-pending/cy")
    page.wait_for_selector("#queue:not([hidden])")
    page.click("#stop-server-btn")
    page.wait_for_url("**/hub/home")
    assert all(pod["metadata"]["annotations"]["hub.jupyter.org/username"] != "cy" for pod in cluster.pods())


def test_a_start_that_failed_is_told_with_the_detail_folded(workbench, browser):
    cluster, running = workbench
    context = browser.new_context()  # not the watched one: Chromium logs the page's own status, 503, as an error
    page = signed_in(context, running)
    cluster.do(setattr, cluster, "image_faults", {"missing": "missing"})
    cluster.do(setattr, cluster, "pull_seconds", 4.0)  # longer than the form waits: the waiting page is shown first
    page.goto(f"{running.address}hub/spawn")
    page.check("#profile-missing")
    page.click("button[type=submit]")
    page.wait_for_selector("#waiting")
    page.wait_for_selector("#start-failed")
    assert "could not be fetched" in page.inner_text(".start-failure")
    assert not page.is_visible("#start-failed pre")
    page.click("#start-failed summary")
    assert "not found" in page.inner_text("#start-failed pre")
    context.close()
