"""Passports: signatures, keys, and where they come from. Every way to forge a visa that we know of is a row."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from cohortlab_hub.identity import keys as key_module
from cohortlab_hub.identity.passports import Reader
from cohortlab_hub.identity.settings import Passports
from visa_issuer import VisaIssuer

DATA = "https://data.example.org/datasets/scans"
ANA = ("ana", "https://broker.example.org/")


@pytest.fixture
def issuer():
    one = VisaIssuer()
    yield one
    one.close()


@pytest.fixture
def other():
    one = VisaIssuer()
    yield one
    one.close()


def reader(*issuers, **more):
    return Reader(Passports(issuers={one.url: {"keys": one.jwks, "subjects": "provider", **more} for one in issuers}), "cohortlab")


def passport(of, *tokens):
    """What counts of a passport; the connections are closed."""

    async def ask():
        try:
            return await of.read(list(tokens), ANA, datetime.now(UTC))
        finally:
            await of.ring.close()

    return asyncio.run(ask())


def counted(of, *tokens):
    return [visa.value for visa, _ in passport(of, *tokens).admission.visas]


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(token, alg):
    """The token with another algorithm and no signature."""
    _, claims, _ = token.split(".")
    return f"{part({'alg': alg, 'kid': 'first', 'typ': 'JWT'})}.{claims}."


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_a_visa_that_a_trusted_issuer_signed_counts(issuer, kind):
    issuer.new_key("k", kind)
    assert counted(reader(issuer), issuer.visa("ana", DATA)) == [DATA]
    assert counted(reader(issuer), issuer.visa("ana", DATA, header={"jku": None}, scope="openid ga4gh")) == [DATA]


FORGED = {
    "by an issuer that nobody trusts": lambda _i, o: o.visa("ana", DATA),
    "by another issuer in the name of a trusted one": lambda i, o: o.visa("ana", DATA, iss=i.url),
    "with a key that jku of another issuer names": lambda i, o: o.visa("ana", DATA, iss=i.url, header={"jku": o.jwks}),
    "with an address that only begins like the trusted one": lambda i, o: o.visa("ana", DATA, iss=i.url, header={"jku": i.jwks + "/../x"}),
    "with a key of its own of the trusted kid": lambda i, _o: i.visa("ana", DATA, key=ECKey.generate_key("P-256")),
    "with a key in its own header": lambda i, _o: _own_key(i),
    "without an algorithm": lambda i, _o: unsigned(i.visa("ana", DATA), "none"),
    "with an empty signature": lambda i, _o: unsigned(i.visa("ana", DATA), "ES256"),
    "with the public key as a shared secret": lambda i, _o: _public_key_as_secret(i),
    "with changed claims": lambda i, _o: _changed(i),
    "of an unknown key": lambda i, _o: i.visa("ana", DATA, header={"kid": "second"}),
    "without a kid": lambda i, _o: i.visa("ana", DATA, header={"kid": None}),
    "of another type of token": lambda i, _o: i.visa("ana", DATA, header={"typ": "logout+jwt"}),
    "with jku and the scope openid": lambda i, _o: i.visa("ana", DATA, scope="openid"),
    "without jku and without the scope openid": lambda i, _o: i.visa("ana", DATA, header={"jku": None}),
    "with a scope that only contains the word": lambda i, _o: i.visa("ana", DATA, header={"jku": None}, scope="xopenid"),
    "expired, sent again": lambda i, _o: i.visa("ana", DATA, exp=int(time.time()) - 1),
    "of somebody else, sent again": lambda i, _o: i.visa("bob", DATA),
    "for another service": lambda i, _o: i.visa("ana", DATA, aud="other"),
    "no token": lambda _i, _o: "x.y.z",
    "no text": lambda i, _o: {"iss": i.url},
    "much too long": lambda i, _o: i.visa("ana", DATA, pad="x" * 20_000),
    "with an algorithm that the standard does not allow": lambda i, _o: _another_algorithm(i),
    "an access token for somebody": lambda i, _o: i.visa("ana", DATA, header={"jku": None}, scope="openid", aud="cohortlab"),
    "an access token of two hours ago": lambda i, _o: i.visa(
        "ana", DATA, header={"jku": None}, scope="openid", iat=int(time.time()) - 7200
    ),
    "with lists in lists in lists": lambda _i, _o: f"{part({'alg': 'ES256', 'kid': 'first'})}.{_nested()}.AAAA",
    "with a header of lists in lists": lambda _i, _o: f"{_nested()}.{part({'iss': _i.url})}.AAAA",
    "with `by` that is a list": lambda i, _o: i.visa("ana", DATA, body={"by": ["dac"]}),
    "with claims that are a list": lambda _i, _o: f"{part({'alg': 'ES256', 'kid': 'first'})}.{part([1])}.AAAA",
}


def _nested():
    return base64.urlsafe_b64encode(b"[" * 12_000 + b"]" * 100).rstrip(b"=").decode()[:16_000]


def _another_algorithm(issuer):
    """AAI OIDC Profile 1.2, "Signing Algorithms": ES256 or RS256, and no other, of the issuer's own key either."""
    issuer.new_key("first", "RSA")
    return issuer.visa("ana", DATA, header={"alg": "PS256"})


