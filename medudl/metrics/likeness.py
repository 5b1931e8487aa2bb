"""How alike two pictures are, however one of them was flipped, shifted, made noisy, darker or flatter; and features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import rfft2

from medudl.errors import UserError
from medudl.metrics.subsampling import Array, Numbers, rows, same_width

SIDE = 64  # pixels at most: pictures are brought to it
NEXT, LAST = 8, 32  # the nearest image stands out from the 9th to the 32nd nearest
FEWEST_TRAINING = 16  # images: eight to stand out from
_SHARE_OF_SIDE = 16  # a shift is up to a 16th of the side
_NOISE = 0.2  # power of the noise that is reckoned with, over that of the picture (.45 of its standard deviation)
_TAPER = 0.3  # share of a side over which a picture fades out: what a shift pushes over a border tells nothing
_LOW = 8  # cycles a picture that the search for candidates looks at
_STEP = 2  # pixels between the shifts that it tries
_AT_ONCE = 16  # pictures of a search
Complex = NDArray[np.complex128]


@dataclass(frozen=True)
class Matches:
    """Of each image the training image most like it.

    alike: how alike, the higher the more (a correlation, or minus a distance). stands_out: how far that is above the
    9th to 32nd most alike: of correlations in their standard deviations, of distances log(their mean / the least).
    rest: how alike those are on average. index: which training image. Each (n,).
    """

    alike: Array
    stands_out: Array
    index: Numbers
    rest: Array


class Nearest(Protocol):
    """A way to compare, made from the training images (or their features)."""

    def nearest(self, images: ArrayLike, /) -> Matches:
        """Of each image the training image most like it."""


class FeatureLikeness:
    """Likeness of features: minus the Euclidean distance, each feature over its standard deviation in training.

    training: (n, d), of one network. It forgives what the network forgives, and flips only where that does.
    """

    def __init__(self, training: ArrayLike) -> None:
        training = rows(training, "training features", FEWEST_TRAINING)
        spread = training.std(0)
        self.mean, self.scale = training.mean(0), np.where(spread > 0, spread, 1.0)
        self.training = (training - self.mean) / self.scale
        self.squares = np.square(self.training).sum(1)

    def nearest(self, images: ArrayLike) -> Matches:
        """Of each of (n, d) the training image nearest to it."""
        features = rows(images, "features", 1)
        same_width(features, self.training)
        features = (features - self.mean) / self.scale
        count, found = min(LAST, len(self.training)), []
        for one in features:
            away = self.squares - 2 * (self.training @ one) + one @ one
            near = np.argpartition(away, count - 1)[:count]
            # Over again from the differences, where the three terms would cancel: a copy has distance 0.
            found.append(_nearest(np.linalg.norm(self.training[near] - one, axis=1), near))
        return _together(found)


class PictureLikeness:
    """The greatest correlation with any of the training images over flips and shifts, between weighted spectra.

        max over flips g, shifts s:  Re sum_f A*(f) B_g(f) exp(2 pi i f.s)  /  norms,   A = spectrum P^1/2 / (P + noise)

    P is the mean power of the training images. The weight takes away what all of them have in common, coarse anatomy
    above all, so that two patients are unlike while a picture stays like itself, and keeps frequencies out that noise
    would drown. Scale and offset of intensity fall out, gamma and the like change little.

    training: (n, H, W), any unit. Pictures are brought to at most 64 pixels a side by averaging and fade out towards
    their borders; shifts go up to a 16th of a side. The 32 most alike at low frequencies are compared exactly.
    """

    def __init__(self, training: ArrayLike) -> None:
        pictures = _small(training)
        if len(pictures) < FEWEST_TRAINING:
            raise UserError(f"memorisation: {len(pictures)} training images are too few; it needs {FEWEST_TRAINING}")
        self.shape = np.shape(training)[1:]
        height, width = pictures.shape[1:]
        spectra = _spectra(pictures)
        power = np.mean(spectra.real**2 + spectra.imag**2, axis=0)
        power = (power + np.roll(power[::-1], 1, 0)) / 2  # of flipped pictures too
        power = power / max(float(power.mean()), 1e-300)
        self.weight = np.sqrt(power) / (power + _NOISE)
        self.weight[0, 0] = 0
        self.double = np.full(width // 2 + 1, 2.0)  # the half plane stands for the whole one
        self.double[[0, -1] if width % 2 == 0 else [0]] = 1
        down, across = np.fft.fftfreq(height), np.fft.rfftfreq(width)
        self.low = (np.abs(down[:, None]) * height <= _LOW) & (across * width <= _LOW)
        self.down, self.across = _phases(height, down), _phases(width, across)
        self.training = self._weighted(spectra)
        self.coarse = self._coarse(self.training)

    def nearest(self, images: ArrayLike) -> Matches:
        """Of each of (n, H, W), sized as the training images are, the one of them most like it."""
        if np.shape(images)[1:] != self.shape:
            raise UserError(
                f"memorisation: images of {np.shape(images)[1:]} against training images of {self.shape};"
                " bring all to one size"
            )
        pictures, found = _small(images), []
        for start in range(0, len(pictures), _AT_ONCE):
            part = pictures[start : start + _AT_ONCE]
            flips = [part, part[:, ::-1], part[:, :, ::-1], part[:, ::-1, ::-1]]
            turned = np.stack([self._weighted(_spectra(flip)) for flip in flips], 1)  # (b, 4, H, W // 2 + 1)
            for one, likely in zip(turned, self._candidates(turned), strict=True):
                found.append(_match(self._exact(one, self.training[likely]), likely))
        return _together(found)

    def _weighted(self, spectra: Complex) -> Complex:
        """Weighted, and of length 1 over the whole plane; zeros for a constant picture."""
        made = spectra * (self.weight * np.sqrt(self.double))
        length = np.sqrt((made.real**2 + made.imag**2).sum((-2, -1), keepdims=True))
        weighted: Complex = np.divide(made, length, out=np.zeros_like(made), where=length > 0)
        return weighted

    def _coarse(self, weighted: Complex) -> NDArray[np.float32]:
        """Low frequencies as real numbers, of length 1: (n, K). Single precision, for it only chooses candidates."""
        low = weighted[..., self.low]
        made = np.concatenate([low.real, low.imag], -1).astype(np.float32)
        length = np.linalg.norm(made, axis=-1, keepdims=True)
        coarse: NDArray[np.float32] = made / np.maximum(length, np.float32(1e-12))
        return coarse

    def _candidates(self, turned: Complex) -> Numbers:
        """(b, 4, ...) -> (b, 32), indices of training images."""
        phases = self.down[::_STEP, None, :, None] * self.across[None, ::_STEP, None, :]
        low = turned[..., self.low][:, :, None, None] * phases[..., self.low]  # (b, 4, shifts, shifts, K / 2)
        made = np.concatenate([low.real, low.imag], -1).astype(np.float32).reshape(-1, self.coarse.shape[1])
        alike = (made @ self.coarse.T).reshape(len(turned), -1, len(self.coarse)).max(1)
        count = min(LAST, len(self.coarse))
        found: Numbers = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        return found

    def _exact(self, one: Complex, others: Complex) -> Array:
        """(4, H, V) and (n, H, V) -> (n,): the greatest correlation over flips and whole shifts."""
        product = one[None] * others[:, None].conj()  # (n, 4, H, V)
        at = (self.down @ product) @ self.across.T  # only the shifts that are asked for
        alike: Array = at.real.max((1, 2, 3))
        return alike


def _small(images: ArrayLike) -> Array:
    stack = np.asarray(images)
    if stack.ndim != 3 or min(stack.shape, default=0) == 0:
        raise UserError(f"memorisation: images are (n, H, W), not {stack.shape}; give slices or channels one by one")
    down, across = _averaging(stack.shape[1]), _averaging(stack.shape[2])
    made = np.stack([down @ image.astype(np.float64) @ across.T for image in stack])
    if not np.isfinite(made).all():
        raise UserError("memorisation: some values are not finite; leave those images out")
    return made


def _averaging(side: int) -> Array:
    """(min(side, 64), side): each row the average over its share of the pixels."""
    count = min(side, SIDE)
    edges = np.linspace(0, side, count + 1)
    pixel = np.arange(side)
    share = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weight: Array = share.clip(0) / (side / count)
    return weight


def _spectra(pictures: Array) -> Complex:
    """Of faded pictures of mean 0 and variance 1, (n, H, W // 2 + 1); zeros for a constant one."""
    fade = _fade(pictures.shape[1])[:, None] * _fade(pictures.shape[2])
    mean = (pictures * fade).sum((1, 2), keepdims=True) / fade.sum()
    spread = np.sqrt((np.square(pictures - mean) * fade).sum((1, 2), keepdims=True) / fade.sum())
    flat = spread <= 1e-9 * np.abs(pictures).max((1, 2), keepdims=True)
    standard = np.divide(pictures - mean, spread, out=np.zeros_like(pictures), where=~flat)
    made: Complex = rfft2(standard * fade) / math.sqrt(fade.size)
    return made


def _fade(side: int) -> Array:
    """1 in the middle, half a cosine down to the border on the outer 15 % at each end: (side,)."""
    depth = _TAPER * side / 2
    inwards = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5)
    faded: Array = 0.5 - 0.5 * np.cos(np.pi * np.minimum(inwards / depth, 1))
    return faded


