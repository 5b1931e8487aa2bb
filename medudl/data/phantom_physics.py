"""From tissues to CT and MR: signal equations, protocols, shading, noise and the scanner's arbitrary scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medudl.data.phantom_fields import smooth_field
from medudl.data.phantom_shapes import Array
from medudl.data.phantom_tissue import NAMES, TISSUES, Tissue


def spin_echo(pd: float, t1: float, t2: float, tr: float, te: float) -> float:
    """Spin echo: S = PD (1 - exp(-TR / T1)) exp(-TE / T2); times in ms."""
    return float(pd * (1.0 - np.exp(-tr / t1)) * np.exp(-te / t2))


def inversion_recovery(pd: float, t1: float, t2: float, tr: float, te: float, ti: float) -> float:
    """Inversion recovery, signed: S = PD (1 - 2 exp(-TI / T1) + exp(-TR / T1)) exp(-TE / T2); times in ms, TE << TR."""
    return float(pd * (1.0 - 2.0 * np.exp(-ti / t1) + np.exp(-tr / t1)) * np.exp(-te / t2))


def null_time(t1: float, tr: float) -> float:
    """The inversion time at which a tissue gives no signal: TI = T1 ln(2 / (1 + exp(-TR / T1)))."""
    return float(t1 * np.log(2.0 / (1.0 + np.exp(-tr / t1))))


@dataclass(frozen=True)
class Protocol:
    """How one MR contrast is taken. Times in ms; ti None: spin echo, else inversion recovery."""

    tr: float
    te: float
    ti: float | None = None

    def signal(self, tissue: Tissue, high_field: bool) -> float:
        """Signed signal of a tissue, water's proton density = 1."""
        t1, t2 = tissue.t1[high_field], tissue.t2[high_field]
        full = spin_echo(tissue.pd, t1, t2, self.tr, self.te)
        if self.ti is None:
            return full * (1.0 - tissue.void)
        inverted = inversion_recovery(tissue.pd, t1, t2, self.tr, self.te, self.ti)
        return (1.0 - tissue.uninverted) * (1.0 - tissue.void) * inverted + tissue.uninverted * full


@dataclass(frozen=True)
class Scanner:
    """One subject's scanners: field, protocols, shading, noise, and units of their own."""

    field: float  # tesla
    protocols: Mapping[str, Protocol]
    scale: Mapping[str, float]  # stored units that white matter is near
    shading: Mapping[str, float]  # standard deviation of the log bias field
    noise: Mapping[str, float]  # standard deviation of each quadrature channel, share of white matter
    ct_noise: float  # HU
    cupping: float  # HU added beside the skull


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """Draw field strength, TR, TE, TI, scale, shading and noise as clinical scanners differ."""
    high = bool(rng.random() < 0.5)
    tr_flair = float(rng.uniform(8000, 10000))
    ti = null_time(TISSUES["csf"].t1[high], tr_flair) * float(rng.normal(1.0, 0.015))
    protocols = {
        "T1": Protocol(float(rng.uniform(450, 650)), float(rng.uniform(9, 14))),
        "T2": Protocol(float(rng.uniform(4000, 5500)), float(rng.uniform(90, 110))),
        "FLAIR": Protocol(tr_flair, float(rng.uniform(90, 125)), ti),
    }
    strength = 1.3 if high else 0.8  # the shading grows with the field
    return Scanner(
        field=3.0 if high else 1.5,
        protocols=protocols,
        scale={name: float(np.exp(rng.uniform(np.log(120), np.log(700)))) for name in protocols},
        shading={name: strength * float(rng.uniform(0.05, 0.11)) for name in protocols},
        noise={
            name: float(rng.uniform(*span))
            for name, span in {"T1": (0.015, 0.04), "T2": (0.02, 0.05), "FLAIR": (0.025, 0.06)}.items()
        },
        ct_noise=float(rng.uniform(2.5, 4.5)),
        cupping=float(rng.uniform(0, 3)),
    )


def rician(rng: np.random.Generator, signal: Array, sigma: float) -> Array:
    """Magnitude of a complex signal with Gaussian noise: sqrt((S + n1)^2 + n2^2), n ~ N(0, sigma^2)."""
    real = signal + sigma * rng.standard_normal(signal.shape)
    return np.asarray(np.hypot(real, sigma * rng.standard_normal(signal.shape)))


def mr_images(
    rng: np.random.Generator, fractions: Array, tissues: Mapping[str, Tissue], scanner: Scanner, axes: Sequence[Array]
) -> dict[str, Array]:
    """T1, T2 and FLAIR in stored units, from tissue shares (tissue, X, Y, Z) that mix as signals do.

        image = round(scale / S_white * Rician(bias * (1 + texture) * |sum_t f_t S_t|))

    Texture: a few percent of smooth variation, T1 against T2 as myelin does. Values are 0 to 32767.
    """
    high = scanner.field > 2
    unit = [(axis + 120.0) / 240.0 for axis in axes]
    coil = smooth_field(rng, unit, modes=3)
    texture = _texture(rng, fractions.shape[1:], axes)
    images = {}
    for name, protocol in scanner.protocols.items():
        signals = np.array([protocol.signal(tissues[tissue], high) for tissue in NAMES])
        white = signals[NAMES.index("white")]
        clean = np.abs(np.tensordot(signals, fractions, 1)) / white
        own = smooth_field(rng, unit, modes=3)
        bias = np.exp(scanner.shading[name] * (0.8 * coil + 0.6 * own))
        clean *= bias * (1.0 + (-0.015 if name == "T1" else 0.025) * texture)
        noisy = rician(rng, clean, scanner.noise[name])
        images[name] = np.rint(noisy * scanner.scale[name]).clip(0, 32767)
    return images


def ct_image(
    rng: np.random.Generator, fractions: Array, tissues: Mapping[str, Tissue], scanner: Scanner, beside_bone: Array
) -> Array:
    """CT in HU: shares mix linearly, plus cupping beside the skull and Gaussian noise; whole HU in [-1024, 3071].

    beside_bone: (X, Y, Z) 1 at the inner table, falling inwards, 0 outside the brain's cavity.
    """
    hu = np.array([tissues[tissue].hu for tissue in NAMES])
    clean = np.tensordot(hu, fractions, 1) + scanner.cupping * beside_bone
    return np.asarray(np.rint(clean + scanner.ct_noise * rng.standard_normal(clean.shape)).clip(-1024, 3071))


def _texture(rng: np.random.Generator, shape: Sequence[int], axes: Sequence[Array]) -> Array:
    """Smooth noise of about 8 mm, unit standard deviation."""
    sigma = [3.4 / abs(float(axis[1] - axis[0])) if len(axis) > 1 else 0.0 for axis in axes]
    field = ndimage.gaussian_filter(rng.standard_normal(tuple(shape)), sigma, mode="nearest")
    return np.asarray(field / field.std())
