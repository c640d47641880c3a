"""A negotiator's deliveries: who sent them, and what they may say."""

import pytest
from pydantic import ValidationError

from cohortlab_hub.access.negotiator import Delivery, authentic, sign

SECRET, BODY, NOW = "s" * 32, b'{"id": "1"}', 1_770_000_000.0


def header(at=int(NOW), body=BODY, secret=SECRET):
    return {"cohortlab-signature": f"t={at},v1={sign(secret, at, body)}"}


@pytest.mark.parametrize(
    ("how", "headers", "believed"),
    [
        ("hmac", header(), True),
        ("hmac", header(at=int(NOW) - 299), True),
        ("hmac", header(at=int(NOW) - 301), False),  # recorded, sent again later
        ("hmac", header(at=int(NOW) + 301), False),
        ("hmac", header(body=b'{"id": "2"}'), False),
        ("hmac", header(secret="t" * 32), False),
        ("hmac", {"cohortlab-signature": f"t={int(NOW) - 1},v1={sign(SECRET, int(NOW), BODY)}"}, False),
        ("hmac", {"cohortlab-signature": f"t={int(NOW)},v1="}, False),
        ("hmac", {"cohortlab-signature": ""}, False),
        ("hmac", {}, False),
        ("hmac", {"authorization": f"Bearer {SECRET}"}, False),  # a signature is asked for
        ("bearer", {"authorization": f"Bearer {SECRET}"}, True),
        ("bearer", {"authorization": f"bearer {SECRET}"}, True),
        ("bearer", {"authorization": f"token {SECRET}"}, False),
        ("bearer", {"authorization": "Bearer " + "s" * 31}, False),
        ("bearer", {"authorization": "Bearer "}, False),
        ("bearer", header(), False),
        ("bearer", {}, False),
    ],
)
def test_authentic(how, headers, believed):
    assert authentic(how, SECRET, headers, BODY, NOW) is believed


RIGHT = {"id": "d1", "negotiation": "n1", "event": "granted", "person": "ana", "datasets": ["scans"], "reason": "approved"}


@pytest.mark.parametrize(
    ("change", "right"),
    [
        ({}, True),
        ({"group": "/cohort", "person": None}, True),
        ({"group": "/cohort"}, False),
        ({"person": None}, False),
        ({"datasets": []}, False),
        ({"event": "revoked", "person": None, "datasets": []}, True),
        ({"event": "asked"}, False),
        ({"id": "d 1"}, False),
        ({"until": "2030-01-01"}, False),  # without a time zone
        ({"until": "2030-01-01T00:00:00Z"}, True),
        ({"purpose": "lung"}, False),
        ({"purpose": "DUO:0000007/MONDO:0008903"}, True),
        ({"condition": "ALL"}, False),
        ({"colour": "red"}, False),
        ({"reason": ""}, False),
    ],
)
def test_what_a_delivery_may_say(change, right):
    if right:
        Delivery.model_validate(RIGHT | change)
    else:
        with pytest.raises(ValidationError):
            Delivery.model_validate(RIGHT | change)
