"""Marks and labels as DICOM: Comprehensive 3D SR with TID 1500 measurements, and SEG, referring to the instances of a series.

The headers come from the store's sidecars (`cohortlab.store.originals`). Regions on a slice of the acquisition are in the pixels of its
instance (PS3.3 C.18.6: 0.5, 0.5 is the centre of the first pixel), those across it in the patient (C.18.9, mm).
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom import sr
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from cohortlab.errors import InvalidInputError
from cohortlab.store import SeriesRef, originals
from cohortlab.store.contracts import Code, Segment
from cohortlab.viewer.marks import AREAS, Measured
from cohortlab.viewer.planes import Plane, plane_named
from cohortlab.viewer.saving import Provenance, words

_HALF = 0.5  # from the centre of a pixel to its corner, where image coordinates begin
_TEXT = 64  # letters of a LO
_UNITS = {
    "HU": CodedConcept("[hnsf'U]", "UCUM", "Hounsfield unit"),
    "BQML": CodedConcept("Bq/ml", "UCUM", "Becquerels/milliliter"),
    "1": CodedConcept("1", "UCUM", "no units"),
}
_NAMES = {"CT": codes.DCM.AttenuationCoefficient, "MR": codes.DCM.MRSignalIntensity}
_PROCEDURE = CodedConcept("18748-4", "LN", "Diagnostic imaging study")


class _Instances:
    """The instances of a series, and which of them shows a slice."""

    def __init__(self, ref: SeriesRef) -> None:
        self.datasets = [_named(dataset) for dataset in originals(ref)]
        if not self.datasets:
            raise InvalidInputError("The store keeps no headers of this series.", hint="Save it in the other form.")
        self._rows = ref.headers()
        self._by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in self.datasets}

    def of(self, z: int, lead: int) -> tuple[Dataset, list[int] | None]:
        """The instance of slice `z` of frame `lead`, with the number of its frame when it has several."""
        for row in self._rows:
            if row["z"] == z and row["lead"] == lead:
                dataset = self._by_uid[row["sop_instance_uid"]]
                return dataset, [int(row["frame"]) + 1] if int(dataset.get("NumberOfFrames") or 1) > 1 else None
        raise InvalidInputError("A mark lies on a slice that no instance shows.")

    def stack(self) -> list[Dataset]:
        """The instances of the first volume, in the array's order."""
        found: dict[str, Dataset] = {}
        for row in sorted((row for row in self._rows if row["lead"] == 0), key=lambda row: row["z"]):
            found[row["sop_instance_uid"]] = self._by_uid[row["sop_instance_uid"]]
        return list(found.values())


def _named(dataset: Dataset) -> Dataset:
    """Tell highdicom what it wants to be told: that there is no given name, and that what is not known is empty."""
    name = str(dataset.get("PatientName", ""))
    if "^" not in name and "=" not in name:
        dataset.PatientName = f"{name}^"
    for keyword in (
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "StudyID",
        "ReferringPhysicianName",
    ):
        if keyword not in dataset:
            setattr(dataset, keyword, None)  # type 2: there, and empty
    return dataset


