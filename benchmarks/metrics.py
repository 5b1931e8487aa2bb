"""The Frechet distance at few images and many features: a nuclear norm beside the d x d matrix root.

    python benchmarks/metrics.py [--rounds 3] [--images 100] [--features 2048] [--clock cpu|wall] [--out metrics.json]

Two sets of features, drawn from a seed: log-normal, of unequal scale and with a large mean, as pooled networks give
them. "matrix root" is the textbook's way, and that of most libraries: two covariances, scipy.linalg.sqrtm of their
product, its real part; eps * I is added only where it comes out not finite. Each round times both, the order turned
each round, in CPU seconds of the process, one thread; figures are medians, and medians of the ratios within a round.
Goals: at least 100 times faster, equal to 1e-6 relative.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from threadpoolctl import threadpool_limits

from medudl.metrics.frechet import frechet_distance

Array = NDArray[np.float64]
GOAL, TOLERANCE = 100, 1e-6


def features(images: int, width: int, seed: int) -> Array:
    """(images, width): skewed, correlated, each feature on a scale of its own."""
    random = np.random.default_rng(seed)
    scale = np.exp(np.random.default_rng(0).normal(size=width))
    mixed = random.normal(size=(images, 64)) @ np.random.default_rng(1).normal(size=(64, width)) / 8
    return np.exp(0.5 * (mixed + random.normal(size=(images, width))) + 0.1 * seed) * scale


def matrix_root(x: Array, y: Array) -> float:
    """Heusel et al. 2017, written out."""
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    gap = x.mean(0) - y.mean(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the product is singular, and sqrtm says so
        root = sqrtm(s1 @ s2)
        if not np.isfinite(root).all():
            nudge = 1e-6 * np.eye(len(s1))
            root = sqrtm((s1 + nudge) @ (s2 + nudge))
    return float(gap @ gap + np.trace(s1) + np.trace(s2) - 2 * np.trace(root).real)


def seconds(work: Callable[[], float], clock: Callable[[], float], times: int) -> tuple[float, float]:
    """Seconds of one call, averaged over `times`, and what it returned."""
    begun = clock()
    for _ in range(times):
        value = work()
    return (clock() - begun) / times, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    parser.add_argument("--out", type=Path, default=None, help="write the figures there as JSON too")
    options = parser.parse_args()
    threadpool_limits(1)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    x, y = features(options.images, options.features, 1), features(options.images, options.features, 2)
    ways: dict[str, Callable[[], float]] = {
        "nuclear norm": lambda: frechet_distance(x, y),
        "matrix root": lambda: matrix_root(x, y),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    values: dict[str, float] = {}
    ways["nuclear norm"]()  # warms up
    for turn in range(options.rounds):
        for name in sorted(ways, reverse=bool(turn % 2)):
            spent, values[name] = seconds(ways[name], clock, 10 if name == "nuclear norm" else 1)
            times[name].append(spent)
    ratio = statistics.median(b / a for a, b in zip(times["nuclear norm"], times["matrix root"], strict=True))
    apart = abs(values["nuclear norm"] / values["matrix root"] - 1)
    for name, each in times.items():
        print(f"{name:<13} {statistics.median(each):9.4f} s, distance {values[name]:.9g}")
    print(f"{ratio:.0f} times faster, goal {GOAL}: {'met' if ratio >= GOAL else 'missed'}")
    print(f"apart by {apart:.1e} relative, goal {TOLERANCE}: {'met' if apart <= TOLERANCE else 'missed'}")
    report = {"numpy": np.__version__, "scipy": scipy.__version__, "clock": options.clock, "images": options.images,
              "features": options.features, "rounds": options.rounds, "seconds": times, "ratio": ratio,
              "distance": values, "apart": apart}  # fmt: skip
    print(json.dumps(report))
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
