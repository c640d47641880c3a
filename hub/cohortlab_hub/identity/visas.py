"""GA4GH Passport v1 visas: pure rules, no clock, no network, no keys.

What a visa must be (https://ga4gh.github.io/data-security/ga4gh-passport, "Visa Format" to "Visa Expiry"), in the order of
`admit`: its claims are there and of the right kind (`read`); it is in its time; its type is known; its source is trusted;
it is about the person, by subject or by LinkedIdentities; its conditions are met by other visas of the passport, which
have none themselves. Signatures are verified before, in `cohortlab_hub.identity.passports`: what comes here is what a trusted
issuer signed. Each refusal has a reason that names no person.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from cohortlab.errors import RefusedError

AFFILIATION, TERMS, RESEARCHER = "AffiliationAndRole", "AcceptedTermsAndPolicies", "ResearcherStatus"
CONTROLLED, LINKED = "ControlledAccessGrants", "LinkedIdentities"
_TYPES = {AFFILIATION, TERMS, RESEARCHER, CONTROLLED, LINKED}
_URL_VALUE = {TERMS, RESEARCHER, CONTROLLED}
_NEEDS_BY = {TERMS, CONTROLLED}
_BY = {"self", "peer", "system", "so", "dac"}
_IN_CLAUSE = {"type", "value", "source", "by"}  # the visa object's claims that are strings
_ROLES = {"faculty", "student", "member"}  # of eduPersonScopedAffiliation, those that the standard takes over
_CUSTOM_ROLE = re.compile(r"[a-z][a-z0-9_-]*\.[a-z][a-z0-9_-]*")  # a namespace, a dot, a role
_LONGEST = 255  # characters of a URL claim
_LEEWAY = timedelta(seconds=60)  # clocks of issuers differ
_UNPOLLED = timedelta(hours=1)  # how long a visa in the form of an access token counts where nobody asks its issuer about it again

type Identity = tuple[str, str]
"""A visa identity: (sub, iss)."""


class VisaError(RefusedError):
    """A visa is not accepted. The message says why."""

    code = "visa-refused"


@dataclass(frozen=True, slots=True)
class Visa:
    """The claims of one visa. `conditions` is None where the claim is absent; `expires` is the first moment that is too late."""

    issuer: str
    subject: str
    type: str
    value: str
    source: str
    by: str | None
    asserted: datetime
    expires: datetime
    conditions: Any = None

    @property
    def identity(self) -> Identity:
        """Whom it is about."""
        return self.subject, self.issuer


@dataclass(frozen=True, slots=True)
class Trust:
    """What an operator trusts an issuer with. `sources`: assertion sources, None: all that it names; `by`: authorities that grant.

    `same_subjects`: its subjects are those of the provider people sign in at, by the operator's word; else only LinkedIdentities tie
    them to a person ("General Requirements" 8.4). `links`: its LinkedIdentities count.
    `longest`: how long after `asserted` a visa counts at most.
    """

    sources: frozenset[str] | None = None
    by: frozenset[str] = frozenset({"dac", "so", "system"})
    same_subjects: bool = False
    links: bool = False
    longest: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """What counts of a passport: visas with the moment until which they do, conditions and links considered; and why others do not."""

    visas: tuple[tuple[Visa, datetime], ...] = ()
    refused: tuple[str, ...] = field(default=())


def read(claims: Mapping[str, Any], now: datetime, audience: str = "") -> Visa:
    """The visa of a token's `claims` at `now`. Raises `VisaError` for a claim that is absent, of the wrong kind, or not of its time."""
    issuer, subject = _text(claims, "iss"), _text(claims, "sub")
    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    if is_access_token(claims):
        if "aud" in claims:
            raise VisaError("It is an access token, and has aud.")
        expires = min(expires, issued + _UNPOLLED)
    if "aud" in claims and audience not in _list(claims["aud"]):
        raise VisaError("It is meant for somebody else (aud).")
    if expires <= now:
        raise VisaError("It has expired.")
    if issued > now + _LEEWAY or ("nbf" in claims and _time(claims, "nbf") > now + _LEEWAY):
        raise VisaError("It is from the future.")
    body = claims.get("ga4gh_visa_v1")
    if not isinstance(body, Mapping):
        raise VisaError("It has no ga4gh_visa_v1 object.")
    visa = Visa(
        issuer=issuer,
        subject=subject,
        type=_text(body, "type"),
        value=_text(body, "value"),
        source=_text(body, "source"),
        by=body.get("by"),
        asserted=_time(body, "asserted"),
        expires=expires,
        conditions=body.get("conditions", None),
    )
    if visa.asserted > now + _LEEWAY:
        raise VisaError("It was asserted in the future.")
    if "conditions" in body and not isinstance(visa.conditions, list):
        raise VisaError("Its conditions are no list of lists.")
    _check_body(visa)
    return visa


