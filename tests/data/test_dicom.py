"""DICOM files to volumes: place, values, faults, repair."""

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels import compress
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from synthetic_dicom import all_orientations, at, enhanced, image, oblique, save, save_all, series

from medudl.data.dicom import group_headers, read_dicom, read_header, stack_headers
from medudl.data.geometry import lps_to_ras
from medudl.errors import UserError

RANDOM = np.random.default_rng(0)
STEPS = [(0, 0, 0), (0, 0, 5), (0, 0, 10)]


@pytest.mark.parametrize("matrix", [*all_orientations(), *oblique()])
def test_every_voxel_comes_back_where_it_was(matrix, tmp_path):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix * [0.7, 1.3, 4.1], (-31, 17, 250)
    numbered = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)
    volume = read_dicom(series(tmp_path, numbered, affine))
    found = np.argwhere(np.ones(volume.voxels.shape))
    source = np.argwhere(np.ones(numbered.shape))[volume.voxels[tuple(found.T)].astype(int)]
    there = found @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    truth = source @ lps_to_ras(affine)[:3, :3].T + lps_to_ras(affine)[:3, 3]
    assert volume.voxels.shape == numbered.shape
    assert np.abs(there - truth).max() < 1e-3


def test_values_are_rescaled_slice_by_slice_and_ct_is_in_hounsfield_units(tmp_path):
    slices = at(STEPS, modality="CT")
    for k, ds in enumerate(slices):
        ds.RescaleSlope, ds.RescaleIntercept = 2 + k, -1000 * k
    volume = read_dicom(save_all(slices, tmp_path))
    assert volume.unit == "HU"
    assert [float(volume.voxels[0, 0, k]) for k in range(3)] == [0, 3 - 1000, 8 - 2000]


def test_mr_is_never_hounsfield(tmp_path):
    assert read_dicom(save_all(at(STEPS), tmp_path)).unit == "arbitrary"


