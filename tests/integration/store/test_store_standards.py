"""Stores as others see them: OME-Zarr validators and readers, plain zarr and xarray, and highdicom with nothing but the sidecars."""

import io
import json
from contextlib import closing

import highdicom
import ngff_zarr
import numpy as np
import pydicom
import pytest
import xarray as xr
import zarr
from ome_zarr_models.v05 import Image
from pydicom.data import get_testdata_file
from pydicom.sr.codedict import codes
from store_helpers import write
from test_store_segments import highdicom_seg, square, structure_set
from zarrista.exceptions import ArrayCreateError

from cohortlab.deidentify.gate import ingest
from cohortlab.deidentify.report import Options
from cohortlab.keys import create_key
from cohortlab.store import Store, originals
from dicom_samples import instance, volume
from slide_samples import slide


def color() -> np.ndarray:
    return pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm")).pixel_array[:130, :170].copy()


def fractional() -> list[pydicom.Dataset]:
    person = dict.fromkeys(
        ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"), ""
    )
    images = volume(5, PatientName="P^X", SliceThickness=2.0, PositionReferenceIndicator="", **person)
    return [*images, highdicom_seg(images, np.full((5, 8, 10), 0.4), "FRACTIONAL")]


def clip() -> list[pydicom.Dataset]:
    made = pydicom.dcmread(get_testdata_file("SC_rgb_rle_2frame.dcm"))
    made.FrameTime, made.PatientID = 40, "P1"
    return [made]


def four_dimensional() -> list[pydicom.Dataset]:
    return [
        instance(1 + n + 5 * t, position=(0, 0, 2.0 * n), modality="MR", DiffusionBValue=b)
        for t, b in enumerate((0, 800))
        for n in range(5)
    ]


def contours() -> list[pydicom.Dataset]:
    return [*volume(5), structure_set({1: ("", [square(0, 2, 0.0)]), 2: ("", [square(1, 3, 0.0)])})]