def is_access_token(claims: Mapping[str, Any]) -> bool:
    """Whether a visa has the form of an access token: by its scope ``openid`` (GA4GH AAI, "Visa Access Token")."""
    scope = claims.get("scope")
    return isinstance(scope, str) and "openid" in scope.split()


def _check_body(visa: Visa) -> None:
    """What the standard demands of each type. Raises `VisaError`."""
    if visa.by is not None and (not isinstance(visa.by, str) or visa.by not in _BY):
        raise VisaError("Its `by` is no word of the standard.")
    if visa.type in _NEEDS_BY and visa.by is None:
        raise VisaError(f"A {visa.type} visa needs `by`.")
    if not _url(visa.source):
        raise VisaError("Its source is no URL of at most 255 characters.")
    if visa.type in _URL_VALUE and not _url(visa.value):
        raise VisaError("Its value is no URL of at most 255 characters.")
    if visa.type == AFFILIATION and not all(visa.value.partition("@")[::2]):
        raise VisaError("Its value is no role@affiliation.")
    role = visa.value.partition("@")[0]
    if visa.type == AFFILIATION and role not in _ROLES and not _CUSTOM_ROLE.fullmatch(role):
        raise VisaError("Its role is neither one of eduPerson's that the standard takes nor a custom role.")


def admit(visas: Sequence[Visa], person: Identity, trust: Mapping[str, Trust], now: datetime) -> Admission:
    """Which of `visas` count for `person` (subject and issuer at sign-in), under what each issuer is trusted with."""
    refused: list[str] = []
    trusted: list[tuple[Visa, datetime]] = []
    for visa in visas:
        ends = visa.expires
        longest = trust[visa.issuer].longest if visa.issuer in trust else None
        if longest is not None:
            ends = min(ends, visa.asserted + longest)
        problem = _distrust(visa, trust.get(visa.issuer), ends, now)
        if problem:
            refused.append(problem)
        elif visa.type in _TYPES:  # custom types are ignored
            trusted.append((visa, ends))

    known = _identities(trusted, person, trust)
    mine = [(visa, _earlier(ends, known[visa.identity])) for visa, ends in trusted if visa.identity in known]
    refused += [f"{visa.type}: it is about somebody else." for visa, _ in trusted if visa.identity not in known and visa.type != LINKED]

    plain = [(visa, ends) for visa, ends in mine if visa.conditions is None]
    accepted: list[tuple[Visa, datetime]] = []
    for visa, ends in mine:
        met = conditions_met(visa.conditions, plain) if visa.conditions else ends
        if met is None:
            refused.append(f"{visa.type}: its conditions are not met.")
        else:
            accepted.append((visa, min(ends, met)))
    return Admission(tuple(accepted), tuple(refused))


def _distrust(visa: Visa, rule: Trust | None, ends: datetime, now: datetime) -> str:
    """Why the operator does not trust it; empty: they do."""
    if rule is None:
        return "Its issuer is not trusted."
    if rule.sources is not None and visa.source not in rule.sources:
        return f"{visa.type}: its source is not trusted."
    if visa.type == CONTROLLED and visa.by not in rule.by:
        return f"{visa.type}: `by` {visa.by} does not grant access here."
    return f"{visa.type}: it was asserted too long ago." if ends <= now else ""


def _earlier(ends: datetime, other: datetime | None) -> datetime:
    return ends if other is None else min(ends, other)


def conditions_met(conditions: Any, visas: Sequence[tuple[Visa, datetime]]) -> datetime | None:
    """Until when `visas` meet `conditions` (a list of alternatives, each a list of clauses that all must match), None: they do not.

    A clause matches one visa as a whole. What is not of the standard's form matches nothing.
    """
    if not isinstance(conditions, list):
        return None
    return max((end for branch in conditions if (end := _branch_met(branch, visas)) is not None), default=None)


