"""A negotiator's deliveries: what it may say, and whether it was it who said so. Pure, but for the clock it is given.

Signed (``how: hmac``): ``Cohortlab-Signature: t=<seconds since 1970>,v1=<hex>``, where the hex is HMAC-SHA256, with the shared secret,
of the bytes ``<t>.<body>``. A signature older than five minutes does not count, so that a delivery that somebody recorded cannot
be sent again later; one that is sent again sooner changes nothing, since its id was taken. ``how: bearer``: ``Authorization: Bearer
<secret>``, for negotiators that cannot sign.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access.grants import Modifier
from cohortlab_hub.access.purposes import PURPOSE

SIGNATURE = "cohortlab-signature"
TOLERANCE = 300.0
LARGEST = 65_536  # bytes of a delivery
_FORM = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")


class Delivery(BaseModel):
    """What a negotiator says. `id` tells the delivery from others, `negotiation` what it is about: one request for access.

    ``granted`` makes the grants of the negotiation these and no others; ``revoked`` ends them all.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")
    negotiation: str = Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")
    event: Literal["granted", "revoked"]
    person: str | None = Field(default=None, min_length=1, max_length=255)
    group: str | None = Field(default=None, min_length=1, max_length=255)
    datasets: list[str] = Field(default=[], max_length=500)
    condition: AccessCondition = AccessCondition.IN_SITU_PROCESSING
    purpose: str | None = Field(default=None, pattern=PURPOSE)
    until: AwareDatetime | None = None
    fulfils: list[Modifier] = []
    reason: str = Field(min_length=3, max_length=1000)
    for_cause: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.event == "granted" and ((self.person is None) == (self.group is None) or not self.datasets):
            raise ValueError("a grant is for either a person or a group, and for one dataset or more")
        return self


def authentic(how: str, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether a delivery with `headers` (names in lower case) and `body` is from who has `secret`. `now`: seconds since 1970."""
    if how == "bearer":
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), secret.encode())
    form = _FORM.fullmatch(headers.get(SIGNATURE, ""))
    if form is None or abs(now - int(form.group(1))) > TOLERANCE:
        return False
    return hmac.compare_digest(sign(secret, int(form.group(1)), body), form.group(2))


def sign(secret: str, at: int, body: bytes) -> str:
    """The signature of `body` at `at`, seconds since 1970, as hex digits."""
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
