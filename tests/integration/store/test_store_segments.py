"""Segmentations of every kind through the store: SEG against highdicom, contours against a rule of their own."""

import copy
import io
from contextlib import closing
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.sr.codedict import codes
from pydicom.uid import RTStructureSetStorage
from store_helpers import write

from cohortlab.errors import InvalidInputError
from cohortlab.store import Store, verify_store
from cohortlab.store.contours import fill
from dicom_samples import AXIAL, instance, volume
from slide_samples import slide

CT = "77654033/CT2"


PERSON = {
    "PatientName": "P^X", "PatientBirthDate": "", "PatientSex": "", "AccessionNumber": "", "StudyID": "", "StudyDate": "", "StudyTime": "",
    "ReferringPhysicianName": "", "PositionReferenceIndicator": "", "SliceThickness": 2.0,
}  # fmt: skip


def stored(tmp_path, key, datasets, name="made"):
    return Store.open(write(tmp_path, name, datasets, key), [key.public])


@pytest.fixture(scope="module")
def ct() -> list[Dataset]:
    """The four CT slices that highdicom's own SEG samples were made from; three of them are a volume."""
    folder = Path(get_testdata_file("rtstruct.dcm")).parent / "dicomdirtests" / CT
    return [pydicom.dcmread(f) for f in sorted(folder.iterdir())]


def small(test_data, name) -> Dataset:
    return pydicom.dcmread(test_data / "small" / f"{name}.dcm")


@pytest.mark.parametrize(
    "name", ["seg_image_ct_binary", "seg_image_ct_binary_overlap", "seg_image_ct_binary_fractional", "seg_image_ct_true_fractional"]
)
def test_a_real_seg_has_the_values_that_highdicom_reads(test_data, ct, tmp_path, key, name):
    seg = small(test_data, name)
    store = stored(tmp_path, key, [*ct, seg])
    (ref,) = store.segmentations
    assert ref.source_series == store[0].id
    theirs = highdicom.seg.Segmentation.from_dataset(seg)
    labels = ref.open()
    with closing(theirs._db_con):
        sources = [str(d.SOPInstanceUID) for d in sorted(ct, key=lambda d: float(d.ImagePositionPatient[2]))]
        expected = theirs.get_pixels_by_source_instance(source_sop_instance_uids=sources, assert_missing_frames_are_empty=True)
    for layer, segment in enumerate(ref.attributes.segments):
        ours = labels.sel(segment=segment.number) if "segment" in labels.dims else labels == segment.number
        ours = ours.values if ref.attributes.fractional else ours.values > 0
        assert np.abs(ours.astype(float) - expected[..., layer].astype(float)).max() < 1e-6
    assert verify_store(store.path, [key.public]).ok


def test_a_fractional_seg_is_fractions_when_opened_and_bytes_in_the_store(test_data, ct, tmp_path, key):
    seg = small(test_data, "seg_image_ct_true_fractional")
    (ref,) = stored(tmp_path, key, [*ct, seg]).segmentations
    assert ref.attributes.fractional == str(seg.SegmentationFractionalType)
    assert ref.array().dtype == np.uint8
    values = ref.open()
    assert values.dims[0] == "segment"
    assert values.dtype == np.float32
    assert 0 < float(values.max()) <= 1
    assert np.allclose(values.values * seg.MaximumFractionalValue, ref.array()[:], atol=1e-4)


