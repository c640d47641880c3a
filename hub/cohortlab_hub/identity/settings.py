"""The parts of workbench.yaml about who people are: the OpenID provider they sign in at, and whose visas count.

A recipe is what differs between providers: which claim is the account's name, which claim holds the groups and in what form.
"""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from cohortlab_hub.access.grants import Modifier
from cohortlab_hub.identity.visas import Trust
from cohortlab_hub.settings_parts import File, Part

_LONGEST_NAME = 255


def _secure_url(value: str) -> str:
    """An https URL without credentials, query or fragment; http only on this machine."""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if (
        not host
        or parts.query
        or parts.fragment
        or parts.username is not None
        or not (parts.scheme == "https" or _loopback(parts.scheme, host))
    ):
        raise PydanticCustomError("secure_url", "Give an address that begins with https://, without a query.")
    return value


def _loopback(scheme: str, host: str) -> bool:
    try:
        return scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False


def group_name(value: str) -> str:
    """A group's name, letter by letter as the provider gives it. Raises a validation error for one that could be taken for another."""
    if not 0 < len(value) <= _LONGEST_NAME or value != value.strip() or not value.isprintable():
        raise PydanticCustomError("group", "A group's name has 1 to 255 printable characters, no space first or last.")
    return value


SecureUrl = Annotated[str, AfterValidator(_secure_url)]
GroupName = Annotated[str, AfterValidator(group_name)]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a kind of provider is like. `form`: how `groups` are written there (see `cohortlab_hub.identity.groups`)."""

    name_claim: str
    groups_claim: str
    form: Literal["plain", "path", "entitlement"]
    scopes: tuple[str, ...]


RECIPES = {
    "lifescience-aai": Recipe("sub", "eduperson_entitlement", "entitlement", ("openid", "profile", "eduperson_entitlement")),
    "keycloak": Recipe("preferred_username", "groups", "path", ("openid", "profile")),
    "oidc": Recipe("sub", "groups", "plain", ("openid", "profile")),
}


class Allow(Part):
    """Who is admitted: these accounts, members of these groups, or everybody the provider knows. Nobody without a rule."""

    users: list[str] = []
    groups: list[GroupName] = []
    everybody: bool = False

    @model_validator(mode="after")
    def _a_rule(self) -> "Allow":
        if not (self.users or self.groups or self.everybody):
            raise PydanticCustomError("allow", "Say who is admitted: `groups`, `users`, or `everybody: true`.")
        return self


class Entitlements(Part):
    """Whose groups count in entitlements of the form ``<namespace>:group:<group>#<authority>`` (AARC-G069)."""

    namespace: str = "urn:geant:lifescience-ri.eu"
    authority: str = "aai.lifescience-ri.eu"


class OidcLogin(Part):
    """Sign-in at an OpenID provider. Its addresses are read from ``<issuer>/.well-known/openid-configuration``.

    `public_url`: the address people reach the hub at; the provider must know ``<public_url>hub/oauth_callback``.
    `refresh_seconds`: how old what is known of a signed-in person may be. `keep_seconds`: how long the last known groups count
    while the provider does not answer.
    """

    kind: Literal["oidc"]
    recipe: Literal["lifescience-aai", "keycloak", "oidc"] = "oidc"
    title: str = "your institution"
    issuer: SecureUrl
    client_id: str = Field(min_length=1)
    client_secret: File
    public_url: SecureUrl
    name_claim: str | None = None
    groups_claim: str | None = None
    entitlements: Entitlements = Entitlements()
    scopes: list[str] | None = None
    allow: Allow
    refresh_seconds: int = Field(default=30, ge=1, le=45, description="What ends at the provider ends here within a minute.")
    keep_seconds: int = Field(default=900, ge=0, le=86400)

    @property
    def how(self) -> Recipe:
        """The recipe, with what the file says otherwise."""
        base = RECIPES[self.recipe]
        return Recipe(
            self.name_claim or base.name_claim,
            self.groups_claim or base.groups_claim,
            base.form,
            tuple(self.scopes if self.scopes is not None else base.scopes),
        )

    @property
    def hub_url(self) -> str:
        """`public_url` with one slash at the end."""
        return self.public_url.rstrip("/") + "/"


class VisaIssuer(Part):
    """An issuer of visas that is trusted, and with what.

    `keys`: where its JSON Web Key Set is; `jku`: other addresses of it that a visa may name. `sources`: assertion sources that
    count, left out: all that it names. `by`: authorities whose ControlledAccessGrants count. `subjects`: ``provider`` when its
    subjects are those of the sign-in; ``linked``, the standard's rule, when only a LinkedIdentities visa ties them to a person.
    `links`: its own LinkedIdentities visas count. `longest_days`: how long after its assertion a visa counts at most. `fulfils`:
    modifiers (DUO codes) that the approvals behind its visas have checked, such as an ethics approval.
    """

    keys: SecureUrl
    jku: list[SecureUrl] = []
    sources: list[str] | None = None
    by: list[Literal["dac", "so", "system", "peer", "self"]] = ["dac", "so", "system"]
    subjects: Literal["provider", "linked"] = "linked"
    links: bool = False
    longest_days: int | None = Field(default=None, ge=1)
    fulfils: list[Modifier] = []

    @property
    def trust(self) -> Trust:
        """As the rules read it."""
        return Trust(
            sources=None if self.sources is None else frozenset(self.sources),
            by=frozenset(self.by),
            same_subjects=self.subjects == "provider",
            links=self.links,
            longest=None if self.longest_days is None else timedelta(days=self.longest_days),
        )


class Passports(Part):
    """GA4GH Passports: whose visas count. `keys_seconds`: how long an issuer's keys are used before they are fetched again."""

    issuers: dict[str, VisaIssuer] = Field(min_length=1)
    keys_seconds: int = Field(default=600, ge=1, le=86400)
