"""What methods with a code share: the training codes are measured once, and a scan's code is compared with them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods.code_distance import CodeGaussian
from medudl.methods.method import Method
from medudl.networks.convolutional import ConvEncoder
from medudl.networks.unet import UNet


class Coding(Method):
    """Base of methods that encode an image into Z numbers. Score: latent_distance, see code_distance.py."""

    score_names: ClassVar[tuple[str, ...]] = ("latent_distance",)

    def __init__(self, shape: tuple[int, ...], latent: int) -> None:
        super().__init__(shape)
        self.codes = CodeGaussian(latent)

    @abstractmethod
    def encode(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, Z)."""

    def settle(self, batches: Iterable[Batch]) -> None:
        """Measure mean and covariance of the training codes."""
        self.codes.fit(self.encode(batch["image"]) for batch in batches)

    def scores(self, image: Tensor) -> dict[str, Tensor]:
        """{latent_distance: (B,)}, in standard deviations of the training codes; plain before training has ended."""
        return {"latent_distance": self.codes.distance(self.encode(image))}


def coarse_features(encoder: nn.Module, image: Tensor) -> Tensor:
    """Coarsest features of a convolutional encoder or a U-Net: (B, C, *S) -> (B, K, *s). UserError: it is neither."""
    if not isinstance(encoder, (ConvEncoder, UNet)):
        raise UserError("method.network: only a convolutional encoder has a feature map; set network: convolutional")
    return encoder.features(image)
