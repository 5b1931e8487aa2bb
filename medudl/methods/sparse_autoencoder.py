"""Sparse autoencoder: many units, few of them active for any one image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.losses import sparsity
from medudl.losses.reconstruction import squared_error
from medudl.methods.coding import Coding, coarse_features
from medudl.methods.likelihood import error_map
from medudl.methods.method import Objective
from medudl.networks import coder
from medudl.networks.blocks import Norm
from medudl.networks.dictionary import Dictionary

Penalty = Literal["l1", "l2", "kl"]
Size = Annotated[int, Field(ge=1)]


class SparseAutoencoder(Coding):
    """Sparse autoencoder (Olshausen & Field 1996; Ng 2011), overcomplete if wanted.

        y = f(encoder(x))  (B, Z),   x^ = sum_j y_j atom_j + bias,   minimise  sum (x^ - x)^2 + weight * Omega(y)

    The decoder is a dictionary of Z atoms, each an image that can be looked at: `atoms()`.
    latent: Z; may exceed the number of voxels, for it is the penalty that keeps the code from copying.
    penalty: on the activations y, see losses/sparsity.py.
      l1  y = relu(.) >= 0, atoms of length 1: without that bound, half the code times twice the atoms would be free.
      l2  as l1, for comparison: it makes y small and does NOT make it sparse.
      kl  y = sigmoid(. + logit rho) in (0, 1), which begins near rho, of mean rho over a batch; atoms of any length,
          since y cannot exceed 1.
    weight: of the penalty, against squared intensities summed over the foreground; kl wants large batches (>= 32).
    network, hidden, width, levels, norm: of the encoder, as in autoencoder. `linear` is one affine map before f.
    """

    activation: Tensor
    used: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        latent: Size = 256,
        penalty: Penalty = "l1",
        weight: Annotated[float, Field(ge=0)] = 0.1,
        rho: Annotated[float, Field(gt=0, lt=1)] = 0.05,
        network: coder.Network = "convolutional",
        hidden: tuple[Size, ...] = (256,),
        width: Size = 32,
        levels: Annotated[int, Field(ge=1, le=8)] = 4,
        norm: Norm = "group",
    ) -> None:
        super().__init__(shape, latent)
        penalties: Mapping[Penalty, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], bool]] = {
            "l1": (torch.relu, sparsity.l1, True),
            "l2": (torch.relu, sparsity.l2, True),
            "kl": (partial(_sigmoid, rho=rho), partial(sparsity.kl, rho=rho), False),
        }
        self.activate, self.omega, bounded = penalties[penalty]
        self.weight, self.rho = weight, rho if penalty == "kl" else None
        self.encoder = coder.encoder(network, shape, latent, hidden=hidden, width=width, levels=levels, norm=norm)
        self.dictionary = Dictionary(shape, latent, bounded=bounded)
        self.register_buffer("activation", torch.zeros(latent))
        self.register_buffer("used", torch.zeros(latent))

    def players(self) -> dict[str, nn.Module]:
        """One: the whole autoencoder."""
        return {"autoencoder": self}

    def step(self, batch: Batch) -> Iterator[Objective]:
        """One update: reconstruct inside the foreground, with few units."""
        error, omega = (part.mean() for part in self._parts(batch))
        parts = {"reconstruction": error.detach(), "sparsity": omega.detach()}
        yield Objective("autoencoder", error + self.weight * omega, parts)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{loss, reconstruction, sparsity: (B,)}; with penalty: kl the batch's one sparsity counts for each image."""
        error, omega = self._parts(batch)
        omega = omega.expand_as(error)
        return {"loss": error + self.weight * omega, "reconstruction": error, "sparsity": omega.clone()}

    def encode(self, image: Tensor) -> Tensor:
        """Activations y: (B, C, *S) -> (B, Z), >= 0, or in (0, 1) with penalty: kl."""
        return self.activate(self.encoder(image))

    def decode(self, code: Tensor) -> Tensor:
        """(B, Z) -> (B, C, *S), the expected image."""
        image: Tensor = self.dictionary(code)
        return image.float()

    def reconstruct(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S), the expected image."""
        return self.decode(self.encode(image))

    def anomaly(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """|x - x^|, mean over channels: map (B, 1, *S), and its mean over voxels (B,)."""
        return error_map(self.reconstruct(image), image)

    def feature_map(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K, *s), the encoder's coarsest features. UserError: the network is not convolutional."""
        return coarse_features(self.encoder, image)

    def atoms(self) -> Tensor:
        """The dictionary: (Z, C, *S)."""
        return self.dictionary.atoms()

    def settle(self, batches: Iterable[Batch]) -> None:
        """Measure the training codes, each unit's mean activation, and the share of images in which it is active."""
        total, active = torch.zeros_like(self.activation), torch.zeros_like(self.used)

        def codes() -> Iterator[Tensor]:
            for batch in batches:
                code = self.encode(batch["image"]).float()
                total.add_(code.sum(dim=0))
                # A sigmoid never is 0: there, active means beyond one half.
                active.add_((code > (0 if self.rho is None else 0.5)).float().sum(dim=0))
                yield code

        self.codes.fit(codes())
        self.activation.copy_(total / self.codes.count)
        self.used.copy_(active / self.codes.count)

    def notes(self) -> list[str]:
        """How sparse the code is on the training images, and how many units are never active."""
        wanted = "" if self.rho is None else f" (wanted: {self.rho:g})"
        silent = int((self.used == 0).sum())
        return [
            f"a code unit is active in {float(self.used.mean()):.1%} of the training images, its mean activation is"
            f" {float(self.activation.mean()):.3g}{wanted}",
            *([f"{silent} of {len(self.used)} code units are never active"] if silent else []),
        ]

    def _parts(self, batch: Batch) -> tuple[Tensor, Tensor]:
        code = self.encode(batch["image"])
        error = squared_error(self.dictionary(code), batch["image"], batch.get("foreground"))
        return error, self.omega(code)


def _sigmoid(x: Tensor, rho: float) -> Tensor:
    """About rho where x is about 0, as it is before training: the way from one half would take hundreds of steps."""
    return torch.sigmoid(x + math.log(rho / (1 - rho)))