ORIENTATIONS = {
    "axial": AXIAL,
    "sagittal": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    "coronal": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    "oblique": (0.96, 0.28, 0.0, -0.168, 0.576, -0.8),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_a_seg_lies_where_highdicom_puts_it_to_a_millionth_of_a_millimetre(tmp_path, key, orientation):
    normal = np.cross(orientation[:3], orientation[3:])
    datasets = [
        instance(
            n + 1, position=np.round(n * 2.5 * normal + (3.25, -7.5, 11), 9).tolist(), orientation=orientation, modality="MR", **PERSON
        )
        for n in range(9)
    ]
    mask = np.zeros((9, 8, 10), dtype=np.uint8)
    mask[3:6, 2:7, 4:9] = 1
    seg = highdicom_seg(datasets, mask)
    store = stored(tmp_path, key, [*datasets, seg])
    (ref,) = store.segmentations
    theirs = highdicom.seg.Segmentation.from_dataset(seg)
    with closing(theirs._db_con):
        there = theirs.get_volume(combine_segments=True)
    index = np.argwhere(there.array > 0)
    points = (there.affine @ np.c_[index, np.ones(len(index))].T)[:3].T
    ours = np.argwhere(ref.array()[:] > 0)
    found = (ref.affine() @ np.c_[ours, np.ones(len(ours))].T)[:3].T
    assert len(found) == len(points) == int(mask.sum())
    order = [np.lexsort(p.round(3).T) for p in (points, found)]
    assert np.abs(points[order[0]] - found[order[1]]).max() < 1e-6


def highdicom_seg(datasets, mask, kind="BINARY"):
    what = highdicom.seg.SegmentDescription(
        1, "lesion", codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Lesion, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
    )
    made = highdicom.seg.Segmentation(datasets, mask, kind, [what], highdicom.UID(), 9, highdicom.UID(), 1, "Cohortlab", "tests", "1", "0")
    file = io.BytesIO()
    with closing(made._db_con):  # its own index, which it leaves open
        made.save_as(file)
    return pydicom.dcmread(io.BytesIO(file.getvalue()))


def test_a_seg_of_a_projection_belongs_to_the_instance_it_names(test_data, tmp_path, key):
    folder = Path(get_testdata_file("rtstruct.dcm")).parent / "dicomdirtests" / "77654033"
    images = [pydicom.dcmread(f) for f in sorted(folder.glob("CR*/*"))]
    other = copy.deepcopy(next(d for d in images if str(d.SeriesInstanceUID).endswith(".10")))
    other.SOPInstanceUID += ".1"
    seg = small(test_data, "seg_image_cr_binary")
    store = stored(tmp_path, key, [*images, other, seg])
    (ref,) = store.segmentations
    image = store[ref.source_series]
    assert image.attributes.sop_instance_uid == seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID
    assert ref.attributes.dims == ("y", "x")
    assert (ref.array()[:] == seg.pixel_array).all()
    assert image.segmentations == [ref]


def test_a_seg_of_one_slice_lies_on_it(test_data, tmp_path, key):
    store = stored(tmp_path, key, [small(test_data, "ct_image"), seg := small(test_data, "seg_image_ct_binary_single_frame")])
    assert (store.segmentations[0].array()[0] == seg.pixel_array).all()


@pytest.mark.parametrize("name", ["seg_image_sm_control", "seg_image_sm_dots", "seg_image_sm_numbers"])
def test_a_seg_that_says_it_lies_a_pixel_beside_the_slide_is_refused(test_data, tmp_path, key, name):
    with pytest.raises(InvalidInputError, match="grid"):
        stored(tmp_path, key, [small(test_data, "sm_image"), small(test_data, name)])


@pytest.mark.parametrize(
    "name", ["seg_image_sm_control_labelmap", "seg_image_sm_control_labelmap_palette_color", "seg_image_sm_dots_tiled_full"]
)
def test_a_seg_of_a_slide_is_what_highdicom_reads(test_data, tmp_path, key, name):
    seg, image = small(test_data, name), small(test_data, "sm_image")
    store = stored(tmp_path, key, [image, seg])
    (ref,) = store.segmentations
    theirs = highdicom.seg.Segmentation.from_dataset(seg)
    with closing(theirs._db_con):
        numbers = [n for n in theirs.segment_numbers if n]
        expected = theirs.get_total_pixel_matrix(segment_numbers=numbers)
    labels = ref.open()
    for layer, number in enumerate(numbers):
        ours = labels.sel(segment=number) if "segment" in labels.dims else labels
        assert ((ours.values == number) == (expected[..., layer] > 0)).all()
    assert ref.attributes.space == "slide"
    assert np.array_equal(ref.affine(), store[0].affine())


def test_a_seg_of_a_coarse_level_of_a_slide_lies_on_that_level(tmp_path, key):
    pixels = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm")).pixel_array[:128, :192].copy()
    levels = [slide(pixels, 1, compress=False), slide(pixels[::2, ::2].copy(), 2, factor=2, compress=False)]
    seg = slide(pixels[::2, ::2].copy(), 3, factor=2, compress=False)
    seg.SOPClassUID, seg.SeriesInstanceUID, seg.Modality = "1.2.840.10008.5.1.4.1.1.66.4", "2.25.77", "SEG"
    seg.SegmentationType, seg.PhotometricInterpretation, seg.SamplesPerPixel = "BINARY", "MONOCHROME2", 1
    seg.BitsAllocated = seg.BitsStored = 1
    seg.HighBit = 0
    del seg.PlanarConfiguration
    mask = np.zeros((seg.NumberOfFrames, 64, 64), dtype=np.uint8)
    mask[1, 3:9, 5:20] = 1
    seg.PixelData = np.packbits(mask.ravel(), bitorder="little").tobytes()
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = 1, "gland"
    seg.SegmentSequence = [segment]
    reference = Dataset()
    reference.SeriesInstanceUID = "2.25.7"
    seg.ReferencedSeriesSequence = [reference]
    store = stored(tmp_path, key, [*levels, seg])
    (ref,) = store.segmentations
    assert ref.attributes.shape == (64, 96)
    assert np.array_equal(ref.affine(), store[0].affine(1))
    assert np.argwhere(ref.array()[:] > 0).min(axis=0).tolist() == [3, 64 + 5]
    seg.TotalPixelMatrixOriginSequence[0].XOffsetInSlideCoordinateSystem = 20.0
    with pytest.raises(InvalidInputError, match="grid"):
        stored(tmp_path, key, [*levels, seg], "moved")


def structure_set(rois, *, series="2.25.1", space="2.25.8", **elements):
    """An RTSTRUCT: {number: (name, [contours of points (x, y, z) in mm])}."""
    made = instance(1, position=None, series="2.25.44")
    for keyword in ("PixelData", "Rows", "Columns", "RescaleSlope", "RescaleIntercept"):
        delattr(made, keyword)
    made.SOPClassUID, made.Modality = RTStructureSetStorage, "RTSTRUCT"
    made.ReferencedFrameOfReferenceSequence = [Dataset()]
    frame = made.ReferencedFrameOfReferenceSequence[0]
    frame.FrameOfReferenceUID = space
    frame.RTReferencedStudySequence = [Dataset()]
    frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence = [Dataset()]
    frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].SeriesInstanceUID = series
    made.StructureSetROISequence, made.ROIContourSequence, made.RTROIObservationsSequence = [], [], []
    for number, (name, contours) in rois.items():
        roi, drawn, seen = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ReferencedFrameOfReferenceUID, roi.ROIName = number, space, name
        drawn.ReferencedROINumber, drawn.ROIDisplayColor, drawn.ContourSequence = number, [255, 0, 0], []
        seen.ReferencedROINumber, seen.ObservationNumber = number, number
        for points in contours:
            item = Dataset()
            item.ContourGeometricType = "CLOSED_PLANAR" if len(points) > 1 else "POINT"
            item.NumberOfContourPoints = len(points)
            item.ContourData = [f"{v:.4f}" for v in np.ravel(points)]
            drawn.ContourSequence.append(item)
        made.StructureSetROISequence.append(roi)
        made.ROIContourSequence.append(drawn)
        made.RTROIObservationsSequence.append(seen)
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def square(low, high, z):
    return [(low, low, z), (high, low, z), (high, high, z), (low, high, z)]