def report(
    ref: SeriesRef, found: Sequence[tuple[Mapping[str, Any], Measured]], planes: Sequence[Plane], where: Provenance, reader: str = ""
) -> Dataset:
    """A Comprehensive 3D SR of marks and what they measure (PS3.16 TID 1500).

    Raises `InvalidInputError` when a mark cannot be placed: across the acquisition of a series without a frame of reference.
    """
    instances = _Instances(ref)
    device = sr.DeviceObserverIdentifyingAttributes(
        hd.UID(), name="Cohortlab viewer", manufacturer_name="Cohortlab", model_name="viewer", serial_number=where.viewer
    )
    person = sr.ObserverContext(codes.DCM.Person, sr.PersonObserverIdentifyingAttributes(reader)) if reader else None
    context = sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device), observer_person_context=person)
    groups = []
    for number, (mark, measured) in enumerate(found, 1):
        place = _Placer(mark, ref, plane_named(planes, mark["plane"]), instances)
        groups.append(_group(number, mark, measured, ref, place))
    content = sr.MeasurementReport(context, _PROCEDURE, imaging_measurements=groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on values of the headers that break their VR's rules, which were the gate's matter
        made = sr.Comprehensive3DSR(
            evidence=instances.datasets,
            content=content[0],
            series_instance_uid=hd.UID(),
            series_number=1,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="Cohortlab",
            is_complete=True,
            series_description=f"Annotations on {where.dataset} {where.version}"[:_TEXT],
        )
    made.ManufacturerModelName, made.DeviceSerialNumber = "Cohortlab viewer", where.viewer
    made["SoftwareVersions"] = DataElement("SoftwareVersions", "LO", list(words(where)))
    return made


def _group(number: int, mark: Mapping[str, Any], measured: Measured, ref: SeriesRef, place: "_Placer") -> Any:
    """One mark as a group: an area as a planar region (TID 1410), others with the coordinates of each measurement (TID 1501)."""
    tracking = sr.TrackingIdentifier(hd.UID(), mark["label"] or f"{mark['kind']} {number}")
    points = np.asarray(mark["points"], dtype=np.float64)
    kind = mark["kind"]
    if kind in AREAS:
        values = _values(measured, ref)
        if measured.area is not None and measured.unit == "mm":
            values.insert(0, sr.Measurement(codes.SCT.Area, measured.area, codes.UCUM.SquareMillimeter))
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(tracking, place.region(kind, points), measurements=values)
    if kind == "point":
        values = _values(measured, ref, [place.coordinates("POINT", points)])
    elif kind == "angle":
        shape = [place.coordinates("POLYLINE", points)]
        values = [sr.Measurement(codes.SCT.Angle, measured.angle or 0.0, codes.UCUM.Degree, referenced_coordinates=shape)]
    else:
        unit = codes.UCUM.Millimeter if measured.unit == "mm" else CodedConcept("{pixels}", "UCUM", "pixels")
        names = [codes.SCT.Length] if kind == "length" else [codes.SCT.LongAxis, codes.SCT.ShortAxis]
        values = [
            sr.Measurement(name, value or 0.0, unit, referenced_coordinates=[place.coordinates("POLYLINE", ends)])
            for name, value, ends in zip(names, (measured.length, measured.width), (points[:2], points[2:]), strict=False)
        ]
    return sr.MeasurementsAndQualitativeEvaluations(tracking, measurements=values)


def _values(measured: Measured, ref: SeriesRef, coordinates: Sequence[Any] | None = None) -> list[Any]:
    """Mean and standard deviation of the values inside, where they are known."""
    if measured.mean is None:
        return []
    name = _NAMES.get(ref.attributes.modality, codes.SCT.Mean)
    unit = _UNITS.get(measured.values_unit, _UNITS["1"])
    if coordinates is not None:
        return [sr.Measurement(name, measured.mean, unit, referenced_coordinates=coordinates)]
    return [
        sr.Measurement(name, measured.mean, unit, derivation=codes.SCT.Mean),
        sr.Measurement(name, measured.sd or 0.0, unit, derivation=codes.SCT.StandardDeviation),
    ]


class _Placer:
    """Turns points (z, y, x) of a mark into DICOM's coordinates: of the instance's pixels, or of the patient across them."""

    def __init__(self, mark: Mapping[str, Any], ref: SeriesRef, plane: Plane, instances: _Instances) -> None:
        self._flat = plane.axis == "z"
        self._ref = ref
        self._space = ref.attributes.frame_of_reference_uid or ""
        if self._flat:
            dataset, frames = instances.of(mark["index"], mark["frame"])
            self._source = sr.SourceImageForRegion(dataset.SOPClassUID, dataset.SOPInstanceUID, frames)
        elif ref.attributes.affine is None or not self._space:
            raise InvalidInputError("A mark across the slices has no place in the patient.", hint="Save it in the other form.")

    def _patient(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray((np.c_[points, np.ones(len(points))] @ np.asarray(self._ref.attributes.affine).T)[:, :3])

    def coordinates(self, graphic: str, points: npt.NDArray[np.float64]) -> Any:
        """Of a measurement."""
        if self._flat:
            return sr.CoordinatesForMeasurement(graphic, points[:, [2, 1]] + _HALF, self._source)
        return sr.CoordinatesForMeasurement3D(graphic, self._patient(points), self._space)

    def region(self, kind: str, points: npt.NDArray[np.float64]) -> Any:
        """Of an area: ellipses with the longer axis first, others closed."""
        if kind == "ellipse":
            real = self._patient(points) if self._ref.attributes.affine is not None else points
            if np.linalg.norm(real[3] - real[2]) > np.linalg.norm(real[1] - real[0]):
                points = points[[2, 3, 0, 1]]
        else:
            points = np.r_[points, points[:1]]
        if self._flat:
            return sr.ImageRegion("ELLIPSE" if kind == "ellipse" else "POLYLINE", points[:, [2, 1]] + _HALF, self._source)
        graphic = "ELLIPSE" if kind == "ellipse" else "POLYGON"
        return sr.ImageRegion3D(graphic, self._patient(points), self._space)


def segmentation(ref: SeriesRef, labels: npt.NDArray[np.uint16], segments: Sequence[Segment], where: Provenance) -> Dataset:
    """A binary SEG of `labels`, (z, y, x) or (y, x) on the grid of `ref`, whose numbers are those of `segments`.

    The labels of a series with a fourth axis are drawn on its first volume. Segments are numbered anew from 1, as DICOM wants.
    Raises `InvalidInputError` when the series' instances do not make up the grid.
    """
    drawn = [one for one in segments if bool((labels == one.number).any())]
    numbers = np.zeros(max(one.number for one in segments) + 1, dtype=np.uint16)
    for new, one in enumerate(drawn, 1):
        numbers[one.number] = new
    stack = _Instances(ref).stack()
    pixels = np.asarray(numbers[labels]).reshape((-1, *labels.shape[-2:]))
    if len(pixels) != sum(int(one.get("NumberOfFrames") or 1) for one in stack):
        raise InvalidInputError("The instances of this series do not show its slices one by one.", hint="Save it with form='array'.")
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=one.label[:_TEXT],
            segmented_property_category=_code(one.codes.get("category"), codes.SCT.Tissue),
            segmented_property_type=_code(one.codes.get("type"), codes.SCT.Tissue),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, one in enumerate(drawn, 1)
    ]
    gap = ref.attributes.spacing[0] if len(ref.attributes.spacing) > 2 else None  # noqa: PLR2004 - z, y, x
    for image in stack:
        if "SliceThickness" not in image:  # a label reaches from slice to slice: the gap that was measured; empty where there is none
            image.SliceThickness = gap
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in `report`
        made = hd.seg.Segmentation(
            source_images=stack,
            pixel_array=pixels.astype(np.uint8 if len(drawn) < 256 else np.uint16),  # noqa: PLR2004 - what a byte holds
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=described,
            series_instance_uid=hd.UID(),
            series_number=1,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="Cohortlab",
            manufacturer_model_name="Cohortlab viewer",
            software_versions=list(words(where)),  # type: ignore[arg-type]  # its annotation has a tuple, pydicom wants a list
            device_serial_number=where.viewer,
            content_description=f"Drawn on {where.dataset} {where.version}"[:_TEXT],
            transfer_syntax_uid=ExplicitVRLittleEndian,
            series_description=f"Segmentation on {where.dataset} {where.version}"[:_TEXT],
        )
    made._db_con.close()  # noqa: SLF001 - highdicom leaves its in-memory index open
    return made


def _code(code: Code | None, otherwise: Any) -> Any:
    return otherwise if code is None else CodedConcept(code.value, code.scheme, code.meaning)
