"""Lines of the tables that studies print."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def seed_difference(one: str, other: str, first: Sequence[float], second: Sequence[float]) -> str:
    """'coarse - pixel: +.12 (95 % t interval over 5 seeds +.08 to +.16)': paired by seed."""
    paired = np.subtract(first, second)
    mean, n = float(paired.mean()), len(paired)
    half = float(stats.t.ppf(0.975, n - 1) * paired.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return f"{one} - {other}: {mean:+.3f} (95 % t interval over {n} seeds {mean - half:+.3f} to {mean + half:+.3f})"
