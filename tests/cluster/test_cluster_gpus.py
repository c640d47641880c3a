"""GPUs of the cluster: who asks third for two waits in the queue, without a pod; a booking is kept free."""

from datetime import UTC, datetime, timedelta

from bench import PROJECT


def resources(visitor):
    return visitor.pod()["spec"]["containers"][0]["resources"]["limits"]


def test_three_ask_for_two_gpus(bench, person):
    ana, bob, cy = (person(name) for name in ("ana", "bob", "cy"))
    for one in (ana, bob):
        one.start("gpu")
        assert resources(one)["nvidia.com/gpu"] == "1"
    cy.ask(profile="gpu")
    told = cy.events(lambda event: event.get("queue"))[-1]
    assert told["queue"]["position"] == 1
    assert told["message"] == "Waiting for a GPU: you are number 1. You are next."
    assert bench.kube.items("pods", cy.selector) == []  # no pod hangs about pending
    assert 'id="queue"' in cy.http.get("hub/spawn-pending/cy").text
    bob.stop()
    bench.kube.until(cy.ready, "the session of who was first in the queue")
    assert resources(cy)["nvidia.com/gpu"] == "1"
    assert ana.run("print(6 * 7)").strip() == "42"


def test_a_booking_is_kept_free(bench, person):
    ana, tina = person("ana"), person("tina")
    token = {"Authorization": f"token {tina.token()}"}
    now = datetime.now(UTC)
    times = {"start": now.isoformat(), "end": (now + timedelta(hours=2)).isoformat()}
    new = {"kind": "pretended", "count": 2, "project": PROJECT, "reason": "a class", **times}
    bookings = "services/cohortlab/api/v1/sessions/bookings"
    answer = tina.http.post(bookings, headers=token, json=new)
    assert answer.status_code == 201, answer.text
    try:
        ana.ask(profile="gpu")
        told = ana.events(lambda event: event.get("queue"))[-1]
        assert told["queue"]["position"] == 1
        tina.ask(profile="gpu", project=PROJECT)  # the booking is its project's
        bench.kube.until(tina.ready, "the session of the booking's project")
        assert not ana.ready()
    finally:
        gone = tina.http.delete(f"{bookings}/{answer.json()['id']}", headers=token)
    assert gone.status_code == 200, gone.text
    bench.kube.until(ana.ready, "the session of who waited for the booking's end")


def test_a_hub_that_dies_while_somebody_waits_keeps_their_place(bench, person):
    ana, bob, cy, tina = (person(name) for name in ("ana", "bob", "cy", "tina"))
    for one in (ana, bob):
        one.start("gpu")
    for place, one in enumerate((cy, tina), 1):
        one.ask(profile="gpu")
        assert one.events(lambda event: event.get("queue"))[-1]["queue"]["position"] == place
    hub = bench.kube.pod("component=hub,app=jupyterhub")["metadata"]["name"]
    bench.kube.run("delete", "pod", hub, "--grace-period=1", "--wait=true")
    bench.ready()
    for one in (ana, bob):
        bench.kube.until(one.ready, "the sessions of before")
    # Their waiting pages ask again by themselves. Who comes back last has the place of before.
    for one in (tina, cy):
        bench.kube.until(lambda one=one: one.ask(profile="gpu").status_code in {201, 202}, "a hub that takes requests")
    for place, one in enumerate((cy, tina), 1):
        told = one.events(lambda event, place=place: (event.get("queue") or {}).get("position") == place)
        assert told[-1]["queue"]["position"] == place
    bob.stop()
    bench.kube.until(cy.ready, "the session of who was first in the queue")
    assert not tina.ready()
