"""A tiny workbench: signed stores of one file each, no images, so that the hub is what is tested."""

import hashlib
import json
from pathlib import Path

import yaml

from cohortlab.keys import PrivateKey, create_key
from cohortlab.store.contracts import AccessCondition, ManifestFields, StoreObject
from cohortlab.store.manifest import sign_manifest

ACCOUNTS = {"researcher": {"groups": ["researchers"]}, "clinician": {}, "steward": {"groups": ["stewards"]}, "trainee": {}}


def write_store(root: Path, name: str, key: PrivateKey, content: bytes = b"pixels") -> Path:
    """A store with one object, `clinical/note.txt`."""
    folder = root / name / "1.0.0"
    (folder / "clinical").mkdir(parents=True)
    (folder / "clinical" / "note.txt").write_bytes(content)
    item = StoreObject(path="clinical/note.txt", size=len(content), sha256=hashlib.sha256(content).hexdigest())
    fields = ManifestFields(
        title=f"Tiny {name}", access_condition=AccessCondition.IN_SITU_PROCESSING, deidentification={}, gate="test", verdict="accepted"
    )
    manifest = sign_manifest((name, "1.0.0"), fields, [], [item], key)
    (folder / "dataset.json").write_text(json.dumps(manifest.to_json()))
    return folder


def write_workbench(folder: Path, datasets: tuple[str, ...] = ("alpha", "beta")) -> Path:
    """workbench.yaml with `datasets`, its key and its stores, in `folder`."""
    key = create_key(folder / "keys" / "gate.key")
    stores = {name: str(write_store(folder / "stores", name, key).relative_to(folder)) for name in datasets}
    document = {
        "title": "Tiny",
        "state": ".",
        "login": {"kind": "demo", "accounts": ACCOUNTS},
        "trusted_keys": [key.public.text],
        "access": {"grace_seconds": 3, "check_seconds": 1},
        "datasets": {name: {"store": store} for name, store in stores.items()},
    }
    file = folder / "workbench.yaml"
    file.write_text(yaml.safe_dump(document))
    return file
