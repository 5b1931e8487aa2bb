"""PNG and JPEG pictures: one grey image each."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from medudl.data.fault import unusable
from medudl.data.image_header import ImageHeader, checked_shape, size_of
from medudl.data.volume import Volume

# A picture has no place in a patient. Its columns run to the patient's left, its rows down: LPS with 1 mm pixels.
PICTURE_AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
MAX_PIXELS = 2**27  # 134 megapixels: twice a mammogram
_ROTATED = (5, 6, 7, 8)  # EXIF orientations that swap rows and columns


def check_picture(path: str | Path) -> ImageHeader:
    """Size of a PNG or JPEG, as it is shown (EXIF orientation applied). Raises UserError: no picture, or too large."""
    path = Path(path)
    with _opened(path) as picture:
        width, height = picture.size
        if picture.getexif().get(0x0112, 1) in _ROTATED:
            width, height = height, width
        return ImageHeader(path, checked_shape(path, (width, height, 1)), PICTURE_AFFINE, picture.mode)


def read_picture(path: str | Path) -> Volume:
    """Read a PNG or JPEG as (W, H, 1).

    Grey values stay as stored, 8 or 16 bit. Colour becomes luminance, .299 R + .587 G + .114 B (ITU-R 601), and a
    palette the colours it stands for; a mask of opacity is left out. EXIF orientation is applied.
    """
    path = Path(path)
    with _opened(path) as picture:
        try:
            upright = ImageOps.exif_transpose(picture)
            if upright.mode not in ("1", "L", "I", "I;16", "I;16B", "I;16L", "F"):
                upright = upright.convert("L")
            pixels = np.asarray(upright, dtype=np.float32)
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            reason = "truncated" if "truncated" in str(error) else "broken"
            raise unusable(path, f"{reason}: its pixels cannot be read", "copy it again") from None
    return Volume(np.ascontiguousarray(pixels.T)[..., np.newaxis], PICTURE_AFFINE.copy())


def _opened(path: Path) -> Image.Image:
    """The picture, its pixels not yet read."""
    size_of(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is stricter
            picture = Image.open(path, formats=("PNG", "JPEG"))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        bomb = isinstance(error, Image.DecompressionBombError)
        what = "claims more pixels than can be read" if bomb else "not a PNG or JPEG picture, or a broken one"
        raise unusable(path, what) from None
    if picture.size[0] * picture.size[1] > MAX_PIXELS:
        picture.close()
        raise unusable(path, f"claims {picture.size[0]}x{picture.size[1]} pixels, more than can be read")
    return picture
