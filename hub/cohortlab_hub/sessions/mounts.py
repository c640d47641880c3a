"""Leases -> mount table -> what a session on this machine sees: pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access import Lease
from cohortlab_hub.sessions.isolate import PRIVATE, Plan


def mount_table(leases: Iterable[Lease], stores: Mapping[str, Path]) -> dict[str, Path]:
    """Dataset id -> folder of its store, for each lease that allows pixels in a session on a dataset that is in `stores`.

    `stores` are the verified ones; one that is missing there, or stays at its sites, is not mounted.
    """
    return {
        lease.dataset: stores[lease.dataset]
        for lease in sorted(leases, key=lambda lease: lease.dataset)
        if lease.condition != AccessCondition.REMOTE_PROCESSING and lease.dataset in stores
    }


def plan(home: Path, table: Mapping[str, Path], hidden: Iterable[Path], needed: Sequence[Path]) -> Plan:
    """What the session sees: `home`, the mounts of `table`, no `hidden` path; of `needed` (Python's own folders) all.

    A needed folder is kept only where it lies in a hidden one, or in one of which each session has its own (``/tmp``).
    Raises `ValueError` for a home or mount that is not absolute or a dataset id that is no single step of a path.
    """
    covered = sorted(set(hidden))
    for name, store in table.items():
        if name != Path(name).name or name in {"", ".", ".."} or not store.is_absolute():
            raise ValueError(f"Not a mount: {name!r}.")
    if not home.is_absolute():
        raise ValueError("The home is no absolute path.")
    covers = [*covered, *map(Path, PRIVATE)]
    kept = {path for path in needed if any(path.is_relative_to(cover) and path != cover for cover in covers)}
    outer = {path for path in kept if not any(path != other and path.is_relative_to(other) for other in kept)}
    return Plan(
        home=str(home),
        mounts={name: str(store) for name, store in sorted(table.items())},
        hidden=tuple(str(path) for path in covered),
        kept=tuple(str(path) for path in sorted(outer)),
    )
