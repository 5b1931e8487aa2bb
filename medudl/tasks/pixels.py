"""The trivial classifier: logistic regression on a scan's pixels, made coarse."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.data.pipeline import Prepared

Array = NDArray[np.float64]
SIDE = 28
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # inverse ridge penalties that are tried on the val split


def coarse_pixels(prepared: Prepared) -> Array:
    """Mean over the slices, then over blocks of each: (C, D, H, W) -> (C * 28 * 28,)."""
    plane = prepared.image.astype(np.float64).mean(axis=1)
    return np.concatenate([_coarse(_coarse(channel).T).T.ravel() for channel in plane])


def mean_intensity(prepared: Prepared) -> Array:
    """Mean of each channel inside the foreground: (C,)."""
    inside = prepared.foreground[0]
    return np.array([channel[inside].mean(dtype=np.float64) if inside.any() else 0.0 for channel in prepared.image])


@dataclass(frozen=True)
class Trivial:
    """A fitted logistic regression. classes: how many there are; known: those that it was trained on."""

    model: Any
    mean: Array
    std: Array
    classes: int

    @classmethod
    def fit(
        cls, train: tuple[Array, Sequence[int]], val: tuple[Array, Sequence[int]], classes: int, balanced: bool = True
    ) -> Trivial:
        """On (features (N, F), class numbers) of train, with the ridge penalty that is likeliest on val."""
        from sklearn.linear_model import LogisticRegression

        x, y = train[0], np.asarray(train[1])
        mean, std = x.mean(0), np.maximum(x.std(0), 1e-6)
        best: tuple[float, Any] | None = None
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, class_weight="balanced" if balanced else None, max_iter=300)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # one that has not converged is judged on val like the others
                model.fit((x - mean) / std, y)
            made = cls(model, mean, std, classes)
            loss = -float(np.log(made.probability(val[0])[np.arange(len(val[1])), val[1]] + 1e-12).mean())
            if best is None or loss < best[0]:
                best = loss, model
        assert best is not None
        return cls(best[1], mean, std, classes)

    def probability(self, features: Array) -> Array:
        """(N, F) -> (N, K)."""
        out = np.zeros((len(features), self.classes))
        out[:, self.model.classes_] = self.model.predict_proba((features - self.mean) / self.std)
        return out


def _coarse(plane: Array) -> Array:
    """Rows of (H, W) averaged over SIDE blocks of equal height, parts of rows shared: (SIDE, W)."""
    height = len(plane)
    total = np.concatenate([np.zeros((1, plane.shape[1])), np.cumsum(plane, axis=0)])
    edges = np.linspace(0, height, SIDE + 1)
    below = np.minimum(np.floor(edges).astype(int), height - 1)
    at_edges = total[below] + (edges - below)[:, None] * plane[below]
    made: Array = np.diff(at_edges, axis=0) * SIDE / height
    return made