KINDS = {
    "volume": lambda: volume(5),
    "irregular": lambda: [d for d in volume(6) if d.InstanceNumber != 3],
    "one slice": lambda: volume(1),
    "four-dimensional": four_dimensional,
    "projection": lambda: [instance(1, position=None, ImagerPixelSpacing=[0.1, 0.1])],
    "colour": lambda: [pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm"))],
    "clip": clip,
    "slide": lambda: [slide(color(), 1), slide(color()[::2, ::2].copy(), 2, factor=2)],
    "decoded slide": lambda: [slide(color(), 1, compress=False)],
    "fractional": fractional,
    "contours": contours,
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def store(request, tmp_path, key) -> Store:
    return Store.open(write(tmp_path, "kind", request.param(), key), [key.public])


def every(store):
    return [*store, *store.segmentations]


def test_ome_zarr_models_finds_every_kind_valid(store):
    for ref in every(store):
        image = Image.from_zarr(zarr.open_group(ref.path, mode="r"))
        names = [axis.name for axis in image.ome_attributes.multiscales[0].axes]
        assert tuple(names) == ref.attributes.dims


def test_ngff_zarr_reads_every_kind_but_tiles_that_stay_jpeg(store):
    for ref in every(store):
        if ref.attributes.tiles is not None and ref.attributes.tiles.encoding == "jpeg":
            with pytest.raises(ArrayCreateError, match=r"cohortlab\.jpeg"):  # its reader takes no codecs from elsewhere
                ngff_zarr.from_ngff_zarr(ref.path)
            continue
        found = ngff_zarr.from_ngff_zarr(ref.path)
        assert [tuple(image.data.shape) for image in found.images] == ref.levels
        assert (np.asarray(found.images[-1].data) == ref.array(len(ref.levels) - 1)[:]).all()


def test_plain_zarr_and_xarray_read_every_kind(store):
    for ref in every(store):
        for level in range(len(ref.levels)):
            values = ref.array(level)[:]
            assert (zarr.open_array(ref.path / f"scale{level}" / "image", mode="r")[:] == values).all()
            plain = xr.open_zarr(ref.path / f"scale{level}", chunks=None)
            assert (plain["image"].values == values).all()
            assert set(plain.coords) == set(ref.attributes.dims)


def test_the_scales_of_ome_are_those_of_the_affine(store):
    for ref in every(store):
        if ref.affine() is None:
            continue
        ome = json.loads((ref.path / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
        for level, entry in enumerate(ome["datasets"]):
            scale = entry["coordinateTransformations"][0]["scale"]
            lengths = np.linalg.norm(ref.affine(level)[:3, 1:3], axis=0)
            assert scale[-2:] == pytest.approx(lengths, rel=1e-3)


@pytest.fixture(scope="module")
def gated(test_data, tmp_path_factory) -> Store:
    """A series of PROSTATEx as the gate lets it in."""
    root = tmp_path_factory.mktemp("gated")
    gate = create_key(root / "gate.key")
    (series,) = test_data.glob("prostatex/ProstateX-0000/*/*t2tsetra*")
    report = ingest([series], "gated", root, Options(key=root / "gate.key"))
    assert report.accepted
    return Store.open(root / "gated" / "1.0.0", [gate.public])


def test_from_sidecars_alone_highdicom_writes_a_seg_that_refers_to_the_originals(gated):
    ref = next(r for r in gated if "tra" in (r.attributes.description or "") and r.attributes.axis is None)
    sources = originals(ref)
    assert len(sources) == ref.attributes.instances
    mask = np.zeros(ref.attributes.shape[-3:], dtype=np.uint8)
    mask[5:8, 40:60, 30:50] = 1
    named = [copy_with_name(d) for d in sources]
    seg = highdicom_seg(named, mask)
    referenced = {i.ReferencedSOPInstanceUID for i in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == ref.attributes.series_uid
    assert referenced <= {d.SOPInstanceUID for d in sources}
    assert len(referenced) >= 3
    assert (highdicom_values(seg) == mask[5:8]).all()


def copy_with_name(dataset):
    dataset.PatientName = f"{dataset.PatientName}^"  # highdicom wants to be told that there is no given name
    return dataset


def highdicom_values(seg):
    read = highdicom.seg.Segmentation.from_dataset(seg)
    with closing(read._db_con):
        return read.get_volume(combine_segments=True).array


def test_from_sidecars_alone_highdicom_writes_a_report_that_refers_to_the_originals(gated):
    ref = next(r for r in gated if "tra" in (r.attributes.description or "") and r.attributes.axis is None)
    sources = [copy_with_name(d) for d in originals(ref)]
    region = highdicom.sr.ImageRegion(
        graphic_type=highdicom.sr.GraphicTypeValues.CIRCLE,
        graphic_data=np.array([[45.0, 55.0], [45.0, 65.0]]),
        source_image=highdicom.sr.SourceImageForRegion(sources[6].SOPClassUID, sources[6].SOPInstanceUID),
    )
    group = highdicom.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=highdicom.sr.TrackingIdentifier(highdicom.UID(), "lesion 1"),
        referenced_region=region,
        finding_type=codes.SCT.Lesion,
        measurements=[highdicom.sr.Measurement(name=codes.SCT.Diameter, value=7.5, unit=codes.UCUM.Millimeter)],
    )
    observer = highdicom.sr.ObservationContext(
        observer_device_context=highdicom.sr.ObserverContext(
            codes.DCM.Device, highdicom.sr.DeviceObserverIdentifyingAttributes(highdicom.UID())
        )
    )
    report = highdicom.sr.MeasurementReport(observer, codes.LN.CTUnspecifiedBodyRegion, imaging_measurements=[group])
    made = highdicom.sr.Comprehensive3DSR(sources, report[0], highdicom.UID(), 1, highdicom.UID(), 1, "Cohortlab", is_complete=False)
    file = io.BytesIO()
    made.save_as(file)
    read = highdicom.sr.srread(io.BytesIO(file.getvalue()))
    (found,) = read.content.get_planar_roi_measurement_groups()
    assert found.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == sources[6].SOPInstanceUID
    evidence = read.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.SeriesInstanceUID == ref.attributes.series_uid
    assert read.StudyInstanceUID == ref.attributes.study_uid