def _phases(side: int, frequency: ArrayLike) -> Complex:
    """exp(2 pi i f s) for whole shifts s up to a 16th of the side: (shifts, F)."""
    most = max(1, side // _SHARE_OF_SIDE)
    made: Complex = np.exp(2j * np.pi * np.outer(np.arange(-most, most + 1), np.asarray(frequency)))
    return made


def _match(alike: Array, index: Numbers) -> tuple[float, float, int, float]:
    order = np.argsort(-alike, kind="stable")
    most, rest = float(alike[order[0]]), alike[order[NEXT:LAST]]
    return most, float((most - rest.mean()) / max(rest.std(), 1e-12)), int(index[order[0]]), float(rest.mean())


def _nearest(away: Array, index: Numbers) -> tuple[float, float, int, float]:
    order = np.argsort(away, kind="stable")
    least, rest = float(away[order[0]]), float(away[order[NEXT:LAST]].mean())
    stands_out = math.log(max(rest, 1e-12) / max(least, 1e-12))
    return -least, stands_out, int(index[order[0]]), -rest


def _together(found: list[tuple[float, float, int, float]]) -> Matches:
    alike, stands_out, index, rest = zip(*found, strict=True)
    return Matches(np.array(alike), np.array(stands_out), np.array(index, np.int64), np.array(rest))
