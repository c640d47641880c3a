"""Operations on the release: an upgrade keeps secrets and sessions, an uninstall keeps claims, a new install finds them. The last file."""

import json

from bench import DATASETS, RELEASE
from kube import helm

REACH = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)"


def secrets(bench):
    return bench.kube.get("secret", "hub")["data"]


def claims(bench):
    return {claim["metadata"]["name"]: claim["spec"]["volumeName"] for claim in bench.kube.items("persistentvolumeclaims")}


def test_helm_test_says_that_all_answers(bench):
    helm(bench.kube, "test", RELEASE, "--timeout", "5m")


def test_an_upgrade_keeps_secrets_and_sessions(bench, person):
    ana = person("ana")
    ana.start()
    pod, kept = ana.pod()["metadata"]["uid"], secrets(bench)
    bench.values["workbench"]["title"] = "Another title"
    bench.values["services"]["resources"]["requests"]["cpu"] = "60m"
    bench.upgrade()
    bench.ready()
    assert secrets(bench) == kept
    bench.kube.until(lambda: "Another title" in ana.http.get("hub/home").text, "the changed title, still signed in")
    bench.kube.until(ana.ready, "the session")
    assert ana.pod()["metadata"]["uid"] == pod
    assert ana.run("print(6 * 7)").strip() == "42"


def test_an_uninstall_keeps_claims_and_a_new_install_finds_them(bench, person):
    ana = person("ana")
    ana.start()
    ana.run("import pathlib; pathlib.Path('kept.txt').write_text('mine')")
    events = json.loads(bench.command("audit", "list", "--limit", "100000", "--json"))
    before, kept = claims(bench), secrets(bench)
    pod = ana.pod()["metadata"]["uid"]
    helm(bench.kube, "uninstall", RELEASE, "--wait", "--timeout", "10m")
    assert claims(bench) == before
    assert {"store-lake", "home-ana"} <= set(before)
    assert secrets(bench) == kept
    # A session that runs on is as closed as before.
    assert ana.pod()["metadata"]["uid"] == pod
    outside = bench.outside.pod("app=provider")["status"]["podIP"]
    assert "TimeoutError" in bench.kube.run("exec", "session-ana", "--", "sh", "-c", f"python -c '{REACH}' {outside} 8443 2>&1 || true")

    bench.upgrade("install")
    bench.ready()
    ana.sign_in("sub-ana")
    bench.kube.until(ana.ready, "the session, found again")
    assert ana.pod()["metadata"]["uid"] == pod
    assert ana.run("import pathlib; print(pathlib.Path('kept.txt').read_text())").strip() == "mine"
    assert sorted(json.loads(ana.run("import json, os; print(json.dumps(os.listdir('/datasets')))"))) == sorted(DATASETS)
    after = {event["digest"] for event in json.loads(bench.command("audit", "list", "--limit", "100000", "--json"))}
    assert {event["digest"] for event in events} <= after
