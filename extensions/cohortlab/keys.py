"""Ed25519 keys (RFC 8032) of the gate, the hub and the sites: made, stored, named, and what they sign.

A public key is written ``ed25519:<base64url of its 32 bytes>``; its key id is the first 16 hex digits of the SHA-256
of those bytes. A private key lies in a PEM file (PKCS#8) that only its owner can read.
"""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

from cohortlab.errors import IntegrityError, InvalidInputError, NotFoundError

_PREFIX = "ed25519:"
_PUBLIC_BYTES = 32


class PublicKey:
    """A trusted key, as ``ed25519:<base64url>``. Raises `InvalidInputError` for anything else."""

    def __init__(self, text: str) -> None:
        body = text.removeprefix(_PREFIX)
        try:
            raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        except (binascii.Error, ValueError):
            raw = b""
        if not text.startswith(_PREFIX) or len(raw) != _PUBLIC_BYTES:
            raise InvalidInputError("Not a public key.", hint="Write it as ed25519:<43 characters of base64url>, as in the .pub file.")
        self.text = text
        self.id = hashlib.sha256(raw).hexdigest()[:16]
        self.crypto = Ed25519PublicKey.from_public_bytes(raw)

    def verify(self, signature: str, message: bytes) -> None:
        """Raise `IntegrityError` unless `signature` (base64url) is this key's over `message`."""
        try:
            raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
            self.crypto.verify(raw, message)
        except (InvalidSignature, binascii.Error, ValueError):
            raise IntegrityError(f"The signature is not that of key {self.id}.") from None


class PrivateKey:
    """A signing key. It is never printed: `repr` shows the key id only."""

    def __init__(self, crypto: Ed25519PrivateKey) -> None:
        self.crypto = crypto
        raw = crypto.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = PublicKey(_PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("="))
        self.id = self.public.id

    def __repr__(self) -> str:
        return f"<PrivateKey {self.id}>"

    def sign(self, message: bytes) -> str:
        """The signature over `message`, base64url without padding."""
        return base64.urlsafe_b64encode(self.crypto.sign(message)).decode().rstrip("=")


def create_key(path: Path) -> PrivateKey:
    """Make a key pair: `path` (mode 0600) and `path` with suffix ``.pub``. An existing key is kept and returned."""
    if path.exists():
        return load_key(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    crypto = Ed25519PrivateKey.generate()
    pem = crypto.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    key = PrivateKey(crypto)
    path.with_suffix(".pub").write_text(key.public.text + "\n")
    return key


def load_key(path: Path) -> PrivateKey:
    """Read a private key. Raises `NotFoundError`, or `InvalidInputError` when it is no Ed25519 key in PEM."""
    try:
        crypto = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise NotFoundError(f"No key at {path}.", hint="Make one with `cohortlab key create`.") from None
    except (ValueError, TypeError):
        crypto = None
    if not isinstance(crypto, Ed25519PrivateKey):
        raise InvalidInputError(f"{path} holds no Ed25519 private key in PEM.")
    return PrivateKey(crypto)


def canonical_json(value: Any) -> bytes:
    """JSON with one spelling: sorted keys, no spaces, UTF-8, no NaN (after RFC 8785). What signatures and digests cover."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def verify_any(trusted: Iterable[PublicKey], key_id: str, signature: str, message: bytes) -> PublicKey:
    """The trusted key that signed `message`. Raises `IntegrityError` when none of them did."""
    for key in trusted:
        if key.id == key_id:
            key.verify(signature, message)
            return key
    raise IntegrityError(
        f"Signed by key {key_id}, which is not trusted here.", hint="Add the gate's public key to the trusted keys, if you know it."
    )
