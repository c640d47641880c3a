"""Mutated stores against everything that reads one: typed errors only. Also a script, with the options of `fuzz_gate.py`.

Each case changes one file of a sound store. As it stands, `verify_store` has to find it and no reader may take it. Then the store is signed
again with the change in it, as a broken gate might, so that what lies behind the signature meets it too.
"""

import hashlib
import json
import random
import shutil
from pathlib import Path

from fuzz_gate import MUTATIONS, read_all, script

from cohortlab.deidentify.gate import ingest
from cohortlab.deidentify.report import Options
from cohortlab.errors import CohortlabError
from cohortlab.keys import canonical_json, create_key
from cohortlab.samples import Patient, write_ct
from cohortlab.store import Store, verify_store
from cohortlab.store.layout import MANIFEST
from cohortlab.store.manifest import file_digest

_BYTES = MUTATIONS[:8]
_VALUES = (None, True, -1, 0, 2**63, 1e308, "", "x" * 5000, [], {}, [[]], "../../x", "NaN", [0] * 50)


class FuzzStore:
    """A sound store, and a copy to break."""

    def __init__(self, folder: Path) -> None:
        write_ct(folder / "ct", Patient(1, 5), (16, 24, 24))
        self.key = create_key(folder / "gate.key")
        report = ingest([folder / "ct"], "fuzz", folder / "stores", Options(key=folder / "gate.key", deidentify=True))
        if report.path is None or not verify_store(report.path, [self.key.public]).ok:
            raise AssertionError("the sample is not sound")
        self.sound, self.broken = report.path, folder / "broken"
        self.names = sorted(p.relative_to(self.sound).as_posix() for p in self.sound.rglob("*") if p.is_file())

    def run(self, number: int) -> str:
        """Break one file, verify and read; sign it again, verify and read. How it ended, in words."""
        rng = random.Random(number)  # noqa: S311  nothing secret
        shutil.rmtree(self.broken, ignore_errors=True)
        shutil.copytree(self.sound, self.broken)
        name = MANIFEST if rng.random() < 0.2 else rng.choice(self.names)
        path = self.broken / name
        path.chmod(0o644)
        before = path.read_bytes()
        after = _json(before, rng) if name.endswith(".json") and rng.random() < 0.6 else rng.choice(_BYTES)(before, rng)
        path.write_bytes(after)
        signature_only = name == MANIFEST and _same(before, after)
        sound = verify_store(self.broken, [self.key.public]).ok
        if after != before and not signature_only and sound:
            raise AssertionError(f"{name}: verify does not find the change")
        first = self._read(sound)
        self._sign()
        report = verify_store(self.broken, [self.key.public])
        if report.findings:
            return f"{first}, signed again {report.findings[0].problem}"
        return f"{first}, signed again {self._read(report.ok)}"

    def _read(self, sound: bool) -> str:
        try:
            store = Store.open(self.broken, [self.key.public])
            for ref in [*store, *store.segmentations]:
                ref.headers()
                _ = ref.attributes, ref.levels, repr(ref), ref.affine()
                for level in range(len(ref.levels)):
                    ref.array(level)
                    ref.open(level)
        except CohortlabError as error:
            return error.code
        if sound:
            read_all(store)
        return "read"

    def _sign(self) -> None:
        """Sign what is there, as far as it can be said."""
        place = self.broken / MANIFEST
        place.chmod(0o644)
        try:
            body = json.loads(place.read_bytes())
            body.pop("signature", None)
            for item in body["objects"]:
                item["size"], item["sha256"] = file_digest(self.broken / item["path"])
            lines = (f"{o['sha256']}  {o['size']}  {o['path']}\n" for o in sorted(body["objects"], key=lambda o: o["path"]))
            body["tree_sha256"] = hashlib.sha256("".join(lines).encode()).hexdigest()
            signature = {"algorithm": "Ed25519", "key_id": self.key.id, "value": self.key.sign(canonical_json(body))}
        except (ValueError, TypeError, KeyError, AttributeError, OSError):
            return
        place.write_text(json.dumps(body | {"signature": signature}))


def _same(one: bytes, other: bytes) -> bool:
    """Whether two manifests say the same: white space and the forms of numbers and letters are not signed."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def _json(data: bytes, rng: random.Random) -> bytes:
    """Change, remove or add one value somewhere in a JSON document."""
    body = json.loads(data)
    holder = body
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            break
        key = rng.choice(keys)
        if isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.85:
            holder = holder[key]
            continue
        if rng.random() < 0.2:
            del holder[key]
        else:
            holder[key] = rng.choice(_VALUES)
        break
    if isinstance(holder, dict) and rng.random() < 0.2:
        holder["added"] = rng.choice(_VALUES)
    return json.dumps(body).encode()


if __name__ == "__main__":
    script(lambda folder, _data: FuzzStore(folder).run, __doc__)