def _own_key(issuer):
    key = ECKey.generate_key("P-256")
    return issuer.visa("ana", DATA, key=key, header={"jwk": key.as_dict(private=False)})


def _public_key_as_secret(issuer):
    secret = issuer.keys["first"].as_pem(private=False)
    now = int(time.time())
    body = {"type": "ControlledAccessGrants", "asserted": now, "value": DATA, "source": "https://dac.example.org", "by": "dac"}
    claims = {"iss": issuer.url, "sub": "ana", "iat": now, "exp": now + 60, "ga4gh_visa_v1": body}
    head = {"alg": "HS256", "kid": "first", "jku": issuer.jwks}
    text = f"{part(head)}.{part(claims)}"
    mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _changed(issuer):
    head, claims, signature = issuer.visa("ana", DATA + "/small").split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    said["ga4gh_visa_v1"]["value"] = DATA
    return f"{head}.{part(said)}.{signature}"


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # the attacks use weak keys on purpose
def test_a_forged_visa_gives_nothing_and_spoils_nothing(issuer, other, name):
    found = passport(reader(issuer), FORGED[name](issuer, other), issuer.visa("ana", DATA + "/right"))
    assert [visa.value for visa, _ in found.admission.visas] == [DATA + "/right"]
    assert len(found.admission.refused) == 1
    assert other.asked == 0  # no address of a token's choice is fetched


def test_a_shared_secret_in_the_key_set_verifies_nothing(issuer):
    secret = OctKey.import_key({"kty": "oct", "k": base64.urlsafe_b64encode(b"s" * 32).decode().rstrip("="), "kid": "shared"})
    issuer.keys["shared"] = _Published(secret)
    head = {"alg": "HS256", "kid": "shared", "jku": issuer.jwks}
    token = jwt.encode(head, {"iss": issuer.url, "sub": "ana"}, secret, algorithms=["HS256"])
    assert counted(reader(issuer), token) == []


class _Published:
    """A secret that an issuer publishes by mistake."""

    def __init__(self, key):
        self._key = key

    def as_dict(self, *, private):  # noqa: ARG002 - as a key's
        return self._key.as_dict(private=True)


def test_a_new_key_is_fetched_when_a_visa_names_it_and_an_old_one_counts_no_more(issuer, monkeypatch):
    monkeypatch.setattr(key_module, "_PAUSE", 0.0)
    of = reader(issuer)
    old = issuer.visa("ana", DATA)

    async def story():
        now = datetime.now(UTC)
        assert (await of.read([old], ANA, now)).admission.visas
        issuer.new_key("second")
        assert (await of.read([issuer.visa("ana", DATA)], ANA, now)).admission.visas
        assert issuer.asked == 2
        assert not (await of.read([old], ANA, now)).admission.visas
        await of.ring.close()

    asyncio.run(story())


def test_made_up_key_names_do_not_turn_the_hub_against_an_issuer(issuer):
    tokens = [issuer.visa("ana", DATA, header={"kid": f"made-up-{n}"}) for n in range(20)]
    assert counted(reader(issuer), *tokens) == []
    assert issuer.asked == 1


@pytest.mark.parametrize("status", [500, 404, 302])
def test_an_issuer_that_does_not_answer_gives_no_new_access(issuer, status):
    issuer.answers = status
    found = passport(reader(issuer), issuer.visa("ana", DATA), issuer.visa("ana", DATA + "/more"))
    assert found.admission.visas == ()
    assert found.unreachable == {issuer.url}
    assert set(found.admission.refused) == {"Its issuer does not answer, so it cannot be verified."}  # also within the pause
    assert issuer.asked == 1


def test_kept_keys_serve_through_a_short_outage_and_not_beyond(issuer, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(key_module.time, "monotonic", lambda: clock[0])
    of = reader(issuer)
    token = issuer.visa("ana", DATA)

    async def story():
        now = datetime.now(UTC)
        assert (await of.read([token], ANA, now)).admission.visas
        issuer.answers = 503
        clock[0] += 599
        assert (await of.read([token], ANA, now)).admission.visas
        clock[0] += 2
        found = await of.read([token], ANA, now)
        assert (found.admission.visas, found.unreachable) == ((), {issuer.url})
        await of.ring.close()

    asyncio.run(story())


def test_another_address_of_the_issuer_may_be_allowed(issuer, other):
    token = other.visa("ana", DATA, iss=issuer.url)
    assert counted(reader(issuer, jku=[other.jwks]), token) == [DATA]


@pytest.mark.parametrize("claim", [None, {}, "x", 7, [None], [[]]])
def test_a_claim_of_another_form_gives_nothing(issuer, claim):
    of = reader(issuer)

    async def ask():
        found = await of.read(claim, ANA, datetime.now(UTC))
        await of.ring.close()
        return found

    assert asyncio.run(ask()).admission.visas == ()


def test_a_passport_is_read_only_so_far(issuer):
    tokens = [issuer.visa("ana", f"{DATA}/{n}") for n in range(201)]
    found = passport(reader(issuer), *tokens)
    assert len(found.admission.visas) == 200
    assert "more than 200" in found.admission.refused[0]
