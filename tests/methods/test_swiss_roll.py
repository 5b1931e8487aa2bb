"""Swiss roll: a two-number code of a nonlinear autoencoder keeps what two principal components lose."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.datasets import make_swiss_roll
from sklearn.decomposition import PCA
from sklearn.manifold import Isomap, trustworthiness

from medudl.methods import build

NEIGHBOURS = 12
Array = NDArray[np.float64]


def _roll(seed: int) -> tuple[Array, Array]:
    """1500 points (N, 3), each axis of mean 0 and deviation 1, and their angle along the roll (N,)."""
    points, angle = make_swiss_roll(1500, random_state=seed)
    return (points - points.mean(0)) / points.std(0), angle


def _trained(points: Array, seed: int) -> tuple[Array, float]:
    """Codes (N, 2) and the mean squared error of a dense autoencoder."""
    torch.manual_seed(seed)
    image = torch.tensor(points, dtype=torch.float32).view(-1, 1, 3, 1)
    method = build("autoencoder", (1, 3, 1), {"network": "dense", "latent": 2, "hidden": [64, 64, 64]})
    optimiser = torch.optim.Adam(method.parameters(), lr=3e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 6000)
    for _ in range(6000):
        loss = next(iter(method.step({"image": image[torch.randint(len(image), (256,))]}))).loss
        assert loss is not None
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        code: Array = method.encode(image).double().numpy()  # type: ignore[attr-defined]
        return code, method.validate({"image": image})["loss"].mean().item()


@pytest.mark.proof
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_code_of_a_swiss_roll_against_two_principal_components(seed: int) -> None:
    points, _ = _roll(seed)
    code, error = _trained(points, seed)
    pca = PCA(2).fit(points)
    flat = pca.transform(points)
    share = error / np.square(pca.inverse_transform(flat) - points).sum(1).mean()
    trust, flat_trust = (trustworthiness(points, z, n_neighbors=NEIGHBOURS) for z in (code, flat))
    print(f"error {share:.1%} of that of PCA; trustworthiness {trust:.3f}, of PCA {flat_trust:.3f}")
    assert share < 0.15
    assert trust > 0.97 > flat_trust


@pytest.mark.proof
def test_isomap_unrolls_it_which_an_autoencoder_need_not() -> None:
    points, angle = make_swiss_roll(1500, random_state=0)
    length = 0.5 * (angle * np.sqrt(1 + angle**2) + np.arcsinh(angle))  # of the spiral r = angle
    unrolled = Isomap(n_neighbors=NEIGHBOURS, n_components=2).fit_transform(points)
    along = max(abs(spearmanr(unrolled[:, i], length).statistic) for i in range(2))
    print(f"Isomap's coordinate against arc length: Spearman {along:.5f}")
    assert along > 0.999