def test_monochrome1_is_mirrored_so_that_bright_is_bright(tmp_path):
    pixels = np.array([[0, 1, 4095]], np.uint16)
    ds = image("", pixels, modality="DX", PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    assert read_dicom([save(ds, tmp_path / "film")]).voxels.ravel().tolist() == [4095, 4094, 0]


def test_monochrome1_is_mirrored_after_rescaling(tmp_path):
    pixels = np.array([[0, 15]], np.uint8)
    ds = image("", pixels, PhotometricInterpretation="MONOCHROME1", RescaleSlope=2, RescaleIntercept=-10)
    assert read_dicom([save(ds, tmp_path / "film")]).voxels.ravel().tolist() == [500, 470]


def test_overlay_bits_above_the_stored_ones_are_removed_and_the_sign_is_spread(tmp_path):
    overlaid = image("", np.array([[0xF005, 0x0FFF]], np.uint16), BitsStored=12, HighBit=11)
    assert read_dicom([save(overlaid, tmp_path / "a")]).voxels.ravel().tolist() == [5, 4095]
    signed = image("", np.array([[0x0FFF, 0x07FF]], np.int16), BitsStored=12, HighBit=11)
    assert read_dicom([save(signed, tmp_path / "b")]).voxels.ravel().tolist() == [-1, 2047]


def test_float_pixels_are_read(tmp_path):
    pixels = RANDOM.normal(size=(3, 4)).astype(np.float32)
    assert np.array_equal(read_dicom([save(image("", pixels), tmp_path / "f")]).voxels[..., 0].T, pixels)


def test_the_padding_value_is_known_to_the_header(tmp_path):
    ds = image("", np.full((2, 2), -2000, np.int16))
    ds.add_new("PixelPaddingValue", "SS", -2000)
    assert read_header(save(ds, tmp_path / "p")).padding == -2000


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_plain_transfer_syntax(syntax, tmp_path):
    pixels = RANDOM.integers(-3000, 3000, (7, 6)).astype(np.int16)
    ds = image("", pixels, position=(1, 2, 3))
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = pixels.astype(">i2").tobytes()
        ds = FileDataset("", ds, bytes(128), ds.file_meta, is_implicit_VR=False, is_little_endian=False)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(tmp_path / "x", enforce_file_format=True)
    volume = read_dicom([tmp_path / "x"])
    assert np.array_equal(volume.voxels[..., 0].T, pixels)
    assert np.allclose(volume.affine[:3, 3], [-1, -2, 3])


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_lossless_compression(syntax, kind, tmp_path):
    pixels = (RANDOM.integers(0, 4000, (32, 40)) - (2000 if kind is np.int16 else 0)).astype(kind)
    ds = image("", pixels)
    compress(ds, syntax, generate_instance_uid=False)
    assert np.array_equal(read_dicom([save(ds, tmp_path / "x")]).voxels[..., 0].T, pixels)


def test_enhanced_frames_are_ordered_by_position_and_rescaled_one_by_one(tmp_path):
    pixels = np.stack([np.full((2, 3), k, np.int16) for k in (1, 2, 3)])
    volume = read_dicom([enhanced(tmp_path / "e", pixels, [(0, 0, 8), (0, 0, 0), (0, 0, 4)], slopes=[1, 2, 3])])
    assert [float(volume.voxels[0, 0, k]) for k in range(3)] == [2 * 2 + 10, 3 * 3 + 20, 1]
    assert volume.spacing == (3, 2, 4)


def test_an_enhanced_file_with_two_echoes_is_several_volumes(tmp_path):
    path = enhanced(
        tmp_path / "e", np.zeros((4, 2, 3), np.int16), [(0, 0, z) for z in (0, 4, 8, 12)], echoes=[9, 9, 90, 90]
    )
    with pytest.raises(UserError, match=r"one file holds 2 volumes \(they differ in echo time\)"):
        read_dicom([path])


@pytest.mark.parametrize(
    ("positions", "fault"),
    [
        ([(0, 0, 0), (0, 0, 5), (0, 0, 15), (0, 0, 20)], "1 slice missing between 2 and 3"),
        ([(0, 0, 0), (0, 2, 5), (0, 4, 10)], "the gantry is tilted by 21.8 degrees"),
        ([(0, 0, 0), (0, 0, 5), (0, 0, 5)], "two slices at the same position"),
        ([(0, 0, 5)] * 3, "not a volume: all 3 images"),
        ([(0, 0, 5), (0, 0, 7)], "only 2 slices"),
        ([None] * 3, "3 images without a position"),
    ],
)
def test_nothing_is_stacked_silently(positions, fault, tmp_path):
    with pytest.raises(UserError, match=fault):
        read_dicom(save_all(at(positions), tmp_path))


def test_faults_before_geometry(tmp_path):
    with pytest.raises(UserError, match="colour"):
        rgb = image(
            "", np.zeros((2, 3), np.uint8), SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0
        )
        rgb.PixelData = bytes(18)
        read_dicom([save(rgb, tmp_path / "a")])
    with pytest.raises(UserError, match="mosaic"):
        read_dicom(
            [
                save(
                    image("", np.zeros((2, 2), np.int16), ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]),
                    tmp_path / "b",
                )
            ]
        )
    with pytest.raises(UserError, match="look-up table"):
        table = Dataset()
        table.LUTDescriptor, table.LUTData = [2, 0, 16], [0, 1]
        ds = image("", np.zeros((2, 2), np.uint16))
        ds.ModalityLUTSequence = Sequence([table])
        ds.ModalityLUTSequence[0]["LUTDescriptor"].VR = ds.ModalityLUTSequence[0]["LUTData"].VR = "US"
        read_dicom([save(ds, tmp_path / "c")])
    with pytest.raises(UserError, match="different sizes"):
        read_dicom(
            [save(image("", np.zeros((n, 2), np.int16), position=(0, 0, n)), tmp_path / f"d{n}") for n in (2, 3, 4)]
        )
    with pytest.raises(UserError, match="files of 2 series"):
        read_dicom(save_all([*at(STEPS[:2]), *at(STEPS[2:], SeriesInstanceUID="9")], tmp_path))
    with pytest.raises(UserError, match="no number"):
        read_dicom([save(image("", np.full((2, 2), np.nan, np.float32)), tmp_path / "e")])


def ramp(affine_lps, shape):
    """A field that is linear in space: its value at any place is known."""
    x, y, z = np.moveaxis(np.argwhere(np.ones(shape)) @ affine_lps[:3, :3].T + affine_lps[:3, 3], 1, 0)
    return np.rint(10 * (3 * x + 5 * y + 7 * z)).astype(np.int16).reshape(shape)


def assert_ramp(volume, fill):
    places = np.argwhere(volume.voxels != fill)
    assert len(places) > 0.5 * volume.voxels.size
    x, y, z = (places @ volume.affine[:3, :3].T + volume.affine[:3, 3]).T
    assert np.abs(volume.voxels[tuple(places.T)] - 10 * (-3 * x - 5 * y + 7 * z)).max() <= 1
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("lean", [1.1, -1.1])
def test_a_tilted_stack_is_resampled_to_a_straight_grid_on_request(lean, tmp_path):
    affine = np.array([[2.0, 0, 0, 5], [0, 1.5, lean, 6], [0, 0, 4, 7], [0, 0, 0, 1]])
    files = series(tmp_path, ramp(affine, (12, 30, 8)), affine)
    with pytest.raises(UserError, match="tilted by 15.4 degrees; resample it on request"):
        read_dicom(files)
    volume = read_dicom(files, repair=True)
    assert_ramp(volume, volume.voxels.min())
    assert volume.spacing == pytest.approx((2, 1.5, 4)) and volume.voxels.shape == (12, 36, 8)
    assert volume.repaired == "resampled to even slices 4 mm apart (the gantry is tilted by 15.4 degrees)"


