"""Visa issuers' public keys: fetched from their JSON Web Key Sets, kept for a while, fetched anew when a key is not among them.

A visa names its key by `kid`. A key that is unknown makes the set be fetched again (an issuer may have changed its key), at most
once in `_PAUSE` seconds, so that made-up names do not turn the hub against the issuer. When the set cannot be fetched and what is
kept is too old, nothing is verified: no answer means no.
"""

import os
import ssl
import time
from dataclasses import dataclass, field

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from cohortlab.errors import UnavailableError

_PAUSE = 10.0
_LARGEST = 1 << 20  # bytes of a key set


@dataclass(slots=True)
class _Kept:
    keys: list[Key] = field(default_factory=list)
    fetched: float = float("-inf")  # when the set was last read whole
    tried: float = float("-inf")


class KeyRing:
    """Key sets by address. `keep`: seconds for which a set is used."""

    def __init__(self, keep: float, client: httpx.AsyncClient | None = None) -> None:
        self._keep = keep
        # Without a proxy of the environment, but with its authorities: an institution's own signs its services.
        given = os.environ.get("SSL_CERT_FILE")
        verify = ssl.create_default_context(cafile=given) if given else True
        self._client = client or httpx.AsyncClient(timeout=10, trust_env=False, verify=verify)
        self._sets: dict[str, _Kept] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def key(self, address: str, kid: str) -> Key | None:
        """The key `kid` of the set at `address`, None when the issuer has none of that name.

        Raises `UnavailableError` when the issuer does not answer and what is kept is too old.
        """
        kept = self._sets.setdefault(address, _Kept())
        now = time.monotonic()
        if (found := self._found(kept, kid, now)) is not None:
            return found
        if now - kept.tried >= _PAUSE:
            kept.tried = now
            kept.keys, kept.fetched = await self._fetch(address), now
        if now - kept.fetched >= self._keep:
            raise _unavailable()
        return self._found(kept, kid, now)

    def _found(self, kept: _Kept, kid: str, now: float) -> Key | None:
        return next((key for key in kept.keys if key.kid == kid), None) if now - kept.fetched < self._keep else None

    async def _fetch(self, address: str) -> list[Key]:
        try:
            answer = await self._client.get(address)
            answer.raise_for_status()
            if len(answer.content) > _LARGEST:
                raise _unavailable()
            # Only public keys verify: a set that holds a shared secret must not make its holder an issuer.
            return [key for key in KeySet.import_key_set(answer.json()).keys if key.key_type != "oct"]
        except (httpx.HTTPError, JoseError, ValueError, TypeError, KeyError):
            raise _unavailable() from None


def _unavailable() -> UnavailableError:
    return UnavailableError("The keys of a visa issuer cannot be read.", hint="No new access comes from its visas until then.")
