"""What the headers of a series say about its array: the attributes and coordinates of a series group."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from pydicom import Dataset

from cohortlab.errors import InvalidInputError
from cohortlab.store.colour import SAMPLES, is_colour
from cohortlab.store.contracts import Rescale, SeriesAttributes, SeriesDigests, SliceGeometry
from cohortlab.store.geometry import plane_coordinates
from cohortlab.store.layout import Level, pyramid
from cohortlab.store.pixels import units_of, window_of
from cohortlab.store.series import SeriesGroup
from cohortlab.store.suv import suv_of

NO_DIGESTS = SeriesDigests(pixels="0" * 64, source="0" * 64)
"""Stands in until the pixels are written."""

_PLANE = 2
_TWO_D, _CENTIMETRE, _MM = 1, 3, 10  # RegionSpatialFormat, PhysicalUnits; mm in a cm
_TEXT = 256


def text(dataset: Dataset, *keywords: str) -> str | None:
    """The first of these elements that has a value, as text; None without one."""
    for keyword in keywords:
        value = str(dataset.get(keyword) or "").strip()
        if value:
            return value[:_TEXT]
    return None


def _required(dataset: Dataset, keyword: str) -> str:
    found = text(dataset, keyword)
    if found is None:
        raise InvalidInputError(f"An instance has no {keyword}.")
    return found


def _plane_spacing(dataset: Dataset) -> tuple[float | None, float | None]:
    """Row and column gap in mm of an image without a place in the patient: PixelSpacing, else at the detector, else unknown.

    An ultrasound image has one where all its calibrated regions are 2-D images in cm with the same step (PS3.3 C.8.5.5).
    """
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        value = dataset.get(keyword)
        if value is not None and not isinstance(value, str | float | int) and len(value) == _PLANE:
            row, column = (float(v) for v in value)
            if row > 0 and column > 0:
                return row, column
    steps = {
        tuple(region.get(k) for k in ("PhysicalDeltaY", "PhysicalDeltaX"))
        for region in dataset.get("SequenceOfUltrasoundRegions") or []
        if region.get("RegionSpatialFormat") == _TWO_D and {region.get(f"PhysicalUnits{a}Direction") for a in "XY"} == {_CENTIMETRE}
    }
    down, across = next(iter(steps)) if len(steps) == 1 else (None, None)
    if isinstance(down, float | int) and isinstance(across, float | int) and down > 0 and across > 0:
        return float(down) * _MM, float(across) * _MM
    return None, None


def identity_of(dataset: Dataset) -> dict[str, Any]:
    """The fields of `SeriesAttributes` that name patient, study and series and describe them."""
    return {
        "body_part": text(dataset, "BodyPartExamined"),
        "description": text(dataset, "SeriesDescription"),
        "laterality": text(dataset, "ImageLaterality", "Laterality"),
        "view": text(dataset, "ViewPosition"),
        "patient_id": _required(dataset, "PatientID"),
        "study_uid": _required(dataset, "StudyInstanceUID"),
        "series_uid": _required(dataset, "SeriesInstanceUID"),
        "sop_class_uid": _required(dataset, "SOPClassUID"),
        "frame_of_reference_uid": text(dataset, "FrameOfReferenceUID"),
    }


def describe(
    group: SeriesGroup, shape: tuple[int, ...], dtype: "np.dtype[Any]", rescale: Rescale | None, deidentification: dict[str, JsonValue]
) -> SeriesAttributes:
    """Attributes of an image series before its pixels are written: digests and levels are still to come."""
    first = group.frames[0][0]
    layout = group.layout
    colour = is_colour(group)
    spatial = len(shape) - (1 if group.axis else 0) - (1 if colour else 0)
    space: tuple[Literal["z", "y", "x"], ...] = ("y", "x") if spatial == _PLANE else ("z", "y", "x")
    letter = group.axis_letter
    slices: tuple[SliceGeometry, ...] | None = None
    spacing: tuple[float | None, ...]
    reason = None
    if layout is not None:
        spacing, reason = layout.spacing, layout.explanation
        if not layout.regular:
            slices = tuple(f.geometry for f in group.frames[0] if f.geometry is not None)
    else:
        plane = _plane_spacing(first.dataset)
        spacing = plane if spatial == _PLANE else (None, *plane)
        reason = None if spatial == _PLANE else "no position: its frames do not say where they lie in the patient"
    return SeriesAttributes(
        id=group.id,
        kind="image",
        modality=group.modality,
        dims=(*(() if letter is None else (letter,)), *(("c",) if colour else ()), *space),
        shape=shape,
        dtype=dtype.newbyteorder("=").name,
        levels=(shape,),
        affine=layout.affine if layout else None,
        positions=layout.positions if layout else (),
        spacing=spacing,
        slices=slices,
        regular=reason is None,
        irregular_reason=reason,
        axis=group.axis,
        units=units_of(group, rescale),
        rescale=rescale,
        window=window_of(group),
        photometric="RGB" if colour else text(first.dataset, "PhotometricInterpretation"),
        samples=SAMPLES if colour else (),
        suv=suv_of(group.datasets) if group.modality == "PT" and not colour else None,
        sop_instance_uid=first.uid if len(group.datasets) == 1 else None,
        instances=len(group.datasets),
        deidentification=deidentification,
        digests=NO_DIGESTS,
        **identity_of(first.dataset),
    )


def levels_of(attributes: SeriesAttributes) -> list[Level]:
    """The pyramid of a series. Slices that each have a rescale of their own are never averaged with one another."""
    spacing = attributes.spacing
    if attributes.rescale is not None and attributes.rescale.per_slice is not None and len(spacing) > _PLANE:
        spacing = (None, *spacing[1:])
    return pyramid(attributes.shape, attributes.dims, spacing)


def coordinates_of(attributes: SeriesAttributes) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """1-D coordinates of level 0 by dimension, and their units.

    In the patient they are distances in mm from its origin along the image's own axes (`geometry.plane_coordinates`);
    without a place there, y and x begin at 0 in mm when the pixel size is known; else they count.
    """
    shape: dict[str, int] = dict(zip(attributes.dims, attributes.shape, strict=True))
    values: dict[str, NDArray[np.float64]] = {}
    units: dict[str, str] = {}
    plane = _first_slice(attributes)
    if plane is not None:
        values["y"], values["x"] = plane_coordinates(plane, shape["y"], shape["x"])
        units["y"] = units["x"] = "mm"
    else:
        for dim, gap in zip(("y", "x"), attributes.spacing[-2:] or (None, None), strict=True):
            values[dim] = np.arange(shape[dim], dtype=np.float64) * (gap or 1.0)
            units[dim] = "mm" if gap else ""
    if "z" in shape:
        placed = len(attributes.positions) == shape["z"]
        values["z"] = np.asarray(attributes.positions if placed else range(shape["z"]), dtype=np.float64)
        units["z"] = "mm" if placed else ""
    if attributes.samples:
        values["c"], units["c"] = np.arange(len(attributes.samples), dtype=np.float64), ""
    if attributes.axis is not None:
        values[attributes.dims[0]] = np.asarray(attributes.axis.values, dtype=np.float64)
        units[attributes.dims[0]] = attributes.axis.unit
    return values, units


def _first_slice(attributes: SeriesAttributes) -> SliceGeometry | None:
    """Geometry of the first slice: as kept for irregular series, else from the affine."""
    if attributes.slices:
        return attributes.slices[0]
    if attributes.affine is None:
        return None
    matrix = np.asarray(attributes.affine)
    row_gap, column_gap = (float(np.linalg.norm(matrix[:3, i])) for i in (1, 2))
    a, b, c = (float(v) for v in matrix[:3, 2] / column_gap)
    d, e, f = (float(v) for v in matrix[:3, 1] / row_gap)
    x, y, z = (float(v) for v in matrix[:3, 3])
    return SliceGeometry(position=(x, y, z), orientation=(a, b, c, d, e, f), spacing=(row_gap, column_gap))
