"""A classifier on the encoder of another method: fine-tuned, as a linear probe, or with class activation maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods import build
from medudl.methods.method import Method, Objective
from medudl.methods.supervised import Supervised, labels_of
from medudl.networks.stack import ConvLayer
from medudl.networks.unet import UNet

Head = Literal["code", "cam"]
Normalised = Literal["none", "layer"]


class Classifier(Supervised):
    """Classifier on a pretrained encoder (Hinton & Salakhutdinov 2006; class activation maps: Zhou et al. 2016).

        logits = W h + b  (B, K),   h = the body's code (head: code) or its last map's mean over space (cam)
        minimise  mean over labelled images of  -w_y log softmax(logits)_y,   w_c = 1, or n / (K n_c) where balanced

    body: the `method` section (name and options) of the method whose encoder it stands on; `init` copies it from a run.
    classes: K names. counts: training scans of each; with balanced, a rare class weighs as much as a frequent one.
    healthy: those of `classes` that mean healthy.
    head: code reads the body's code; cam reads its coarse map f (B, F, *s), and M_c(x) = sum_k W_ck f_k(x) shows where.
    freeze: a linear probe: W and b alone are learnt. dropout: of h. norm: layer normalises h first.
    An image of label -1 is left out of the loss; a batch without any label costs nothing and moves nothing.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        body: dict[str, Any],
        classes: Annotated[list[str], Field(min_length=2)],
        counts: list[Annotated[int, Field(ge=1)]] | None = None,
        healthy: list[str] | None = None,
        head: Head = "code",
        freeze: bool = False,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        norm: Normalised = "none",
        balanced: bool = True,
    ) -> None:
        super().__init__(shape)
        self.body = build(_name(body), shape, {key: value for key, value in body.items() if key != "name"})
        self.head, self.freeze = head, freeze
        readers: Mapping[Head, Callable[[nn.Module], Callable[[Tensor], Tensor]]] = {"code": _code, "cam": _coarse_map}
        self._reader = readers[head]
        width = _read_only_what_is_used(self.body, self._reader, shape, freeze)
        normal: Mapping[Normalised, Callable[[], nn.Module]] = {
            "none": nn.Identity,
            "layer": lambda: nn.LayerNorm(width, elementwise_affine=False),
        }
        self.prepare = nn.Sequential(normal[norm](), nn.Dropout(dropout))
        self.linear = nn.Linear(width, len(classes))
        self.know(classes, counts, healthy, balanced)
        self._knows_healthy = bool(set(classes) & set(healthy or []))

    def players(self) -> dict[str, nn.Module]:
        """One: the linear layer and, unless it is frozen, the part of the body that it reads."""
        return {"classifier": nn.ParameterList(p for p in self.parameters() if p.requires_grad)}

    def verbs(self) -> tuple[str, ...]:
        """Maps of what is not healthy take head: cam, and a class that is healthy."""
        return tuple(v for v in super().verbs() if v != "anomaly" or (self.head == "cam" and self._knows_healthy))

    def train(self, mode: bool = True) -> Classifier:
        """A frozen body is always in evaluation mode: its batch norms do not drift."""
        super().train(mode)
        if self.freeze:
            self.body.eval()
        return self

    def take(self, other: Method) -> None:
        """Begin from the encoder of `other`: of the body's own kind, or a classifier on one."""
        source = other.body if isinstance(other, Classifier) else other
        if other.shape != self.shape:
            raise UserError(
                f"method.init: was trained on images of {_words(other.shape)} (channels x size), these are"
                f" {_words(self.shape)}; leave out what data.size, data.spacing and data.channels say, or say the same"
            )
        try:
            self.body.load_state_dict(source.state_dict())
        except RuntimeError:
            raise UserError(
                f"method.init: weights of {type(source).__name__} do not fit method.body; leave method.body out,"
                " it is then taken from that run"
            ) from None

    def step(self, batch: Batch) -> Iterator[Objective]:
        """One update, over the labelled images of the batch."""
        losses, known = self._losses(batch)
        loss = losses.sum() / known.sum().clamp(min=1)
        yield Objective("classifier", loss, {"cross_entropy": loss.detach()})

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{loss, accuracy, balanced_accuracy: (B,)}; balanced by the classes' shares in training. Unlabelled: 0."""
        losses, _ = self._losses(batch)
        return {"loss": losses, **self.right(self.classify(batch["image"]), labels_of(batch))}

    def encode(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, Z), what the linear layer reads: the body's code, or its map's mean over space (cam)."""
        read = self._reader(self.body)(image).float()
        return read if self.head == "code" else read.flatten(2).mean(dim=2)

    def classify(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K) logits in the order of `classes`."""
        logits: Tensor = self.linear(self.prepare(self.encode(image)))
        return logits.float()

    def feature_map(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, F, *s): the body's coarse map."""
        return _coarse_map(self.body)(image)

    def class_maps(self, image: Tensor) -> Tensor:
        """M_c(x) = sum_k W_ck f_k(x), less its mean over the classes, which no probability depends on: (B, K, *S)."""
        coarse = torch.einsum("bk...,ck->bc...", self.feature_map(image), self.linear.weight).float()
        coarse = coarse - coarse.mean(dim=1, keepdim=True)
        with torch.autocast(coarse.device.type, enabled=False):
            return _enlarged(coarse, self.shape[1:], self.body)  # (B, K, *S)

    def anomaly(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The highest map M_c of the classes that are not healthy, where above 0: (B, 1, *S); and their probability."""
        if self.head != "cam":
            raise UserError("method.head: code has no maps; train with head: cam")
        heat = self.class_maps(image)[:, self.sick].amax(dim=1, keepdim=True).clamp(min=0)
        return heat, self.scores(image)["sick_probability"]

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy of each image, 0 where it has no label: (B,) float32; and which have one: (B,)."""
        label = labels_of(batch)
        losses = F.cross_entropy(self.classify(batch["image"]), label.clamp(min=0), reduction="none")
        known = label >= 0
        return losses * self.weight[label.clamp(min=0)] * known, known


def _code(body: nn.Module) -> Callable[[Tensor], Tensor]:
    if not isinstance(body, Method) or "encode" not in body.verbs():
        raise UserError("method.body: this method has no code to classify by; take one with the verb encode")
    read: Callable[[Tensor], Tensor] = body.encode  # type: ignore[assignment]
    return read


def _coarse_map(body: nn.Module) -> Callable[[Tensor], Tensor]:
    read = getattr(body, "feature_map", None)
    if read is None:
        raise UserError(f"method.head: {type(body).__name__} has no map over space for head: cam; use head: code")
    found: Callable[[Tensor], Tensor] = read
    return found


def _read_only_what_is_used(
    body: Method, reader: Callable[[nn.Module], Callable[[Tensor], Tensor]], shape: tuple[int, ...], freeze: bool
) -> int:
    """Let gradients reach only those parameters of the body that the head reads through; returns the head's width."""
    # The graph of one image tells which parameters are used, whatever the method is made of.
    parameters = dict(body.named_parameters())
    device = next(iter(parameters.values())).device
    with torch.enable_grad():
        read = reader(body.eval())(torch.zeros(1, *shape, device=device))
        found: tuple[Tensor | None, ...] = (None,) * len(parameters)
        if read.requires_grad:  # not so where the body looks through a fixed network
            found = torch.autograd.grad(read.sum(), list(parameters.values()), allow_unused=True)
    used = {name for name, gradient in zip(parameters, found, strict=True) if gradient is not None}
    for name, parameter in body.train().named_parameters():
        parameter.requires_grad_(name in used and not freeze)
    return int(read.shape[1])


def _name(body: Mapping[str, Any]) -> str:
    if not isinstance(body.get("name"), str):
        raise UserError("method.body: has no name; give the section of a method, such as {name: autoencoder}")
    if body["name"] == "classifier":
        raise UserError("method.body: a classifier stands on the method below it; give that one's section")
    return str(body["name"])


def _enlarged(coarse: Tensor, size: tuple[int, ...], body: nn.Module) -> Tensor:
    """Linear between the cells of the coarse map, each put where in the image it looks: (B, K, *s) -> (B, K, *size).

    Cell i of a network with strided convolutions looks around voxel i * stride, and of a U-Net, which averages, around
    the middle of its cube. Images of odd sides are padded on both sides, but not by a stack of layers.
    """
    averages = any(isinstance(module, UNet) for module in body.modules())
    pads = not any(isinstance(module, ConvLayer) for module in body.modules())
    for axis, side in enumerate(size, start=2):
        cells = coarse.shape[axis]
        stride = 2 ** math.ceil(math.log2(max(1.0, side / cells)))
        before = (cells * stride - side) // 2 if pads else 0
        first = (stride - 1) / 2 if averages else 0.0
        at = ((torch.arange(side, device=coarse.device) + before - first) / stride).clamp(0, cells - 1)
        weight = (1 - (at[:, None] - torch.arange(cells, device=coarse.device)).abs()).clamp(min=0)  # (side, cells)
        coarse = torch.tensordot(coarse, weight, dims=([axis], [1])).movedim(-1, axis)
    return coarse


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
