"""Series that are no plain volume: colour, fractions, overlapping segments, uneven slices, a single one, a slope for each slice."""

import copy
import json
import sys
from contextlib import closing
from io import BytesIO
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cohortlab.keys import create_key
from cohortlab.store import ManifestFields, StoreWriter, group
from cohortlab.store.contracts import Segment
from cohortlab.viewer.api import Api, Asked
from cohortlab.viewer.dicom import segmentation
from cohortlab.viewer.gateway import Gateway
from cohortlab.viewer.marks import physical
from cohortlab.viewer.saving import Provenance
from dicom_samples import instance, volume

SHAPE = (5, 8, 10)


def segments(sources, values, kind):
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"part {number}",
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Tissue,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in (1, 2)
    ]
    sources = [copy.deepcopy(source) for source in sources]
    for source in sources:
        source.SliceThickness = 2
        for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"):
            setattr(source, keyword, "")
        source.ReferringPhysicianName = ""
    made = highdicom.seg.Segmentation(
        sources, values, kind, described, highdicom.UID(), 1, highdicom.UID(), 1, "m", "n", "1", "1", max_fractional_value=200
    )
    made._db_con.close()
    file = BytesIO()  # as read from a file: highdicom's own values are not all those that pydicom reads
    made.save_as(file)
    return pydicom.dcmread(BytesIO(file.getvalue()))


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """An API over one dataset with all kinds; ids by name."""
    folder = tmp_path_factory.mktemp("kinds")
    key = create_key(folder / "gate.key")
    rng = np.random.default_rng(3)
    even = [instance(n + 1, position=(0, 0, 2.0 * n), pixels=rng.integers(0, 900, SHAPE[1:]).astype(np.uint16)) for n in range(5)]
    uneven = volume(5, series="2.25.2")
    uneven[3].ImagePositionPatient = [0, 0, 6.7]
    single = [instance(1, series="2.25.3", position=(0, 0, 4.0))]
    colour = instance(1, position=None, series="2.25.4", modality="OT", pixels=np.zeros((6, 7), np.uint8))
    rgb = rng.integers(0, 255, (6, 7, 3)).astype(np.uint8)
    colour.SamplesPerPixel, colour.PhotometricInterpretation, colour.PlanarConfiguration = 3, "RGB", 0
    colour.PixelData = rgb.tobytes()
    pet = [
        instance(n + 1, series="2.25.6", position=(0, 0, 2.0 * n), modality="PT", RescaleSlope=0.5 + n, RescaleIntercept=0)
        for n in range(4)
    ]
    for one in pet:
        one.Units = "BQML"
    masks = np.zeros((*SHAPE, 2), np.uint8)
    masks[1:4, 2:6, 2:6, 0] = 1
    masks[2:5, 4:8, 4:8, 1] = 1
    fractions = np.zeros((*SHAPE, 2), np.float32)
    fractions[..., 0], fractions[1:3, ..., 1] = 0.3, 0.8
    ids = {}
    with StoreWriter(folder / "root", "kinds", "1.0.0") as writer:
        for name, datasets in (("even", even), ("uneven", uneven), ("single", single), ("colour", [colour]), ("pet", pet)):
            (found,) = group(datasets)
            ids[name] = writer.add_series(found, {}).id
        ids["overlap"] = writer.add_segmentation(segments(even, masks, "BINARY"), {}).id
        ids["fraction"] = writer.add_segmentation(segments(even, fractions, "FRACTIONAL"), {}).id
        writer.finish(ManifestFields(title="Kinds", deidentification={}, gate="test", verdict="accepted", synthetic=True), key)
    (folder / "mounts").mkdir()
    (folder / "mounts" / "kinds").symlink_to(folder / "root" / "kinds" / "1.0.0")
    return Api(Gateway(folder / "mounts", (key.public,))), ids, {"masks": masks, "rgb": rgb, "even": even}


def ask(kinds, name, what, query=""):
    return kinds[0].reply(Asked("GET", f"series/kinds/{kinds[1][name]}/{what}", query))


def values(reply):
    assert reply.status == 200, reply.body
    shape = tuple(map(int, reply.headers["X-Cohortlab-Shape"].split(",")))
    return np.frombuffer(reply.body, reply.headers["X-Cohortlab-Type"]).reshape(shape)


def meta(kinds, name):
    return json.loads(ask(kinds, name, "meta").body)


