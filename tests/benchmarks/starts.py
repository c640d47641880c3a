"""Many sessions started at once: our spawner beside kubespawner as it comes, each in a real hub, on the same fake Kubernetes API.

In turn, each time with a hub, a proxy and a cluster of its own. A round ends when no start goes on any more. Stalls
are the times over 100 ms for which the hub's event loop did nothing else. Ours does more in a start: it decides and records what is
mounted. Then `decide()`, the rule behind that, by itself. It prints tables and never fails on a number: look at ratios.

    python tests/benchmarks/starts.py [--sessions 300] [--rounds 2]
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import yaml
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cohortlab.keys import create_key
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import ports
from cohortlab_hub.access import Grant, Person, Terms, decide
from fake_kubernetes import kubeconfig

TESTS = Path(__file__).resolve().parents[1]
_READY_SECONDS = 600


@dataclass(frozen=True)
class Round:
    """Seconds until no start goes on, starts that failed, the hub's processor seconds, its longest stall and all stalls together."""

    seconds: float
    failed: float
    processor: float
    longest: float
    stalled: float


def workbench(folder: Path, pods: int) -> None:
    """workbench.yaml for our spawner."""
    key = create_key(folder / "key")
    document = {
        "state": ".",
        "login": {"kind": "demo", "accounts": {"nobody": {}}},
        "trusted_keys": [key.public.text],
        "profiles": {"small": {"image": "registry.example.org/session@sha256:" + "0" * 64}},
        "kubernetes": {
            "namespace": "sessions",
            "hub_url": "http://hub:8081",
            "service_url": "http://proxy/services/cohortlab/",
            "port": pods,
        },
    }
    (folder / "workbench.yaml").write_text(yaml.safe_dump(document))


async def start_all(address: str, token: str, count: int) -> tuple[float, int]:
    """Seconds until none of `count` starts, asked for at once, goes on any more; how many of them failed."""
    names = [f"user-{number}" for number in range(count)]
    limits = httpx.Limits(max_connections=count, max_keepalive_connections=0)  # the proxy ends idle ones, now and then too early
    headers = {"Authorization": f"token {token}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=120, limits=limits, trust_env=False) as client:
        async with asyncio.timeout(60):
            while True:
                try:
                    (await client.post("/hub/api/users", json={"usernames": names})).raise_for_status()
                    break
                except httpx.HTTPError:
                    await asyncio.sleep(0.2)
        begun = time.monotonic()
        answers = await asyncio.gather(*(client.post(f"/hub/api/users/{name}/server") for name in names))
        refused = {answer.status_code for answer in answers} - {201, 202}
        if refused:
            raise SystemExit(f"The hub refused some starts: {sorted(refused)}: {next(a.text for a in answers if a.status_code in refused)}")
        headers = {"Accept": "application/jupyterhub-pagination+json"}
        async with asyncio.timeout(_READY_SECONDS):
            while True:
                running = {}
                for state in ("active", "ready"):  # in this order: what gets ready in between is seen at the next turn
                    page = await client.get(f"/hub/api/users?state={state}&limit=1", headers=headers)
                    running[state] = page.json()["_pagination"]["total"]
                if running["active"] == running["ready"]:
                    return time.monotonic() - begun, count - running["ready"]
                await asyncio.sleep(0.2)


def measure(kind: str, count: int) -> Round:
    """One round of `kind`, ours or plain."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cohortlab-bench-")))
        fake = subprocess.Popen([sys.executable, TESTS / "fake_kubernetes.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(lambda: fake.communicate("", timeout=30))
        assert fake.stdout is not None
        served = json.loads(fake.stdout.readline())
        chosen, token = ports.choose("127.0.0.1", 0, 2), secrets.token_hex(32)
        workbench(folder, served["pods"])
        environment = {
            **os.environ,
            "BENCH": kind,
            "BENCH_FOLDER": str(folder),
            "BENCH_PORTS": ",".join(map(str, chosen)),
            "BENCH_PODS": str(served["pods"]),
            "BENCH_TOKEN": token,
            "KUBECONFIG": str(kubeconfig(folder, served["api"])),
        }
        if kind == "ours":
            from cohortlab_hub import records  # noqa: PLC0415 - only ours has records

            (folder / "hub").mkdir()
            records.migrate(f"sqlite:///{folder}/hub/records.sqlite")
        with (folder / "log").open("w") as log:
            command = [sys.executable, "-m", "jupyterhub", "-f", str(TESTS / "benchmarks" / "starts_hub.py")]
            hub = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        stack.callback(hub.wait, 60)
        stack.callback(hub.terminate)
        try:
            seconds, failed = asyncio.run(start_all(f"http://127.0.0.1:{chosen[0]}", token, count))
        except (TimeoutError, SystemExit):
            sys.stderr.write((folder / "log").read_text()[-4000:])
            raise
        time.sleep(1.2)  # the hub writes its stalls each second
        noted = json.loads((folder / "stalls.json").read_text())
        return Round(seconds, failed, noted["cpu"], noted["longest"], noted["stalled"])


def decisions() -> tuple[float, int]:
    """Decisions a second, and among how many grants each."""
    now = datetime.now(UTC)
    conditions = AccessCondition.IN_SITU_PROCESSING
    grants = [Grant(str(number), "person", "ana", f"dataset-{number % 20}", conditions) for number in range(40)]
    person, terms, done = Person("ana"), [Terms(f"dataset-{number}", conditions) for number in range(20)], 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < 1:
        for one in terms:
            decide(grants, person, one, purpose=None, condition=conditions, now=now)
            done += 1
    return done / (time.perf_counter() - begun), len(grants)


def main() -> None:
    """Measure in turn, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=300, help="started at once (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="of each spawner (default %(default)s)")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    rounds: dict[str, list[Round]] = {"plain": [], "ours": []}
    for number in range(options.rounds):
        for kind in rounds if number % 2 == 0 else reversed(rounds):
            rounds[kind].append(measure(kind, options.sessions))
    table = Table(title=f"{options.sessions} sessions started at once, median of {options.rounds} rounds")
    for column in ("spawner", "until all have started", "ratio", "failed", "hub's processor", "longest stall", "all stalls"):
        table.add_column(column, justify="left" if column == "spawner" else "right")
    base = statistics.median(one.seconds for one in rounds["plain"])
    for kind, title in (("plain", "kubespawner"), ("ours", "cohortlab")):
        middle = {field: statistics.median(getattr(one, field) for one in rounds[kind]) for field in Round.__dataclass_fields__}
        cells = [f"{middle['seconds']:.1f} s", f"{middle['seconds'] / base:.2f}", f"{middle['failed']:.0f}", f"{middle['processor']:.1f} s"]
        table.add_row(title, *cells, f"{middle['longest'] * 1000:.0f} ms", f"{middle['stalled']:.1f} s")
    console.print(table)
    rate, among = decisions()
    console.print(f"decide(): {rate:,.0f} decisions a second, each among {among} grants of the person")


if __name__ == "__main__":
    main()
