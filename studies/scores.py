"""Scores of whole films side by side: features under shift, pixel methods, trivial scores; AUROC by patient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from medudl.batch import Batch
from medudl.methods import build
from medudl.methods.feature_statistics import Moments, PooledScores, Reservoir, pooled
from medudl.methods.method import Method
from medudl.metrics.curves import auroc_of, ranked
from medudl.metrics.intervals import Estimate, bootstrap, resamples
from medudl.networks.feature_network import ImageNetFeatures

STAGES = range(1, 8)
GROUPS = [*([s] for s in STAGES), [3, 4, 5], [5, 6, 7], list(STAGES)]
COMPONENTS = (4, 16, 64)
NEAR = 3
REPEATS = 2000
_AT_ONCE = 32

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Films:
    """image: (N, 1, H, W) in [0, 1]; sick: (N,) bool; subject: (N,) names, of patients or, unknown, of images."""

    image: Tensor
    sick: NDArray[np.bool_]
    subject: NDArray[np.str_]

    def __getitem__(self, chosen: Any) -> Films:
        return Films(self.image[torch.as_tensor(np.asarray(chosen))], self.sick[chosen], self.subject[chosen])

    def __len__(self) -> int:
        return len(self.sick)

    def stretched(self) -> Films:
        """The same films, see `stretched`."""
        return Films(stretched(self.image), self.sick, self.subject)


def stretched(image: Tensor) -> Tensor:
    """Each film's percentiles .5 and 99.5 -> 0 and 1, clipped: (N, 1, H, W)."""
    low, high = torch.quantile(image.flatten(1), torch.tensor([0.005, 0.995]), dim=1).view(2, -1, 1, 1, 1)
    return ((image - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)


# What another machine, another exposure or another crop might do to a film, healthy or sick; lengths for 224 pixels.


def _cropped(x: Tensor) -> Tensor:
    side = x.shape[-1]
    rim = round(0.075 * side)
    return F.interpolate(x[..., rim : side - rim, rim : side - rim], x.shape[2:], mode="bilinear", antialias=True)


def _noisy(x: Tensor) -> Tensor:
    return (x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def _blurred(x: Tensor) -> Tensor:
    sigma = 1.5 * x.shape[-1] / 224
    at = torch.arange(-5.0, 6.0)
    line = torch.exp(-0.5 * (at / sigma).square())
    line = line / line.sum()
    x = F.conv2d(F.pad(x, [5, 5, 0, 0], mode="replicate"), line.view(1, 1, 1, -1))
    return F.conv2d(F.pad(x, [0, 0, 5, 5], mode="replicate"), line.view(1, 1, -1, 1))


SHIFTS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "gamma .7": lambda x: x**0.7,
    "gamma 1.4": lambda x: x**1.4,
    "crop": _cropped,
    "noise": _noisy,
    "blur": _blurred,
}


@torch.inference_mode()
def features(films: Films, side: int, shift: str, cache: Path) -> list[Array]:
    """Pooled features of each of the seven stages, (N, 2 C_s); computed once and kept in `cache`."""
    file = cache.with_name(f"{cache.name}_{side}_{shift.replace(' ', '')}.npz")
    if not file.exists():
        network = ImageNetFeatures(films.image.shape[1:], list(STAGES), side)
        images = torch.split(stretched(SHIFTS[shift](films.image)), _AT_ONCE)
        parts = [[pooled([f]) for f in network(part)] for part in images]
        file.parent.mkdir(parents=True, exist_ok=True)
        found = {f"stage{s}": torch.cat([p[s - 1] for p in parts]).numpy() for s in STAGES}
        np.savez(file, **found)
    with np.load(file) as stored:
        return [stored[f"stage{s}"] for s in STAGES]


def joined(stages: Sequence[Array], group: Sequence[int]) -> Tensor:
    """The pooled features of some stages side by side: (N, Z)."""
    return torch.from_numpy(np.concatenate([stages[s - 1] for s in group], axis=1)).float()


def scorers(healthy: Tensor) -> dict[str, Callable[[Tensor], Array]]:
    """Score by name, fitted on healthy pooled features (N, Z): 'linear K' for K components, 'nearest'."""
    moments, sample = Moments(healthy.shape[1]), Reservoir(len(healthy))
    moments.add(healthy)
    sample.add(healthy)
    found: dict[str, Callable[[Tensor], Array]] = {}
    for components in [k for k in COMPONENTS if k < healthy.shape[1]]:
        model = PooledScores(healthy.shape[1], components, len(healthy), NEAR)
        model.fit(moments, sample)
        found[f"linear {components}"] = lambda p, m=model: m.residual(m.standardised(p)).double().numpy()
    found["nearest"] = lambda p, m=model: m.neighbours(m.standardised(p)).double().numpy()
    return found


def auroc(films: Films, scores: Sequence[Array]) -> Estimate:
    """AUROC with its interval by patient; of several scores (seeds), the mean of their AUROCs."""
    patients, place = np.unique(films.subject, return_inverse=True)
    strata = np.zeros(len(patients), bool)
    strata[place[films.sick]] = True
    drawn = resamples(strata, REPEATS, seed=0)[:, place].astype(np.float64)
    values, boots = [], []
    for score in scores:
        _, sick, healthy = ranked(films.sick, score, np.vstack([np.ones(len(films)), drawn]))
        both = auroc_of(sick, healthy)
        values.append(both[0])
        boots.append(both[1:])
    return bootstrap(float(np.mean(values)), np.mean(boots, axis=0), len(patients))


def trivial(train: Films, test: Films) -> dict[str, Array]:
    """Minus std: of a film's pixels. |x - mean| / std: mean over pixels, against the training films' pixels."""
    mean, std = train.image.mean(0), train.image.std(0).clamp(min=1e-3)
    flat = test.image.flatten(1).double()
    away = ((test.image - mean).abs() / std).flatten(1).double().mean(1)
    return {"minus std": -flat.std(1).numpy(), "|x - mean| / std": away.numpy()}


def trained(
    section: Mapping[str, Any], train: Films, seed: int, *, steps: int, batch: int = 32, lr: float = 1e-3
) -> Method:
    """A method trained by a bare loop over its step: Adam, no augmentation, no validation; the last weights."""
    torch.manual_seed(seed)
    options = {key: value for key, value in section.items() if key != "name"}
    method = build(str(section["name"]), train.image.shape[1:], options)
    order = _batches(train, batch, seed)
    total = sum(phase.share for phase in method.phases())
    for phase in method.phases():
        method.enter_phase(phase)
        method.train()
        optimisers = {name: torch.optim.Adam(p.parameters(), lr=lr) for name, p in method.players().items()}
        for _ in range(round(steps * phase.share / total)):
            _one_step(method, next(order), optimisers)
    method.eval()
    with torch.no_grad():
        parts = torch.split(train.image, batch)
        method.settle({"image": part, "id": [""] * len(part)} for part in parts)
    return method


@torch.inference_mode()
def scored(method: Method, test: Films) -> dict[str, Array]:
    """Every image score the method has: the mean of its map, and its own by name."""
    parts: dict[str, list[Tensor]] = {}
    for image in torch.split(test.image, _AT_ONCE):
        found = dict(method.scores(image))
        if "anomaly" in method.verbs():
            found["map mean"] = method.anomaly(image)[0].flatten(1).mean(1)  # type: ignore[attr-defined]
        for name, value in found.items():
            parts.setdefault(name, []).append(value)
    return {name: torch.cat(values).double().numpy() for name, values in parts.items()}


def _one_step(method: Method, batch: Batch, optimisers: Mapping[str, torch.optim.Optimizer]) -> None:
    players = method.players()
    for objective in method.step(batch):
        optimiser = optimisers[objective.player]
        optimiser.zero_grad()
        if objective.loss is not None:
            objective.loss.backward()
        parameters = dict(players[objective.player].named_parameters())
        for name, gradient in (objective.gradients or {}).items():
            parameters[name].grad = gradient
        optimiser.step()


def _batches(train: Films, size: int, seed: int) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        for chosen in torch.split(torch.randperm(len(train), generator=generator), size):
            if len(chosen) > 1:  # batch norm takes two
                yield {"image": train.image[chosen], "id": [""] * len(chosen)}
