"""`python -m apps.viewer.explore_toys roll|pictures FILE {settings}`: trains a toy while somebody watches FILE.

Toys need no patients: a rolled-up sheet of points, and handwritten digits of 8 x 8 pixels that come with scikit-learn.
FILE is JSON, replaced in one move some times a second: {"done", "total", ...} and what the page draws.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from medudl.methods.method import Method

POINTS, ROLL_STEPS, DIGIT_STEPS = 1200, 3000, 1200
SHOWN = 500  # points of the digits that are drawn
GOALS = ("reconstruction", "kl", "elbo")
_EVERY = 0.25  # seconds between two looks that others may have
_SAMPLES = 16
_NEIGHBOURS = 10

Array = NDArray[np.float32]
Tell = Callable[[dict[str, Any]], None]


def main(arguments: list[str]) -> None:
    """Train the toy that is asked for."""
    import torch

    torch.set_num_threads(1)
    kind, file, settings = arguments
    _TOYS[kind](_teller(Path(file)), **json.loads(settings))


def roll(tell: Tell, *, turns: float, noise: float, seed: int) -> None:
    """A rolled-up sheet in space, its best flat shadow (PCA), and the two-number code that an autoencoder learns."""
    import torch

    from medudl.methods import build

    cloud, along = swiss_roll(turns, noise, seed)
    flat, back = _pca(cloud)
    error = float(np.square(cloud - back).sum(axis=1).mean())
    torch.manual_seed(seed)
    method = build("autoencoder", (1, 3, 1), {"network": "dense", "hidden": [64, 64, 64], "latent": 2})
    told: dict[str, Any] = {
        "total": ROLL_STEPS, "along": _listed(along), "cloud": _listed(cloud), "pca": _listed(flat),
        "pca_error": error, "pca_trust": trust(cloud, flat),
    }  # fmt: skip
    image = torch.from_numpy(cloud)[:, None, :, None]
    last = 0.0
    for step in _trained(method, image, ROLL_STEPS, rate=3e-3, batch=200, seed=seed):
        if time.monotonic() - last > _EVERY or step == ROLL_STEPS:
            code, drawn = _coded(method, image)
            own = float(np.square(cloud - drawn).sum(axis=1).mean())
            told |= {"done": step, "code": _listed(code), "error": own}
            if step == ROLL_STEPS:
                told["trust"] = trust(cloud, code)
            tell(told)
            last = time.monotonic()


def pictures(tell: Tell, *, seed: int) -> None:
    """Three variational autoencoders on the same digits: the likelihood alone, the divergence alone, and both."""
    import torch
    from sklearn.datasets import load_digits

    from medudl.methods import build

    digits = load_digits()
    image = torch.from_numpy((digits.images / 16).astype(np.float32))[:, None]  # (1797, 1, 8, 8)
    told: dict[str, Any] = {"total": len(GOALS) * DIGIT_STEPS, "done": 0, "labels": digits.target[:SHOWN].tolist()}
    last = 0.0
    for place, goal in enumerate(GOALS):
        torch.manual_seed(seed)
        options = {"latent": 2, "network": "dense", "hidden": [128, 64], "objective": goal, "sigma": 0.2}
        method = build("variational_autoencoder", (1, 8, 8), options)
        for step in _trained(method, image, DIGIT_STEPS, rate=2e-3, batch=128, seed=seed):
            if time.monotonic() - last > _EVERY or step == DIGIT_STEPS:
                told[goal] = seen(method, image[:SHOWN], seed)
                told["done"] = place * DIGIT_STEPS + step
                tell(told)
                last = time.monotonic()


def seen(method: Any, image: torch.Tensor, seed: int) -> dict[str, Any]:
    """What one picture of the three shows: a cloud of codes drawn from q, and images drawn from the prior."""
    import torch

    method.eval()
    with torch.no_grad():
        mean, sigma = method.encode(image), method.uncertainty(image)
        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
        prior = torch.randn(_SAMPLES, mean.shape[1], generator=torch.Generator().manual_seed(seed))
        drawn = method.decode(prior)[:, 0]
        code = (mean + sigma * noise).numpy()
        wrong = float((method.reconstruct(image) - image).square().mean().sqrt())
    method.train()
    shown = (drawn.clamp(0, 1) * 255).round().to(torch.uint8)
    return {"code": _listed(code), "spread": float(sigma.mean()), "error": wrong, "samples": shown.flatten(1).tolist()}


def swiss_roll(turns: float, noise: float, seed: int) -> tuple[Array, Array]:
    """POINTS points (n, 3) on a rolled sheet, standardised to a common scale, and where each lies along it, 0 to 1."""
    random = np.random.default_rng(seed)
    along = random.uniform(0, 1, POINTS)
    angle = 1.5 * np.pi + 2 * np.pi * turns * along
    cloud = np.stack([angle * np.cos(angle), 21 * random.uniform(0, 1, POINTS), angle * np.sin(angle)], axis=1)
    cloud += noise * random.normal(size=cloud.shape)
    cloud = (cloud - cloud.mean(axis=0)) / cloud.std()
    return cloud.astype(np.float32), along.astype(np.float32)


def trust(cloud: Array, code: Array) -> float:
    """Trustworthiness (Venna & Kaski 2001): of neighbours on the flat picture, how many are so in truth; 1 is all."""
    from sklearn.manifold import trustworthiness

    return float(trustworthiness(cloud, code, n_neighbors=_NEIGHBOURS))


def _trained(method: Method, image: torch.Tensor, steps: int, *, rate: float, batch: int, seed: int) -> Iterator[int]:
    """Train on random batches, with a rate that falls to a hundredth; yields the number of steps done."""
    import torch

    (player,) = method.players().values()
    optimiser = torch.optim.Adam(player.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=rate / 100)
    order = torch.Generator().manual_seed(seed)
    method.train()
    for step in range(1, steps + 1):
        chosen = image[torch.randint(len(image), (batch,), generator=order)]
        for objective in method.step({"image": chosen}):
            optimiser.zero_grad()
            assert objective.loss is not None
            torch.autograd.backward(objective.loss)
            optimiser.step()
        schedule.step()
        yield step


def _coded(method: Any, image: torch.Tensor) -> tuple[Array, Array]:
    import torch

    method.eval()
    with torch.no_grad():
        code = method.encode(image)
        drawn = method.decode(code)
    method.train()
    return code.numpy(), drawn.flatten(1).numpy()


def _pca(cloud: Array) -> tuple[Array, Array]:
    """The best flat view (n, 2), and the points that it stands for (n, 3)."""
    _, _, axes = np.linalg.svd(cloud - cloud.mean(axis=0), full_matrices=False)
    flat = (cloud - cloud.mean(axis=0)) @ axes[:2].T
    return flat.astype(np.float32), (flat @ axes[:2] + cloud.mean(axis=0)).astype(np.float32)


def _listed(values: NDArray[Any]) -> Any:
    return np.round(values.astype(float), 3).tolist()


def _teller(file: Path) -> Tell:
    draft = file.with_name(f".{file.name}.{os.getpid()}")

    def tell(told: dict[str, Any]) -> None:
        draft.write_text(json.dumps(told, allow_nan=False))
        os.replace(draft, file)

    return tell


_TOYS: dict[str, Callable[..., None]] = {"roll": roll, "pictures": pictures}


if __name__ == "__main__":
    main(sys.argv[1:])
