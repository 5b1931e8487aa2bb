"""Real DICOM series, compared voxel by voxel with SimpleITK's reading of the same files."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medudl.data.dicom import group_headers, read_dicom, read_header
from medudl.data.guard import Guard
from medudl.errors import UserError

ROOTS = ("dicom_cases", "dicom_head_ct_ge_tilt", "dicom_brainix")
# Folder -> what is wrong there, in the words the user reads.
FAULTS = {
    "dicom_cases/failing/gantrytilting/001": ("the gantry is tilted by 14.0 degrees",),
    "dicom_cases/failing/sliceincrement/001": ("1 slice missing between 3 and 4",),
    "dicom_cases/failing/sliceincrement/002": ("tilted by 15.5 degrees", "1 slice missing between 3 and 4"),
    "dicom_cases/failing/sliceorientation/001": ("slices have different orientations",),
    "dicom_cases/failing/slicecount/001": ("only 2 slices",),
    "dicom_cases/failing/notavolume/001": ("not a volume: all 4 images lie at the same position",),
    "dicom_cases/generic/rgb/001": ("a colour image",),
    "dicom_head_ct_ge_tilt": ("the gantry is tilted by 18.5 degrees", "unevenly spaced (1.08 to 7 mm)"),
}


@pytest.fixture(scope="module")
def groups(real_data):
    files = [Path(d, f) for root in ROOTS for d, _, names in os.walk(real_data / root) for f in names if f != "LICENSE"]
    with Guard(workers=2, seconds=2, memory_mb=200) as guard:
        headers = list(guard.map(read_header, sorted(files)))
    assert not [header for header in headers if isinstance(header, UserError)]
    return group_headers(headers)


def reference(files):
    """SimpleITK's voxels (X, Y, Z) and RAS affine."""
    image = SimpleITK.ReadImage(files[0] if len(files) == 1 else files)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).T, np.diag([-1, -1, 1, 1]) @ affine


def test_every_series_equals_simpleitk_or_is_named_with_its_fault(groups, real_data):
    readable, named = 0, {}
    for group in groups:
        folder = group[0].path.parent.relative_to(real_data).as_posix()
        try:
            volume = read_dicom([header.path for header in group])
        except UserError as error:
            named[folder] = str(error)
            continue
        voxels, affine = reference([str(header.path) for header in group])
        assert volume.voxels.shape == voxels.shape, folder
        assert np.abs(volume.voxels - voxels).max() <= 1e-6 * np.abs(voxels).max(), folder
        assert np.abs(volume.affine - affine).max() < 1e-3, folder
        readable += 1
    assert readable >= 27
    assert named.keys() == FAULTS.keys()
    for folder, words in FAULTS.items():
        assert all(word in named[folder] for word in words), named[folder]


def test_simpleitk_sorts_the_same_files_in_the_same_order(groups):
    seen = {}
    for group in groups:
        seen.setdefault((group[0].path.parent, group[0].series_uid), []).append(group)
    for (folder, uid), found in seen.items():
        if len(found) == 1 and len(found[0]) > 2 and "failing" not in str(folder):
            names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
            assert [Path(name).name for name in names] == [header.path.name for header in found[0]]


def test_the_tilted_uneven_head_is_straightened_on_request(groups):
    (group,) = (g for g in groups if "ge_tilt" in str(g[0].path))
    volume = read_dicom([header.path for header in group], repair=True)
    assert volume.spacing == pytest.approx((0.488, 0.488, 4.0), abs=0.01)
    assert volume.unit == "HU" and volume.repaired.startswith("resampled to even slices 4 mm apart")
    step = volume.affine[:3, :3] / volume.spacing
    assert np.allclose(step.T @ step, np.eye(3), atol=1e-6)
    # A place in the bone of the fifth slice has the value it had there.
    header = group[4]
    original = read_dicom([header.path]).voxels[..., 0]
    i, j = np.unravel_index(np.argmax(original), original.shape)
    down, across = header.pixel_spacing
    row, column = np.array(header.orientation[:3]), np.array(header.orientation[3:])
    place = np.array(header.position) + row * i * across + column * j * down
    x, y, z = np.linalg.solve(volume.affine, [-place[0], -place[1], place[2], 1])[:3]
    assert volume.voxels[round(x), int(y) : int(y) + 2, round(z)].max() > 0.8 * original.max()
