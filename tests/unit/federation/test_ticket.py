"""Each way to get past a ticket, tried."""

import base64
import json

import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from cohortlab.federation.contracts import Reason, Ticket, parameters_digest
from cohortlab.federation.ticket import TicketError, sign_ticket, verify_ticket
from cohortlab.keys import create_key

NOW = 1_800_000_000
PARAMETERS = {"bins": 8, "low": 0.0, "high": 1.0}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    return create_key(tmp_path_factory.mktemp("hub") / "hub.key")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return create_key(tmp_path_factory.mktemp("stranger") / "other.key")


def ticket(**changes):
    claims = {
        "aud": "north",
        "sub": "user-0123456789abcdef",
        "jti": "ticket-" + "a" * 32,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 3600,
        "job": "job-" + "b" * 32,
        "dataset": "lesions",
        "task": "histogram",
        "parameters": parameters_digest(PARAMETERS),
        "project": "demo-study",
    }
    return Ticket(**(claims | changes))


def b64(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_good_ticket_is_good(hub):
    assert verify_ticket(sign_ticket(ticket(), hub), PARAMETERS, [hub.public], site="north", now=NOW) == ticket()


@pytest.mark.parametrize(
    ("reason", "changes", "more"),
    [
        (Reason.TICKET_OTHER_SITE, {"aud": "south"}, {}),
        (Reason.TICKET_EXPIRED, {}, {"now": NOW + 3600}),
        (Reason.TICKET_EXPIRED, {}, {"now": NOW - 3600}),
        (Reason.TICKET_EXPIRED, {"nbf": NOW + 600}, {}),
        (Reason.TICKET_REPLAYED, {}, {"used": {"ticket-" + "a" * 32}}),
        (Reason.TICKET_CHANGED, {}, {"parameters": PARAMETERS | {"bins": 9}}),
        (Reason.TICKET_CHANGED, {}, {"parameters": PARAMETERS | {"region": "all"}}),
        (Reason.TICKET_CHANGED, {}, {"parameters": PARAMETERS | {"low": float("nan")}}),
    ],
)
def test_a_signed_ticket_that_does_not_fit(hub, reason, changes, more):
    more = {"site": "north", "now": NOW} | more
    with pytest.raises(TicketError) as error:
        verify_ticket(sign_ticket(ticket(**changes), hub), more.pop("parameters", PARAMETERS), [hub.public], **more)
    assert error.value.reason is reason


def swapped(token, *, header=None, claims=None, signature=None):
    """`token` with parts of its own replaced; its signature stays unless given."""
    parts = token.split(".")
    return ".".join([header or parts[0], claims or parts[1], parts[2] if signature is None else signature])


NAMED = {"typ": "cohortlab-ticket+jws"}
WANTED = ticket(project="other-study").model_dump(mode="json")
FORGERIES = {
    "another key": lambda _, stranger: sign_ticket(ticket(), stranger),
    "another key under the hub's name": lambda hub, stranger: swapped(
        sign_ticket(ticket(), stranger), header=sign_ticket(ticket(), hub).split(".", maxsplit=1)[0]
    ),
    "changed claims": lambda hub, _: swapped(sign_ticket(ticket(), hub), claims=b64(WANTED)),
    "no signature": lambda hub, _: swapped(
        sign_ticket(ticket(), hub), header=b64(NAMED | {"alg": "none", "kid": hub.id}), claims=b64(WANTED), signature=""
    ),
    "signature cut off": lambda hub, _: sign_ticket(ticket(), hub)[:-4],
    "another kind of token": lambda hub, _: hub_signed(hub, WANTED, typ="JWT"),
    "a field more": lambda hub, _: hub_signed(hub, WANTED | {"admin": True}),
    "a field less": lambda hub, _: hub_signed(hub, {k: v for k, v in WANTED.items() if k != "aud"}),
    "a path as its id": lambda hub, _: hub_signed(hub, WANTED | {"jti": "../../etc/passwd"}),
    "not a token": lambda *_: "ticket please",
    "not ASCII": lambda *_: "é.é.é",
    "empty": lambda *_: "",
}


def hub_signed(hub, claims, typ=NAMED["typ"]):
    head = b64({"alg": "Ed25519", "kid": hub.id, "typ": typ})
    return f"{head}.{b64(claims)}.{hub.sign(f'{head}.{b64(claims)}'.encode())}"


def test_what_hub_signed_makes_is_otherwise_good(hub):
    token = hub_signed(hub, ticket().model_dump(mode="json"))
    assert verify_ticket(token, PARAMETERS, [hub.public], site="north", now=NOW) == ticket()


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_ticket_is_invalid(hub, stranger, how):
    with pytest.raises(TicketError) as error:
        verify_ticket(FORGERIES[how](hub, stranger), PARAMETERS, [hub.public], site="north", now=NOW)
    assert error.value.reason is Reason.TICKET_INVALID


def test_the_public_key_is_no_shared_secret(hub):
    secret = OctKey.import_key(hub.public.text.encode())
    claims = json.dumps(ticket().model_dump(mode="json"))
    header = {"alg": "HS256", "typ": "cohortlab-ticket+jws", "kid": hub.id}
    token = jws.serialize_compact(header, claims, secret, algorithms=["HS256"])
    with pytest.raises(TicketError) as error:
        verify_ticket(token, PARAMETERS, [hub.public], site="north", now=NOW)
    assert error.value.reason is Reason.TICKET_INVALID


def test_no_trusted_key_trusts_nobody(hub):
    with pytest.raises(TicketError):
        verify_ticket(sign_ticket(ticket(), hub), PARAMETERS, [], site="north", now=NOW)
