"""PNG and JPEG pictures."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from medudl.data.images import check_picture, read_picture
from medudl.errors import UserError

RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def test_columns_are_x_and_rows_are_y(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "x.png")
    volume = read_picture(tmp_path / "x.png")
    assert volume.voxels.shape == (4, 3, 1)
    assert np.array_equal(volume.voxels[..., 0].T, RAMP)
    assert np.array_equal(volume.affine, np.diag([-1, -1, 1, 1]))
    assert check_picture(tmp_path / "x.png").shape == (4, 3, 1)


def test_sixteen_bits_stay_sixteen(tmp_path):
    pixels = RAMP.astype(np.uint16) * 300
    Image.fromarray(pixels).save(tmp_path / "x.png")
    assert np.array_equal(read_picture(tmp_path / "x.png").voxels[..., 0].T, pixels)


def test_colour_becomes_luminance_and_grey_colour_stays_grey(tmp_path):
    Image.fromarray(np.stack([RAMP] * 3, axis=-1)).save(tmp_path / "grey.png")
    assert np.array_equal(read_picture(tmp_path / "grey.png").voxels[..., 0].T, RAMP)
    Image.new("RGB", (2, 2), (255, 0, 0)).save(tmp_path / "red.png")
    assert read_picture(tmp_path / "red.png").voxels.max() == pytest.approx(0.299 * 255, abs=1)
    Image.fromarray(RAMP).convert("P").save(tmp_path / "palette.png")
    assert np.array_equal(read_picture(tmp_path / "palette.png").voxels[..., 0].T, RAMP)


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.kron(RAMP, np.ones((8, 8), np.uint8))).save(tmp_path / "x.jpg", exif=exif, quality=100)
    volume = read_picture(tmp_path / "x.jpg")
    assert volume.voxels.shape == check_picture(tmp_path / "x.jpg").shape == (24, 32, 1)
    upright = np.rot90(np.kron(RAMP, np.ones((8, 8))), -1)
    assert np.abs(volume.voxels[..., 0].T - upright).max() < 4


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_truncated_pictures(name, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for length in (0, 5, 60, len(whole) // 2):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(UserError, match=name):
            read_picture(tmp_path / name)


def test_a_claim_of_too_many_pixels(tmp_path):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    for side in (20_000, 12_000):  # above Pillow's own limit, and below it
        head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        data = (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
        )
        (tmp_path / "x.png").write_bytes(data)
        with pytest.raises(UserError, match="more"):
            check_picture(tmp_path / "x.png")


def test_other_formats_are_refused_whatever_their_name(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "x.gif")
    (tmp_path / "x.gif").rename(tmp_path / "x.png")
    with pytest.raises(UserError, match="not a PNG or JPEG"):
        check_picture(tmp_path / "x.png")
