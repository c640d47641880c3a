"""What a store says about itself: the models of `dataset.json` and of the `cohortlab` attribute of each series group.

All models are frozen and strict, and refuse fields they do not know. `SCHEMA_VERSION` counts up when a meaning changes;
a reader refuses a version that it does not know instead of guessing.

Axes are named as OME-Zarr 0.5 orders them: ``z, y, x`` in space (slice, row, column of the DICOM image), before them
``t`` for time points or ``c`` for any other fourth axis (b-values, echoes, segments), whose meaning `Axis` gives. In colour,
``c`` holds the `samples` red, green and blue, and ``t`` may stand before it: ``t, c, y, x`` is a colour clip.
Lengths are in mm, positions in the DICOM patient system (PS3.3 C.7.6.2.1.1): L, P, S grow to the left, back and head; those of
whole-slide images in the slide's own system (PS3.3 C.8.12.2.1), which `space` says.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from cohortlab.errors import InvalidInputError

SCHEMA_VERSION: Final = 1

_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.]+)?")
_SERIES = re.compile(r"[a-z0-9]{1,16}-[0-9a-f]{12}(?:-[0-9a-z]{1,16})?")

type Vector3 = tuple[float, float, float]
type Row4 = tuple[float, float, float, float]
type Affine = tuple[Row4, Row4, Row4, Row4]


def _path_inside(path: str) -> str:
    """A path of the store: relative, with ``/``, no empty, ``.`` or ``..`` step."""
    if not path or "\\" in path or any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError("must be a relative path inside the store")
    return path


class Model(BaseModel):
    """Base of the contracts."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", ser_json_inf_nan="constants", allow_inf_nan=False)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values: tuples become lists, enumerations their words."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, value: Mapping[str, Any], what: str) -> Self:
        """Read plain JSON values. Raises `InvalidInputError` naming `what` and the first wrong field, never its value."""
        try:
            return cls.model_validate_json(json.dumps(value))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(step) for step in first["loc"]) or "(all)"
            raise InvalidInputError(f"{what} is not valid: {place}: {first['msg']}.") from None


class AccessCondition(StrEnum):
    """What a grant on the dataset lets a person do at most (EUCAIM access conditions)."""

    DOWNLOAD = "DOWNLOAD"
    IN_SITU_PROCESSING = "IN_SITU_PROCESSING"
    REMOTE_PROCESSING = "REMOTE_PROCESSING"


class AccessRight(StrEnum):
    """Who may know and have a dataset: ``dct:accessRights`` of DCAT-AP, by the words of the EU's authority table ``access-right``."""

    PUBLIC = "PUBLIC"
    RESTRICTED = "RESTRICTED"
    NON_PUBLIC = "NON_PUBLIC"

    @property
    def uri(self) -> str:
        """As the authority table writes it."""
        return f"http://publications.europa.eu/resource/authority/access-right/{self}"


class Code(Model):
    """A coded concept (PS3.3 8.8): value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


class Segment(Model):
    """One label of a segmentation. `number` is the array's value; `codes` are keyed ``category``, ``type``, ``region``."""

    number: Annotated[int, Field(ge=1)]
    label: str
    color: tuple[int, int, int] | None = None
    codes: dict[str, Code] = {}
    algorithm: str | None = None


class Rescale(Model):
    """Stored value to `units`: ``value * slope + intercept`` (PS3.3 C.7.6.16.2.9, C.11.1).

    `applied`: the array already holds the result. Otherwise it holds the stored values. `per_slice` (slope, intercept)
    stands for `slope` and `intercept` where they change from slice to slice, as in PET; never together with `applied`.
    """

    slope: float = 1.0
    intercept: float = 0.0
    applied: bool = False
    per_slice: tuple[tuple[float, float], ...] | None = None


class Axis(Model):
    """The axis before z: its meaning, one value an index, their unit. E.g. ``b_value``, (50, 400, 800), ``s/mm2``."""

    name: Literal["b_value", "echo_time", "time", "temporal_position", "segment", "channel", "acquisition", "optical_path"]
    values: tuple[float, ...]
    unit: str = ""


