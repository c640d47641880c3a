"""A grant that is revoked ends in a running session: the dataset is refused, the session warned and stopped."""

import json
import time

from bench import DATASETS, GRACE

PROMISE = 60.0  # seconds from a revocation to its effect, a promise of the workbench: it looks every 5


def grants_of(bench, person):
    listed = json.loads(bench.command("grants", "list", "--json"))
    return [grant for grant in listed if grant["subject"] == person and not grant.get("revoked_at") and grant["dataset"] in DATASETS]


def test_a_revocation_reaches_a_running_session(bench, person, table):
    bench.grant("cy", *DATASETS)
    cy = person("cy")
    cy.start()
    assert sorted(json.loads(cy.run("import json, os; print(json.dumps(os.listdir('/datasets')))"))) == sorted(DATASETS)
    uid = cy.pod()["metadata"]["uid"]
    grants = [grant["id"] for grant in grants_of(bench, "cy") if grant["dataset"] == DATASETS[1]]
    began = time.monotonic()
    for grant in grants:
        bench.command("grants", "revoke", grant, "--reason", "a test")
    command = time.monotonic() - began
    bench.kube.until(lambda: cy.http.get("hub/api/sessions/notices").json() or not cy.ready(), "the warning")
    warned = time.monotonic() - began
    bench.kube.until(lambda: not cy.ready(), "the stop")
    stopped = time.monotonic() - began
    bench.kube.until(lambda: uid not in [pod["metadata"]["uid"] for pod in bench.kube.items("pods", cy.selector)], "the pod gone")
    gone = time.monotonic() - began
    figures = [f"{seconds:.1f} s" for seconds in (command, warned, stopped, gone)]
    heads = ("revoked by the command", "warned", f"stopped (grace {GRACE} s)", "pod gone")
    table("Revocation in a running session, after", heads, tuple(figures))
    assert stopped < PROMISE
    cy.stop()  # the hub has it stopping still, for a moment
    cy.start()
    assert json.loads(cy.run("import json, os; print(json.dumps(os.listdir('/datasets')))")) == [DATASETS[0]]
