"""Order, spacing and faults of slices, from their positions alone."""

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_dicom import all_orientations, oblique

from medudl.data.geometry import along_patient, lps_to_ras, orientation, spacing, stack

AXIAL = [1, 0, 0, 0, 1, 0]


def stacked(positions, orientations=None, pixels=(1.0, 1.0), **rest):
    count = len(positions)
    return stack(positions, orientations or [AXIAL] * count, [pixels] * count, **rest)


def column(depths):
    return [(0, 0, z) for z in depths]


def test_lps_to_ras_is_its_own_inverse_and_flips_two_axes():
    matrix = np.arange(16.0).reshape(4, 4)
    assert np.array_equal(lps_to_ras(lps_to_ras(matrix)), matrix)
    assert np.array_equal(lps_to_ras(np.eye(4)), np.diag([-1, -1, 1, 1]))


@pytest.mark.parametrize("matrix", [*all_orientations(), *oblique()])
def test_axis_codes_agree_with_nibabel(matrix):
    affine = np.eye(4)
    affine[:3, :3] = matrix * [0.5, 2, 7]
    assert orientation(affine) == "".join(nibabel.aff2axcodes(affine))
    assert spacing(affine) == pytest.approx((0.5, 2, 7))


@pytest.mark.parametrize("matrix", [*all_orientations(), *oblique()])
def test_a_value_of_each_array_axis_goes_to_the_patients_axis(matrix):
    affine = np.eye(4)
    affine[:3, :3] = matrix * [0.5, 2, 7]
    nearest = nibabel.io_orientation(affine)[:, 0].astype(int)  # array axis -> patient axis
    found = along_patient(affine, [0.5, 2, 7])
    assert [found[nearest[axis]] for axis in range(3)] == [0.5, 2, 7]


def test_order_and_spacing_come_from_positions():
    found = stacked(column([6, 0, 3, 9]), pixels=(2.0, 0.5))
    assert found.order == (1, 2, 0, 3) and found.faults == ()
    assert np.allclose(found.affine, [[-0.5, 0, 0, 0], [0, -2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])


def test_jitter_of_rounding_is_no_fault():
    assert stacked(column([0, 4.998, 10.002, 15.0, 19.999])).faults == ()


@pytest.mark.parametrize(
    ("depths", "fault"),
    [
        ([0, 5, 10, 20], "1 slice missing between 3 and 4"),
        ([*range(42), 44, 45, 46], "2 slices missing between 42 and 43"),
        ([0, 4, 8, 12, 13.08, 20.08, 27.08], "slices are unevenly spaced (1.08 to 7 mm)"),
        ([0, 2.5, 5, 10, 15, 20], "slices are unevenly spaced (2.5 to 5 mm)"),
        ([0, 5, 5, 10], "two slices at the same position (2 and 3)"),
        ([0, 0, 5, 5, 10], "two slices at the same position, 2 times (first: 1 and 2)"),
        ([7, 7, 7], "not a volume: all 3 images lie at the same position"),
        ([0, 5], "only 2 slices: too few for a volume (whether slices are missing between them cannot be told)"),
    ],
)
def test_faults_are_told_in_words(depths, fault):
    found = stacked(column(depths))
    assert found.faults == (fault,)
    assert found.repairable == ("missing between" in fault and "told" not in fault or "uneven" in fault)


def test_slow_drift_of_steps_is_uneven_though_each_step_is_close():
    assert stacked(column([*range(60), *(59 + 1.045 * np.arange(1, 60))])).faults


def test_tilt_is_the_angle_between_steps_and_normal():
    lean = np.tan(np.radians(12.3))
    found = stacked([(0, 5 * k * lean, 5 * k) for k in range(6)])
    assert found.faults == ("the gantry is tilted by 12.3 degrees",) and found.repairable
    assert np.allclose(found.affine[:3, 2], [0, -5 * lean, 5])


def test_tilt_and_gap_are_both_told():
    found = stacked([(0, z / 2, z) for z in (0, 1, 2, 4)])
    assert found.faults == ("the gantry is tilted by 26.6 degrees", "1 slice missing between 3 and 4")


def test_mixed_orientations_pixel_sizes_and_sideways_shifts_cannot_be_repaired():
    mixed = stacked(column([0, 1, 2]), [AXIAL, AXIAL, [1, 0, 0, 0, 0, -1]])
    assert "different orientations" in mixed.faults[0] and not mixed.repairable
    sizes = stack(column([0, 1, 2]), [AXIAL] * 3, [(1, 1), (1, 1), (2, 2)])
    assert "different pixel sizes (1 to 2 mm)" in sizes.faults[0] and not sizes.repairable
    shifted = stacked([(0, 0, 0), (0, 0, 5), (3, 0, 10), (0, 0, 15), (0, 0, 20)])
    assert shifted.faults == ("slice 3 is shifted sideways by 3.0 mm against the others",)


@pytest.mark.parametrize(
    ("positions", "orientations", "pixels"),
    [
        ([], [], []),
        ([(0, 0, np.nan)], [AXIAL], [(1, 1)]),
        ([(0, 0, 0)], [[0, 0, 0, 0, 1, 0]], [(1, 1)]),
        ([(0, 0, 0)], [[1, 0, 0, 1, 0, 0]], [(1, 1)]),
        ([(0, 0, 0)], [AXIAL], [(0, 1)]),
    ],
)
def test_what_cannot_be_placed_is_no_volume(positions, orientations, pixels):
    assert stack(positions, orientations, pixels).faults[0].startswith("not a volume")


def test_a_single_slice_is_as_thick_as_it_says():
    found = stacked([(1, 2, 3)], thickness=4.0)
    assert found.faults == () and found.spacing == (1, 1, 4)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 30),
    st.floats(0.3, 10),
    st.randoms(use_true_random=False),
    st.tuples(*[st.floats(-500, 500)] * 3),
    st.sampled_from(list(all_orientations())),
)
def test_an_even_stack_in_any_order_and_place_has_no_fault(count, step, random, origin, matrix):
    row, column_direction = matrix[:, 0], matrix[:, 1]
    normal = np.cross(row, column_direction)
    order = list(range(count))
    random.shuffle(order)
    positions = [np.array(origin) + k * step * normal for k in order]
    found = stacked(positions, [np.concatenate([row, column_direction])] * count)
    assert found.faults == ()
    assert [order[i] for i in found.order] == list(range(count))
    assert found.spacing[2] == pytest.approx(step)
