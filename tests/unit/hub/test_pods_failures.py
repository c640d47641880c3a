"""Why a session does not start: what Kubernetes says -> the sentence that its user reads."""

import json

import pytest

from cohortlab_hub.sessions.failures import Failure, StartFailedError, recognise, refused, too_late


def pod(phase="Pending", *, containers=(), unscheduled="", reason="", **metadata):
    status = {"phase": phase, "reason": reason, "containerStatuses": list(containers)}
    if unscheduled:
        status["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unscheduled}]
    return {"metadata": {"name": "session-ana", **metadata}, "status": status}


def waiting(reason, message="", **more):
    return {"state": {"waiting": {"reason": reason, "message": message}}, "ready": False, **more}


def event(reason, message="", kind="Warning"):
    return {"type": kind, "reason": reason, "message": message}


OOM = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
CRASH = {"terminated": {"reason": "Error", "exitCode": 3}}
NO_GPU = "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) didn't match Pod's node affinity/selector."

GATED = {"metadata": {"name": "x"}, "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}}

CASES = [
    # (pod, events, code, words of the sentence, how long it may pass by itself)
    (None, [], "pod-removed", "removed", 0),
    (pod(deletionTimestamp="2026-01-01T00:00:00Z"), [], "pod-removed", "removed", 0),
    (pod("Failed", reason="Evicted"), [], "evicted", "disk or memory", 0),
    (pod("Failed", reason="UnexpectedAdmissionError"), [], "gpu", "its GPU", 0),
    (pod("Failed", reason="OutOfnvidia.com/gpu"), [], "gpu", "its GPU", 0),
    (pod("Failed", reason="NodeLost"), [], "pod-failed", "could not run", 0),
    (pod(containers=[waiting("ErrImagePull", "x: not found")]), [], "image", "image", 0),
    (pod(containers=[waiting("ErrImagePull", "dial tcp: i/o timeout")]), [], "image", "image", 60),
    (pod(containers=[waiting("ImagePullBackOff", "Back-off pulling image")]), [], "image", "image", 60),
    (pod(containers=[waiting("InvalidImageName")]), [], "image", "image", 0),
    (pod(containers=[waiting("CreateContainerConfigError", "container has runAsNonRoot")]), [], "container", "set up", 10),
    (pod("Running", containers=[waiting("CrashLoopBackOff", lastState=CRASH)]), [], "crash", "exit code 3", 0),
    (pod("Running", containers=[waiting("CrashLoopBackOff", lastState=OOM)]), [], "memory", "more memory", 0),
    (pod("Running", containers=[{"state": CRASH, "ready": False}]), [], "crash", "exit code 3", 0),
    (pod("Failed", containers=[{"state": OOM, "ready": False}]), [], "memory", "more memory", 0),
    (pod(unscheduled=NO_GPU), [], "gpu", "free GPU", 15),
    # a first start on a real cluster: the last event names the volume, the condition the GPU
    (pod(unscheduled=NO_GPU), [event("FailedScheduling", "unbound immediate PersistentVolumeClaims")], "gpu", "free GPU", 15),
    (pod(unscheduled=NO_GPU), [event("TriggeredScaleUp", kind="Normal")], "gpu", "free GPU", 900),
    (pod(unscheduled="0/2 nodes are available: 2 Insufficient memory."), [], "no-room", "enough memory", 15),
    (pod(unscheduled="0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."), [], "no-room", "processors and memory", 15),
    (pod(unscheduled="0/1 nodes are available: 1 node(s) had untolerated taint {x: y}."), [], "no-machine", "meant for this profile", 15),
    (pod(unscheduled='persistentvolumeclaim "stores" not found'), [], "volume", "not there", 15),
    (pod(unscheduled="pod has unbound immediate PersistentVolumeClaims"), [], "volume", "not there", 90),
    (pod(unscheduled="1 node(s) had volume node affinity conflict"), [], "volume", "Your home", 15),
    (pod(unscheduled="0/1 nodes are available: 1 node(s) were unschedulable."), [], "unschedulable", "no machine", 15),
    (pod(), [event("FailedMount", "MountVolume.SetUp failed")], "mount", "could not be mounted", 45),
]


@pytest.mark.parametrize(("what", "events", "code", "says", "patience"), CASES)
def test_a_failure_is_recognised(what, events, code, says, patience):
    found = recognise(what, events)
    assert (found.code, found.patience) == (code, patience)
    assert says in found.sentence
    assert found.hint.endswith((".", "now."))


@pytest.mark.parametrize(
    ("what", "events"),
    [
        (pod(), []),
        (pod(containers=[waiting("ContainerCreating")]), [event("Pulling", kind="Normal")]),
        (pod("Running", containers=[{"state": {"running": {}}, "ready": False}]), []),
        (pod("Running", containers=[{"state": {"running": {}}, "lastState": CRASH, "ready": True}]), []),  # it recovered
        (
            {
                "metadata": {"name": "x"},
                "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
            },
            [],
        ),
    ],
)
def test_a_start_that_goes_on_is_no_failure(what, events):
    assert recognise(what, events) is None


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (403, 'pods "x" is forbidden: exceeded quota: sessions, requested: pods=1, used: pods=9, limited: pods=9', "quota"),
        (403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile', "pod-security"),
        (403, 'pods is forbidden: User "hub" cannot create resource', "refused"),
        (422, 'Pod "x" is invalid', "refused"),
        (404, 'namespaces "sessions" not found', "refused"),
        (500, "etcdserver: leader changed", "cluster-busy"),
        (429, "", "cluster-busy"),
    ],
)
def test_a_refusal_of_the_api_is_told(status, message, code):
    found = refused(status, json.dumps({"kind": "Status", "message": message}))
    assert found.code == code
    assert message in found.detail
    assert "HTTP" not in found.sentence


def test_a_body_that_is_no_json_is_kept_as_detail():
    assert refused(502, "<html>bad gateway</html>").detail == "HTTP 502: <html>bad gateway</html>"


def test_too_late_tells_what_is_known():
    assert too_late(pod(unscheduled=NO_GPU), [], 10).code == "gpu"
    nothing = too_late(pod(), [], 10)
    assert nothing.code == "timeout"
    assert "10 minutes" in nothing.sentence
    assert too_late(None, [], 10).code == "pod-removed"


def test_the_detail_is_folded_escaped_and_holds_no_secret():
    noisy = pod(unscheduled="<b>token=abc123</b> password: hunter2 0/1 nodes")
    failure = recognise(noisy, [event("FailedMount", "x" * 5000)])
    error = StartFailedError(failure)
    assert "<details><summary>Technical detail</summary>" in error.message_html
    assert "<b>" not in error.message_html
    assert "abc123" not in failure.detail
    assert "hunter2" not in failure.detail
    assert len(failure.detail) <= 2000
    assert (error.status_code, error.reason) == (503, failure.code)
    assert error.jupyterhub_message == f"{failure.sentence} {failure.hint}"


def test_without_detail_nothing_is_folded():
    assert "details" not in StartFailedError(Failure("x", "It failed.", "Try again.")).message_html
