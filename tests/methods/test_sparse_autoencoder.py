"""What is the sparse autoencoder's own: a known dictionary found again, a known rate, and what each penalty does."""

from typing import Any

import pytest
import torch
from flow import train
from torch import Tensor

from medudl.methods import build
from medudl.methods.sparse_autoencoder import SparseAutoencoder

SHAPE = (1, 4, 8)


def _build(shape: tuple[int, ...] = SHAPE, **options: Any) -> SparseAutoencoder:
    method = build("sparse_autoencoder", shape, {"network": "linear", **options})
    assert isinstance(method, SparseAutoencoder)
    return method


class Sparse:
    """Images that are sums of 3 of 64 known atoms of length 1, in 32 voxels: a dictionary twice overcomplete."""

    def __init__(self) -> None:
        self.atoms = torch.nn.functional.normalize(torch.randn(64, 32), dim=1)

    def draw(self, count: int) -> Tensor:
        code = torch.zeros(count, 64)
        chosen = torch.rand(count, 64).topk(3, dim=1).indices
        code.scatter_(1, chosen, 0.5 + torch.rand(count, 3))
        return (code @ self.atoms).view(count, *SHAPE)


def _fit(method: SparseAutoencoder, data: Sparse, steps: int, lr: float = 1e-2) -> None:
    optimiser = torch.optim.Adam(method.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        loss = next(iter(method.step({"image": data.draw(256)}))).loss
        assert loss is not None
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    method.eval()


def _recovered(method: SparseAutoencoder, data: Sparse) -> float:
    """Share of the true atoms that some atom of the method matches with a cosine above .95."""
    cosines = data.atoms @ torch.nn.functional.normalize(method.atoms().flatten(1), dim=1).T
    return (cosines.amax(1) > 0.95).float().mean().item()


@pytest.mark.proof
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_known_overcomplete_dictionary_is_found_again(seed: int) -> None:
    torch.manual_seed(seed)
    data, method = Sparse(), _build(latent=64, penalty="l1", weight=0.2)
    _fit(method, data, 3000)
    torch.manual_seed(seed)
    plain = _build(latent=64, penalty="l1", weight=0.0)
    _fit(plain, data, 3000)
    share, without = _recovered(method, data), _recovered(plain, data)
    print(f"recovered {share:.1%} of 64 atoms in 32 voxels; without the penalty {without:.1%}")
    assert share >= 0.9
    assert without < 0.5


@pytest.mark.proof
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_l2_makes_activations_small_and_not_sparse(seed: int) -> None:
    """At an equal reconstruction error the code of l2 has several times as many active units."""
    torch.manual_seed(seed)
    data = Sparse()
    shares, errors = {}, {}
    for penalty, weight in (("l1", 0.2), ("l2", 0.4)):
        method = _build(latent=64, penalty=penalty, weight=weight)
        _fit(method, data, 1500)
        image = data.draw(2000)
        with torch.no_grad():
            code = method.encode(image)
            shares[penalty] = (code > 1e-3 * code.max()).float().mean().item()
            errors[penalty] = method.validate({"image": image})["reconstruction"].mean().item()
    print(f"active units: l1 {shares['l1']:.1%}, l2 {shares['l2']:.1%} (true: 4.7 %); errors {errors}")
    assert shares["l1"] < 0.12 and shares["l2"] > 3 * shares["l1"]
    assert errors["l2"] == pytest.approx(errors["l1"], rel=0.3)


@pytest.mark.parametrize("rho", [0.05, 0.2])
def test_kl_brings_the_mean_activation_to_rho(rho: float) -> None:
    torch.manual_seed(0)
    data, method = Sparse(), _build(latent=48, penalty="kl", rho=rho, weight=3.0)
    _fit(method, data, 400)
    image = data.draw(2000)
    with torch.no_grad():
        means = method.encode(image).mean(0)
    print(f"mean activation {means.mean():.3f}, of single units {means.min():.3f} to {means.max():.3f}, wanted {rho}")
    assert means.mean().item() == pytest.approx(rho, abs=0.02)
    # A code that always is rho would do for that: this one still says what the image is.
    left = method.validate({"image": image})["reconstruction"].mean()
    assert left < 0.3 * (image - image.mean(0)).square().flatten(1).sum(1).mean()


def test_l1_is_evaded_by_rescaling_and_the_bound_prevents_it() -> None:
    """Half the code times twice the atoms is the same image at half the penalty, unless atoms have length 1."""
    torch.manual_seed(0)
    data = Sparse()
    image = data.draw(64)
    for bounded in (False, True):
        method = _build(latent=64, penalty="l1", weight=0.2)
        method.dictionary.bounded = bounded
        before = method.validate({"image": image})
        with torch.no_grad():
            method.encoder.body[0].weight.mul_(0.5)  # type: ignore[index,operator,union-attr]
            method.encoder.body[0].bias.mul_(0.5)  # type: ignore[index,operator,union-attr]
            method.dictionary.weight.mul_(2)
        after = method.validate({"image": image})
        torch.testing.assert_close(after["sparsity"], before["sparsity"] / 2)
        same = torch.allclose(after["reconstruction"], before["reconstruction"], rtol=1e-4)
        assert same is not bounded


def test_training_without_the_bound_shrinks_the_code_for_nothing() -> None:
    sizes = {}
    for bounded in (True, False):
        torch.manual_seed(0)
        data, method = Sparse(), _build(latent=64, penalty="l1", weight=0.2)
        method.dictionary.bounded = bounded
        _fit(method, data, 800)
        with torch.no_grad():
            sizes[bounded] = method.encode(data.draw(500)).sum(1).mean().item()
    print(f"sum of the code: {sizes[True]:.2f} with the bound, {sizes[False]:.2f} without (true: 3)")
    assert sizes[True] == pytest.approx(3, rel=0.25)
    assert sizes[False] < 0.7 * sizes[True]


@pytest.mark.parametrize(("penalty", "bounded"), [("l1", True), ("l2", True), ("kl", False)])
def test_only_codes_without_a_bound_of_their_own_need_bounded_atoms(penalty: str, bounded: bool) -> None:
    method = _build(latent=8, penalty=penalty)
    with torch.no_grad():
        method.dictionary.weight.mul_(3)
    lengths = method.atoms().flatten(1).norm(dim=1)
    assert torch.allclose(lengths, torch.ones(8)) is bounded
    code = method.encode(torch.randn(20, *SHAPE))
    assert code.min() >= 0 and (penalty != "kl" or code.max() < 1)


def test_an_image_is_the_sum_of_its_atoms() -> None:
    method, image = _build(latent=40), torch.rand(3, *SHAPE)
    by_hand = torch.einsum("bz,zchw->bchw", method.encode(image), method.atoms())
    torch.testing.assert_close(method.reconstruct(image), by_hand + method.dictionary.bias.view(SHAPE))


def test_outside_the_foreground_nothing_is_learned() -> None:
    method, image = _build(latent=8), torch.rand(3, *SHAPE)
    foreground = torch.zeros(3, 1, *SHAPE[1:], dtype=torch.bool)
    foreground[..., 1:3, 2:5] = True
    expected = ((method.reconstruct(image) - image).square() * foreground).flatten(1).sum(1)
    found = method.validate({"image": image, "foreground": foreground})["reconstruction"]
    torch.testing.assert_close(found, expected.detach())


@pytest.mark.parametrize("penalty", ["l1", "kl"])
@torch.no_grad()
def test_after_training_it_says_how_sparse_it_is(penalty: str) -> None:
    torch.manual_seed(0)
    with torch.enable_grad():
        method = _build(latent=12, penalty=penalty)
        image = Sparse().draw(40)
        train(method, {"image": image}, 20)
    if penalty == "l1":
        method.encoder.body[0].weight[3] = 0  # type: ignore[index,union-attr]
        method.encoder.body[0].bias[3] = -1  # type: ignore[index,union-attr]
    method.settle([{"image": image[:24]}, {"image": image[24:]}])
    code = method.encode(image)
    torch.testing.assert_close(method.activation, code.mean(0))
    torch.testing.assert_close(method.used, (code > (0 if penalty == "l1" else 0.5)).float().mean(0))
    first, *rest = method.notes()
    assert f"{code.mean().item():.3g}" in first and ("(wanted: 0.05)" in first) is (penalty == "kl")
    assert penalty == "kl" or "1 of 12 code units are never active" in rest
