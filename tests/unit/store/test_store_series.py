"""Grouping: which instances make a series, and what a fourth axis means."""

import hashlib

import numpy as np
import pytest

from cohortlab.errors import InvalidInputError
from cohortlab.store.pixels import rescale_of, window_of
from cohortlab.store.series import group, series_id
from dicom_samples import instance, volume


def repeated(count, **by_volume):
    """`count` volumes at the same 3 places; by_volume: keyword -> function of (volume, slice) that gives its value."""
    made = []
    for t in range(count):
        for z in range(3):
            elements = {keyword: value(t, z) for keyword, value in by_volume.items()}
            made.append(instance(10 * t + z + 1, position=(0, 0, 2.0 * z), modality="MR", **elements))
    return made


@pytest.mark.parametrize(
    ("by_volume", "name", "values", "letter"),
    [
        ({"DiffusionBValue": lambda t, _: [800.0, 0.0, 400.0][t]}, "b_value", (0, 400, 800), "c"),
        ({"SequenceName": lambda t, _: f"*ep_b{[800, 50, 400][t]}t"}, "b_value", (50, 400, 800), "c"),
        ({"EchoTime": lambda t, _: 10.0 * (t + 1)}, "echo_time", (10, 20, 30), "c"),
        ({"TemporalPositionIdentifier": lambda t, _: t + 1}, "temporal_position", (1, 2, 3), "t"),
        ({"TriggerTime": lambda t, _: 40.0 * t}, "time", (0, 40, 80), "t"),
        ({"AcquisitionNumber": lambda t, _: t + 4}, "acquisition", (4, 5, 6), "c"),
        ({"AcquisitionTime": lambda t, z: f"1010{10 * t + z:02}.5"}, "time", (0, 10, 20), "t"),
    ],
)
def test_a_fourth_axis_is_named_by_what_tells_volumes_apart(by_volume, name, values, letter):
    (found,) = group(repeated(3, **by_volume))
    assert found.axis.name == name
    assert found.axis.values == values
    assert found.axis_letter == letter
    assert found.layout.regular
    assert [len(v) for v in found.frames] == [3, 3, 3]
    assert all(f.geometry.position[2] == 2.0 * z for v in found.frames for z, f in enumerate(v))


@pytest.mark.parametrize(
    "made",
    [
        repeated(2),  # nothing tells them apart
        repeated(2, EchoTime=lambda t, _: 10.0 * t)[:-1],  # one image short
    ],
)
def test_images_at_one_place_without_an_axis_are_duplicates(made):
    (found,) = group(made)
    assert found.axis is None
    assert found.layout.reason == "duplicates"


def test_groups_do_not_depend_on_the_order_of_input():
    made = volume(6, series="2.25.5") + volume(4, series="2.25.6")
    ids = [(g.id, [f.uid for f in g.frames[0]]) for g in group(made)]
    assert ids == [(g.id, [f.uid for f in g.frames[0]]) for g in group(made[::-1])]
    assert len(ids) == 2


def test_the_same_file_twice_is_one_and_two_of_one_name_are_refused():
    made = volume(3)
    assert len(group([*made, instance(1, position=(0, 0, 0))])[0].datasets) == 3
    with pytest.raises(InvalidInputError, match="same SOPInstanceUID"):
        group([*made, instance(1, position=(0, 0, 9.0))])


def test_images_that_cannot_share_an_array_are_split():
    made = [
        *volume(3),
        instance(8, position=(0, 0, 0), pixels=np.zeros((4, 4), np.uint16)),
        instance(9, position=None),
        instance(10, position=None),
    ]
    found = group(made)
    assert sorted(len(g.datasets) for g in found) == [1, 1, 1, 3]
    assert len({g.id for g in found}) == 4
    assert sum(g.layout is None for g in found) == 2


@pytest.mark.parametrize(
    ("element", "value", "says"),
    [
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "two directions"),
        ("PixelSpacing", [0, 1], "not above 0"),
        ("NumberOfFrames", "-3", "no count"),
        ("SeriesInstanceUID", "", "no SOPInstanceUID or SeriesInstanceUID"),
    ],
)
def test_impossible_headers_are_refused(element, value, says):
    made = volume(2)
    setattr(made[0], element, value)
    with pytest.raises(InvalidInputError, match=says):
        group(made)


def test_ids_come_from_the_series_uid():
    assert series_id("CT", "1.2.3") == "ct-" + hashlib.sha256(b"1.2.3").hexdigest()[:12]
    assert series_id("M R/", "1.2.3").startswith("mr-")
    assert series_id("", "1").startswith("ot-")
    assert series_id("CT", "1") != series_id("CT", "2")


@pytest.mark.parametrize(
    ("slopes", "modality", "applied", "per_slice"),
    [
        ([(1, -1024)] * 2, "CT", True, False),
        ([(1, -1024.5)] * 2, "CT", False, False),
        ([(2, 0)] * 2, "MR", False, False),
        ([(1.5, 0), (1.75, 0)], "PT", False, True),
    ],
)
def test_a_rescale_is_applied_only_where_it_is_exact(slopes, modality, applied, per_slice):
    made = [instance(n + 1, position=(0, 0, n), modality=modality, RescaleSlope=s, RescaleIntercept=i) for n, (s, i) in enumerate(slopes)]
    rescale = rescale_of(group(made)[0])
    assert rescale.applied is applied
    assert (rescale.per_slice is not None) is per_slice


def test_the_window_is_the_median_of_the_first_choices():
    made = [instance(n + 1, position=(0, 0, n), WindowCenter=[40, 600], WindowWidth=[80 + n, 3000]) for n in range(3)]
    assert window_of(group(made)[0]) == (40, 81)
    assert window_of(group(volume(2))[0]) is None
