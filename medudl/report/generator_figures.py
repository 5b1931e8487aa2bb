"""The figures of a generator: each with n, its interval, what real images of other patients give, a trivial one's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.errors import UserError
from medudl.metrics.frechet import frechet_at_infinity, frechet_estimate
from medudl.metrics.intervals import Estimate
from medudl.metrics.kernel import kernel_distance
from medudl.metrics.precision_recall import NAMES as FOUR
from medudl.metrics.precision_recall import precision_recall
from medudl.report.generator_sets import ImageSet, Sets
from medudl.report.trivial_generator import NAME as TRIVIAL

Features = NDArray[np.float32]
REPEATS = 100  # subsamples behind an interval
NEIGHBOURS = 5
FLOOR = "training images in the place of samples: what real images of other patients give"


@dataclass(frozen=True)
class Kind:
    """title: as the page calls it. better: lower or higher."""

    title: str
    better: str
    definition: str


KINDS: dict[str, Kind] = {
    "kid": Kind(
        "Kernel distance", "lower",
        "Squared maximum mean discrepancy of the features with the kernel (a.b / d + 1)^3, over pairs of different"
        " patients: unbiased, 0 where samples and held-out images are alike.",
    ),
    "fid": Kind(
        "Frechet distance", "lower",
        "Squared distance between Gaussians fitted to the features. Biased upwards at small n: read it beside the"
        " floor alone, which has the same n.",
    ),
    "fid_infinity": Kind(
        "Frechet distance at infinite n", "lower",
        "Where a line through the Frechet distance against 1/n meets 0; needs more images than features.",
    ),
    "precision": Kind(
        "Precision", "higher",
        "Share of the samples that lie among the held-out images (in the ball of one, as wide as its fifth neighbour of"
        " another patient is far).",
    ),
    "recall": Kind("Recall", "higher", "Share of the held-out images that lie among the samples."),
    "density": Kind(
        "Density", "higher",
        "How many held-out images a sample lies close to, over five; 1 is expected of real images. More than that is"
        " not better: samples then crowd where real images are dense.",
    ),
    "coverage": Kind("Coverage", "higher", "Share of the held-out images that have a sample among their neighbours."),
    "inception_score": Kind(
        "Inception score", "higher",
        "exp of the mean divergence of a classifier's probabilities from their average: 1 at worst, the number of"
        " classes at best. It knows nothing of real images.",
    ),
    "spectrum": Kind(
        "Spectral distance in dB", "lower",
        "How far the mean power spectrum of the samples is from that of the held-out images, over all spatial"
        " frequencies alike: blur lowers and checkerboards raise the high ones.",
    ),
    "copies": Kind(
        "Copies of training images", "lower",
        "Share of the samples whose nearest training image stands out from the next ones further than that of 95 % of"
        " new patients' images does.",
    ),
}  # fmt: skip
Found = Mapping[str, Estimate]  # by figure


def figure(
    name: str, features: str, estimate: Estimate | None, n: int, m: int, *, floor: dict[str, Any] | None = None,
    floor_why: str = "", baseline: dict[str, Any] | None = None, why_not: str = "",
) -> dict[str, Any]:  # fmt: skip
    """One entry of report.json's `figures`. n: samples, m: real images behind it."""
    value = {"value": None, "low": None, "high": None} if estimate is None else told(estimate)
    return {
        "name": name, "features": features, **value, "n": n, "m": m, "floor": floor, "floor_why": floor_why,
        "baseline": baseline, "better": KINDS[name].better, "definition": KINDS[name].definition, "why_not": why_not,
    }  # fmt: skip


def three_digits(value: float) -> str:
    """Three digits that count: .0123, 12.3, 12300, -.5."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(decimals, 6)}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def feature_figures(name: str, sets: Sets) -> list[dict[str, Any]]:
    """KID, FID, FID at infinity, precision, recall, density, coverage in the features of the network `name`."""
    made, why = _all(name, sets.samples, sets)
    floor, floor_why = _all(name, sets.floor, sets)
    trivial, _ = _all(name, sets.trivial, sets)
    n, m, t = len(sets.samples), len(sets.held_out), len(sets.floor)
    short = f"There are {t} training images for {n} samples: the floor has n = {t}." if t < n else ""
    return [
        figure(
            kind, name, made.get(kind), n, m,
            floor=_floor(floor.get(kind), t),
            floor_why=short if kind in floor else floor_why.get(kind, "") if kind in made else "",
            baseline={"name": TRIVIAL, **told(trivial[kind])} if kind in trivial else None,
            why_not=why.get(kind, ""),
        )
        for kind in ("kid", "fid", "fid_infinity", *FOUR)
    ]  # fmt: skip


def _all(name: str, made: ImageSet, sets: Sets) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Every figure of one set in the place of the samples, and why those that are lacking are."""
    x, y, real = made.features[name], sets.held_out.features[name], sets.held_out.patients
    found: dict[str, Estimate] = {}
    why: dict[str, str] = {}

    def attempt(kinds: tuple[str, ...], compute: Callable[[], Mapping[str, Estimate]]) -> None:
        try:
            found.update(compute())
        except UserError as error:
            why.update(dict.fromkeys(kinds, str(error)))

    def four() -> Found:
        both = precision_recall(y, x, real, made.patients, NEIGHBOURS, REPEATS)
        return {kind: getattr(both, kind) for kind in FOUR}

    attempt(("kid",), lambda: {"kid": kernel_distance(x, y, made.patients, real, REPEATS)})
    attempt(("fid",), lambda: {"fid": frechet_estimate(x, y, made.patients, real, REPEATS)})
    attempt(("fid_infinity",), lambda: {"fid_infinity": frechet_at_infinity(x, y, 0, made.patients, real)})
    attempt(FOUR, four)
    return found, why


def told(estimate: Estimate) -> dict[str, float | int | None]:
    """Value and interval; NaN is null."""
    found = estimate.as_dict()
    return {key: found[key] for key in ("value", "low", "high")}


def _floor(estimate: Estimate | None, n: int) -> dict[str, Any] | None:
    return None if estimate is None else {**told(estimate), "n": n, "name": FLOOR}
