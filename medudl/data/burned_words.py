"""Words burned into the pixels of an image, where no viewer can hide them."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.errors import UserError

WORDS = "SYNTHETIC - NOT FOR DIAGNOSIS"
# Letters of 5 x 7 dots: a number a row, its highest bit on the left.
_LETTERS = {
    "A": (14, 17, 17, 31, 17, 17, 17), "C": (14, 17, 16, 16, 16, 17, 14), "D": (30, 17, 17, 17, 17, 17, 30),
    "E": (31, 16, 16, 30, 16, 16, 31), "F": (31, 16, 16, 30, 16, 16, 16), "G": (14, 17, 16, 23, 17, 17, 14),
    "H": (17, 17, 17, 31, 17, 17, 17), "I": (14, 4, 4, 4, 4, 4, 14), "N": (17, 25, 21, 19, 17, 17, 17),
    "O": (14, 17, 17, 17, 17, 17, 14), "R": (30, 17, 17, 30, 20, 18, 17), "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4), "Y": (17, 17, 10, 4, 4, 4, 4), "-": (0, 0, 0, 31, 0, 0, 0), " ": (0,) * 7,
}  # fmt: skip
_WIDE, _HIGH = 6, 9  # dots a letter and a line take, with the gap between
_BASE = 256  # columns at which a dot is one pixel; twice as many give it two
_SHARE = 0.5  # of the rows, at most: an image hidden by its own warning is none


def stencil(rows: int, columns: int) -> NDArray[np.bool_]:
    """The strip of WORDS for the upper left corner of an image, True where a letter is; broken into lines that fit.

    Raises UserError: the image is too small for legible words.
    """
    size = max(1, round(columns / _BASE))
    fits = (columns // size - 1) // _WIDE
    lines = wrap(WORDS, fits, break_long_words=False) if fits > 0 else [WORDS]
    strip = np.zeros((_HIGH * len(lines), _WIDE * max(map(len, lines)) + 1), dtype=bool)
    for number, line in enumerate(lines):
        for place, letter in enumerate(line):
            dots = np.array(_LETTERS[letter])[:, None] >> np.arange(4, -1, -1) & 1
            strip[number * _HIGH + 1 :, place * _WIDE + 1 :][:7, :5] = dots
    strip = strip.repeat(size, axis=0).repeat(size, axis=1)
    if strip.shape[1] > columns or strip.shape[0] > _SHARE * rows:
        raise UserError(f"an image of {columns} x {rows} pixels is too small for the words {WORDS!r}; leave them out")
    return strip


def burn(image: NDArray[Any], dark: int, light: int) -> None:
    """Write WORDS into the upper left corner of `image` (rows, columns), in place: `light` letters on `dark`."""
    strip = stencil(*image.shape)
    image[: strip.shape[0], : strip.shape[1]] = np.where(strip, light, dark)