def test_colour_comes_side_by_side(kinds):
    rgb = kinds[2]["rgb"]
    reply = ask(kinds, "colour", "slice", "plane=image&index=0")
    assert reply.headers["X-Cohortlab-Meaning"] == "colour"
    np.testing.assert_array_equal(values(reply), rgb)
    np.testing.assert_array_equal(values(ask(kinds, "colour", "volume")), rgb[None])
    np.testing.assert_array_equal(values(ask(kinds, "colour", "slice", "plane=image&index=0&region=2,3,9,2")), rgb[2:, 3:5])
    assert ask(kinds, "colour", "slice", "plane=image&index=0&format=webp").headers["Content-Type"] == "image/webp"
    assert ask(kinds, "colour", "thumbnail").status == 200
    found = meta(kinds, "colour")
    assert (found["samples"], found["window"], found["axis"]) == (["red", "green", "blue"], None, None)


def test_overlapping_segments_together_and_alone(kinds):
    masks, on = kinds[2]["masks"], kinds[1]["even"]
    together = np.where(masks[..., 1], 2, masks[..., 0])
    for plane, axis, index in (("axial", 0, 2), ("coronal", 1, 5), ("sagittal", 2, 4)):
        query = f"plane={plane}&index={index}&on={on}"
        np.testing.assert_array_equal(values(ask(kinds, "overlap", "slice", query)), np.take(together, index, axis))
        for number in (1, 2):
            alone = values(ask(kinds, "overlap", "slice", f"{query}&segment={number}"))
            np.testing.assert_array_equal(alone, np.take(masks[..., number - 1], index, axis) * number)


def test_fractions_as_labels_and_as_stored(kinds):
    on = kinds[1]["even"]
    found = meta(kinds, "fraction")
    assert found["fractional"] == "PROBABILITY"
    for index in range(5):
        query = f"plane=axial&index={index}&on={on}"
        labels = ask(kinds, "fraction", "slice", query)
        assert labels.headers["X-Cohortlab-Meaning"] == "labels"
        assert set(np.unique(values(labels))) == ({2} if index in {1, 2} else {0})
        alone = ask(kinds, "fraction", "slice", f"{query}&segment=1")
        assert alone.headers["X-Cohortlab-Meaning"] == "fraction"
        np.testing.assert_allclose(values(alone) * found["rescale"]["slope"], 0.3, atol=0.003)


def test_labels_belong_to_their_image_in_meta(kinds):
    ids = kinds[1]
    assert set(meta(kinds, "even")["segmentations"]) == {ids["overlap"], ids["fraction"]}
    assert meta(kinds, "overlap")["frame"] == meta(kinds, "even")["frame"] != None  # noqa: E711 - all three at once


def test_uneven_slices_are_shown_one_by_one_and_say_why(kinds):
    found = meta(kinds, "uneven")
    assert [plane["name"] for plane in found["planes"]] == ["image"]
    assert found["affine"] is None
    assert "gap" in found["irregular_reason"]
    np.testing.assert_array_equal(values(ask(kinds, "uneven", "slice", "plane=image&index=3")), 4 - 1024)
    assert ask(kinds, "uneven", "slice", "plane=coronal&index=0").status == 400


def test_a_single_slice_has_its_planes(kinds):
    found = meta(kinds, "single")
    assert found["planes"][0]["count"] == 1
    for plane in found["planes"]:
        assert ask(kinds, "single", "slice", f"plane={plane['name']}&index=0").status == 200
    assert ask(kinds, "single", "thumbnail").status == 200
    assert values(ask(kinds, "single", "volume")).shape == (1, 8, 10)


def test_values_with_a_slope_for_each_slice_are_measured_in_their_units(kinds):
    ref = kinds[0].gateway.series("kinds", kinds[1]["pet"])
    whole = ref.open().values
    np.testing.assert_allclose(physical(ref, "z", 2, 0, (0, 0, 8, 10)), whole[2])
    np.testing.assert_allclose(physical(ref, "y", 3, 0, (1, 2, 3, 4)), whole[1:4, 3, 2:6])
    np.testing.assert_allclose(physical(ref, "x", 3, 0, (0, 0, 4, 8)), whole[:, :, 3])


def test_labels_of_images_that_do_not_tell_their_thickness_reach_from_slice_to_slice(kinds):
    ref = kinds[0].gateway.series("kinds", kinds[1]["even"])
    labels = kinds[2]["masks"][..., 0].astype(np.uint16) * 3
    made = segmentation(ref, labels, [Segment(number=3, label="drawn")], Provenance("kinds", "1.0.0", "0" * 64, ref.id, "0", "0" * 12))
    file = BytesIO()
    made.save_as(file, enforce_file_format=True)
    read = highdicom.seg.segread(BytesIO(file.getvalue()))
    measures = read.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == 2
    with closing(read._db_con):
        assert read.get_volume(combine_segments=True).array.sum() == (labels > 0).sum()
