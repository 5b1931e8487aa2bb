"""Denoising autoencoder, with Gaussian, masking or coarse noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.losses.reconstruction import squared_error
from medudl.methods.coding import Coding, coarse_features
from medudl.methods.corruption import Fill, coarse, gaussian, masking
from medudl.methods.likelihood import error_map
from medudl.methods.markov_chain import Chain, Residual, ResidualSums, run_chains
from medudl.methods.method import Objective
from medudl.networks.blocks import Norm
from medudl.networks.convolutional import ConvDecoder, ConvEncoder
from medudl.networks.unet import UNet

Noise = Literal["coarse", "gaussian", "masking"]
Network = Literal["unet", "bottleneck"]


class DenoisingAutoencoder(Coding):
    """Denoising autoencoder (Vincent et al. 2008), by default with coarse noise on a U-Net (Kascenas et al. 2022).

        minimise  sum over the foreground of (r(corrupt(x)) - x)^2 / (C * voxels),   mean over the batch

    At test time r sees the image as it is: what r removes is what looks like noise to it, and the map is
    |x - r(x)|, mean over channels. What r gives outside the foreground was never trained and means nothing.

    noise: coarse (sigma, grid), gaussian (sigma), masking (share, fill); see corruption.py. sigma in intensities.
    grid: points a side of the coarse noise. share: of the foreground's voxels. fill: zero or mean; zero shifts the
    mean of what the network is trained on, so for detection take mean.
    network: unet, with skips: coarse noise hides nothing fine that they could leak; its code is the mean over space of
    its coarsest features, Z = width * 2^(levels - 1), and no image can be drawn from that code alone, so there is no
    decode. bottleneck: an encoder and a decoder with a code of `latent` numbers. width, levels: of either; norm: group,
    batch or none.
    residual: the network gives r(x) - x, the correction, and not r(x) itself (Zhang et al. 2017); not as published, but
    details need not be learned before lesions can stand out.
    patch: the U-Net works on cubes of this many voxels a side as channels; 2 is nearly four times as fast in 2-D.
    chain: with noise: gaussian, makes it a generator (see markov_chain.py); {} takes the chain's defaults. Masking and
    coarse noise have no p(x given corrupted) that is independent from voxel to voxel, so they cannot be sampled.
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
        chain: Chain | None = None,
    ) -> None:
        super().__init__(shape, latent if network == "bottleneck" else width * 2 ** (levels - 1))
        if residual and network == "bottleneck":
            raise UserError("method.residual: with network: bottleneck the image would go round the code; use unet")
        if chain is not None and noise != "gaussian":
            raise UserError(f"method.chain: samples need noise: gaussian, not {noise}; change it, or leave chain out")
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
        self.chain = chain
        # No more than the noise can be left of it: this stands in until it is measured.
        self.left = None if chain is None else Residual(shape, sigma**2)

    def players(self) -> dict[str, nn.Module]:
        """One: the whole autoencoder."""
        return {"autoencoder": self}

    def verbs(self) -> tuple[str, ...]:
        """No decode for a U-Net, whose skips go round its code; no sample without a chain."""
        lacking = {"decode"} if isinstance(self.network, UNet) else set()
        lacking |= {"sample"} if self.chain is None else set()
        return tuple(verb for verb in super().verbs() if verb not in lacking)

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
        """(B, C, *S) -> (B, Z): the bottleneck's code, or the mean over space of the U-Net's coarsest features."""
        if isinstance(self.network, UNet):
            return self.network.features(image).flatten(2).mean(dim=2)
        code: Tensor = self._bottleneck(0)(image)
        return code

    def decode(self, code: Tensor) -> Tensor:
        """(B, Z) -> (B, C, *S), with network: bottleneck. UserError: a U-Net cannot draw from its code alone."""
        image: Tensor = self._bottleneck(1)(code)
        return image.float()

    def feature_map(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K, *s), the coarsest features of the encoder or of the U-Net."""
        return coarse_features(self.network if isinstance(self.network, UNet) else self._bottleneck(0), image)

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

    def sample(self, count: int) -> Tensor:
        """(count, C, *S), by the Markov chain. UserError: there is no `chain` in the config."""
        if self.chain is None or self.left is None:
            raise UserError(
                "method.chain: absent, so there is nothing to sample by; train with noise: gaussian, chain: {}"
            )
        everywhere = torch.ones_like(self.left.seen)[None]
        return run_chains(self.chain, lambda x: self.corrupt(x, everywhere), self.reconstruct, self.left, count)

    def settle(self, batches: Iterable[Batch]) -> None:
        """Measure the training codes and, for the chain, what is left after denoising."""
        sums = ResidualSums(self.shape)
        generator = torch.Generator(self.codes.mean.device).manual_seed(0)

        def codes() -> Iterator[Tensor]:
            for batch in batches:
                if self.left is not None:
                    foreground = _foreground(batch)
                    restored = self.reconstruct(self.corrupt(batch["image"], foreground, generator=generator))
                    sums.add(batch["image"], restored, foreground)
                yield self.encode(batch["image"])

        self.codes.fit(codes())
        if self.left is not None:
            self.left.take(sums)

    def _bottleneck(self, part: int) -> nn.Module:
        if not isinstance(self.network, nn.Sequential):
            raise UserError("method.network: unet has no code to draw from; train with network: bottleneck")
        return self.network[part]

    def _loss(self, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        image, foreground = batch["image"], _foreground(batch)
        restored = self.reconstruct(self.corrupt(image, foreground, generator=generator))
        # Per value of the image, as published: an image with little foreground weighs little.
        return squared_error(restored, image, foreground) / math.prod(image.shape[1:])


def _foreground(batch: Batch) -> Tensor:
    """(B, 1, *S); everything where the batch has none."""
    found = batch.get("foreground")
    return torch.ones_like(batch["image"][:, :1], dtype=torch.bool) if found is None else found
