"""Stacked autoencoder, also of denoising layers: trained layer by layer, end to end, or one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.losses.reconstruction import squared_error
from medudl.methods.coding import Coding
from medudl.methods.corruption import gaussian, masking
from medudl.methods.likelihood import error_map
from medudl.methods.method import Objective, Phase
from medudl.networks.stack import ConvLayer, DenseLayer, stack

Corruption = Literal["none", "gaussian", "masking"]
Training = Literal["greedy", "end_to_end", "greedy_then_end_to_end"]
Size = Annotated[int, Field(ge=1)]
TOGETHER = "together"


class StackedAutoencoder(Coding):
    """Stacked (denoising) autoencoder (Bengio et al. 2007; Vincent et al. 2010).

        h_0 = x,   h_i = down_i(h_i-1),   x^ = up_1(up_2(... up_n(h_n)))
        layer by layer:  minimise over layer i alone  sum (up_i(down_i(corrupt(h_i-1))) - h_i-1)^2
        end to end:      minimise over all layers     sum (x^(corrupt(x)) - x)^2

    channels: of the convolutional layers, each at half the size below it; sizes: units of the dense layers after them;
    the last of `sizes` is Z. At least one layer in all; `channels: []` is dense throughout.
    training: greedy has a phase a layer, lowest first, which sees the CLEAN code of the layers below it, and those no
    longer change; end_to_end has one phase; greedy_then_end_to_end ends with a phase `together`. Steps are shared
    equally between phases.
    corruption: none; gaussian, of `sigma` standard deviations of what the layer sees; masking, `share` of what it sees
    put to 0. End to end only the image is corrupted.
    Sums are over the foreground where the image itself is compared, over all units above it.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        channels: tuple[Size, ...] = (16, 32, 64),
        sizes: tuple[Size, ...] = (64,),
        training: Training = "greedy_then_end_to_end",
        corruption: Corruption = "none",
        sigma: Annotated[float, Field(gt=0)] = 0.3,
        share: Annotated[float, Field(gt=0, lt=1)] = 0.25,
    ) -> None:
        layers = stack(shape, channels, sizes)
        if not layers:
            raise UserError("method.sizes: a stack needs at least one layer; give sizes, channels, or both")
        latent = math.prod(layers[-1].code)
        if latent >= math.prod(shape):
            raise UserError(
                f"method.sizes: a code of {latent} is no bottleneck for images of {math.prod(shape)} values"
            )
        super().__init__(shape, latent)
        corruptions: Mapping[Corruption, Callable[..., Tensor]] = {
            "none": _unchanged,
            "gaussian": partial(_noisy, sigma=sigma),
            "masking": partial(masking, share=share, fill="zero"),
        }
        self.corrupt = corruptions[corruption]
        self.stacked = nn.ModuleList(layers)
        self.training_order = training
        self.at: int | None = None  # the layer that is trained now; None: all of them
        self.enter_phase(self.phases()[0])

    def phases(self) -> tuple[Phase, ...]:
        """One a layer, one for all of them, or both."""
        single = tuple(Phase(_name(i)) for i in range(len(self.stacked)))
        orders: Mapping[Training, tuple[Phase, ...]] = {
            "greedy": single,
            "end_to_end": (Phase(TOGETHER),),
            "greedy_then_end_to_end": (*single, Phase(TOGETHER)),
        }
        return orders[self.training_order]

    def enter_phase(self, phase: Phase) -> None:
        """Train that layer, or all."""
        names = {_name(i): i for i in range(len(self.stacked))}
        self.at = names.get(phase.name)

    def players(self) -> dict[str, nn.Module]:
        """One a layer, so that each has an optimiser of its own; one in all where they are never trained apart."""
        if self.training_order == "end_to_end":
            return {TOGETHER: self.stacked}
        return {_name(i): layer for i, layer in enumerate(self.stacked)}

    def step(self, batch: Batch) -> Iterator[Objective]:
        """One update of the phase's layer, or of all layers by one and the same gradient."""
        if self.at is None and self.training_order != "end_to_end":
            yield from self._together(batch)
            return
        loss = self._loss(batch).mean()
        player = TOGETHER if self.at is None else _name(self.at)
        yield Objective(player, loss, {"reconstruction": loss.detach()})

    def _together(self, batch: Batch) -> Iterator[Objective]:
        device = batch["image"].device.type
        # These gradients do not go through the loop's scaling, without which those of fp16 would vanish.
        half = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16
        with torch.autocast(device, enabled=False) if half else nullcontext():
            loss = self._loss(batch).mean()
        players = {name: dict(player.named_parameters()) for name, player in self.players().items()}
        # All at once, before the first update changes what the others' gradients were computed from.
        found = iter(torch.autograd.grad(loss, [p for own in players.values() for p in own.values()]))
        ready = {name: {key: next(found) for key in own} for name, own in players.items()}
        for name, gradients in ready.items():
            yield Objective(name, None, {"reconstruction": loss.detach()}, gradients)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{loss: (B,)}, what the present phase minimises, under the same noise at every call."""
        generator = torch.Generator(batch["image"].device).manual_seed(0)
        return {"loss": self._loss(batch, generator)}

    def encode(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, Z), the highest layer's activations."""
        return self._below(image, len(self.stacked)).flatten(1)

    def decode(self, code: Tensor) -> Tensor:
        """(B, Z) -> (B, C, *S), the expected image."""
        x = code.unflatten(1, self._layers()[-1].code)  # type: ignore[no-untyped-call]
        for layer in reversed(self._layers()):
            x = layer.up(x)
        image: Tensor = x.float()
        return image

    def reconstruct(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S), the expected image."""
        return self.decode(self.encode(image))

    def anomaly(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """|x - x^|, mean over channels: map (B, 1, *S), and its mean over voxels (B,)."""
        return error_map(self.reconstruct(image), image)

    def feature_map(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K, *s), the highest convolutional layer's activations. UserError: there is none."""
        count = sum(isinstance(layer, ConvLayer) for layer in self.stacked)
        if count == 0:
            raise UserError("method.channels: a stack of dense layers has no feature map; give it channels")
        return self._below(image, count)

    def _layers(self) -> list[DenseLayer | ConvLayer]:
        return list(self.stacked)  # type: ignore[arg-type]

    def _below(self, image: Tensor, count: int) -> Tensor:
        """What the first `count` layers give: (B, *code)."""
        x = image
        for layer in self._layers()[:count]:
            x = layer.down(x)
        return x

    def _loss(self, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        image, foreground = batch["image"], batch.get("foreground")
        if self.at is None:
            return squared_error(self.reconstruct(self._corrupted(image, foreground, generator)), image, foreground)
        with torch.no_grad():
            seen = self._below(image, self.at)
        inside = foreground if self.at == 0 else None
        layer = self._layers()[self.at]
        return squared_error(layer.up(layer.down(self._corrupted(seen, inside, generator))), seen, inside)

    def _corrupted(self, x: Tensor, foreground: Tensor | None, generator: torch.Generator | None) -> Tensor:
        # Seen as one channel, so that channels are masked each on its own and units one by one.
        inside = torch.ones_like(x) if foreground is None else foreground
        whole = self.corrupt(x[:, None], inside[:, None], generator=generator)  # (B, 1, *shape)
        return whole[:, 0]


def _name(layer: int) -> str:
    return f"layer{layer + 1}"


def _unchanged(x: Tensor, foreground: Tensor, generator: torch.Generator | None) -> Tensor:
    return x


def _noisy(x: Tensor, foreground: Tensor, sigma: float, generator: torch.Generator | None) -> Tensor:
    return gaussian(x, foreground, sigma * x.std(), generator)
