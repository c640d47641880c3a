"""What is drawn: marks and what they measure, the brush, and the files of both, read back by highdicom."""

import json
import math
import warnings
from contextlib import closing

import highdicom
import numpy as np
import pydicom
import pytest
import traitlets
from sample_store import CT_SHAPE, DATASET, LESION, ct_values

from cohortlab.errors import InvalidInputError, RefusedError
from cohortlab.store import Store
from cohortlab.store.session import session_keys
from cohortlab.viewer import arrays, assets, view

ELLIPSE = [[5, 30, 40], [5, 50, 40], [5, 40, 30], [5, 40, 50]]
RECTANGLE = [[5, 9.5, 19.5], [5, 9.5, 29.5], [5, 14.5, 29.5], [5, 14.5, 19.5]]


def mark(kind, points, plane="axial", index=5, **more):
    return {"kind": kind, "plane": plane, "index": index, "points": points, **more}


@pytest.fixture(autouse=True)
def kernel(session, tmp_path, monkeypatch):
    """A session with a home, and bundles as a build writes them."""
    home, folder = tmp_path / "home", tmp_path / "arrays"
    home.mkdir()
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv(arrays.FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(arrays, "_register", None)
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "manifest.json").write_text('{"viewer": "viewer.0123456789ab.js"}')
    monkeypatch.setattr(assets, "STATIC_FOLDER", tmp_path / "static")
    return session


@pytest.fixture
def shown(kernel):
    return view(f"{DATASET}/{kernel.ct}", label_image=f"{DATASET}/{kernel.seg}")


@pytest.fixture
def ref(kernel):
    return Store.open(kernel.folder / DATASET, session_keys())[kernel.ct]


def measured(shown, *marks):
    shown.marks = list(marks)
    return shown.annotations.iloc[-1]


def test_lengths_are_in_millimetres_of_the_affine(shown, ref):
    row = measured(shown, mark("length", [[2, 10, 20], [9, 50, 60]]))
    ends = [(ref.affine() @ [*point, 1])[:3] for point in ([2, 10, 20], [9, 50, 60])]
    assert row["length"] == pytest.approx(math.dist(*ends))
    assert row["unit"] == "mm"
    np.testing.assert_allclose(row["points_mm"], ends, atol=1e-9)
    # the first voxel is where the first image's ImagePositionPatient says, and L grows along a row
    corner = measured(shown, mark("length", [[0, 0, 0], [0, 0, 10]]))["points_mm"]
    np.testing.assert_allclose(corner, [[-20, -30, 5], [-20 + 7.5, -30, 5]], atol=1e-5)
    row = measured(shown, mark("bidirectional", [[5, 0, 0], [5, 0, 40], [5, 0, 0], [5, 20, 0]]))
    assert (row["length"], row["width"]) == (pytest.approx(40 * 0.75), pytest.approx(20 * 0.5))


def test_an_angle_is_between_the_ends_at_the_vertex(shown):
    assert measured(shown, mark("angle", [[5, 0, 10], [5, 0, 0], [5, 15, 0]]))["angle"] == pytest.approx(90)
    # 10 voxels across are 7.5 mm, 15 down are 7.5 mm
    assert measured(shown, mark("angle", [[5, 0, 10], [5, 0, 0], [5, 15, 10]]))["angle"] == pytest.approx(45)


def test_values_inside_a_rectangle_are_those_of_its_voxels(shown):
    row = measured(shown, mark("rectangle", RECTANGLE))
    inside = ct_values()[5, 10:15, 20:30]
    assert (row["mean"], row["sd"], row["minimum"], row["maximum"]) == pytest.approx(
        (inside.mean(), inside.std(), inside.min(), inside.max())
    )
    assert row["voxels"] == inside.size
    assert row["area"] == pytest.approx(5 * 0.5 * 10 * 0.75)
    assert row["values_unit"] == "HU"


@pytest.mark.parametrize("plane", ["coronal", "sagittal"])
def test_values_across_the_acquisition(shown, plane):
    axis = {"coronal": 1, "sagittal": 2}[plane]
    corners = [[1.5, 9.5], [1.5, 29.5], [6.5, 29.5], [6.5, 9.5]]
    points = [[a, 33, b] if axis == 1 else [a, b, 33] for a, b in corners]
    row = measured(shown, mark("rectangle", points, plane, 33))
    inside = np.take(ct_values(), 33, axis)[2:7, 10:30]
    assert row["mean"] == pytest.approx(inside.mean())
    assert row["voxels"] == 100


