"""Convolutional, undercomplete autoencoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.losses.reconstruction import absolute_error, bernoulli_cross_entropy, gaussian_nll, squared_error
from medudl.methods.method import Method, Objective
from medudl.networks.blocks import Norm
from medudl.networks.convolutional import ConvDecoder, ConvEncoder

Loss = Literal["squared_error", "absolute_error", "gaussian_nll", "bernoulli_cross_entropy"]


class Autoencoder(Method):
    """Autoencoder, convolutional and undercomplete (Rumelhart et al. 1986; Masci et al. 2011).

        z = encoder(x)  (B, Z),   x^ = decoder(z)  (B, C, *S),   minimise -log p(x given x^)

    latent: Z, fewer than the image has voxels; a code that is large enough learns to copy lesions too.
    width, levels: channels after the first halving, doubled at each of `levels` halvings.
    loss: see losses/reconstruction.py. gaussian_nll learns one sigma; bernoulli_cross_entropy ends in a sigmoid and
    compares with the image clipped to [0, 1].
    norm: group, batch, or none.
    Losses are sums over the foreground's voxels (every voxel without a `foreground`), means over the batch.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        latent: Annotated[int, Field(ge=1)] = 64,
        width: Annotated[int, Field(ge=1)] = 32,
        levels: Annotated[int, Field(ge=1, le=8)] = 4,
        loss: Loss = "squared_error",
        norm: Norm = "group",
    ) -> None:
        super().__init__(shape)
        if latent >= math.prod(shape):
            raise UserError(
                f"method.latent: {latent} is no bottleneck for images of {math.prod(shape)} values; lower it"
            )
        self.encoder = ConvEncoder(shape, latent, width=width, levels=levels, kind=norm)
        self.decoder = ConvDecoder(shape, latent, width=width, levels=levels, kind=norm)
        self.likelihood = _LIKELIHOODS[loss]()

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

    def reconstruct(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S), the expected image."""
        return self.likelihood.mean(self.decoder(self.encode(image)))

    def anomaly(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """|x - x^|, mean over channels: map (B, 1, *S), and its mean over voxels (B,)."""
        return error_map(self.reconstruct(image), image)

    def _loss(self, batch: Batch) -> Tensor:
        output = self.decoder(self.encoder(batch["image"]))
        nll: Tensor = self.likelihood(output, batch["image"], batch.get("foreground"))
        return nll


def error_map(expected: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """|x - x^|, mean over channels: map (B, 1, *S) in intensities, and its mean over voxels (B,)."""
    per_voxel = absolute_error(expected, image, voxelwise=True) / image.shape[1]
    return per_voxel, per_voxel.flatten(1).mean(dim=1)


class _Plain(nn.Module):
    """A loss whose prediction is the decoder's output."""

    def __init__(self, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Tensor, image: Tensor, foreground: Tensor | None) -> Tensor:
        return self.loss(output, image, foreground)

    def mean(self, output: Tensor) -> Tensor:
        return output.float()


class _Gaussian(_Plain):
    """One sigma for all voxels, learned."""

    def __init__(self) -> None:
        super().__init__(gaussian_nll)
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def forward(self, output: Tensor, image: Tensor, foreground: Tensor | None) -> Tensor:
        return gaussian_nll(output, image, self.log_sigma, foreground)


class _Bernoulli(_Plain):
    """Outputs are logits; brighter voxels than 1 have no probability and are clipped."""

    def __init__(self) -> None:
        super().__init__(bernoulli_cross_entropy)

    def forward(self, output: Tensor, image: Tensor, foreground: Tensor | None) -> Tensor:
        return bernoulli_cross_entropy(output, image.clamp(0, 1), foreground)

    def mean(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output.float())


_LIKELIHOODS: Mapping[Loss, Callable[[], _Plain]] = {
    "squared_error": lambda: _Plain(squared_error),
    "absolute_error": lambda: _Plain(absolute_error),
    "gaussian_nll": _Gaussian,
    "bernoulli_cross_entropy": _Bernoulli,
}
