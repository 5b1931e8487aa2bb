"""A run's own codes as features to compare images by."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks.detector import Restored


class RunFeatures:
    """`encode` of a trained run: image (B, C, *S) in nominal [0, 1] -> codes (B, Z), on the CPU, float32.

    Patches, where the run looks at them, are images. name: says which run and how far it was trained.
    Raises UserError: no codes, or images of another shape than `shape`.
    """

    def __init__(self, run: Run, shape: tuple[int, ...], device: str = "auto") -> None:
        restored = Restored(run, device)
        if "encode" not in restored.method.verbs():
            raise UserError(f"--features {run.path}: method {restored.name} has no codes; give an autoencoder's run")
        if run.shape != shape:
            raise UserError(
                f"--features {run.path}: it looks at images of {_words(run.shape)}, these are {_words(shape)}; give a"
                " run of the same data section"
            )
        self._method: Any = restored.method
        self.device = next((p.device for p in restored.method.parameters()), torch.device("cpu"))
        self.name = f"codes of {restored.name} ({run.path.resolve().name}, step {run.meta.get('step', 0)})"
        self.pipeline = restored.pipeline.key

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, Z)."""
        code: Tensor = self._method.encode(image.to(self.device))
        return code.flatten(1).float().cpu()


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