def test_an_ellipse_holds_the_voxels_whose_centre_is_inside(shown):
    row = measured(shown, mark("ellipse", ELLIPSE))
    y, x = np.indices(CT_SHAPE[1:])
    inside = ct_values()[5][((y - 40) / 10) ** 2 + ((x - 40) / 10) ** 2 <= 1]
    assert row["voxels"] == inside.size
    assert row["mean"] == pytest.approx(inside.mean())
    assert row["area"] == pytest.approx(np.pi * 10 * 0.5 * 10 * 0.75)


def test_a_freehand_mark_is_closed_and_a_point_tells_its_voxel(shown):
    row = measured(shown, mark("freehand", [[5, 0.5, 0.5], [5, 0.5, 9.5], [5, 9.5, 0.5]]))
    assert row["area"] == pytest.approx(0.5 * 9 * 0.75 * 9 * 0.5)
    y, x = np.indices(CT_SHAPE[1:])
    assert row["voxels"] == int(((y > 0.5) & (x > 0.5) & (x + y < 10)).sum())
    assert measured(shown, mark("point", [[5, 12.4, 31.6]]))["mean"] == ct_values()[5, 12, 32]


def test_a_mark_beside_the_image_has_no_values(shown):
    row = measured(shown, mark("rectangle", [[5, -20, -20], [5, -20, -10], [5, -10, -10], [5, -10, -20]]))
    assert row["voxels"] == 0
    assert row["mean"] is None or np.isnan(row["mean"])


def test_without_a_voxel_size_lengths_are_in_voxels():
    shown = view(np.zeros((4, 5, 6), np.int16))
    row = measured(shown, mark("length", [[1, 0, 0], [1, 3, 4]], "z", 1))
    assert (row["length"], row["unit"], row["points_mm"]) == (5, "voxel", None)


def test_no_marks_make_an_empty_table(shown):
    assert len(shown.annotations) == 0
    assert {"id", "kind", "length", "area", "mean", "points", "points_mm"} <= set(shown.annotations.columns)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        mark("arrow", [[0, 0, 0]]),
        mark("length", [[0, 0, 0]]),
        mark("length", [[0, 0], [1, 1]]),
        mark("length", [[0, 0, 0], [1, float("nan"), 1]]),
        mark("length", "ab"),
        mark("length", [[0, 0, 0], [1, 1, 1]], index=-1),
        mark("length", [[0, 0, 0], [1, 1, 1]], index=99),
        mark("length", [[0, 0, 0], [1, 1, 1]], plane="oblique"),
        mark("length", [[0, 0, 0], [1, 1, 1]], mean=3),
        mark("freehand", [[0, 0, 0]] * 5000),
    ],
)
def test_what_is_no_mark_is_refused(shown, wrong):
    with pytest.raises(traitlets.TraitError):
        shown.marks = [wrong]


def test_listeners_hear_of_state_until_they_stop(shown):
    heard = []
    stop = shown.on("window", heard.append)
    shown.window = (0, 100)
    stop()
    shown.window = (0, 200)
    assert heard == [(0, 100)]
    with pytest.raises(InvalidInputError):
        shown.on("nothing", heard.append)


def test_listeners_get_the_table_of_annotations(shown):
    heard = []
    shown.on("annotations", heard.append)
    shown.marks = [mark("length", [[5, 0, 0], [5, 0, 40]])]
    assert heard[0]["length"].tolist() == pytest.approx([30])


def test_the_brush_changes_the_labels_slice_by_slice(shown):
    lesion = np.zeros(CT_SHAPE, np.uint16)
    lesion[LESION] = 1
    np.testing.assert_array_equal(shown.segmentation, lesion)
    new = np.zeros(CT_SHAPE[1:], bool)
    new[40:60, 30:50] = True
    strokes = []
    shown.on("segmentation", strokes.append)
    message = {"kind": "brush", "segment": 2, "index": 5, "frame": 0, "shape": list(new.shape)}
    shown._message(shown, message, [memoryview(np.packbits(new))])
    wanted = lesion.copy()
    wanted[5][new] = 2
    np.testing.assert_array_equal(shown.segmentation, wanted)
    shown._message(shown, message, [memoryview(np.packbits(np.zeros_like(new)))])
    wanted[5][wanted[5] == 2] = 0
    wanted[5][lesion[5] == 1] = 1
    np.testing.assert_array_equal(shown.segmentation, wanted)
    assert [int((labels == 2).sum()) for labels in strokes] == [int(new.sum()), 0]


