"""A classifier of few labels that is fitted, not trained: labels spread over a graph of all scans."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods.feature_models import Standardise
from medudl.methods.feature_statistics import Moments, Reservoir, pooled
from medudl.methods.frozen_features import Features, feature_network, fingerprint_of, look_through
from medudl.methods.label_graph import put_in, reach
from medudl.methods.method import Method, Objective
from medudl.methods.supervised import Supervised, labels_of

Unlabelled = Literal["graph", "none"]
Stage = Annotated[int, Field(ge=1, le=7)]


class LabelSpreading(Supervised):
    """Labels spread over a graph of all training images (Zhou et al. 2004), and two linear layers that know them.

        h = (p - mean) / std,   p: mean and spread over the image of a FIXED network's channels, all stages  (B, Z)
        F = (1 - alpha) (I - alpha S)^-1 Y   over the graph of each image's nearest `neighbours` by cosine of h  (N, K)
        A: ridge logistic regression of the labels on h
        B: the same of all images on argmax_k F_ik, weighed by (F_1 - F_2) / sum F; labelled ones keep label, weight 1
        p(k | x) = (softmax_k(A h) + softmax_k(B h)) / 2,   classify gives its logarithm

    What asks for images without a label is B: they are where it is sure that a label reaches. A ridge is
    ridge Z / 2 |W|^2 beside the sum of the cross-entropies; with K = 2, W is the difference of the two rows.

    The linear layers take steps on the labelled images like any other classifier; when training ends they are put in
    exactly, so that one step is enough. The weights hold no image and no vector of one.

    unlabelled: graph as above; none: A alone, and images without a label give h its mean and std, no more.
    features, stages, side: the fixed network, as for `feature_autoencoder`; `body`: with features encoder, see there.
    bank: at most so many images without a label, drawn at random, stand in the graph; labelled ones all do.
    classes: K names. counts: labelled training scans of each. healthy: those of `classes` that mean healthy.
    balanced: a rare class weighs as much as a frequent one in A, and spreads as far; else by `counts`.
    """

    semi_supervised: ClassVar[bool] = True

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: Annotated[list[str], Field(min_length=2)],
        counts: list[Annotated[int, Field(ge=1)]] | None = None,
        healthy: list[str] | None = None,
        balanced: bool = True,
        unlabelled: Unlabelled = "graph",
        features: Features = "efficientnet_lite0",
        stages: Annotated[list[Stage], Field(min_length=1)] = [5, 6, 7],  # noqa: B006
        side: Annotated[int, Field(ge=32, le=1024)] = 160,
        body: dict[str, Any] | None = None,
        neighbours: Annotated[int, Field(ge=1)] = 10,
        alpha: Annotated[float, Field(gt=0, le=0.99)] = 0.9,
        ridge: Annotated[float, Field(gt=0)] = 0.2,
        bank: Annotated[int, Field(ge=1)] = 20_000,
    ) -> None:
        super().__init__(shape)
        self.know(classes, counts, healthy, balanced)
        self.neighbours, self.alpha, self.ridge, self.bank = neighbours, alpha, ridge, bank
        self.network = feature_network(features, shape, stages, side, body)
        size = 2 * sum(self.network.channels)
        self.standardise = Standardise(size)
        self.taught = nn.Linear(size, len(classes))
        self.spread = nn.Linear(size, len(classes)) if unlabelled == "graph" else None
        mass = torch.ones(len(classes)) if balanced or counts is None else torch.tensor(counts)
        self.mass: Tensor
        self.register_buffer("mass", mass / mass.sum(), persistent=False)
        self._words: list[str] = []

    def players(self) -> dict[str, nn.Module]:
        """One: the linear layers. The network of the features is nobody's."""
        return {"classifier": nn.ModuleList([self.taught, *([self.spread] if self.spread is not None else [])])}

    def take(self, other: Method) -> None:
        """Look through the encoder of `other`. Raises UserError: features is not encoder, or it has another shape."""
        look_through(self.network, self.shape, other)

    def step(self, batch: Batch) -> Iterator[Objective]:
        """One update over the labelled images of the batch. The features' mean and spread are measured on all."""
        p = self._pooled(batch["image"])
        self.standardise.measure(p, torch.ones_like(p[:, :1]))
        losses, known = self._losses(p, labels_of(batch))
        loss = losses.sum() / known.sum().clamp(min=1)
        yield Objective("classifier", loss, {"cross_entropy": loss.detach()})

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{loss, accuracy, balanced_accuracy: (B,)}; balanced by the classes' shares in training. Unlabelled: 0."""
        p, label = self._pooled(batch["image"]), labels_of(batch)
        return {"loss": self._losses(p, label)[0], **self.right(self.answer(p), label)}

    @torch.no_grad()
    def settle(self, batches: Iterable[Batch]) -> None:
        """`fit` on the training images. Raises UserError: a class without any label."""
        self.fit((self._pooled(batch["image"]), labels_of(batch)) for batch in batches)

    @torch.no_grad()
    def fit(self, parts: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Measure the features exactly, spread the labels, and put both linear layers in.

        parts: p (n, Z) and label (n,), -1 for none, of all training images between them. UserError: as `settle`.
        """
        moments, others = Moments(self.taught.in_features), Reservoir(self.bank)
        taught, labels = [], []
        for p, label in parts:
            moments.add(p)
            others.add(p[label < 0])
            taught.append(p[label >= 0])
            labels.append(label[label >= 0])
        self.standardise.fit(moments)
        h, label = self.standardise(torch.cat(taught)), torch.cat(labels)
        if lacking := [name for k, name in enumerate(self.classes) if not (label == k).any()]:
            raise UserError(f"method.classes: no training image has the label {', '.join(lacking)}")
        put_in(self.taught, h, label, self.weight[label], self.ridge)
        self._words = [f"learnt from {len(label)} images with a label"]
        if self.spread is not None and others.kept is not None:
            every = torch.cat([h, self.standardise(others.kept.to(h.device))])
            given = torch.cat([label, label.new_full((len(others.kept),), -1)])
            reached, sure = reach(every, given, self.mass, self.neighbours, self.alpha)
            put_in(self.spread, every, reached, sure, self.ridge)
            self._words = [f"labels of {len(label)} images spread over {len(others.kept)} without one"]

    def notes(self) -> list[str]:
        """What is part of the result's name, and how many images it was learnt from."""
        return [f"features: {self._network_name()}", *self._words]

    def encode(self, image: Tensor) -> Tensor:
        """h: (B, C, *S) -> (B, Z)."""
        h: Tensor = self.standardise(self._pooled(image))
        return h

    def classify(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K), logarithms of probabilities in the order of `classes`."""
        return self.answer(self._pooled(image))

    def _pooled(self, image: Tensor) -> Tensor:
        if self.looks is None:
            return pooled(self.network(image))
        return self.looks(lambda new: pooled(self.network(new)), image, self._network_name())

    def _network_name(self) -> str:
        return f"{fingerprint_of(self.network)}; stages {', '.join(map(str, self.network.stages))}"

    def answer(self, p: Tensor) -> Tensor:
        """`classify` of features p: (B, Z) -> (B, K)."""
        with torch.autocast(p.device.type, enabled=False):  # fitted in double precision, and cheap
            h = self.standardise(p)
            first = F.log_softmax(self.taught(h), dim=1)
            if self.spread is None:
                return first
            return torch.logaddexp(first, F.log_softmax(self.spread(h), dim=1)) - math.log(2)

    def _losses(self, p: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of each image, weighed by its class, 0 where it has no label; and which have one: (B,) each."""
        known, at = label >= 0, label.clamp(min=0)
        return F.nll_loss(self.answer(p), at, reduction="none") * self.weight[at] * known, known
