"""Draw new images from a run's method: in bounded memory, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medudl.errors import UserError
from medudl.methods.method import Method
from medudl.run import Run
from medudl.tasks.conditions import Asked, conditions_of, in_words, told
from medudl.tasks.detector import Restored
from medudl.tasks.maps import batch_size


def check_samples(run: Run, method: Method, name: str) -> None:
    """Raise UserError where the method draws nothing."""
    if "sample" not in method.verbs():
        more = "; a denoising autoencoder needs noise: gaussian and chain: {}" if "denoise" in method.verbs() else ""
        raise UserError(f"{run.path}: method {name} draws no new images; a gan or a variational_autoencoder does{more}")


class Drawing:
    """n samples of one run, batch by batch.

    Codes are drawn at once where the method has them (`draw` and `decode`), so that the size of a batch changes no
    sample; else each batch draws from a seed of its own. codes: (n, Z), or None. asked: what all samples are to show;
    what else a conditional method is told is drawn from the training images' conditions.
    """

    def __init__(self, restored: Restored, n: int, seed: int, asked: Asked | None = None) -> None:
        self.n, self.seed = n, seed
        self._method: Any = restored.method
        self._device = next((p.device for p in restored.method.parameters()), torch.device("cpu"))
        self.step = min(n, batch_size(restored.method, restored.data, self._device))
        draw: Callable[[int], Tensor] | None = getattr(self._method, "draw", None)
        self.codes: NDArray[np.float32] | None = None
        if draw is not None and "decode" in self._method.verbs():
            with seeded(self._device, seed), torch.inference_mode():
                self.codes = told(draw(n).float().cpu().numpy(), conditions_of(self._method), asked or {})

    def conditions(self) -> list[str] | None:
        """What each sample was told, in words; None where the method is told nothing."""
        found = conditions_of(self._method)
        return in_words(self.codes, found) if found and self.codes is not None else None

    def starts(self) -> range:
        """Where each batch begins."""
        return range(0, self.n, self.step)

    def batch(self, start: int) -> Tensor:
        """The samples from number `start` on: (b, C, *S) float32 on the CPU. Raises UserError: they are not finite."""
        count = min(self.step, self.n - start)
        with seeded(self._device, self.seed, start), torch.inference_mode():
            if self.codes is None:
                made: Tensor = self._method.sample(count)
            else:
                made = self._method.decode(torch.from_numpy(self.codes[start : start + count]).to(self._device))
        image = made.float().cpu()
        if not torch.isfinite(image).all():
            raise UserError("samples are not finite numbers: the trained weights are damaged, or its training diverged")
        return image


@contextmanager
def seeded(device: torch.device, *seed: int) -> Iterator[None]:
    """Torch's random state begun from `seed`, and afterwards as it was."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        yield
