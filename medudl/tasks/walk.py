"""Walk through the codes of a run: pictures of codes, along directions, between two cases, and of the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks.codes import Pictures, middle_plane, picture
from medudl.tasks.detector import chosen_device
from medudl.tasks.folds import one_run
from medudl.tasks.maps import batch_size

Codes = NDArray[np.float32]


class Walker:
    """One run's model, ready to draw. latent: Z, 0 where the method has no code; dims: 2 or 3; verbs: what it can do.

    Codes are (n, Z), or (Z,) for one. Pictures are grey values (n, h, w), [0, 1] -> 0 .. 255, the longer side at most
    128 pixels, of the first channel; of volumes the middle slice, or number `slice` along `plane` (0, 1, 2: D, H, W of
    the run's grid). Not for several threads at once.
    """

    def __init__(self, run: str | Path | Run, device: str = "cpu") -> None:
        """Raises UserError: no run, no weights, no such device."""
        self.run = run if isinstance(run, Run) else one_run(run)
        self.device = torch.device(chosen_device(device))
        self.method: Any = self.run.method(str(self.device))
        self.verbs: tuple[str, ...] = self.method.verbs()
        self.data = self.run.config.data
        self.dims = self.data.dims
        self.latent = self._latent() if {"encode", "decode"} & set(self.verbs) else 0
        if "decode" in self.verbs:
            self.decode(np.zeros(self.latent, np.float32))  # the first picture costs more than those that follow

    def decode(self, codes: ArrayLike, *, plane: int = 0, slice: int | None = None) -> Pictures:
        """Pictures of codes. Raises UserError: the method draws none, a code of another length, no such slice."""
        return self._pictures(self._decoded(codes), plane, slice)

    def volume(self, code: ArrayLike) -> NDArray[np.float32]:
        """The whole image of one code (Z,): (C, *S) in nominal [0, 1]."""
        image: NDArray[np.float32] = self._decoded(code)[0].numpy()
        return image

    def traverse(
        self, code: ArrayLike, dims: Sequence[int], steps: Sequence[float], sigma: ArrayLike, *, plane: int = 0
    ) -> Pictures:
        """Pictures around a code (Z,) along one or two of its dimensions: (len(steps), h, w) or (steps, steps, h, w).

        steps: how far to go, in units of sigma (Z,); the first dimension runs down, the second across.
        """
        start, unit = self._checked(code)[0], np.asarray(sigma, np.float32)
        if len(dims) not in (1, 2) or not all(0 <= d < self.latent for d in dims):
            raise UserError(f"directions {list(dims)}: give one or two of 0 to {self.latent - 1}")
        ways = np.stack(np.meshgrid(*[np.asarray(steps, np.float32)] * len(dims), indexing="ij"), axis=-1)
        codes = np.broadcast_to(start, (*ways.shape[:-1], self.latent)).copy()
        for place, d in enumerate(dims):
            codes[..., d] += ways[..., place] * unit[d]
        made = self.decode(codes.reshape(-1, self.latent), plane=plane)
        return made.reshape(*ways.shape[:-1], *made.shape[1:])

    def interpolate(self, a: ArrayLike, b: ArrayLike, steps: int, *, plane: int = 0) -> Pictures:
        """(steps, h, w): from code a to code b on a straight line, both ends included."""
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        return self.decode((1 - share) * self._checked(a) + share * self._checked(b), plane=plane)

    def nearest(
        self, codes: ArrayLike, embedding: ArrayLike, sigma: ArrayLike, used: Sequence[int]
    ) -> NDArray[np.intp]:
        """(n,): row of the embedding (N, Z) nearest to each code, over the dimensions in use, in units of sigma.

        sigma, used: those of embedding.json, so that near means here what it means there.
        """
        dims = list(used)
        unit = np.asarray(sigma, np.float64)[dims]
        known = np.asarray(embedding, np.float64)[:, dims] / unit
        wanted = self._checked(codes)[:, dims] / unit
        return np.asarray([int(np.square(known - code).sum(axis=1).argmin()) for code in wanted], np.intp)

    @torch.inference_mode()
    def sample(self, count: int, seed: int = 0, *, plane: int = 0, slice: int | None = None) -> Pictures:
        """(count, h, w): images of the model's own, the same for the same seed. Raises UserError: it makes none."""
        if "sample" not in self.verbs:
            raise UserError(f"{self.run.path}: method {self._name} makes no images of its own")
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            return self._pictures(self.method.sample(count).float().cpu(), plane, slice)

    @property
    def _name(self) -> str:
        return str(self.run.config.method["name"])

    @torch.inference_mode()
    def _latent(self) -> int:
        if "encode" not in self.verbs:  # a generator draws its codes
            return int(self.method.draw(1).shape[1])
        return int(self.method.encode(torch.zeros(1, *self.run.shape, device=self.device)).shape[1])

    @torch.inference_mode()
    def _decoded(self, codes: ArrayLike) -> Tensor:
        if "decode" not in self.verbs:
            raise UserError(f"{self.run.path}: method {self._name} draws no picture of a code; an autoencoder does")
        wanted = torch.from_numpy(self._checked(codes))
        step = batch_size(self.method, self.data, self.device)
        parts = [self.method.decode(wanted[at : at + step].to(self.device)) for at in range(0, len(wanted), step)]
        return torch.cat([part.float().cpu() for part in parts])

    def _checked(self, codes: ArrayLike) -> Codes:
        """(n, Z), a copy."""
        made = np.atleast_2d(np.asarray(codes, np.float32)).copy()
        if made.ndim != 2 or made.shape[1] != self.latent or not np.isfinite(made).all():
            raise UserError(f"{self.run.path}: a code is {self.latent} finite numbers")
        return made

    def _pictures(self, image: Tensor, plane: int, slice: int | None) -> Pictures:
        """(n, C, *S) -> (n, h, w)."""
        if self.dims == 2:
            return picture(middle_plane(image, self.data))
        if plane not in (0, 1, 2):
            raise UserError(f"plane {plane}: give 0, 1 or 2")
        depth = image.shape[2 + plane]
        at = depth // 2 if slice is None else slice
        if not 0 <= at < depth:
            raise UserError(f"slice {at}: there are 0 to {depth - 1} along this plane")
        return picture(image[:, 0].select(1 + plane, at))
