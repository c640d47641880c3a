"""Planes named by the patient axis that dominates, and hung as radiologists do."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortlab.errors import InvalidInputError
from cohortlab.viewer.planes import plane_named, planes

SHAPE = (10, 20, 30)


def affine(z, y, x):
    """Columns for the directions of z, y, x; with an origin."""
    made = np.eye(4)
    made[:3, :3] = np.column_stack([z, y, x])
    made[:3, 3] = (5, -7, 11)
    return made.tolist()


AXIAL = affine((0, 0, 2.5), (0, 0.5, 0), (0.75, 0, 0))
SAGITTAL = affine((3, 0, 0), (0, 0, -0.5), (0, 0.5, 0))
CORONAL = affine((0, 3, 0), (0, 0, -0.5), (0.5, 0, 0))


@pytest.mark.parametrize(
    ("matrix", "plane", "axis", "right", "down"),
    [
        (AXIAL, "axial", "z", ("x", 1), ("y", 1)),
        (AXIAL, "coronal", "y", ("x", 1), ("z", -1)),
        (AXIAL, "sagittal", "x", ("y", 1), ("z", -1)),
        (SAGITTAL, "sagittal", "z", ("x", 1), ("y", 1)),
        (SAGITTAL, "axial", "y", ("z", 1), ("x", 1)),
        (SAGITTAL, "coronal", "x", ("z", 1), ("y", 1)),
        (CORONAL, "coronal", "z", ("x", 1), ("y", 1)),
        (CORONAL, "axial", "y", ("x", 1), ("z", 1)),
        (affine((0, 0, -1), (0, -1, 0), (-1, 0, 0)), "axial", "z", ("x", -1), ("y", -1)),
    ],
)
def test_a_plane_shows_left_to_the_right_and_front_or_head_at_the_top(matrix, plane, axis, right, down):
    found = plane_named(planes(SHAPE, matrix), plane)
    assert (found.axis, (found.right.axis, found.right.sign), (found.down.axis, found.down.sign)) == (axis, right, down)


@pytest.mark.parametrize(("matrix", "first"), [(AXIAL, "axial"), (SAGITTAL, "sagittal"), (CORONAL, "coronal")])
def test_the_acquisitions_plane_comes_first(matrix, first):
    assert planes(SHAPE, matrix)[0].name == first


def test_an_oblique_acquisition_keeps_its_own_slices_under_the_dominant_axis():
    angle = np.radians(40)
    tilted = affine((0, 3 * np.sin(angle), 3 * np.cos(angle)), (0, 0.5 * np.cos(angle), -0.5 * np.sin(angle)), (0.5, 0, 0))
    axial = planes(SHAPE, tilted)[0]
    assert (axial.name, axial.axis, axial.count) == ("axial", "z", 10)
    assert axial.spacing == pytest.approx(3)
    assert axial.down.direction == pytest.approx((0, np.cos(angle), -np.sin(angle)))


@given(st.lists(st.floats(-180, 180), min_size=3, max_size=3))
def test_any_turn_gives_three_different_axes_hung_the_right_way(angles):
    turn = np.eye(3)
    for degrees, (one, other) in zip(angles, itertools.combinations(range(3), 2), strict=True):
        step = np.eye(3)
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        step[[one, one, other, other], [one, other, one, other]] = cos, -sin, sin, cos
        turn = turn @ step
    found = planes(SHAPE, affine(*(turn @ np.diag([2, 0.5, 0.75])).T))
    assert {plane.axis for plane in found} == {"z", "y", "x"}
    assert {plane.name for plane in found} == {"axial", "coronal", "sagittal"}
    for plane in found:
        assert {plane.axis, plane.right.axis, plane.down.axis} == {"z", "y", "x"}
        wanted_right, wanted_down = {"axial": (0, 1), "coronal": (0, -2), "sagittal": (1, -2)}[plane.name]
        assert plane.right.direction[wanted_right] >= 0
        assert plane.down.direction[abs(wanted_down)] * np.sign(wanted_down) >= 0


def test_a_projection_has_one_plane_without_directions():
    (image,) = planes((1400, 1100), None, (0.1, 0.2))
    assert (image.name, image.count, image.right.direction) == ("image", 1, None)
    assert (image.down.count, image.down.spacing, image.right.count, image.right.spacing) == (1400, 0.1, 1100, 0.2)


def test_an_irregular_series_has_its_slices_only_with_the_directions_that_they_have():
    (image,) = planes(SHAPE, None, (None, 0.5, 0.5), (1, 0, 0, 0, 0, -1))
    assert (image.name, image.count, image.right.direction, image.down.direction) == ("image", 10, (1, 0, 0), (0, 0, -1))


def test_another_name_is_refused_with_those_there_are():
    with pytest.raises(InvalidInputError, match="axial, coronal, sagittal"):
        plane_named(planes(SHAPE, AXIAL), "oblique")
