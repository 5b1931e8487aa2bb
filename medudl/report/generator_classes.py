"""The inception score of a generator, under a classifier that somebody trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medudl.errors import UserError
from medudl.metrics.inception_score import inception_bias, inception_score
from medudl.report.generator_figures import FLOOR, figure, told
from medudl.report.generator_sets import ImageSet, Sets
from medudl.report.trivial_generator import NAME as TRIVIAL
from medudl.run import Run
from medudl.tasks.classify import Classification
from medudl.tasks.detector import Restored

_AT_ONCE = 32
_NO_CLASSIFIER = "It takes a classifier of such images: name its run with --classifier."


class Judge:
    """A classifier's probabilities of images. Raises UserError: no classifier, or of images of another shape."""

    def __init__(self, run: Run, restored: Restored, device: str = "auto") -> None:
        self.model = Classification(run, device)
        if run.shape != tuple(restored.method.shape):
            raise UserError(
                f"--classifier {run.path}: it looks at images of shape {run.shape}, the samples are"
                f" {tuple(restored.method.shape)}; train one with the same data section"
            )
        self.name = f"classifier {run.path.resolve().name} ({', '.join(self.model.classes)})"
        self._temperature = self.model.temperature()

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.float16]) -> NDArray[np.float64]:
        """(n, C, *S) -> (n, K)."""
        method: Any = self.model.method
        device = next(method.parameters()).device
        parts = [
            method.classify(torch.from_numpy(images[start : start + _AT_ONCE]).float().to(device)).double().cpu()
            for start in range(0, len(images), _AT_ONCE)
        ]
        chance: NDArray[np.float64] = torch.softmax(torch.cat(parts) / self._temperature, dim=1).numpy()
        return chance


def class_figure(judge: Judge | None, sets: Sets) -> dict[str, Any]:
    """The inception score under a classifier that was named; else why there is none."""
    n, m = len(sets.samples), len(sets.held_out)
    if judge is None:
        return figure("inception_score", "", None, n, m, why_not=_NO_CLASSIFIER)
    chance = {name: judge(one.images) for name, one in _named(sets).items()}
    score = inception_score(chance["samples"])
    real = inception_score(chance["floor"], sets.floor.patients)
    trivial = told(inception_score(chance["trivial"]))
    made = figure(
        "inception_score", judge.name, score, n, m, baseline={"name": TRIVIAL, **trivial},
        floor={**told(real), "n": len(sets.floor), "name": FLOOR},
    )  # fmt: skip
    return {**made, "expected_bias": inception_bias(chance["samples"])}


def _named(sets: Sets) -> dict[str, ImageSet]:
    return {"samples": sets.samples, "floor": sets.floor, "trivial": sets.trivial}
