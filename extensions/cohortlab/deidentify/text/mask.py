"""Region rules: where a device writes on its pictures, and the pictures with those places blanked (PS3.15 E.3.1, Clean Pixel Data).

A rule names a device and the size of its images, for a rectangle means nothing on another size. A YAML file holds them:

    rules:
      - name: logiq-e9-banner
        match: {manufacturer: "GE*", model: "LOGIQ E9", sop_class: 1.2.840.10008.5.1.4.1.1.6.1, rows: 720, columns: 960}
        regions: [{x: 0, y: 0, width: 960, height: 48}]

What a rule leaves is read again: text outside of its rectangles refuses the series, so a rule can hide too much but never too little.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydicom.dataset import Dataset

from cohortlab.deidentify.text.verdict import Box
from cohortlab.errors import InvalidInputError, NotFoundError, StorageError

_MOST_BYTES: Final = 2**20
_PLANE: Final = 2


class Region(BaseModel):
    """A rectangle in pixels of the stored frame: column and row of its first corner, width along columns, height along rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)

    @property
    def box(self) -> Box:
        """The same as the verdict's type."""
        return Box(self.x, self.y, self.width, self.height)


class Match(BaseModel):
    """Which objects a rule is for. Manufacturer and model may hold ``*``; upper and lower case are the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manufacturer: str = Field(min_length=2)
    model: str = ""
    sop_class: Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)+)?$")] = ""
    rows: int = Field(gt=0)
    columns: int = Field(gt=0)


class Rule(BaseModel):
    """One device, one image size, the rectangles that it writes in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    match: Match
    regions: tuple[Region, ...] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        for region in self.regions:
            if region.x + region.width > self.match.columns or region.y + region.height > self.match.rows:
                raise ValueError(f"a region of {self.name} reaches outside of its {self.match.rows} x {self.match.columns} image")
        return self


class Rules(BaseModel):
    """All rules of a file, tried in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("two rules have the same name")
        return self

    def find(self, header: Dataset) -> Rule | None:
        """The first rule that an object matches, or None."""
        return next((rule for rule in self.rules if _matches(rule.match, header)), None)


NO_RULES: Final = Rules()


def load_rules(path: Path) -> Rules:
    """Read region rules from a YAML file. Raises `NotFoundError`, `StorageError`, `InvalidInputError` with an error's path in the file."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidInputError(f"{path} is too large for a file of region rules.")
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There are no region rules at {path}.") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise InvalidInputError(f"{path} is no YAML file.") from None
    try:
        return Rules.model_validate(given)
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors(include_input=False)[:5])
        raise InvalidInputError(f"{path} holds no region rules: {places}.") from None


def _matches(match: Match, header: Dataset) -> bool:
    def same(pattern: str, keyword: str) -> bool:
        return not pattern or fnmatchcase(str(header.get(keyword) or "").strip().casefold(), pattern.casefold())

    return (
        header.get("Rows") == match.rows
        and header.get("Columns") == match.columns
        and same(match.manufacturer, "Manufacturer")
        and same(match.model, "ManufacturerModelName")
        and (not match.sop_class or str(header.get("SOPClassUID", "")) == match.sop_class)
    )


def blank(frame: NDArray[Any], regions: Iterable[Box]) -> NDArray[Any]:
    """A copy of `frame` (rows, columns[, samples]) with each rectangle set to the least value of what lies outside of them all.

    Nothing of what was inside survives, not even its extremes. Where rectangles cover everything, the value is 0.
    """
    result = frame.copy()
    inside = np.zeros(frame.shape[:_PLANE], dtype=bool)
    for box in regions:
        inside[box.y : box.y + box.height, box.x : box.x + box.width] = True
    outside = frame[~inside]
    result[inside] = outside.min() if outside.size else 0
    return result
