"""What methods that turn one kind of image into another share: their networks, and what of an image must survive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from medudl.errors import UserError
from medudl.losses.adversarial import Loss
from medudl.losses.structure import STRUCTURE
from medudl.methods.adversarial import Adversarial
from medudl.methods.discrete import refuse_discrete
from medudl.networks.dcgan import Upsampling
from medudl.networks.patch_discriminator import PatchDiscriminator, ReceptiveField
from medudl.networks.resnet_generator import ResNetGenerator
from medudl.networks.unet_generator import UNetGenerator, depth_of

Network = Literal["unet", "resnet"]
Structure = Literal["none", "gradient", "mind", "mutual_information"]


@dataclass(frozen=True)
class Generators:
    """How a generator is made; see `Translator`."""

    size: tuple[int, ...]
    network: Network
    width: int
    depth: int
    blocks: int
    upsampling: Upsampling
    dropout: float

    def make(self, inputs: int, outputs: int) -> nn.Module:
        """(B, inputs, *S) in [-1, 1] -> (B, outputs, *S) in [-1, 1], any sides."""
        if self.network == "resnet":
            if self.dropout:
                raise UserError("method.dropout: the ResNet generator has none; set it to 0, or take network: unet")
            return ResNetGenerator(
                len(self.size), inputs, outputs, width=self.width, blocks=self.blocks, upsampling=self.upsampling
            )
        return UNetGenerator(
            len(self.size), inputs, outputs, width=self.width, depth=self.depth or depth_of(self.size),
            upsampling=self.upsampling, dropout=self.dropout,
        )  # fmt: skip


class Translator(Adversarial):
    """Base of pix2pix and CycleGAN.

    `image` (B, C, *S) is of the source side, `target` (B, C', *S) of the other; which contrasts these are stands in
    `data.channels` and `data.target`. Both are shown to the networks in [-1, 1], what lies beyond is clipped.

    All networks take instance norm without statistics of their own: an image is translated alike whatever its batch
    mates, and an empty slice gives finite numbers.
    """

    may_collapse: ClassVar[bool] = False  # of an image it makes an image; two inputs alike give two outputs alike

    def __init__(
        self, shape: tuple[int, ...], target_channels: int, loss: Loss, structure: Structure, slices: int
    ) -> None:
        super().__init__(shape, loss)
        if shape[0] % slices:
            raise UserError(f"method.slices: {slices} slices do not share {shape[0]} channels; leave it out")
        self.target_shape = (target_channels, *shape[1:])
        self.structure: Structure = structure
        self.slices = slices
        self.looked = False  # whether a batch was found to be no label map

    def structure_lost(self, image: Tensor, made: Tensor) -> Tensor:
        """Mean of the structure loss between what went in and what came out, both in [-1, 1]: a scalar.

        Slice by slice: what was made of neighbours that lie `slices` side by side in the channels of `image` is
        compared with its own slice. Their mean would reward what is blurred along the slices.
        """
        return STRUCTURE[self.structure](*self._same_slices(image, made), None).mean()

    def _same_slices(self, image: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """Both (N, C or C', *S) of the same slices; from pairs the middle one alone is made."""
        if self.slices == 1:
            return image, made
        parts = torch.unflatten(image, 1, (self.slices, -1))
        if self.paired:
            return parts[:, self.slices // 2], made
        return parts.flatten(0, 1), torch.unflatten(made, 1, (self.slices, -1)).flatten(0, 1)

    def look(self, *images: Tensor) -> None:
        """UserError: label maps. Only the first batch is looked at."""
        if not self.looked:
            for image in images:
                refuse_discrete(image)
            self.looked = True


def patch_discriminator(channels: int, dims: int, width: int, field: ReceptiveField, scales: int) -> nn.Module:
    """PatchGAN over so many channels."""
    return PatchDiscriminator(dims, channels, width=width, receptive_field=field, scales=scales)
