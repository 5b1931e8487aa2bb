"""pix2pix: one image turned into another, learnt from registered pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.losses.adversarial import Loss
from medudl.methods.adversarial import signed, unsigned
from medudl.methods.method import Objective
from medudl.methods.translator import Generators, Network, Structure, Translator, patch_discriminator
from medudl.networks.dcgan import Upsampling
from medudl.networks.patch_discriminator import ReceptiveField
from medudl.tricks.adversarial import Weights


class Pix2Pix(Translator):
    """pix2pix (Isola et al. 2017): a conditional GAN on the input image x, whose target y is known:

        D learns to tell (x, y) from (x, G(x));
        L_G = adversarial * L_GAN(D(x, G(x))) + l1 * mean |y - G(x)| + structure_weight * L_structure(x, G(x))

    A step is one update of D and one of G, both on the same G(x). mean |y - G(x)| is over voxels in [-1, 1], as
    published. There is no noise: G is a function of x. With adversarial 0 there is no D, and G learns by the others.

    target_channels: C'; training fills it in from data.target. network: unet (`depth` halvings: 8 is U-Net-256, 7
    U-Net-128; 0: as many as the shortest side allows) or resnet (`blocks`). width: channels of the finest level;
    discriminator_width: those of D's first.
    upsampling: resize, or transposed as published, which makes checkerboards. dropout: of the U-Net's three innermost
    levels. receptive_field: voxels that one patch of D sees; scales: how many resolutions D judges. loss: see
    losses/adversarial.py. structure: see losses/structure.py; of use where the two sides show the same edges.
    slices: neighbours that lie side by side in the channels of x (training fills it in from data.neighbours); G makes
    the middle one.

    Monitor: mae, the mean absolute error in the nominal [0, 1], inside the foreground where there is one.
    """

    monitor: ClassVar[str] = "mae"
    paired: ClassVar[bool] = True

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        target_channels: Annotated[int, Field(ge=1)] = 1,
        network: Network = "unet",
        width: Annotated[int, Field(ge=1)] = 64,
        depth: Annotated[int, Field(ge=0, le=9)] = 0,
        blocks: Annotated[int, Field(ge=1)] = 9,
        upsampling: Upsampling = "resize",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        discriminator_width: Annotated[int, Field(ge=1)] = 64,
        receptive_field: ReceptiveField = 70,
        scales: Annotated[int, Field(ge=1, le=4)] = 1,
        loss: Loss = "least_squares",
        adversarial: Annotated[float, Field(ge=0)] = 1.0,
        l1: Annotated[float, Field(ge=0)] = 100.0,
        structure: Structure = "none",
        structure_weight: Annotated[float, Field(gt=0)] = 1.0,
        slices: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        super().__init__(shape, target_channels, loss, structure, slices)
        if not (adversarial or l1):
            raise UserError("method.l1 and method.adversarial are both 0: nothing says what is to be made; set one")
        self.adversarial, self.l1, self.structure_weight = adversarial, l1, structure_weight
        channels, dims = shape[0], len(shape) - 1
        make = Generators(shape[1:], network, width, depth, blocks, upsampling, dropout).make
        self.generator = make(channels, target_channels)
        self.discriminator: nn.Module | None = None
        if adversarial:
            both = channels + target_channels
            self.discriminator = patch_discriminator(both, dims, discriminator_width, receptive_field, scales)

    def players(self) -> dict[str, nn.Module]:
        """The discriminator, where there is one, and the generator."""
        judge = {} if self.discriminator is None else {"discriminator": self.discriminator}
        return {**judge, "generator": self.generator}

    def step(self, batch: Batch) -> Iterator[Objective]:
        """A turn of D on (x, y) and (x, G(x)), then one of G."""
        self.look(batch["image"], batch["target"])
        source, target = signed(batch["image"]), signed(batch["target"])
        made = self.make(source)
        if self.discriminator is not None:
            shown = self._shown(source, made)
            yield self.discriminator_turn(
                self.duel("discriminator", "generator", self.discriminator, _pair(source, target), shown)
            )
        yield self._generator(source, target, made)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{mae: (B,)}, see the class."""
        apart = (self.translate(batch["image"]) - batch["target"]).abs()
        where = batch.get("foreground")
        inside = torch.ones_like(apart[:, :1]) if where is None else where.to(apart.dtype)
        error = (apart.mean(1, keepdim=True) * inside).flatten(1).sum(1)
        return {"mae": error / inside.flatten(1).sum(1).clamp(min=1)}

    def translate(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> the other side, (B, C', *S), in [0, 1]."""
        return unsigned(self.make(signed(image)))

    def make(self, source: Tensor) -> Tensor:
        """G(x), in [-1, 1], float32."""
        made: Tensor = self.generator(source)
        return made.float()

    def _shown(self, source: Tensor, made: Tensor) -> Tensor:
        """(x, G(x)) for D's turn, of a past G where a trick gives one."""
        past: Weights | None = self.stand_in("generator")
        if past is None:
            return _pair(source, made.detach())
        with torch.no_grad():
            old: Tensor = torch.func.functional_call(self.generator, dict(past), (source,))
        return _pair(source, old.float())

    def _generator(self, source: Tensor, target: Tensor, made: Tensor) -> Objective:
        distance = (target - made).abs().mean()
        loss, parts = self.l1 * distance, {"l1": distance.detach()}
        if self.discriminator is not None:
            pair = _pair(source, made)
            turn = self.generator_turn(
                self.duel("discriminator", "generator", self.discriminator, _pair(source, target), pair)
            )
            assert turn.loss is not None
            loss, parts = loss + self.adversarial * turn.loss, {**parts, **turn.parts}
        if self.structure != "none":
            lost = self.structure_lost(source, made)
            loss, parts["structure"] = loss + self.structure_weight * lost, lost.detach()
        return Objective("generator", loss, parts)


def _pair(source: Tensor, target: Tensor) -> Tensor:
    """What D is shown: (B, C, *S), (B, C', *S) -> (B, C + C', *S)."""
    return torch.cat([source, target], dim=1)
