"""The parts of workbench.yaml about access: diseases by name, how a revocation goes, a negotiator's webhook."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from cohortlab_hub.access.purposes import DISEASE, Use
from cohortlab_hub.settings_parts import File, Identifier, Part

_SHORTEST = 32


def _disease(value: str) -> str:
    if not DISEASE.fullmatch(value):
        raise PydanticCustomError("disease", "Write a disease as a code like MONDO:0007254, at most 48 letters, digits and .:_- .")
    return value


def _long_enough(secret: Path) -> Path:
    if len(secret.read_text(encoding="utf-8").strip()) < _SHORTEST:
        raise PydanticCustomError("secret", "The secret in this file is shorter than 32 characters.")
    return secret


DiseaseCode = Annotated[str, AfterValidator(_disease)]


class Disease(Part):
    """What a disease's code means to people; `within`: wider diseases whose data may be used for it."""

    title: str = Field(min_length=1)
    within: list[DiseaseCode] = []


class DatasetUse(Part):
    """What a dataset may be used for, beyond what its manifest says: codes of the Data Use Ontology, diseases for DUO:0000007."""

    duo: list[Annotated[str, Field(pattern=r"^DUO:\d{7}$")]] = []
    diseases: list[DiseaseCode] = []

    @property
    def use(self) -> Use:
        """As the rules read it."""
        return Use(frozenset(self.duo), frozenset(self.diseases))


class Negotiator(Part):
    """A negotiator that may give and revoke grants by webhook.

    `secret`: a file with the secret that it shares; ``hmac``: it signs each delivery with it, ``bearer``: it sends it.
    `datasets`: those that it may grant.
    """

    secret: Annotated[File, AfterValidator(_long_enough)]
    how: Literal["hmac", "bearer"] = "hmac"
    datasets: list[Identifier] = Field(min_length=1)


class Access(Part):
    """Access. `grace_seconds`: from the warning to the stop of a session whose lease has ended; for cause it is 0."""

    grace_seconds: int = Field(default=300, ge=0, le=3600)
    contact: str | None = Field(
        default=None, pattern=r"^(https?://|mailto:)[^\s]+$", description="Where people ask for access: a web page, or mailto: an address."
    )
    check_seconds: int = Field(default=5, ge=1, le=30, description="How often running sessions' leases are decided again.")
    diseases: dict[DiseaseCode, Disease] = {}
    negotiators: dict[Identifier, Negotiator] = {}