class Suv(Model):
    """Standardised uptake value by body weight of a PET series: value in `units` times `bw` is g/ml. Without `bw`, `reason` says why."""

    bw: Annotated[float, Field(gt=0)] | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bw is None) == (self.reason is None):
            raise ValueError("either a factor or the reason why there is none")
        return self


class Tiles(Model):
    """How a whole-slide image's levels are kept: `rows` x `columns` a tile, one tile a chunk.

    encoding: ``jpeg``, the tiles as they were compressed, read by the codec ``cohortlab.jpeg``; or ``array``, decoded.
    """

    encoding: Literal["jpeg", "array"]
    rows: Annotated[int, Field(ge=1)]
    columns: Annotated[int, Field(ge=1)]


class SliceGeometry(Model):
    """Where one slice lies: ImagePositionPatient, ImageOrientationPatient (row, then column cosines), PixelSpacing (row, column gap)."""

    position: Vector3
    orientation: tuple[float, float, float, float, float, float]
    spacing: tuple[float, float]


class SeriesDigests(Model):
    """SHA-256 digests of a series' pixels, little endian, in the array's C order.

    pixels: of the level-0 array. source: of the decoded DICOM frames, the stored values before any rescale. Of a whole-slide image
    both go over the tiles of all levels (`cohortlab.store.tiles.tile_digest`); of contours, `source` goes over their points.
    """

    pixels: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    source: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SeriesAttributes(Model):
    """``attributes["cohortlab"]`` of a series group: the truth on its geometry and meaning.

    samples: names of the colours along ``c``, empty for grey images. `sop_instance_uid`: of an image that one instance makes.
    `fractional`: what the values of a fractional segmentation mean; they are fractions after `rescale`. `level_affines`: of
    each level, where levels are no halvings of the first (whole-slide images); `affine` is the first of them.

    shape and dims are those of level 0; `levels` are the shapes of all levels. `affine` maps index (z, y, x, 1) of level 0
    to patient (L, P, S, 1) in mm; it is None for projections and for series that are no regular volume, for which `slices`
    tells each slice's own place instead. `positions` are the slices' places along the normal, in mm. `spacing` is
    (z, y, x) or (y, x) in mm; z is None where there is no single value.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    id: Annotated[str, Field(pattern=f"^{_SERIES.pattern}$")]
    kind: Literal["image", "segmentation"]
    modality: str
    dims: tuple[Literal["t", "c", "z", "y", "x"], ...]
    shape: tuple[Annotated[int, Field(ge=1)], ...]
    dtype: str
    levels: tuple[tuple[int, ...], ...]
    affine: Affine | None = None
    positions: tuple[float, ...] = ()
    spacing: tuple[float | None, ...] = ()
    slices: tuple[SliceGeometry, ...] | None = None
    regular: bool
    irregular_reason: str | None = None
    axis: Axis | None = None
    units: str | None = None
    rescale: Rescale | None = None
    window: tuple[float, float] | None = None
    photometric: str | None = None
    body_part: str | None = None
    description: str | None = None
    laterality: str | None = None
    view: str | None = None
    patient_id: str
    study_uid: str
    series_uid: str
    sop_class_uid: str
    frame_of_reference_uid: str | None = None
    instances: Annotated[int, Field(ge=1)]
    deidentification: dict[str, JsonValue]
    digests: SeriesDigests
    segments: tuple[Segment, ...] = ()
    source_series: str | None = None
    samples: tuple[Literal["red", "green", "blue"], ...] = ()
    space: Literal["patient", "slide"] = "patient"
    level_affines: tuple[Affine, ...] | None = None
    tiles: Tiles | None = None
    suv: Suv | None = None
    fractional: Literal["PROBABILITY", "OCCUPANCY"] | None = None
    sop_instance_uid: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.dims) != len(self.shape):
            raise ValueError("dims and shape differ in length")
        if not self.levels or self.levels[0] != self.shape:
            raise ValueError("levels must begin with shape")
        if self.regular == bool(self.irregular_reason):
            raise ValueError("irregular_reason is given exactly when the series is not regular")
        if self.samples and self.shape[self.dims.index("c") if "c" in self.dims else 0] != len(self.samples):
            raise ValueError("c is as long as there are samples")
        if (self.axis is not None) != (self.dims[0] in ({"t"} if self.samples else {"t", "c"})):
            raise ValueError("axis is given exactly when there is a dimension before z, y, x that is no samples")
        if self.level_affines is not None and len(self.level_affines) != len(self.levels):
            raise ValueError("level_affines are as many as levels")
        if self.axis is not None and len(self.axis.values) != self.shape[0]:
            raise ValueError("axis has as many values as the first dimension is long")
        return self


class StoreObject(Model):
    """One file of the store: path from its root, bytes, SHA-256."""

    path: Annotated[str, AfterValidator(_path_inside)]
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ManifestSeries(Model):
    """One series of the dataset as its list shows it; the rest is in the series' own attributes."""

    id: Annotated[str, Field(pattern=f"^{_SERIES.pattern}$")]
    kind: Literal["image", "segmentation"]
    modality: str
    description: str | None = None
    source_series: str | None = None

    @property
    def path(self) -> str:
        """The series' group, from the store's root."""
        return f"{'images' if self.kind == 'image' else 'segmentations'}/{self.id}.zarr"


