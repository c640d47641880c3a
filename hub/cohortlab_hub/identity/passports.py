"""GA4GH Passports: from the claim ``ga4gh_passport_v1`` to the visas that count. Verifies signatures; the rest is `visas`.

A visa is a JWS by an issuer of workbench.yaml, with a public key of that issuer. Which address its keys come from is the
operator's word, never the token's: `jku` is only compared with the addresses that are allowed for that issuer, and `jwk`, `x5u`
and `x5c` are not looked at. A visa without `jku` is one of the access-token form, whose scope holds ``openid``; its issuer is not
polled, so it counts for an hour at most (GA4GH AAI OIDC Profile 1.2, "Conformance for Passport Clearinghouses" 5.2).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from cohortlab.errors import UnavailableError
from cohortlab_hub.identity.keys import KeyRing
from cohortlab_hub.identity.settings import Passports, VisaIssuer
from cohortlab_hub.identity.visas import Admission, Identity, Visa, VisaError, admit, is_access_token, read

CLAIM = "ga4gh_passport_v1"
_ALGORITHMS = ["RS256", "ES256"]  # GA4GH AAI OIDC Profile 1.2, "Signing Algorithms"
_MOST = 200  # visas of a passport
_LARGEST = 16_384  # characters of a visa
_TYPES = {"vnd.ga4gh.visa+jwt", "at+jwt", "jwt"}


@dataclass(frozen=True, slots=True)
class Passport:
    """What counts of a passport. `unreachable`: issuers whose keys could not be read, of whose visas nothing is known."""

    admission: Admission
    unreachable: frozenset[str] = frozenset()


class Reader:
    """Reads passports by the rules of `settings`. `audience` is this workbench's client id."""

    def __init__(self, settings: Passports, audience: str, ring: KeyRing | None = None) -> None:
        self._settings = settings
        self._audience = audience
        self.ring = ring or KeyRing(settings.keys_seconds)

    async def read(self, claim: Any, person: Identity, now: datetime) -> Passport:
        """What counts of the passport `claim` (a list of tokens) for `person` at `now`."""
        tokens = claim if isinstance(claim, list) else []
        refused: list[str] = []
        unreachable: set[str] = set()
        verified: list[Visa] = []
        if len(tokens) > _MOST:
            refused.append(f"A passport of more than {_MOST} visas: those beyond are not read.")
        for token in tokens[:_MOST]:
            issuer = ""
            try:
                issuer, header = self._look(token)
                key = await self._key(self._settings.issuers[issuer], header)
                verified.append(read(_verified(token, key), now, self._audience))
            except VisaError as error:
                refused.append(error.message)
            except UnavailableError:
                unreachable.add(issuer)
                refused.append("Its issuer does not answer, so it cannot be verified.")
        trust = {name: issuer.trust for name, issuer in self._settings.issuers.items()}
        found = admit(verified, person, trust, now)
        return Passport(Admission(found.visas, (*refused, *found.refused)), frozenset(unreachable))

    def _look(self, token: Any) -> tuple[str, Mapping[str, Any]]:
        """The issuer that a token claims, and its header: neither is proven yet. Raises `VisaError`."""
        if not isinstance(token, str) or len(token) > _LARGEST:
            raise VisaError("It is no token, or too long.")
        try:
            parsed = jws.extract_compact(token.encode())
            claims = json.loads(parsed.payload)
        except (JoseError, ValueError, UnicodeError, RecursionError):  # the last: lists in lists in lists
            raise VisaError("It is no signed token.") from None
        if not isinstance(claims, dict):
            raise VisaError("Its claims are no object.")
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or issuer not in self._settings.issuers:
            raise VisaError("Its issuer is not trusted.")
        header: Mapping[str, Any] = parsed.headers()
        if ("jku" in header) == is_access_token(claims):
            raise VisaError("It has neither or both of jku and the scope openid.")
        return issuer, header

    async def _key(self, issuer: VisaIssuer, header: Mapping[str, Any]) -> Key:
        """The issuer's key that the header names. Raises `VisaError`, and `UnavailableError` when the issuer does not answer."""
        address = header.get("jku", issuer.keys)
        if address != issuer.keys and address not in issuer.jku:
            raise VisaError("Its jku is not an address of its issuer.")
        kind, kid = header.get("typ", "JWT"), header.get("kid")
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
            raise VisaError("Its typ is not that of a visa.")
        if not isinstance(kid, str) or not kid:
            raise VisaError("It names no key (kid).")
        key = await self.ring.key(address, kid)
        if key is None:
            raise VisaError("Its issuer has no such key.")
        return key


def _verified(token: str, key: Key) -> dict[str, Any]:
    """The claims of `token`, signed with `key`. Raises `VisaError`."""
    try:
        return dict(jwt.decode(token, key, algorithms=_ALGORITHMS).claims)
    except (JoseError, ValueError, TypeError):  # the last two: a key that does not fit the algorithm
        raise VisaError("Its signature does not fit.") from None
