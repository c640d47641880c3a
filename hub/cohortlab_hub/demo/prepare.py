"""Makes the demo in its state folder, or finds it made: keys, stores by `cohortlab ingest`, sites, workbench.yaml, grants.

Every step leaves what is already there: a second run only checks. What is half made after an interruption is in
``work/``, which is emptied first, or hidden beside a store, which the gate itself clears.
"""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import select

from cohortlab.errors import IntegrityError, RefusedError
from cohortlab.keys import PrivateKey, PublicKey, create_key
from cohortlab.store.workers import cores
from cohortlab_hub import records
from cohortlab_hub.access import NewGrant, add
from cohortlab_hub.access.tables import GrantRow
from cohortlab_hub.demo import content
from cohortlab_hub.demo.content import Sample
from cohortlab_hub.settings_file import load
from cohortlab_hub.supervisor import Child, Signals, run_to_end
from cohortlab_hub.workbench import check_room, command, storage

_ACTOR = "demo"
_AT_ONCE = 4  # stores made side by side, where there are as many cores


@dataclass(frozen=True, slots=True)
class _Demo:
    """One run of `prepare`."""

    state: Path
    key: PrivateKey
    signals: Signals
    say: Callable[[str], None]

    @property
    def work(self) -> Path:
        """Generated DICOM, for as long as it takes to let it in."""
        return self.state / "work"


def prepare(state: Path, port: int, signals: Signals, say: Callable[[str], None]) -> Path:
    """Make or complete the demo in `state`, for the address ``http://127.0.0.1:<port>/``; the path of its workbench.yaml.

    Raises `Interrupted`, `StorageError` (disk), `RefusedError` (the gate refused a sample) and `IntegrityError` (a store
    is not what was signed).
    """
    with storage(state):
        check_room(state)
        shutil.rmtree(state / "work", ignore_errors=True)
        keys = state / "keys"
        demo = _Demo(state, create_key(keys / "gate.key"), signals, say)
        made = _run(demo, "making of the gate's key", command("key", "create", str(keys / "gate.key")))  # and the secret of its pseudonyms
        run_to_end([made], signals)
        ticket_key = create_key(keys / "hub.key").public.text
        mounted = content.samples()
        steps = [(sample, state / "stores") for sample in mounted]
        steps += [(content.site_sample(number), state / "sites" / name / "stores") for number, name in enumerate(content.SITES)]
        stores = (_store(demo, sample, root, f"[{number}/{len(steps)}]") for number, (sample, root) in enumerate(steps, 1))
        run_to_end(stores, signals, at_once=min(cores(), _AT_ONCE))
        shutil.rmtree(demo.work, ignore_errors=True)
        for name in content.SITES:
            _site(state / "sites" / name, port, ticket_key, demo.key.public)
        file = state / "workbench.yaml"
        _write(file, content.workbench(mounted, demo.key.public.text, port))
        _grants(file, mounted)
    return file


def _store(demo: _Demo, sample: Sample, root: Path, number: str) -> Iterator[Child]:
    """The store of `sample` under `root`: checked when it is there, else let in through the gate."""
    demo.signals.check()
    what = f"{sample.id} for {root.parent.name}" if root.parent != demo.state else sample.id
    label = f"{number} {what}"
    place = root / sample.id / content.VERSION
    if (place / "dataset.json").exists():
        from cohortlab.store import verify_store  # noqa: PLC0415 - image libraries, which a first run leaves to the gate

        report = verify_store(place, [demo.key.public])
        if report.findings:
            first = report.findings[0]
            raise IntegrityError(
                f"The store {place} is not what was signed: {first.path}: {first.message}.",
                hint="If you did not change it, find out who did. To make it anew, remove that folder and run `cohortlab up` again.",
            )
        demo.say(f"{label}: there, and what was signed")
        return
    demo.say(f"{label}: {'generating, then ' if not sample.folders else ''}through the gate ...")
    folders = sample.folders
    if not folders:
        folders = (demo.work / f"{sample.id}-{sample.seed}",)
        arguments = [str(folders[0]), "--seed", str(sample.seed), "--patients", str(sample.patients), "--size", sample.size]
        yield from _run(demo, f"generation of {what}", command("samples", *arguments))
    options = [
        *sample.options,
        "--dataset",
        sample.id,
        "--version",
        content.VERSION,
        "--store",
        str(root),
        "--key",
        str(demo.state / "keys" / "gate.key"),
    ]
    options += ["--title", sample.title, "--access", sample.condition.value, "--source", sample.source, "--licence", sample.licence]
    yield from _run(demo, f"ingest of {what}", command("ingest", *map(str, folders), *options))


def _run(demo: _Demo, what: str, arguments: list[str]) -> Iterator[Child]:
    log = demo.state / "logs" / (re.sub(r"[^a-z0-9]+", "-", what) + ".log")
    child = Child(what, arguments, os.environ, log, demo.state)
    yield child
    if child.code != 0:
        raise RefusedError(f"The {what} failed:\n{child.last_words()}", hint=f"All of it is in {log}. `cohortlab up` goes on from here.")


def _site(folder: Path, port: int, ticket_key: str, dataset_key: PublicKey) -> None:
    token = folder / "token"
    if not token.exists():
        descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    _write(folder / "site.yaml", content.site(folder.name, port, ticket_key, dataset_key.text))
    if not (folder / "policy.yaml").exists():  # a hospital's own: whoever changed it keeps the change
        _write(folder / "policy.yaml", content.policy(folder.name))


def _write(file: Path, document: dict[str, Any]) -> None:
    """Whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    partial.replace(file)


def _grants(file: Path, mounted: list[Sample]) -> None:
    """The demo's grants, each given once: one that was revoked stays revoked."""
    settings = load(file)
    with records.opened(settings.database_url) as database:
        for account, dataset, condition in content.grants(mounted):
            given = select(GrantRow.id).where(
                GrantRow.subject_kind == "person", GrantRow.subject == account, GrantRow.dataset == dataset, GrantRow.granted_by == _ACTOR
            )
            if database.scalars(given).first() is None:
                new = NewGrant(subject=account, dataset=dataset, condition=condition, reason="Part of the demo.")
                add(database, _ACTOR, new, set(settings.datasets))
