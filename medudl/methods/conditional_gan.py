"""Conditional generative adversarial network: both networks are told what an image shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from medudl.batch import Batch
from medudl.condition import Condition
from medudl.errors import UserError
from medudl.losses.adversarial import Loss
from medudl.methods.gan import GAN
from medudl.methods.method import Objective
from medudl.networks.dcgan import Upsampling

_REMEMBERED = 512  # conditions of training images that samples draw theirs from


class ConditionalGAN(GAN):
    """Conditional GAN (Mirza & Osindero 2014): everything as in `gan`, and y goes to both networks,

        D(x, y),   G(z, y),   y of the batch's own images for both the real and the generated

    y (B, K) is the batch's `condition` where `data.condition` names what is told (contrast, slice_position, age ...),
    else the label as K zeros and ones, one class each. An image without a label (-1) gets zeros: "unknown" is a
    condition of its own, so the image teaches both networks what scans look like and nothing about a class. Leaving it
    out would change the size of batches.

    classes: names of the labels, in the order of their numbers. conditions: what is told in their stead, in the order
    of y. Training fills in either from the cohort. Other options as in gan.

    A code is z ++ y, Z = latent + K numbers. `draw` takes y from the training images, one of 512 of them (the latest
    seen; once training has ended, spread evenly over all), so samples have their frequencies. `sample_of` is told y.
    Monitor: kid, each fixed code with the condition of one of the batch's images in turn.
    """

    supervised: ClassVar[bool] = True

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: tuple[str, ...] = (),
        conditions: tuple[Condition, ...] = (),
        latent: Annotated[int, Field(ge=1)] = 100,
        width: Annotated[int, Field(ge=1)] = 64,
        norm: Literal["batch", "none"] = "batch",
        upsampling: Upsampling = "resize",
        loss: Loss = "non_saturating",
        discriminator_steps: Annotated[int, Field(ge=1)] = 1,
        generator_steps: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        if not classes and not conditions:
            raise UserError("method.classes: there is no class to tell the networks; name two, or take method gan")
        of_classes = () if conditions else (Condition(name="class", values=classes),)
        super().__init__(
            shape, sum(one.size for one in conditions or of_classes), latent=latent, width=width, norm=norm,
            upsampling=upsampling, loss=loss, discriminator_steps=discriminator_steps, generator_steps=generator_steps,
        )  # fmt: skip
        self.classes = classes
        self.conditions: tuple[Condition, ...] = conditions or of_classes
        self.by_label = not conditions
        self.remembered: Tensor
        self.register_buffer("remembered", torch.zeros(_REMEMBERED, self.told))
        self.met: Tensor
        self.register_buffer("met", torch.zeros((), dtype=torch.int64))  # how many conditions were seen

    @classmethod
    def supervised_by(cls, condition: Sequence[str]) -> bool:
        """Other conditions than classes need no label."""
        return not condition

    def step(self, batch: Batch) -> Iterator[Objective]:
        """As in gan; the conditions are remembered first."""
        self._remember(self.condition(batch))
        yield from super().step(batch)

    def condition(self, batch: Batch) -> Tensor:
        """(B, K): the batch's `condition`, or its labels as zeros and ones; zeros where there is no label."""
        if not self.by_label:
            return batch["condition"].float()
        label = batch.get("label")
        if label is None:
            return torch.zeros(len(batch["image"]), self.told, device=batch["image"].device)
        return self.of_class(label)

    def of_class(self, number: Tensor) -> Tensor:
        """Classes by number, -1 for none -> y: (B,) -> (B, K)."""
        return F.one_hot(number + 1, self.told + 1)[:, 1:].float()

    def sample_of(self, count: int, condition: Tensor | int) -> Tensor:
        """Images of one condition: (count, C, *S). condition: y (K,), one y an image (count, K), or a class number."""
        y = self.of_class(torch.tensor([condition])) if isinstance(condition, int) else condition
        y = y.to(self.remembered).expand(count, self.told)
        return self.decode(torch.cat([self.noise(count), y], dim=1))

    def draw(self, count: int) -> Tensor:
        """Codes z ++ y: (count, Z), z from N(0, I), y from the training images' conditions (zeros before any)."""
        known = min(int(self.met), _REMEMBERED)
        y = self.remembered[torch.randint(max(1, known), (count,), device=self.remembered.device)]
        return torch.cat([self.noise(count), y], dim=1)

    def fixed_codes(self, count: int, batch: Batch) -> Tensor:
        """(count, Z): fixed z, with the conditions of the batch's images, again and again."""
        y = self.condition(batch)
        turns = torch.arange(count, device=y.device) % len(y)
        return torch.cat([super().fixed_codes(count, batch), y[turns]], dim=1)

    @torch.no_grad()
    def settle(self, batches: Iterable[Batch]) -> None:
        """Remember conditions spread evenly over those of all training images."""
        y = torch.cat([self.condition(batch) for batch in batches])
        # Sorted, an even spread holds each kind as often as all of them do, to 1 in 512.
        order = sorted(range(len(y)), key=lambda i: tuple(y[i].tolist()))
        places = [int((place + 0.5) * len(y) / _REMEMBERED) for place in range(_REMEMBERED)]
        self.remembered.copy_(y[[order[place] for place in places]])
        self.met.fill_(_REMEMBERED)

    @torch.no_grad()
    def _remember(self, y: Tensor) -> None:
        places = (self.met + torch.arange(len(y), device=y.device)) % _REMEMBERED
        self.remembered[places] = y.to(self.remembered)
        self.met += len(y)
