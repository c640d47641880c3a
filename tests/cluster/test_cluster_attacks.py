"""An attacker with a session of their own: everything they try fails, and what is tried is printed."""

import json
from pathlib import Path

import pytest
from bench import DATASETS, node_address
from kube import Kube
from surroundings import PROVIDER_PORT
from visitor import Visitor

HERE = Path(__file__).parent
REACH = "import socket, sys\nsocket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10).close()"
# Processes and bytes that a bomb makes at most: far beyond what a session may have, and nothing to a node.
FORKS, BYTES = 3000, 8 << 30


def connections(bench, neighbour):
    """(what it is, host, port) of what a session must not reach, and of those what the hub's pod does reach: they are really there."""
    node, here, elsewhere = node_address(), bench.kube.namespace, bench.outside.namespace
    provider = bench.outside.pod("app=provider")["status"]["podIP"]
    services = bench.kube.items("pods", "component=services")[0]["status"]["podIP"]
    there = [
        ("API server", "kubernetes.default.svc", 443),
        ("OpenID provider of another namespace", provider, 8443),
        ("a port of the node", node, PROVIDER_PORT),
        ("another's session", neighbour.pod()["status"]["podIP"], 8888),
        ("PostgreSQL", f"postgres.{here}.svc", 5432),
        ("API of the proxy", f"proxy-api.{here}.svc", 8001),
    ]
    api = Kube().items("endpointslices", "kubernetes.io/service-name=kubernetes")[0]
    others = [
        ("internet address", "1.1.1.1", 443),
        ("internet address", "8.8.8.8", 53),
        ("metadata address", "169.254.169.254", 80),
        ("kubelet of the node", node, 10250),
        ("SSH of the node", node, 22),
        ("API server by its address", api["endpoints"][0]["addresses"][0], api["ports"][0]["port"]),
        ("a services pod", services, 8082),
        ("metrics of a services pod", services, 8083),
        ("metrics of the proxy", f"proxy-api.{here}.svc", 8002),
        ("provider by its Service", f"provider.{elsewhere}.svc", 8443),
    ]
    return there, others


@pytest.fixture(scope="module")
def pair(bench):
    """The attacker and a neighbour, each with a running session."""
    mallory, ana = Visitor(bench, "mallory"), Visitor(bench, "ana")
    for one in (mallory, ana):
        one.start()
    yield mallory, ana
    for one in (mallory, ana):
        one.stop()
        one.http.close()


def test_everything_an_attacker_tries_fails(bench, pair, table):
    mallory, ana = pair
    there, others = connections(bench, ana)
    for _, host, port in there:  # they answer to whom they should, so that a refusal means something
        bench.kube.inside("deploy/hub", "python", "-c", REACH, host, port)
    series = ana.run(f"import cohortlab as cl; print(cl.open({DATASETS[1]!r})[0].id)").strip()
    hidden = f"pixels/series/{DATASETS[1]}/{series}/slice?plane=axial&index=0&level=0"
    assert ana.service(hidden).status_code == 200
    targets = {
        "connections": [*there, *others],
        "names": ["example.org", "pypi.org", "data.of.mine.example.com"],
        "other": "ana",
        "mine": DATASETS[0],
        "hidden": DATASETS[1],
        "image": hidden,
    }
    code = f"TARGETS = {targets!r}\n{(HERE / 'intruder.py').read_text()}"
    rows = json.loads(mallory.run(code, seconds=240))
    table("What an attacker in a session tries", ("attack", "what happened"), *[(name, said) for name, said, _ in rows])
    assert len(rows) > 50
    assert [row for row in rows if not row[2]] == []
    # What a session needs it has, or the table would only show a session without any network.
    allowed = "import os, urllib.request as u\nfor a in (os.environ['JUPYTERHUB_API_URL'] + '/', os.environ['COHORTLAB_SERVICE_URL'] + 'health'): print(u.urlopen(a).status)"  # fmt: skip  # noqa: E501
    assert mallory.run(allowed).split() == ["200", "200"]
    assert sorted(json.loads(mallory.run("import json, os; print(json.dumps(os.listdir('/datasets')))"))) == [DATASETS[0]]


@pytest.mark.parametrize(
    "more",
    [
        {"datasets": list(DATASETS)},
        {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]},
        {"subPath": DATASETS[1]},
        {"image": "evil"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_start_names_no_mount_and_no_image(person, more):
    bob = person("bob")
    answer = bob.ask(profile="small", **more)
    assert answer.status_code == 403, answer.text
    assert bob.pod() is None
    assert bob.ask(profile="../small").status_code == 403


def test_only_what_is_granted_is_mounted(pair):
    spec = pair[0].pod()["spec"]
    (container,) = spec["containers"]
    mounted = [mount for mount in container["volumeMounts"] if mount["mountPath"].startswith("/datasets")]
    assert [(mount["subPath"], mount["readOnly"]) for mount in mounted] == [(f"{DATASETS[0]}/1.0.0", True)]
    assert not [volume for volume in spec["volumes"] if "hostPath" in volume]


@pytest.mark.parametrize("bomb", ["memory", "processes"])
def test_a_bomb_hits_its_own_session_only(bench, pair, table, bomb):
    mallory, ana = pair
    if not mallory.ready():
        mallory.start()
    said = detonate(bench, mallory, bomb)
    assert ana.run("print(sum(range(10)))").strip() == "45"
    assert bench.kube.pod(ana.selector)["status"]["containerStatuses"][0]["restartCount"] == 0
    (node,) = [c for c in Kube().items("nodes")[0]["status"]["conditions"] if c["type"] == "Ready"]
    assert node["status"] == "True"
    table(f"A bomb of {bomb}", ("what happened",), (said,))


def detonate(bench, mallory, bomb):
    """Explode inside the session's container, beside its server; what came of it."""
    code = {
        "memory": f"x = []\nfor n in range({BYTES >> 24}): x.append(bytearray(b'1') * (1 << 24)); print(n << 4, 'MiB', flush=True)",
        "processes": f"""
import os, signal, time
made = []
try:
    for n in range({FORKS}):
        pid = os.fork()
        if pid == 0:
            x = bytearray(b'1') * (1 << 20)
            time.sleep(600)
            os._exit(0)
        made.append(pid)
        print(len(made), 'processes', flush=True)
    print('NO LIMIT', n, flush=True)
except OSError as error:
    print('stopped at', len(made), error, flush=True)
    for pid in made: os.kill(pid, signal.SIGKILL)
""",
    }[bomb]
    name = mallory.pod()["metadata"]["name"]
    printed = bench.kube.run("exec", name, "--", "python", "-c", code, check=False).splitlines()
    last = printed[-1] if printed else "killed at once"
    assert "NO LIMIT" not in last
    return f"ended: {last}"
