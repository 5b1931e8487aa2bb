"""Denoising autoencoder, with Gaussian, masking or coarse noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.losses.reconstruction import squared_error
from medudl.methods.autoencoder import error_map
from medudl.methods.corruption import Fill, coarse, gaussian, masking
from medudl.methods.method import Method, Objective
from medudl.networks.blocks import Norm
from medudl.networks.convolutional import ConvDecoder, ConvEncoder
from medudl.networks.unet import UNet

Noise = Literal["coarse", "gaussian", "masking"]
Network = Literal["unet", "bottleneck"]


class DenoisingAutoencoder(Method):
    """Denoising autoencoder (Vincent et al. 2008), by default with coarse noise on a U-Net (Kascenas et al. 2022).

        minimise  sum over the foreground of (r(corrupt(x)) - x)^2 / (C * voxels),   mean over the batch

    At test time r sees the image as it is: what r removes is what looks like noise to it, and the map is
    |x - r(x)|, mean over channels. What r gives outside the foreground was never trained and means nothing.

    noise: coarse (sigma, grid), gaussian (sigma), masking (share, fill); see corruption.py. sigma in intensities.
    grid: points a side of the coarse noise. share: of the foreground's voxels. fill: zero or mean; zero shifts the
    mean of what the network is trained on, so for detection take mean.
    network: unet, with skips: coarse noise hides nothing fine that they could leak; bottleneck: an encoder and a
    decoder with a code of `latent` numbers, which adds the
    verb encode. width, levels: of either; norm: group, batch or none.
    residual: the network gives r(x) - x, the correction, and not r(x) itself (Zhang et al. 2017); not as published, but
    details need not be learned before lesions can stand out.
    patch: the U-Net works on cubes of this many voxels a side as channels; 2 is nearly four times as fast in 2-D.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        noise: Noise = "coarse",
        sigma: Annotated[float, Field(gt=0)] = 0.2,
        grid: Annotated[int, Field(ge=2)] = 16,
        share: Annotated[float, Field(gt=0, lt=1)] = 0.25,
        fill: Fill = "zero",
        network: Network = "unet",
        latent: Annotated[int, Field(ge=1)] = 128,
        width: Annotated[int, Field(ge=1)] = 64,
        levels: Annotated[int, Field(ge=1, le=8)] = 4,
        patch: Annotated[int, Field(ge=1, le=8)] = 1,
        norm: Norm = "group",
        residual: bool = False,
    ) -> None:
        super().__init__(shape)
        if residual and network == "bottleneck":
            raise UserError("method.residual: with network: bottleneck the image would go round the code; use unet")
        corruptions: Mapping[Noise, Callable[..., Tensor]] = {
            "coarse": partial(coarse, sigma=sigma, grid=grid),
            "gaussian": partial(gaussian, sigma=sigma),
            "masking": partial(masking, share=share, fill=fill),
        }
        networks: Mapping[Network, Callable[[], nn.Module]] = {
            "unet": lambda: UNet(
                len(shape) - 1, shape[0], shape[0], width=width, levels=levels, patch=patch, norm=norm
            ),
            "bottleneck": lambda: nn.Sequential(
                ConvEncoder(shape, latent, width=width, levels=levels, kind=norm),
                ConvDecoder(shape, latent, width=width, levels=levels, kind=norm),
            ),
        }
        self.corrupt = corruptions[noise]
        self.network = networks[network]()
        self.residual = residual

    def players(self) -> dict[str, nn.Module]:
        """One: the whole autoencoder."""
        return {"autoencoder": self}

    def verbs(self) -> tuple[str, ...]:
        """A U-Net has no code: its skips go round it."""
        return tuple(v for v in super().verbs() if v != "encode" or isinstance(self.network, nn.Sequential))

    def step(self, batch: Batch) -> Iterator[Objective]:
        """One update: corrupt, restore the clean image."""
        loss = self._loss(batch).mean()
        yield Objective("autoencoder", loss, {"reconstruction": loss.detach()})

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{loss: (B,)}, what training minimises, under the same noise at every call, so that epochs can be compared."""
        generator = torch.Generator(batch["image"].device).manual_seed(0)
        return {"loss": self._loss(batch, generator)}

    def encode(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, Z), with network: bottleneck. UserError: a U-Net has no code."""
        if not isinstance(self.network, nn.Sequential):
            raise UserError("method.network: unet has no code to encode into; train with network: bottleneck")
        code: Tensor = self.network[0](image)
        return code

    def reconstruct(self, image: Tensor) -> Tensor:
        """r(x), no noise added: (B, C, *S) -> (B, C, *S), the expected image."""
        out: Tensor = self.network(image)
        return out.float() + image.float() if self.residual else out.float()

    def denoise(self, image: Tensor) -> Tensor:
        """r(x) of an image that has noise already; the same as `reconstruct`."""
        return self.reconstruct(image)

    def anomaly(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """|x - r(x)|, mean over channels: map (B, 1, *S), and its mean over voxels (B,)."""
        return error_map(self.reconstruct(image), image)

    def _loss(self, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        image = batch["image"]
        foreground = batch.get("foreground")
        if foreground is None:
            foreground = torch.ones_like(image[:, :1], dtype=torch.bool)
        restored = self.reconstruct(self.corrupt(image, foreground, generator=generator))
        # Per value of the image, as published: an image with little foreground weighs little.
        return squared_error(restored, image, foreground) / math.prod(image.shape[1:])
