"""The geometry contract: an affine that is true for every voxel, or a reason why there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortlab.store.contracts import SliceGeometry
from cohortlab.store.geometry import is_orientation, lay_out, place_slice, plane_coordinates, same_plane, same_position

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def slices(places, orientation=AXIAL, spacing=(0.5, 0.7)):
    return [SliceGeometry(position=tuple(map(float, p)), orientation=orientation, spacing=spacing) for p in places]


def axial(*heights):
    return slices([(10, 20, h) for h in heights])


@pytest.mark.parametrize(
    ("stack", "reason", "says"),
    [
        (axial(0, 2, 4, 6), None, ""),
        (axial(6, 0, 4, 2), None, ""),
        (axial(0, 2.005, 4, 6), None, ""),  # a header with two decimals
        (axial(0, 2, 4, 8, 10), "missing slice", "1 missing, the first after slice 3 of 5"),
        (axial(0, 2, 8, 10, 12), "missing slice", "2 missing, the first after slice 2"),
        (axial(0, 2, 4.5, 6, 8), "uneven gaps", "from 1.500 to 2.500 mm"),
        (axial(0, 1, 2, 3, 10.5, 18), "uneven gaps", "to 7.500 mm"),
        (axial(0, 2, 2, 4), "duplicates", "1 slices"),
        (axial(3, 3), "duplicates", "1 slices"),
        (slices([(0, 0, 0), (0, 1, 2), (0, 2, 4)]), "tilt with drift", "2.00 mm from first to last"),
        (slices([(0, 0, 0), (0, 0, 2)]) + slices([(0, 0, 4)], CORONAL), "mixed orientation", "2 orientations"),
        (slices([(0, 0, 0)]) + slices([(0, 0, 2)], spacing=(0.6, 0.7)), "mixed spacing", "pixel size"),
    ],
)
def test_a_stack_is_regular_or_says_why_not(stack, reason, says):
    layout = lay_out(stack)
    assert layout.reason == reason
    assert layout.regular == (reason is None) == (layout.affine is not None)
    assert says in (layout.explanation or "")
    assert list(layout.positions) == sorted(layout.positions)
    if reason:
        assert layout.spacing[0] is None


def test_the_affine_maps_z_y_x_to_patient():
    layout = lay_out(slices([(10, 20, 30), (10, 20, 33)], spacing=(0.5, 0.7)))
    assert np.asarray(layout.affine) @ [1, 2, 3, 1] == pytest.approx([10 + 3 * 0.7, 20 + 2 * 0.5, 33, 1])


def test_slice_thickness_has_no_say():
    # the model has no field for it; the gap of a single slice is unknown and stays unknown
    layout = lay_out(axial(5))
    assert layout.spacing == (None, 0.5, 0.7)
    assert np.linalg.norm(np.asarray(layout.affine)[:3, 0]) == pytest.approx(1)


def test_no_slices_is_an_error():
    with pytest.raises(ValueError, match="no slices"):
        lay_out([])


@st.composite
def rotations(draw):
    """Proper rotations: columns are row direction, column direction, normal."""
    a, b, c = (draw(st.floats(-np.pi, np.pi)) for _ in range(3))
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    return about_z @ about_y @ about_x


@given(rotations(), st.permutations(range(7)), st.floats(0.3, 10), st.floats(0.2, 5), st.tuples(*[st.floats(-500, 500)] * 3))
def test_every_oblique_stack_is_found_whatever_the_order_of_its_slices(turn, shuffled, gap, pixel, origin):
    count = len(shuffled)
    orientation = tuple(turn[:, 0].tolist() + turn[:, 1].tolist())
    places = [np.asarray(origin) + gap * k * turn[:, 2] for k in range(count)]
    layout = lay_out(slices([places[k] for k in shuffled], orientation, (pixel, pixel)))
    assert layout.regular
    assert [shuffled[i] for i in layout.order] == list(range(count))
    for k in (0, count - 1):
        found = np.asarray(layout.affine) @ [k, 3, 5, 1]
        wanted = places[k] + 3 * pixel * turn[:, 1] + 5 * pixel * turn[:, 0]
        assert np.abs(found[:3] - wanted).max() < 1e-6
        assert place_slice(slices([places[k]], orientation, (pixel, pixel))[0], layout.affine) == pytest.approx((k, 0, 0), abs=1e-6)
    y, x = plane_coordinates(slices([places[0]], orientation, (pixel, pixel))[0], 8, 8)
    point = x[5] * turn[:, 0] + y[3] * turn[:, 1] + layout.positions[0] * turn[:, 2]
    assert np.abs(point - (np.asarray(layout.affine) @ [0, 3, 5, 1])[:3]).max() < 1e-6


@given(st.integers(4, 30), st.floats(0.5, 5), st.data())
def test_any_inner_slice_that_is_missing_is_noticed(count, gap, data):
    gone = data.draw(st.integers(1, count - 2))
    layout = lay_out(axial(*[gap * k for k in range(count) if k != gone]))
    assert not layout.regular
    assert layout.affine is None


@pytest.mark.parametrize(
    ("cosines", "good"),
    [
        (AXIAL, True),
        ((1, 0, 0, 0, 0.9483237, -0.3173047), True),
        ((1, 0, 0, 1, 0, 0), False),
        ((1, 0, 0, 0, 2, 0), False),
        ((0, 0, 0, 0, 0, 0), False),
        ((1, 0, 0, 0, float("nan"), 0), False),
        ((1, 0, 0), False),
    ],
)
def test_orientation_is_two_directions(cosines, good):
    assert is_orientation(cosines) is good


def test_slices_at_one_place_are_grouped_along_the_normal():
    assert same_position(axial(4, 0, 4, 0, 2)) == [[1, 3], [4], [0, 2]]


def test_a_plane_of_other_size_or_direction_is_not_the_grids():
    affine = lay_out(axial(0, 2)).affine
    assert same_plane(axial(0)[0], affine)
    assert not same_plane(slices([(10, 20, 0)], spacing=(0.5, 0.71))[0], affine)
    assert not same_plane(slices([(10, 20, 0)], CORONAL)[0], affine)