def test_contours_become_labels_by_the_pixel_centre_rule(tmp_path, key):
    images = volume(5, 2.0)  # 8 x 10 pixels of 0.5 mm from (0, 0)
    rtss = structure_set({3: ("PTV", [square(0.5, 2.0, 4.0)]), 5: ("", [square(0.6, 1.4, 6.0)])})
    store = stored(tmp_path, key, [*images, rtss])
    (ref,) = store.segmentations
    labels = ref.array()[:]
    # centres at 0.5 to 1.5 mm: one on the low side of the contour is in, one on the high side is out
    assert np.argwhere(labels == 3).tolist() == [[2, y, x] for y in (1, 2, 3) for x in (1, 2, 3)]
    assert np.argwhere(labels == 5).tolist() == [[3, 2, 2]]
    assert [(s.number, s.label, s.color) for s in ref.attributes.segments] == [(3, "PTV", (255, 0, 0)), (5, "ROI 5", (255, 0, 0))]
    assert ref.source_series == store[0].id
    assert verify_store(store.path, [key.public]).ok
    assert "ContourData" in pydicom.Dataset.from_json(ref.headers()[0]["header"]).ROIContourSequence[0].ContourSequence[0]


def test_a_contour_within_another_is_a_hole_and_points_enclose_nothing(tmp_path, key):
    rtss = structure_set({1: ("", [square(-0.25, 3.25, 0.0), square(0.75, 1.75, 0.0), [(1.0, 1.0, 0.0)]]), 2: ("", [[(1.0, 1.0, 0.0)]])})
    (ref,) = stored(tmp_path, key, [*volume(5), rtss]).segmentations
    plane = ref.array()[0]
    assert plane[:7, :7].sum() == 49 - 4
    assert not plane[2:4, 2:4].any()
    assert [s.number for s in ref.attributes.segments] == [1]


def test_regions_that_overlap_have_a_plane_each(tmp_path, key):
    rtss = structure_set({1: ("", [square(-0.25, 2.25, 0.0)]), 2: ("", [square(0.75, 3.25, 0.0)])})
    (ref,) = stored(tmp_path, key, [*volume(5), rtss]).segmentations
    labels = ref.open()
    assert labels.dims == ("segment", "z", "y", "x")
    assert [int((labels.sel(segment=n) == n).sum()) for n in (1, 2)] == [25, 25]


def test_a_coded_region_has_its_code_and_meaning(tmp_path, key):
    rtss = structure_set({1: ("Prostata von Erika", [square(0, 2, 0.0)])})
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "41216001", "SCT", "Prostate"
    rtss.RTROIObservationsSequence[0].RTROIIdentificationCodeSequence = [code]
    (ref,) = stored(tmp_path, key, [*volume(5), rtss]).segmentations
    assert ref.attributes.segments[0].label == "Prostate"
    assert ref.attributes.segments[0].codes["type"].value == "41216001"


