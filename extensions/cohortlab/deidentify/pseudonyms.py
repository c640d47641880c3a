"""Keyed pseudonyms: the same person and object get the same new name in every series of a dataset, and nobody can go back.

All of them are HMAC-SHA-256 (RFC 2104) under a key of the dataset, derived from the gate's secret, so that two datasets cannot be
joined. The secret lies beside the gate's key, never in a store: without it a pseudonym can be neither recomputed nor guessed.
"""

import hashlib
import hmac
import os
import re
import secrets
from datetime import timedelta
from pathlib import Path

from cohortlab.errors import InvalidInputError, StorageError

_SECRET_BYTES = 32
_DAY = 86_400
_FIRST_DAY, _LAST_DAY = 366, 3_650  # how far back dates move: at least a year, so that no date stays near the true one
_SECRET = re.compile(r"[0-9a-f]{64}")


def secret_path(key: Path) -> Path:
    """Where the pseudonym secret of the gate's key lies: beside it, with suffix ``.secret``."""
    return key.with_suffix(".secret")


def load_secret(key: Path, *, create: bool) -> bytes:
    """The pseudonym secret beside `key`, made when `create` and absent (mode 0600). Without `create`: one for this run only.

    Raises `InvalidInputError` when the file holds something else, `StorageError` when it cannot be read or written.
    """
    path = secret_path(key)
    try:
        if not path.exists():
            if not create:
                return secrets.token_bytes(_SECRET_BYTES)
            _write(path, secrets.token_hex(_SECRET_BYTES))
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise StorageError(f"The pseudonym secret {path} cannot be read or written: {error.strerror}.") from None
    if not _SECRET.fullmatch(text):
        raise InvalidInputError(f"{path} holds no pseudonym secret.", hint="It is 64 hexadecimal digits. Restore it from a backup.")
    return bytes.fromhex(text)


def _write(path: Path, text: str) -> None:
    """Write a file for its owner only, whole or not at all; one that another process made meanwhile stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink()


class Pseudonyms:
    """The new names of one dataset. `repr` tells nothing."""

    def __init__(self, secret: bytes, dataset: str) -> None:
        self._key = hmac.digest(secret, b"cohortlab pseudonyms 1\0" + dataset.encode(), "sha256")

    def __repr__(self) -> str:
        return "<Pseudonyms>"

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{kind}\0{value}".encode(), hashlib.sha256)

    def patient(self, patient: str) -> str:
        """PatientID and PatientName: ``P-`` and 16 hexadecimal digits."""
        return "P-" + self._digest("patient", patient.strip()).hex()[:16]

    def uid(self, uid: str) -> str:
        """A UID under ``2.25.`` (PS3.5 B.2): the decimal form of a version 8 UUID (RFC 9562), at most 44 characters."""
        raw = bytearray(self._digest("uid", uid.strip())[:16])
        raw[6] = (raw[6] & 0x0F) | 0x80
        raw[8] = (raw[8] & 0x3F) | 0x80
        return f"2.25.{int.from_bytes(raw)}"

    def shift(self, patient: str) -> timedelta:
        """How far all dates and times of a patient move back: 1 to 10 years and part of a day, whole seconds.

        Intervals within a patient stay exact; times of day move too, so that they cannot be matched with a hospital's records.
        """
        raw = self._digest("shift", patient.strip())
        days = _FIRST_DAY + int.from_bytes(raw[:8]) % (_LAST_DAY - _FIRST_DAY)
        return timedelta(days=days, seconds=1 + int.from_bytes(raw[8:16]) % (_DAY - 1))
