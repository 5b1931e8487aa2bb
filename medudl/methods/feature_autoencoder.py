"""Feature autoencoder: what is unusual, told in the features of a fixed network and not in pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.batch import Batch
from medudl.methods.feature_models import FeatureModel, Model, Standardise, feature_model
from medudl.methods.feature_statistics import Moments, PooledScores, Reservoir, pooled
from medudl.methods.frozen_features import Features, feature_network, fingerprint_of, look_through
from medudl.methods.method import Method, Objective

Stage = Annotated[int, Field(ge=1, le=7)]

_POOL: Mapping[int, Callable[..., Tensor]] = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
_NEAR = 3  # training images that an image is compared with


class FeatureAutoencoder(Method):
    """Feature autoencoder (Meissen et al. 2022; position by position: Shi et al. 2021).

        f_s(x): features of stage s of a FIXED network  (B, C_s, *S_s),   z_s = (f_s - mean_s) / std_s  per channel
        minimise  sum over s, positions p in the foreground, channels of (z_s - z^_s)^2,   mean over the batch
        map = mean over s of the residual of p, mean over channels, enlarged linearly to the image  (B, 1, *S)

    Which network, stages, size and model it was is part of the result's name: `notes` tells it.

    features: efficientnet_lite0, on ImageNet weights from a package; each channel, and in 3-D each slice along D, goes
    through it by itself. encoder: the convolutional encoder of the run that `init` names (`body`: that method's
    section, filled in from the run), 2-D and 3-D. random: such an encoder, untrained, to compare with.
    stages: counted from 1, fine to coarse. side: pixels of a picture's longer side, as efficientnet_lite0 sees it.
    model: linear (PCA, put in exactly when training ends), convolutional, nearest; see feature_models.py.
    latent: channels that a position is squeezed into, of each stage; for nearest, prototypes.
    components, bank: of the scores of whole images, see feature_statistics.py. The bank holds one vector of pooled
    features for each of at most `bank` training images, never an image.

    scores: feature_residual, nearest_neighbours, both of features pooled over the whole image.
    """

    score_names = ("feature_residual", "nearest_neighbours")

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        features: Features = "efficientnet_lite0",
        stages: Annotated[list[Stage], Field(min_length=1)] = [3, 4, 5],  # noqa: B006
        side: Annotated[int, Field(ge=32, le=1024)] = 224,
        model: Model = "linear",
        latent: Annotated[int, Field(ge=1)] = 8,
        components: Annotated[int, Field(ge=1)] = 4,
        bank: Annotated[int, Field(ge=1)] = 2048,
        body: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(shape)
        self.network = feature_network(features, shape, stages, side, body)
        channels = self.network.channels
        self.standardise = nn.ModuleList(Standardise(count) for count in channels)
        self.models = nn.ModuleList(feature_model(model, count, latent, len(shape) - 1) for count in channels)
        self.pooled_scores = PooledScores(2 * sum(channels), components, bank, _NEAR)
        self._words: list[str] = []

    def players(self) -> dict[str, nn.Module]:
        """One: the models of all stages. The network of the features is nobody's."""
        return {"autoencoder": self.models}

    def take(self, other: Method) -> None:
        """Look through the encoder of `other`. Raises UserError: features is not encoder, or it has another shape."""
        look_through(self.network, self.shape, other)

    def step(self, batch: Batch) -> Iterator[Objective]:
        """One update. The features' mean and spread are measured in passing."""
        features = self._features(batch["image"])
        for standardise, stage in zip(self._scales(), features, strict=True):
            standardise.measure(stage, _share(batch, stage))
        loss = self._loss(batch, features).mean()
        yield Objective("autoencoder", loss, {"feature_residual": loss.detach()})

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{loss: (B,)}, what training minimises."""
        return {"loss": self._loss(batch, self._features(batch["image"]))}

    @torch.no_grad()
    def settle(self, batches: Iterable[Batch]) -> None:
        """Measure moments exactly, put in the models' closed forms, and fill what the scores compare with."""
        sizes = self.network.channels
        moments, samples = [Moments(c) for c in sizes], [Reservoir(model.sample) for model in self._models()]
        whole, bank = Moments(2 * sum(sizes)), Reservoir(len(self.pooled_scores.bank))
        for batch in batches:
            features = self._features(batch["image"])
            for stage, of_stage, sample in zip(features, moments, samples, strict=True):
                flat, share = stage.movedim(1, -1).flatten(0, -2), _share(batch, stage).flatten()  # (N, C), (N,)
                of_stage.add(flat, share)
                if sample.size:
                    sample.add(flat[share > 0])
            p = pooled(features)
            whole.add(p)
            bank.add(p)
        self.pooled_scores.fit(whole, bank)
        self._words = []
        for standardise, model, of_stage, sample in zip(self._scales(), self._models(), moments, samples, strict=True):
            self._words.append(model.fit(of_stage, sample))
            if model.closed:
                standardise.fit(of_stage)

    def notes(self) -> list[str]:
        """What is part of the result's name, and what the weights hold of patients."""
        words = self._words or ["not settled"] * len(self.models)
        stages = ", ".join(f"{stage} ({what})" for stage, what in zip(self.network.stages, words, strict=True))
        images = int(self.pooled_scores.count)
        return [
            f"features: {fingerprint_of(self.network)}; stage {stages}; each channel standardised on the training"
            " images",
            f"the weights hold one vector of pooled features for each of {images} training images, and no image",
        ]

    def feature_map(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C_s, *S_s): the features of the last of `stages`."""
        return self._features(image)[-1]

    def encode(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, 2 * sum C_s): standardised mean and spread over the image of each channel, each stage."""
        return self.pooled_scores.standardised(pooled(self._features(image)))

    def scores(self, image: Tensor) -> dict[str, Tensor]:
        """{feature_residual, nearest_neighbours: (B,)}, see `PooledScores`."""
        with torch.autocast(image.device.type, enabled=False):
            p = self.encode(image)
            residual, near = self.pooled_scores.residual(p), self.pooled_scores.neighbours(p)
        return {"feature_residual": residual, "nearest_neighbours": near}

    def anomaly(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Residual of each position: map (B, 1, *S), and its mean over voxels (B,)."""
        maps = []
        for stage, residual in zip(self.network.stages, self._residuals(self._features(image)), strict=True):
            maps.append(self.network.enlarged(residual, image.shape[2:], stage))
        heat = torch.stack(maps).mean(dim=0)  # (B, 1, *S)
        return heat, heat.flatten(1).mean(dim=1)

    def _scales(self) -> list[Standardise]:
        return cast("list[Standardise]", list(self.standardise))

    def _models(self) -> list[FeatureModel]:
        return cast("list[FeatureModel]", list(self.models))

    def _features(self, image: Tensor) -> list[Tensor]:
        found: list[Tensor] = self.network(image)
        return found

    def _residuals(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Mean over channels of (z - z^)^2, of each stage: (B, 1, *S_s)."""
        out = []
        for standardise, model, stage in zip(self._scales(), self._models(), features, strict=True):
            # In full precision: what is left of a feature is small beside it.
            with torch.autocast(stage.device.type, enabled=False):
                z = standardise(stage)
                out.append((z - model(z)).square().mean(dim=1, keepdim=True))
        return out

    def _loss(self, batch: Batch, features: Sequence[Tensor]) -> Tensor:
        total = torch.zeros(len(batch["image"]), device=batch["image"].device)
        for residual, stage in zip(self._residuals(features), features, strict=True):
            total = total + stage.shape[1] * (residual * _share(batch, stage)).flatten(1).sum(dim=1)
        return total


def _share(batch: Batch, stage: Tensor) -> Tensor:
    """How much of each position of a stage is foreground: (B, 1, *S_s) in [0, 1]."""
    foreground = batch.get("foreground")
    if foreground is None:
        return torch.ones_like(stage[:, :1])
    return _POOL[stage.ndim - 2](foreground.float(), stage.shape[2:])