def _branch_met(branch: Any, visas: Sequence[tuple[Visa, datetime]]) -> datetime | None:
    if not isinstance(branch, list) or not branch:
        return None
    ends = [max((until for visa, until in visas if clause_matches(clause, visa)), default=None) for clause in branch]
    return None if None in ends else min(end for end in ends if end is not None)


def clause_matches(clause: Any, visa: Visa) -> bool:
    """Whether `visa` is one that the condition clause asks for. A clause that is not of the standard's form matches none."""
    if visa.conditions is not None or not isinstance(clause, Mapping) or not isinstance(clause.get("type"), str):
        return False
    if len(clause) < 2 or not set(clause) <= _IN_CLAUSE:  # noqa: PLR2004 - a type and at least one claim more
        return False
    return clause["type"] == visa.type and all(
        _claim_matches(wanted, getattr(visa, name)) for name, wanted in clause.items() if name != "type"
    )


def _claim_matches(wanted: Any, has: str | None) -> bool:
    if not isinstance(wanted, str) or has is None:
        return False
    how, colon, text = wanted.partition(":")
    if not colon:
        return False
    if how == "const":
        return text == has
    if how == "pattern":
        return pattern_matches(text, has)
    if how == "split_pattern":
        return any(pattern_matches(text, part) for part in has.split(";"))
    return False


def pattern_matches(pattern: str, text: str) -> bool:
    """Whether all of `text` matches `pattern`: ``?`` is any one character, ``*`` any string; nothing escapes them.

    In time proportional to the product of the lengths, whoever wrote the pattern.
    """
    at = star = mark = 0
    starred = False
    for_text = 0
    while for_text < len(text):
        if at < len(pattern) and pattern[at] == "*":
            starred, star, mark = True, at, for_text
            at += 1
        elif at < len(pattern) and pattern[at] in {"?", text[for_text]}:
            at, for_text = at + 1, for_text + 1
        elif starred:
            mark += 1
            at, for_text = star + 1, mark
        else:
            return False
    return set(pattern[at:]) <= {"*"}


def _identities(visas: Iterable[tuple[Visa, datetime]], person: Identity, trust: Mapping[str, Trust]) -> dict[Identity, datetime | None]:
    """The identities that are `person`, each with the moment until which a link says so; None: no link is needed.

    Links are followed from the longest-lived on, so that an identity keeps the best chain that leads to it.
    """
    subject, _ = person
    known: dict[Identity, datetime | None] = {person: None}
    known |= {(subject, issuer): None for issuer, rule in trust.items() if rule.same_subjects}
    links = sorted(
        (
            (ends, frozenset({visa.identity, *_linked(visa.value)}))
            for visa, ends in visas
            if visa.type == LINKED and trust[visa.issuer].links and visa.conditions is None
        ),
        key=lambda link: link[0],
        reverse=True,
    )
    followed = 0
    while followed < len(links):  # each round takes the longest-lived link that touches what is known
        step = next((n for n, (_, group) in enumerate(links) if not group.isdisjoint(known) and not group <= known.keys()), None)
        if step is None:
            break
        ends, group = links[step]
        best = max((known[one] or datetime.max.replace(tzinfo=UTC) for one in group if one in known), default=ends)
        known |= {one: min(ends, best) for one in group if one not in known}
        followed += 1
    return known


def _linked(value: str) -> set[Identity]:
    """The identities of a LinkedIdentities value: ``<uri-encoded-sub>,<uri-encoded-iss>`` joined by ``;``."""
    pairs = (entry.split(",") for entry in value.split(";"))
    return {(unquote(pair[0]), unquote(pair[1])) for pair in pairs if len(pair) == 2 and all(pair)}  # noqa: PLR2004 - a pair


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise VisaError(f"Its claim {name} is absent or no text.")
    return value


def _time(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise VisaError(f"Its claim {name} is absent or no time.")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        raise VisaError(f"Its claim {name} is no time.") from None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _url(text: str) -> bool:
    if len(text) > _LONGEST or any(character.isspace() or not character.isprintable() for character in text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path))
