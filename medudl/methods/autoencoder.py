"""Undercomplete autoencoder: linear, dense or convolutional."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods.coding import Coding, coarse_features
from medudl.methods.likelihood import LIKELIHOODS, Loss, error_map
from medudl.methods.method import Objective
from medudl.networks import coder
from medudl.networks.blocks import Norm

__all__ = ["Autoencoder", "error_map"]

Size = Annotated[int, Field(ge=1)]


class Autoencoder(Coding):
    """Autoencoder, undercomplete (Rumelhart et al. 1986; convolutional: Masci et al. 2011).

        z = encoder(x)  (B, Z),   x^ = decoder(z)  (B, C, *S),   minimise -log p(x given x^)

    latent: Z, fewer than the image has values; a code that is large enough learns to copy lesions too.
    network: convolutional (width: channels after the first halving, doubled at each of `levels` halvings; norm: group,
    batch or none); dense (hidden: units of each layer before the code, mirrored after it); linear: one affine map
    each way. Linear with squared_error spans the subspace of the first Z principal components, the biases centre the
    data (Baldi & Hornik 1989); the basis is any.
    loss: see losses/. gaussian_nll learns one sigma; bernoulli_cross_entropy ends in a sigmoid and compares with the
    image clipped to [0, 1]; ssim is 1 - SSIM, and so is the map then (|x - x^| with the others).
    Losses are sums over the foreground's voxels (every voxel without a `foreground`), means over the batch.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        latent: Size = 64,
        network: coder.Network = "convolutional",
        hidden: tuple[Size, ...] = (256,),
        width: Size = 32,
        levels: Annotated[int, Field(ge=1, le=8)] = 4,
        loss: Loss = "squared_error",
        norm: Norm = "group",
    ) -> None:
        super().__init__(shape, latent)
        if latent >= math.prod(shape):
            raise UserError(
                f"method.latent: {latent} is no bottleneck for images of {math.prod(shape)} values; lower it"
            )
        self.encoder = coder.encoder(network, shape, latent, hidden=hidden, width=width, levels=levels, norm=norm)
        self.decoder = coder.decoder(network, shape, latent, hidden=hidden, width=width, levels=levels, norm=norm)
        self.likelihood = LIKELIHOODS[loss]()

    def players(self) -> dict[str, nn.Module]:
        """One: the whole autoencoder."""
        return {"autoencoder": self}

    def step(self, batch: Batch) -> Iterator[Objective]:
        """One update: reconstruct, inside the foreground."""
        loss = self._loss(batch).mean()
        yield Objective("autoencoder", loss, {"reconstruction": loss.detach()})

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{loss: (B,)}, what training minimises."""
        return {"loss": self._loss(batch)}

    def encode(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, Z)."""
        code: Tensor = self.encoder(image)
        return code

    def decode(self, code: Tensor) -> Tensor:
        """(B, Z) -> (B, C, *S), the expected image."""
        return self.likelihood.mean(self.decoder(code))

    def reconstruct(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S), the expected image."""
        return self.decode(self.encode(image))

    def anomaly(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """|x - x^| (with loss: ssim 1 - SSIM), mean over channels: map (B, 1, *S), and its mean over voxels (B,)."""
        return self.likelihood.unusual(self.reconstruct(image), image)

    def feature_map(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K, *s), the encoder's coarsest features. UserError: the network is not convolutional."""
        return coarse_features(self.encoder, image)

    def _loss(self, batch: Batch) -> Tensor:
        output = self.decoder(self.encoder(batch["image"]))
        nll: Tensor = self.likelihood(output, batch["image"], batch.get("foreground"))
        return nll
