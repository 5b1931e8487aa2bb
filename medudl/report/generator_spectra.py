"""Spectra of samples beside those of real images: too smooth, too rough, a checkerboard."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medudl.config import Data
from medudl.errors import UserError
from medudl.metrics.intervals import Estimate
from medudl.metrics.spectra import checkerboard, high_frequency_share, log_spectral_distance, radial_power
from medudl.report.generator_figures import FLOOR, REPEATS, figure, told
from medudl.report.generator_sets import ImageSet, Sets
from medudl.report.trivial_generator import NAME as TRIVIAL
from medudl.tasks.codes import middle_plane


def spectrum_figure(sets: Sets, data: Data) -> dict[str, Any]:
    """The log-spectral distance to the held-out images."""
    n, m, t = len(sets.samples), len(sets.held_out), len(sets.floor)
    try:
        found = {name: _distance(one, sets.held_out, data) for name, one in _named(sets).items()}
    except UserError as error:
        return figure("spectrum", "", None, n, m, why_not=str(error))
    return figure(
        "spectrum", "", found["samples"], n, m, floor={**told(found["training"]), "n": t, "name": FLOOR},
        baseline={"name": TRIVIAL, **told(found["trivial"])},
    )  # fmt: skip


def spectra_of(sets: Sets, data: Data) -> dict[str, Any] | None:
    """Curves and hints for report.json: frequency in cycles per pixel, mean power of each set; None: nothing to show.

    high_frequency: share of the power above half of Nyquist. checkerboard: a peak where strided upsampling leaves one.
    """
    everyone = {**_named(sets), "held_out": sets.held_out}
    try:
        stacks = {name: _planes(one, data) for name, one in everyone.items()}
        frequency = radial_power(stacks["held_out"])[0]
        made: dict[str, Any] = {"frequency": frequency.round(5).tolist(), "power": {}, "high_frequency": {}}
        for name, stack in stacks.items():
            made["power"][name] = [float(f"{value:.4g}") for value in radial_power(stack)[1].mean(0)]
            share = high_frequency_share(stack, everyone[name].patients, REPEATS)
            made["high_frequency"][name] = share.as_dict()
    except UserError:
        return None
    made["checkerboard"] = _checkerboard(stacks["samples"], stacks["held_out"])
    return made


def _checkerboard(samples: NDArray[np.float32], real: NDArray[np.float32]) -> dict[str, Any] | None:
    try:
        found, theirs = checkerboard(samples), checkerboard(real)
    except UserError:
        return None
    ratios = {key: _finite(one.ratio) for key, one in (("samples", found), ("held_out", theirs))}
    return {**ratios, "found": found.found and not theirs.found}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _distance(one: ImageSet, real: ImageSet, data: Data) -> Estimate:
    return log_spectral_distance(_planes(one, data), _planes(real, data), one.patients, real.patients, REPEATS)


def _planes(one: ImageSet, data: Data) -> NDArray[np.float32]:
    """(n, H, W): the first channel, of volumes the middle slice."""
    plane: NDArray[np.float32] = middle_plane(torch.from_numpy(one.images), data).float().numpy()
    return plane


def _named(sets: Sets) -> dict[str, ImageSet]:
    return {"samples": sets.samples, "training": sets.floor, "trivial": sets.trivial}