def test_uneven_and_gapped_stacks_are_interpolated_on_request(tmp_path):
    for name, depths, fault in [
        ("uneven", [0, 2, 4, 6, 7, 10, 13, 16], "uneven"),
        ("gap", [0, 2, 4, 8, 10], "1 slice missing"),
    ]:
        slices = []
        for z in depths:
            affine = np.eye(4)
            affine[2, 3] = z
            slices.append(image("", ramp(affine, (9, 8, 1))[..., 0].T.copy(), position=(0, 0, z)))
        (tmp_path / name).mkdir()
        volume = read_dicom(save_all(slices, tmp_path / name), repair=True)
        assert fault in volume.repaired
        assert volume.spacing[2] == 2 and volume.voxels.shape[2] == depths[-1] // 2 + 1
        assert_ramp(volume, -9999)


def test_ct_is_filled_with_air_where_no_slice_reaches(tmp_path):
    slices = at([(0, 3 * k, 5 * k) for k in range(4)], modality="CT", RescaleSlope=1, RescaleIntercept=0)
    assert read_dicom(save_all(slices, tmp_path), repair=True).voxels.min() == -1024


def test_padding_stays_as_stored_but_is_air_in_a_repaired_ct(tmp_path):
    for name, lean in (("straight", 0), ("tilted", 3)):
        slices = at([(0, lean * k, 5 * k) for k in range(4)], modality="CT", RescaleSlope=1, RescaleIntercept=0)
        for ds in slices:
            ds.PixelData = np.full((4, 5), -2000, np.int16).tobytes()
            ds.add_new("PixelPaddingValue", "SS", -2000)
        (tmp_path / name).mkdir()
        voxels = read_dicom(save_all(slices, tmp_path / name), repair=True).voxels
        assert np.unique(voxels).tolist() == [-1024 if lean else -2000]


def test_other_faults_are_not_repaired(tmp_path):
    with pytest.raises(UserError, match="two slices at the same position"):
        read_dicom(save_all(at([*STEPS, STEPS[0]]), tmp_path), repair=True)


def grouped(datasets, folder):
    return group_headers([read_header(path) for path in save_all(datasets, folder)])


def test_volumes_of_one_series_are_told_apart_where_positions_repeat(tmp_path):
    echoes = [ds for te in (10, 80) for ds in at(STEPS, EchoTime=te)]
    phases = [ds for part in "MP" for ds in at(STEPS, ImageType=["ORIGINAL", "PRIMARY", part], SeriesInstanceUID="5")]
    times = [ds for t in (1, 2) for ds in at(STEPS, TemporalPositionIdentifier=t, SeriesInstanceUID="6")]
    runs = [ds for t in (1, 2) for ds in at(STEPS, AcquisitionNumber=t, SeriesInstanceUID="7")]
    groups = grouped([*echoes, *phases, *times, *runs], tmp_path)
    assert [len(group) for group in groups] == [3] * 8
    assert all(not stack_headers(group).faults for group in groups)


def test_files_of_a_group_are_in_slice_order(tmp_path):
    (group,) = grouped(at([STEPS[2], STEPS[0], STEPS[1]]), tmp_path)
    assert [header.position[2] for header in group] == [0, 5, 10]


def test_an_image_type_that_varies_within_a_volume_does_not_split_it(tmp_path):
    slices = at(STEPS)
    slices[1].ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "ADD"]
    (group,) = grouped(slices, tmp_path)
    assert not stack_headers(group).faults


def test_another_echo_within_one_stack_is_a_fault(tmp_path):
    slices = at(STEPS, EchoTime=10)
    slices[1].EchoTime = 80
    (group,) = grouped(slices, tmp_path)
    assert stack_headers(group).faults == ("the files hold 2 volumes (they differ in echo time)",)


def test_sizes_localizers_copies_and_films_go_apart(tmp_path):
    localizer = at([(9, 9, 9)], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    large = image("", np.zeros((9, 9), np.int16), position=(0, 0, 20))
    films = [image("", np.zeros((3, 3), np.int16), modality="DX", SeriesInstanceUID="8") for _ in range(2)]
    datasets = at(STEPS)
    groups = grouped([*datasets, *localizer, large, *films], tmp_path)
    assert sorted(map(len, groups)) == [1, 1, 1, 1, 3]
    (tmp_path / "copy").mkdir()
    again = save_all(datasets, tmp_path / "copy")
    headers = [read_header(path) for path in [*sorted(tmp_path.glob("00[012].dcm")), *again]]
    assert [len(group) for group in group_headers(headers)] == [3, 3]