def test_contours_on_an_oblique_image_lie_where_they_were_drawn(made, tmp_path, key):
    datasets, store = made("prostatex")
    image = next(r for r in store if r.attributes.description == "t2_tse_sag")
    series = [d for d in datasets if str(d.SeriesInstanceUID) == image.attributes.series_uid]
    corners = np.array([[7, 50.3, 60.3, 1], [7, 50.3, 90.6, 1], [7, 80.7, 90.6, 1], [7, 80.7, 60.3, 1]])
    points = (image.affine() @ corners.T)[:3].T
    attributes = image.attributes
    rtss = structure_set({1: ("", [points])}, series=attributes.series_uid, space=attributes.frame_of_reference_uid)
    (ref,) = stored(tmp_path, key, [*series, rtss]).segmentations
    expected = np.zeros(attributes.shape, dtype=np.uint8)
    expected[7, 51:81, 61:91] = 1
    assert (ref.array()[:] == expected).all()


def test_a_real_structure_set_on_slices_at_its_contours(tmp_path, key):
    rtss = pydicom.dcmread(get_testdata_file("rtstruct.dcm"), force=True)
    rtss.ensure_file_meta()
    rtss.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    points = [np.reshape([float(v) for v in c.ContourData], (-1, 3)) for r in rtss.ROIContourSequence for c in r.get("ContourSequence", [])]
    heights = sorted({round(float(p[0, 2]), 2) for p in points if len(p) > 2})
    space = str(rtss.StructureSetROISequence[0].ReferencedFrameOfReferenceUID)
    low = np.vstack(points).min(axis=0)
    step = min(np.diff(heights)) if len(heights) > 1 else 3.0
    count = round((heights[-1] - heights[0]) / step) + 1
    pixels = np.zeros((256, 256), dtype=np.uint16)
    images = [
        instance(
            n + 1,
            position=(low[0] - 5, low[1] - 5, heights[0] + n * step),
            orientation=AXIAL,
            spacing=(2, 2),
            pixels=pixels,
            FrameOfReferenceUID=space,
        )
        for n in range(count)
    ]
    (ref,) = stored(tmp_path, key, [*images, rtss]).segmentations
    closed = [r for r in rtss.ROIContourSequence if r.ContourSequence[0].ContourGeometricType == "CLOSED_PLANAR"]
    assert [s.number for s in ref.attributes.segments] == [r.ReferencedROINumber for r in closed] != []
    for segment, roi in zip(ref.attributes.segments, closed, strict=True):
        labels = ref.open()
        labels = labels.sel(segment=segment.number) if "segment" in labels.dims else labels
        area = sum(abs(shoelace(np.reshape([float(v) for v in c.ContourData], (-1, 3)))) for c in roi.ContourSequence)
        assert float((labels == segment.number).sum()) * 4 == pytest.approx(area, rel=0.1)


def shoelace(points):
    x, y = points[:, 0], points[:, 1]
    return 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


@pytest.mark.parametrize("wrong", ["between slices", "other space", "no image"])
def test_contours_without_a_slice_of_their_own_are_refused(tmp_path, key, wrong):
    z = 1.0 if wrong == "between slices" else 0.0
    rtss = structure_set({1: ("", [square(0, 2, z)])}, **({"series": "2.25.3", "space": "2.25.3"} if wrong == "other space" else {}))
    with pytest.raises(InvalidInputError, match="slice for each contour"):
        stored(tmp_path, key, [*([] if wrong == "no image" else volume(5)), rtss])
    assert not (tmp_path / "made" / "1.0.0").exists()


def inside_by_rays(points, y, x):
    """The even-odd rule again, by a ray along y instead of x."""
    odd = False
    for (y0, x0), (y1, x1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if (x0 <= x) != (x1 <= x) and y0 + (x - x0) * (y1 - y0) / (x1 - x0) > y:
            odd = not odd
    return odd


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(-2, 12), st.floats(-2, 14)), min_size=3, max_size=9))
def test_filling_agrees_with_another_way_to_decide(points):
    polygon = np.asarray(points) + np.asarray([0.137, 0.211])  # so that no centre lies on a contour's corner
    filled = fill([polygon], (10, 12))
    for y, x in np.ndindex(10, 12):
        edges = np.roll(polygon, -1, axis=0) - polygon
        to = np.asarray([y, x]) - polygon
        along = np.clip((to * edges).sum(1) / np.maximum((edges**2).sum(1), 1e-12), 0, 1)
        if np.linalg.norm(to - along[:, None] * edges, axis=1).min() > 1e-4:  # on the line both answers are right
            assert filled[y, x] == inside_by_rays(polygon, y, x)
