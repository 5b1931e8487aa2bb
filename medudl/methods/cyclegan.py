"""CycleGAN: one kind of image turned into another and back, learnt without pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.losses.adversarial import Loss
from medudl.methods.adversarial import signed, unsigned
from medudl.methods.method import Objective
from medudl.methods.pixel_kernel import kernel_distance, small
from medudl.methods.translator import Generators, Network, Structure, Translator, patch_discriminator
from medudl.networks.dcgan import Upsampling
from medudl.networks.patch_discriminator import ReceptiveField
from medudl.tricks.adversarial import Duel


class CycleGAN(Translator):
    """CycleGAN (Zhu et al. 2017): G makes y of x, F makes x of y, and each undoes the other:

        L = adversarial * (L_GAN(G, D_Y) + L_GAN(F, D_X))
            + cycle * (mean |F(G(x)) - x| + mean |G(F(y)) - y|)
            + identity * (mean |G(y) - y| + mean |F(x) - x|)
            + structure_weight * (L_structure(x, G(x)) + L_structure(y, F(y)))

    x is the batch's `image`, y its `target`; they show different patients. A step is one update of G and F together,
    then one of D_Y and one of D_X on the same G(x) and F(y). Means are over voxels in [-1, 1], as published. The
    published pool of 50 past images is the trick image_replay, and configs/cyclegan.yaml has it on.

    cycles: both, or forward (x -> y -> x) or backward alone. identity: published as 5 for photographs; it holds the
    other side's intensities to the source's, and so hurts between CT and MR; it needs as many channels on both sides.
    slices: neighbours that lie side by side in the channels of both sides, for structure (training fills it in).
    Other options as in pix2pix; its generators are resnet of 9 blocks as published for 256 pixels (6 for 128).

    A small cycle error is no proof of a true translation: G can hide in y what F needs.
    Monitor: kid, `kernel_distance` of what is made to validation images of that side, mean of both directions; in
    `validate` also cycle, mean |F(G(x)) - x| in [0, 1].
    """

    monitor: ClassVar[str] = "kid"
    paired: ClassVar[bool] = False
    validation_batch: ClassVar[int] = 16  # a distance between sets needs sets

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        target_channels: Annotated[int, Field(ge=1)] = 1,
        network: Network = "resnet",
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
        cycle: Annotated[float, Field(ge=0)] = 10.0,
        cycles: Literal["both", "forward", "backward"] = "both",
        identity: Annotated[float, Field(ge=0)] = 0.0,
        structure: Structure = "none",
        structure_weight: Annotated[float, Field(gt=0)] = 1.0,
        slices: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        super().__init__(shape, target_channels, loss, structure, slices)
        channels, dims = shape[0], len(shape) - 1
        if identity and channels != target_channels:
            raise UserError(
                f"method.identity: compares an image with its own translation, and the sides have {channels} and"
                f" {target_channels} channels; set it to 0"
            )
        if not (adversarial or cycle):
            raise UserError("method.cycle and method.adversarial are both 0: nothing is left to learn from; set one")
        self.adversarial, self.cycle, self.cycles, self.identity = adversarial, cycle, cycles, identity
        self.structure_weight = structure_weight
        make = Generators(shape[1:], network, width, depth, blocks, upsampling, dropout).make
        self.generator = nn.ModuleDict(
            {"target": make(channels, target_channels), "source": make(target_channels, channels)}
        )
        self.judges = nn.ModuleDict(
            {
                side: patch_discriminator(count, dims, discriminator_width, receptive_field, scales)
                for side, count in (("target", target_channels), ("source", channels))
                if adversarial
            }
        )

    def players(self) -> dict[str, nn.Module]:
        """generator: G and F together; discriminator_target: D_Y; discriminator_source: D_X."""
        return {"generator": self.generator, **{f"discriminator_{side}": judge for side, judge in self.judges.items()}}

    def step(self, batch: Batch) -> Iterator[Objective]:
        """A turn of G and F, then one of each discriminator."""
        self.look(batch["image"], batch["target"])
        real = {"source": signed(batch["image"]), "target": signed(batch["target"])}
        made, same = self._across(real)
        yield self._generators(real, made, same)
        past = self.stand_in("generator")
        for side in self.judges:
            fake = made[side].detach()
            if past is not None:
                with torch.no_grad():
                    prefix = f"{side}."
                    weights = {name.removeprefix(prefix): w for name, w in past.items() if name.startswith(prefix)}
                    fake = functional_call(self.generator[side], weights, (real[_other(side)],)).float()
            yield self.discriminator_turn(self._duel(side, real[side], fake))

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{kid: (B,), cycle: (B,)}, see the class."""
        source, target = signed(batch["image"]), signed(batch["target"])
        made, back = self.make("target", source), self.make("source", target)
        distance = [kernel_distance(small(fake), small(real)) for fake, real in ((made, target), (back, source))]
        around = (self.make("source", made) - source).abs().flatten(1).mean(1) / 2
        return {"kid": (distance[0] + distance[1]) / 2, "cycle": around}

    def translate(self, image: Tensor) -> Tensor:
        """The source side -> the target side: (B, C, *S) -> (B, C', *S), in [0, 1]."""
        return unsigned(self.make("target", signed(image)))

    def back(self, image: Tensor) -> Tensor:
        """The target side -> the source side: (B, C', *S) -> (B, C, *S), in [0, 1]."""
        return unsigned(self.make("source", signed(image)))

    def make(self, side: str, image: Tensor) -> Tensor:
        """The image of `side` (target or source) that belongs to one of the other; both in [-1, 1], float32."""
        made: Tensor = self.generator[side](image)
        return made.float()

    def _across(self, real: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """{side: made of the other side's image}, and {side: made of its own} where the identity is asked for.

        One pass through a generator for both: no layer of it looks at other images of the batch.
        """
        made, same = {}, {}
        for side in ("target", "source"):
            other = real[_other(side)]
            if self.identity:
                both = self.make(side, torch.cat([other, real[side]]))
                made[side], same[side] = both[: len(other)], both[len(other) :]
            else:
                made[side] = self.make(side, other)
        return made, same

    def _generators(self, real: dict[str, Tensor], made: dict[str, Tensor], same: dict[str, Tensor]) -> Objective:
        parts: dict[str, Tensor] = {}
        loss: Any = torch.zeros((), device=self.device)
        for side in self.judges:
            turn = self.generator_turn(self._duel(side, real[side], made[side]))
            assert turn.loss is not None
            loss = loss + self.adversarial * turn.loss
            parts.update({f"{name}_{side}": value for name, value in turn.parts.items()})
        wanted = {"both": ("source", "target"), "forward": ("source",), "backward": ("target",)}[self.cycles]
        for side in wanted if self.cycle else ():
            error = (self.make(side, made[_other(side)]) - real[side]).abs().mean()
            loss, parts[f"cycle_{side}"] = loss + self.cycle * error, error.detach()
        for side, image in same.items():
            error = (image - real[side]).abs().mean()
            loss, parts[f"identity_{side}"] = loss + self.identity * error, error.detach()
        if self.structure != "none":
            for side, image in made.items():
                lost = self.structure_lost(real[_other(side)], image)
                loss, parts[f"structure_{side}"] = loss + self.structure_weight * lost, lost.detach()
        return Objective("generator", loss, parts)

    def _duel(self, side: str, real: Tensor, fake: Tensor) -> Duel:
        return self.duel(f"discriminator_{side}", "generator", self.judges[side], real, fake)

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return next(self.parameters()).device


def _other(side: str) -> str:
    return "source" if side == "target" else "target"
