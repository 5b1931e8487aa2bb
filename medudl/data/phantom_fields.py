"""Random fields of the phantom: smooth ones over the grid, and noise of one wavelength in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medudl.data.phantom_shapes import Array


def smooth_field(rng: np.random.Generator, axes: Sequence[Array], modes: int = 4) -> Array:
    """Sum of products of cosines with normal weights that fall with frequency; about unit standard deviation.

        f(x, y, z) = sum_abc w_abc cos(pi a x) cos(pi b y) cos(pi c z),    w_abc ~ N(0, 1 / (1 + a^2 + b^2 + c^2)^2)

    axes: the three coordinate axes, scaled so that the head lies in [0, 1]. Returns (len x, len y, len z).
    The constant term is left out, so that the field displaces or shades, but does not shift or scale as a whole.
    """
    order = np.arange(modes, dtype=float)
    norm = 1.0 + order[:, None, None] ** 2 + order[:, None] ** 2 + order**2
    weights = rng.standard_normal((modes, modes, modes)) / norm
    weights[0, 0, 0] = 0.0
    power = np.where(order == 0, 1.0, 0.5)  # mean of cos^2
    expected = power[:, None, None] * power[:, None] * power / norm**2
    weights /= np.sqrt(expected.sum() - expected[0, 0, 0])
    a, b, c = (np.cos(np.pi * order[:, None] * np.asarray(axis)) for axis in axes)
    field = np.tensordot(weights, c, (2, 0))  # (a, b, z)
    field = np.tensordot(b, field, (0, 1))  # (y, a, z)
    return np.asarray(np.tensordot(a, field, (0, 1)))  # (x, y, z)


@dataclass(frozen=True)
class Noise:
    """Periodic noise around one wavelength, unit standard deviation, with the length of its gradient per mm."""

    values: Array
    slope: Array
    wavelength: float
    step: float

    def at(self, p: Array) -> Array:
        """Noise at p (3, N) in mm."""
        return self._sample(self.values, p)

    def sheets(self, p: Array) -> Array:
        """Distance in mm to the noise's zero surfaces: arctan(k n / |grad n|) / k, k = 2 pi / wavelength.

        Signed; at most a quarter of the wavelength; exact for a plane wave. The zero surfaces of such noise fold like
        a cortex.
        """
        k = 2 * np.pi / self.wavelength
        n, slope = self._sample(self.values, p), self._sample(self.slope, p)
        return np.asarray(np.arctan2(n, slope / k) / k)

    def _sample(self, cube: Array, p: Array) -> Array:
        return np.asarray(ndimage.map_coordinates(cube, p / self.step, order=1, mode="grid-wrap"))


def noise(rng: np.random.Generator, wavelength: float, bandwidth: float, size: int = 64) -> Noise:
    """Draw noise whose spectrum is a shell: exp(-((|f| wavelength - 1) / bandwidth)^2 / 2), f in 1 / mm."""
    step = wavelength / 9.0
    f = np.fft.fftfreq(size, step)
    radius = np.sqrt(f[:, None, None] ** 2 + f[:, None] ** 2 + np.abs(f[: size // 2 + 1]) ** 2)
    shell = np.exp(-0.5 * ((radius * wavelength - 1.0) / bandwidth) ** 2)
    shell[0, 0, 0] = 0.0
    phase = rng.standard_normal((2, *radius.shape))
    values = np.fft.irfftn(shell * (phase[0] + 1j * phase[1]), s=(size,) * 3, axes=(0, 1, 2))
    values /= values.std()
    slope = np.zeros_like(values)
    for axis in range(3):
        slope += ((np.roll(values, -1, axis) - np.roll(values, 1, axis)) / (2 * step)) ** 2
    return Noise(values, np.sqrt(slope), wavelength, step)