class ManifestFields(Model):
    """What the gate says about a dataset version, after EUCAIM DCAT-AP v2; `dcat` takes further properties by their names."""

    title: Annotated[str, Field(min_length=1)]
    description: str = ""
    publisher: str = ""
    licence: str = ""
    source: str = ""
    keywords: tuple[str, ...] = ()
    access_condition: AccessCondition = AccessCondition.IN_SITU_PROCESSING
    duo: tuple[Annotated[str, Field(pattern=r"^DUO:[0-9]{7}$")], ...] = ()
    dcat: dict[str, JsonValue] = {}
    deidentification: dict[str, JsonValue]
    gate: str
    verdict: Literal["accepted"]
    synthetic: bool = False


class Signature(Model):
    """Ed25519 over the canonical JSON of the manifest without this field; `value` is base64url."""

    algorithm: Literal["Ed25519"]
    key_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    value: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{85}[AQgw]$")]  # 64 bytes in one form only


class Manifest(ManifestFields):
    """`dataset.json`: one dataset version, its objects and their digests, signed by the gate."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: Annotated[str, Field(pattern=f"^{_ID.pattern}$")]
    version: Annotated[str, Field(pattern=f"^{_VERSION.pattern}$")]
    created: str
    series: tuple[ManifestSeries, ...]
    objects: tuple[StoreObject, ...]
    tree_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signature: Signature

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of every object, by path."""
        return {item.path: item.sha256 for item in self.objects}

    @cached_property
    def by_series(self) -> Mapping[str, Mapping[str, tuple[int, str]]]:
        """Size and SHA-256 of the objects of each series, by the path of its ``.zarr`` and then by their own."""
        found: dict[str, dict[str, tuple[int, str]]] = {entry.path: {} for entry in self.series}
        for item in self.objects:
            head, suffix, _ = item.path.partition(".zarr/")
            if suffix and (of := found.get(f"{head}.zarr")) is not None:
                of[item.path] = (item.size, item.sha256)
        return found


def check_dataset_id(text: str) -> str:
    """`text` when it is a dataset id (a DNS label: lower case, digits, inner hyphens), else `InvalidInputError`."""
    if not _ID.fullmatch(text):
        raise InvalidInputError(
            "Not a dataset id.", hint="Use up to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit."
        )
    return text


def check_version(text: str) -> str:
    """`text` when it is a version such as ``1.0.0``, else `InvalidInputError`."""
    if not _VERSION.fullmatch(text):
        raise InvalidInputError("Not a dataset version.", hint="Write three numbers, such as 1.0.0.")
    return text
