"""A workbench with three hospitals on this machine: real hub and proxy from `cohortlab up`, each site a process of its own."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import yaml

from cohortlab.federation import jobs
from cohortlab.federation.line import Line
from cohortlab.keys import create_key
from cohortlab.store import AccessCondition, ManifestFields, StoreWriter

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[0] / "hub")]
from person import Person  # noqa: E402 - as above

from dicom_samples import instance  # noqa: E402 - needs the path above

DATASET, PROJECT, MINIMUM = "lesions", "demo-study", 20
SITES = ("north", "south", "west")
SUBJECTS = {"north": 4, "south": 3, "west": 3}
COMMAND = [sys.executable, "-c", "from cohortlab.cli import main; main()"]


def until(condition, what, seconds=30.0):
    """Wait until `condition()` is true: for what other processes do and nothing tells us of."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.02)
    return value


def voxels(site, subject):
    """The pixel values of one subject's CT: 6 slices of 40 x 48, stored values (HU + 1024)."""
    random = np.random.default_rng([SITES.index(site), subject])
    return np.clip(random.normal(1064, 60, (6, 40, 48)), 0, 4095).astype(np.uint16)


def hounsfield(sites):
    """All voxels of these sites together, in HU."""
    return np.concatenate([voxels(site, n).ravel().astype(np.int64) - 1024 for site in sites for n in range(SUBJECTS[site])])


def write_site_store(root, site, key):
    """One CT series for each subject of a site."""
    fields = ManifestFields(
        title="Lesions", access_condition=AccessCondition.REMOTE_PROCESSING, deidentification={}, gate="test", verdict="accepted"
    )
    with StoreWriter(root, DATASET, "1.0.0") as writer:
        for n in range(SUBJECTS[site]):
            uid = f"2.25.{SITES.index(site) + 1}{n:03}"
            slices = [
                instance(
                    z + 1, position=(0.0, 0.0, 2.0 * z), pixels=plane, series=uid, PatientID=f"{site}-{n}", StudyInstanceUID=f"{uid}.9"
                )
                for z, plane in enumerate(voxels(site, n))
            ]
            writer.add_series(slices, {})
        writer.finish(fields, key)
    return root / DATASET / "1.0.0"


class Site:
    """One hospital's agent."""

    def __init__(self, folder, name, url, hub_key, gate_key):
        self.name, self.folder = name, folder / "sites" / name
        self.log = self.folder / "agent.log"
        self.process = None
        self.file = self.folder / "site.yaml"
        config = {
            "name": name,
            "service_url": url,
            "token_file": "token",
            "ticket_keys": [hub_key.public.text],
            "dataset_keys": [gate_key.public.text],
        }
        self.file.write_text(yaml.safe_dump(config))
        self.policy([PROJECT] if name != "west" else ["other-study"])

    def policy(self, projects, **more):
        document = {"projects": projects, "tasks": ["histogram"], "datasets": [DATASET], "minimum_count": MINIMUM, "minimum_subjects": 3}
        (self.folder / "policy.yaml").write_text(yaml.safe_dump(document | more))

    def configure(self, **more):
        self.file.write_text(yaml.safe_dump(yaml.safe_load(self.file.read_text()) | more))

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*COMMAND, "site", "run", "--config", str(self.file)], stdout=log, stderr=log)
        return self

    @property
    def runs(self):
        return self.process is not None and self.process.poll() is None

    def ready(self):
        """Wait until both helpers wait for work."""
        until(lambda: len(self.helpers()) == 2, f"{self.name}'s two helpers")
        return self

    def helpers(self, module="federation.site."):
        """The helper processes that are there now."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if any(module in part for part in child.cmdline()):
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    def runner(self):
        """The runner that waits for the next job."""
        return until(lambda: self.helpers("site.runner"), "a runner")[0]

    def stop(self, number=signal.SIGTERM):
        """End the agent; its exit code, and the helpers that it had."""
        helpers = self.helpers()
        self.process.send_signal(number)
        return self.process.wait(20), helpers


class Workplace:
    """The whole of it, in `folder`."""

    def __init__(self, folder, **federation):
        self.folder = folder
        self.gate_key, self.hub_key = create_key(folder / "keys" / "gate.key"), create_key(folder / "keys" / "hub.key")
        for name in SITES:
            place = folder / "sites" / name
            place.mkdir(parents=True)
            token = place / "token"
            token.write_text(os.urandom(24).hex())
            token.chmod(0o600)
            write_site_store(place / "stores", name, self.gate_key)
        self.file = folder / "workbench.yaml"
        self.file.write_text(yaml.safe_dump(self._document(federation)))
        self.log = (folder / "up.log").open("wb")
        self.process = subprocess.Popen([*COMMAND, "up", str(self.file), "--port", "0"], stdout=subprocess.PIPE, stderr=self.log)
        self.base, self.password = self._greeting()
        self.sites = {name: Site(folder, name, f"{self.base}services/cohortlab/", self.hub_key, self.gate_key) for name in SITES}
        self.token, self.lines = {}, {}
        for name in ("researcher", "clinician"):
            with Person(self.base, name, self.password) as person:
                self.token[name] = person.token()
            self.lines[name] = Line(f"{self.base}services/cohortlab/", self.token[name])

    def _document(self, federation):
        return {
            "title": "Test",
            "state": "state",
            "login": {"kind": "demo", "accounts": {"researcher": {}, "clinician": {}}},
            "trusted_keys": [self.gate_key.public.text],
            "datasets": {DATASET: {"title": "Lesions", "sites": list(SITES)}},
            "federation": {
                "key": "keys/hub.key",
                "sites": {name: {"title": f"{name.title()} hospital", "token": f"sites/{name}/token"} for name in SITES},
                "projects": {PROJECT: {"title": "Demo study", "members": ["researcher", "clinician"]}},
                **federation,
            },
        }

    def _greeting(self):
        said = b""
        end = time.monotonic() + 90
        while not (found := re.search(rb"ready: +(http\S+).*password +(\S+)", said, re.DOTALL)):
            ready, _, _ = select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert chunk, (said.decode(), (self.folder / "up.log").read_text())
            said += chunk
        return found[1].decode(), found[2].decode()

    def grant(self, person="researcher"):
        subprocess.run(
            [
                *COMMAND,
                "grants",
                "add",
                DATASET,
                "--person",
                person,
                "--condition",
                "REMOTE_PROCESSING",
                "--reason",
                "test",
                "--workbench",
                str(self.file),
            ],
            check=True,
            capture_output=True,
        )

    def line(self, person="researcher"):
        return self.lines[person]

    def submit(self, **more):
        asked = {"dataset": DATASET, "project": PROJECT, "parameters": {"bins": 20, "low": -200, "high": 280}, "line": self.line()}
        return jobs.submit(**(asked | more))

    def service_process(self):
        """The process of the hub's service."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            if "cohortlab_hub.serve" in child.cmdline():
                return child
        raise AssertionError("the service does not run")

    def close(self):
        for site in self.sites.values():
            if site.runs:
                site.stop()
        for line in self.lines.values():
            line.close()
        self.process.terminate()
        self.process.wait(40)
        self.process.stdout.close()
        self.log.close()