@pytest.mark.parametrize("change", [{"segment": 0}, {"segment": 70_000}, {"index": 12}, {"index": -1}, {"shape": [3, 3]}, {"segment": "1"}])
def test_a_stroke_that_does_not_fit_is_refused_and_said(shown, change):
    sent = []
    shown.send = lambda content, buffers=None: sent.append((content, buffers))
    message = {"kind": "brush", "segment": 1, "index": 5, "frame": 0, "shape": list(CT_SHAPE[1:])} | change
    shown._message(shown, message, [bytes(CT_SHAPE[1] * CT_SHAPE[2] // 8)])
    assert sent[0][0]["kind"] == "failed"
    assert json.loads(sent[0][0]["problem"])["code"] == "invalid-input"


ALL = [
    mark("length", [[5, 10, 20], [5, 50, 60]], label="long"),
    mark("bidirectional", [[5, 0, 0], [5, 0, 40], [5, 0, 0], [5, 20, 0]]),
    mark("angle", [[5, 0, 10], [5, 0, 0], [5, 15, 0]]),
    mark("ellipse", ELLIPSE),
    mark("rectangle", RECTANGLE),
    mark("freehand", [[5, 0.5, 0.5], [5, 0.5, 9.5], [5, 9.5, 0.5]]),
    mark("point", [[5, 12, 31]]),
    mark("length", [[1, 33, 4], [9, 33, 60]], "coronal", 33),
    mark("ellipse", [[2, 33, 40], [8, 33, 40], [5, 33, 20], [5, 33, 60]], "coronal", 33),
]


def test_a_report_holds_every_mark_and_refers_to_the_stored_instances(shown, ref):
    shown.marks = ALL
    path = shown.save_annotations(reader="Reader^One")
    read = highdicom.sr.srread(path)
    assert read.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert read.StudyInstanceUID == ref.attributes.study_uid
    assert any(f"store {DATASET} 1.0.0" in text for text in read.SoftwareVersions)
    assert "viewer 0123456789ab" in read.SoftwareVersions
    regions = read.content.get_planar_roi_measurement_groups()
    assert len(regions) == 4
    ellipse = regions[0]
    graphic = ellipse.roi.value
    # the longer axis comes first: 20 voxels across are 15 mm, 20 down are 10 mm; the centre of the first pixel is 0.5, 0.5
    np.testing.assert_allclose(graphic, [[30.5, 40.5], [50.5, 40.5], [40.5, 30.5], [40.5, 50.5]])
    instance = ellipse.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    (row,) = [row for row in ref.headers() if row["z"] == 5]
    assert instance == row["sop_instance_uid"]
    values = {(found.name.meaning, found.derivation.meaning if found.derivation else ""): found for found in ellipse.get_measurements()}
    assert values["Area", ""].value == pytest.approx(np.pi * 5 * 7.5)
    assert values["Attenuation Coefficient", "Mean"].unit.value == "[hnsf'U]"
    across = regions[3].roi
    place = [(ref.affine() @ [z, y, x, 1])[:3] for z, y, x in ([5, 33, 20], [5, 33, 60])]
    np.testing.assert_allclose(across.value[:2], place, rtol=1e-5)
    assert across.frame_of_reference_uid == ref.attributes.frame_of_reference_uid
    others = read.content.get_image_measurement_groups()
    assert len(others) == 5
    (length,) = others[0].get_measurements()
    assert (length.name.meaning, length.unit.value) == ("Length", "mm")
    assert length.value == pytest.approx(shown.annotations.iloc[0]["length"], rel=1e-6)
    assert others[0].tracking_identifier == "long"


def test_a_segmentation_is_read_back_voxel_for_voxel(shown, ref):
    new = np.zeros(CT_SHAPE[1:], bool)
    new[60:70, 30:50] = True
    shown._message(shown, {"kind": "brush", "segment": 4, "index": 9, "frame": 0, "shape": list(new.shape)}, [np.packbits(new).tobytes()])
    path = shown.save_segmentation("mine/seg")
    read = highdicom.seg.segread(path)
    with closing(read._db_con):
        found = read.get_volume(combine_segments=True)
    labels = shown.segmentation
    wanted = np.where(labels == 4, 2, labels)
    for number, values in enumerate(found.array):  # highdicom may begin at either end: its own affine says where a slice lies
        place = np.linalg.solve(ref.affine(), found.affine @ [number, 0, 0, 1])
        z = round(place[0])
        np.testing.assert_allclose(place, [z, 0, 0, 1], atol=1e-3)
        np.testing.assert_array_equal(values, wanted[z])
        wanted[z] = 0
    assert not wanted.any()
    assert [item.SegmentLabel for item in read.SegmentSequence] == ["Lesion", "Segment 4"]
    assert read.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Neoplasm"
    assert {i.ReferencedSOPInstanceUID for i in read.ReferencedSeriesSequence[0].ReferencedInstanceSequence} <= {
        row["sop_instance_uid"] for row in ref.headers()
    }
    assert any("tree " in text for text in read.SoftwareVersions)


def test_a_projection_is_reported_on_its_instance(kernel):
    shown = view(f"{DATASET}/{kernel.mammogram}")
    shown.marks = [mark("ellipse", [[0, 300, 400], [0, 500, 400], [0, 400, 300], [0, 400, 500]], "image", 0)]
    (group,) = highdicom.sr.srread(shown.save_annotations()).content.get_planar_roi_measurement_groups()
    assert group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.1.2"


def test_the_other_forms_hold_the_same_and_say_where_it_was_drawn(shown, ref):
    shown.marks = ALL
    body = json.loads(shown.save_annotations(form="json").read_text())
    assert body["provenance"]["version"] == "1.0.0"
    assert body["provenance"]["tree_sha256"] == ref.store.manifest.tree_sha256
    assert body["provenance"]["viewer"] == "0123456789ab"
    assert len(body["annotations"]) == len(ALL)
    np.testing.assert_allclose(body["annotations"][0]["points_mm"][0], (ref.affine() @ [*ALL[0]["points"][0], 1])[:3])
    with np.load(shown.save_segmentation(form="array")) as found:
        np.testing.assert_array_equal(found["labels"], shown.segmentation)
        np.testing.assert_allclose(found["affine"], ref.affine())
        assert json.loads(str(found["about"]))["segments"][0]["label"] == "Lesion"


def test_files_are_the_persons_own_and_never_replaced(shown, tmp_path):
    shown.marks = ALL[:1]
    paths = [shown.save_annotations("notes", form="json") for _ in range(3)]
    assert len(set(paths)) == 3
    for path in paths:
        assert path.parent == tmp_path / "home" / "notes"
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("folder", ["/tmp", "..", "../elsewhere", "link", "link/below", "datasets", "datasets/x"])  # noqa: S108 - an attack
def test_nothing_is_written_outside_the_home_or_into_a_dataset(shown, tmp_path, monkeypatch, folder):
    (tmp_path / "home" / "link").symlink_to(tmp_path)
    monkeypatch.setattr("cohortlab.viewer.saving.session_folder", lambda: tmp_path / "home" / "datasets")
    (tmp_path / "home" / "datasets").mkdir()
    shown.marks = ALL[:1]
    with pytest.raises(RefusedError, match="home"):
        shown.save_annotations(folder, form="json")
    assert list((tmp_path / "home" / "datasets").iterdir()) == []


def test_what_cannot_be_saved_says_why(shown):
    with pytest.raises(InvalidInputError, match="nothing drawn"):
        shown.save_annotations()
    plain = view(np.zeros((4, 5, 6), np.int16))
    plain.marks = [mark("length", [[1, 0, 0], [1, 3, 4]], "z", 1)]
    with pytest.raises(InvalidInputError, match="form='json'"):
        plain.save_annotations()
    assert plain.save_annotations(form="json").parent.name == "arrays"
    with pytest.raises(InvalidInputError, match="no segment"):
        plain.save_segmentation(form="array")
    shown.marks = ALL[:1]
    with pytest.raises(InvalidInputError, match="form"):
        shown.save_annotations(form="pdf")


def test_a_file_is_plain_dicom_without_a_warning(shown):
    shown.marks = ALL[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = pydicom.dcmread(shown.save_annotations())
    assert read.Manufacturer == "Cohortlab"
