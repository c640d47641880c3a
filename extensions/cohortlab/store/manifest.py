"""`dataset.json`: made, signed, read, checked. The signature covers the canonical JSON of all but itself."""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cohortlab.errors import IntegrityError, InvalidInputError, NotFoundError, StorageError
from cohortlab.keys import PrivateKey, PublicKey, canonical_json, verify_any
from cohortlab.store.contracts import Manifest, ManifestFields, ManifestSeries, StoreObject
from cohortlab.store.layout import MANIFEST

_BLOCK = 1 << 20
LARGEST = 256 << 20
"""Bytes of a manifest at the most; a million objects stay below."""


def file_digest(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return file.tell(), digest.hexdigest()


def walk(root: Path) -> Iterator[Path]:
    """All that lies under a store but its manifest, files and also links and other odd things, sorted, as paths below `root`."""
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            relative = path.relative_to(root)
            if str(relative) != MANIFEST:
                yield relative


def tree_digest(objects: Iterable[StoreObject]) -> str:
    """SHA-256 over a line ``<sha256>  <size>  <path>`` an object, sorted by path."""
    digest = hashlib.sha256()
    for item in sorted(objects, key=lambda o: o.path):
        digest.update(f"{item.sha256}  {item.size}  {item.path}\n".encode())
    return digest.hexdigest()


def sign_manifest(
    named: tuple[str, str], fields: ManifestFields, series: Sequence[ManifestSeries], objects: Sequence[StoreObject], key: PrivateKey
) -> Manifest:
    """The signed manifest of these objects; `named` is the dataset's id and version."""
    body = fields.to_json() | {
        "schema_version": 1,
        "id": named[0],
        "version": named[1],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "series": [s.to_json() for s in series],
        "objects": [o.to_json() for o in objects],
        "tree_sha256": tree_digest(objects),
    }
    signature = {"algorithm": "Ed25519", "key_id": key.id, "value": key.sign(canonical_json(body))}
    return Manifest.from_json(body | {"signature": signature}, "The manifest")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names are unique, so that two readers cannot see different values."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def read_manifest(path: Path, trusted: Sequence[PublicKey]) -> Manifest:
    """Read ``dataset.json`` of the store at `path` and check its signature and tree digest.

    Raises `NotFoundError` without one, `IntegrityError` when it is not signed by one of `trusted` or not what was signed.
    It says nothing on the objects themselves: `verify_store` recomputes those.
    """
    file = path / MANIFEST
    try:
        if file.stat().st_size > LARGEST:
            raise IntegrityError(f"The manifest of {path} is larger than any manifest can be.")
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"No store at {path}: it has no {MANIFEST}.") from None
    except OSError as error:
        raise StorageError(f"The manifest of {path} cannot be read: {error.strerror}.") from None
    return parse_manifest(text, str(path), trusted)


def parse_manifest(text: bytes, path: str, trusted: Sequence[PublicKey]) -> Manifest:
    """The manifest in `text`, read from the store at `path`, after the same checks as in `read_manifest`. Raises `IntegrityError`.

    What was found good is not checked again for the same bytes and the same trusted keys: a loader opens a store for each of its cases.
    """
    asked = hashlib.sha256(text).digest(), frozenset(key.text for key in trusted)
    with _found_good:
        if (known := _good.get(asked)) is not None:
            _good.move_to_end(asked)
            return known
    manifest = _checked(text, path, trusted)
    with _found_good:
        _good[asked] = manifest
        while len(_good) > _KEPT:
            _good.popitem(last=False)
    return manifest


_KEPT = 16
_good: OrderedDict[tuple[bytes, frozenset[str]], Manifest] = OrderedDict()
_found_good = threading.Lock()


def _checked(text: bytes, path: str, trusted: Sequence[PublicKey]) -> Manifest:
    try:
        body = json.loads(text, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        raise IntegrityError(f"The manifest of {path} is not JSON.", hint=_HINT) from None
    signature = body.pop("signature", None) if isinstance(body, dict) else None
    if not isinstance(signature, dict) or not all(isinstance(signature.get(k), str) for k in ("key_id", "value")):
        raise IntegrityError(f"The manifest of {path} is not signed.", hint=_HINT)
    try:
        message = canonical_json(body)
    except ValueError:
        raise IntegrityError(f"The manifest of {path} is not JSON that can be signed.", hint=_HINT) from None
    try:
        verify_any(trusted, signature["key_id"], signature["value"], message)
    except IntegrityError as error:
        raise IntegrityError(f"The store {path} is not to be trusted: {error.message}", hint=error.hint or _HINT) from None
    try:
        manifest = Manifest.from_json(body | {"signature": signature}, f"The manifest of {path}")
    except InvalidInputError as error:
        raise IntegrityError(error.message, hint="It may be of a newer Cohortlab.") from None
    if tree_digest(manifest.objects) != manifest.tree_sha256:
        raise IntegrityError(f"The tree digest of {path} does not fit its objects.", hint=_HINT)
    return manifest


def trusted_keys(texts: Sequence[str]) -> list[PublicKey]:
    """Public keys from ``ed25519:…`` texts or from files that hold one. Raises `InvalidInputError`."""
    keys = []
    for text in texts:
        word = text.strip()
        if not word.startswith("ed25519:"):
            try:
                word = Path(word).read_text(encoding="ascii").strip()
            except (OSError, ValueError):
                raise InvalidInputError("A trusted key is neither ed25519:… nor a file that holds one.") from None
        keys.append(PublicKey(word))
    return keys


_HINT = "It was changed after the gate wrote it, or was not written by a gate that is trusted here. Ask the data steward for a sound copy."
