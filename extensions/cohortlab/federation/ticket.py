"""Tickets: the hub's signed leave to run one task on one dataset at one site, once.

A ticket is a JSON Web Signature (RFC 7515) over the claims of `contracts.Ticket`, algorithm ``Ed25519`` (RFC 9864, the fully
specified name of EdDSA on that curve). The site checks it in this order, before it opens any data: form and type, key,
signature, claims, audience, time, parameters, and that it was not used before.
"""

from collections.abc import Container, Sequence
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import ValidationError

from cohortlab.errors import RefusedError
from cohortlab.federation.contracts import REASONS, Reason, Ticket, parameters_digest
from cohortlab.keys import PrivateKey, PublicKey, canonical_json

_TYPE = "cohortlab-ticket+jws"
_ALGORITHM = "Ed25519"
CLOCK_SKEW = 60
"""Seconds by which the clocks of the hub and a site may differ."""


class TicketError(RefusedError):
    """The ticket does not allow this. `reason` is all that leaves the site."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason
        self.code = reason.value


def sign_ticket(ticket: Ticket, key: PrivateKey) -> str:
    """The ticket in compact serialisation, signed with the hub's key."""
    pem = key.crypto.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    header = {"alg": _ALGORITHM, "typ": _TYPE, "kid": key.id}
    return jws.serialize_compact(header, canonical_json(ticket.model_dump(mode="json")), OKPKey.import_key(pem), algorithms=[_ALGORITHM])


def verify_ticket(
    token: str, parameters: dict[str, Any], trusted: Sequence[PublicKey], *, site: str, now: float, used: Container[str] = ()
) -> Ticket:
    """The claims of `token` when it is good for `site` at `now` (seconds since 1970) with these `parameters`.

    `used` holds the ids of the tickets that this site has taken before. Raises `TicketError` with the first reason.
    """
    ticket = read_ticket(token, trusted)
    if ticket.aud != site:
        raise TicketError(Reason.TICKET_OTHER_SITE)
    if not ticket.nbf - CLOCK_SKEW <= now < ticket.exp:
        raise TicketError(Reason.TICKET_EXPIRED)
    try:
        unchanged = parameters_digest(parameters) == ticket.parameters
    except ValueError:  # a number that JSON does not know
        unchanged = False
    if not unchanged:
        raise TicketError(Reason.TICKET_CHANGED)
    if ticket.jti in used:
        raise TicketError(Reason.TICKET_REPLAYED)
    return ticket


def read_ticket(token: str, trusted: Sequence[PublicKey]) -> Ticket:
    """The claims of a ticket whose signature is a trusted key's, whomever and whenever it is for. Raises `TicketError`."""
    try:
        header = jws.extract_compact(token.encode("ascii")).headers()
        key = next((key for key in trusted if key.id == header.get("kid")), None)
        if key is None or header.get("typ") != _TYPE:
            raise TicketError(Reason.TICKET_INVALID)
        pem = key.crypto.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        payload = jws.deserialize_compact(token, OKPKey.import_key(pem), algorithms=[_ALGORITHM]).payload
        return Ticket.model_validate_json(payload)
    except (JoseError, ValidationError, UnicodeError, ValueError, TypeError):
        raise TicketError(Reason.TICKET_INVALID) from None
