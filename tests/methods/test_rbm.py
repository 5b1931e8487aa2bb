"""Boltzmann machines against enumeration, autograd and data of known moments."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from flow import adam, turns
from torch import Tensor

from medudl.batch import Batch
from medudl.methods import build
from medudl.methods.ais import exact_log_partition
from medudl.methods.boltzmann import BernoulliMachine, Machine
from medudl.methods.energy import pseudo_nll
from medudl.methods.gaussian_boltzmann import GaussianMachine


def machine(visible: int, hidden: int, seed: int = 0, spread: float = 1.0) -> BernoulliMachine:
    """float64, all parameters N(0, spread^2)."""
    torch.manual_seed(seed)
    made = BernoulliMachine(visible, hidden).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=spread)
    return made


def gaussian(visible: int, hidden: int, per_voxel: bool = True, seed: int = 0) -> GaussianMachine:
    torch.manual_seed(seed)
    made = GaussianMachine(visible, hidden, sigma=None, per_voxel=per_voxel).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return made


def all_states(size: int) -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=size)), dtype=torch.float64)


def energy(rbm: Machine, v: Tensor, h: Tensor) -> Tensor:
    """E(v, h), written out."""
    if isinstance(rbm, GaussianMachine):
        x = (v - rbm.visible_bias) / rbm.sigma
        return 0.5 * (x * x).sum(-1) - h @ rbm.hidden_bias - ((x @ rbm.weight) * h).sum(-1)
    return -v @ rbm.visible_bias - h @ rbm.hidden_bias - ((v @ rbm.weight) * h).sum(-1)


@torch.no_grad()
def test_log_z_by_enumeration_is_log_z_through_the_free_energy() -> None:
    worst = 0.0
    for seed in range(3):
        rbm = machine(6, 5, seed)
        v, h = all_states(6), all_states(5)
        both = torch.logsumexp(-energy(rbm, v[:, None], h[None]).flatten(), 0)
        through_f = torch.logsumexp(-rbm.free_energy(v), 0)
        for z in (through_f, exact_log_partition(rbm, "visible"), exact_log_partition(rbm, "hidden")):
            worst = max(worst, abs(float(both - z)))
    print(f"log Z, largest difference {worst:.1e}")
    assert worst < 1e-10


@torch.no_grad()
def test_log_z_of_gaussian_voxels_is_the_integral() -> None:
    rbm = gaussian(2, 4)
    line = torch.linspace(-25, 25, 1001, dtype=torch.float64)
    v = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    integral = torch.logsumexp(-rbm.free_energy(v), 0) + 2 * math.log(float(line[1] - line[0]))
    assert abs(float(integral - exact_log_partition(rbm))) < 1e-8


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_free_energy_sums_the_hidden_units_out(kind: str) -> None:
    rbm: Machine = machine(6, 5) if kind == "bernoulli" else gaussian(6, 5)
    v = all_states(6)[::7]
    summed = -torch.logsumexp(-energy(rbm, v[:, None], all_states(5)[None]), 1)
    assert (summed - rbm.free_energy(v)).abs().max() < 1e-12


def test_gradient_of_the_likelihood_is_positive_minus_negative_phase() -> None:
    rbm, worst = machine(6, 5), 0.0
    data, v, h = all_states(6)[::5], all_states(6), all_states(5)
    log_likelihood = (-rbm.free_energy(data)).mean() - exact_log_partition(rbm)
    slopes = torch.autograd.grad(log_likelihood, [rbm.weight, rbm.visible_bias, rbm.hidden_bias])
    with torch.no_grad():
        joint = torch.softmax(-energy(rbm, v[:, None], h[None]).flatten(), 0).view(len(v), len(h))  # p(v, h)
        given = torch.softmax(-energy(rbm, data[:, None], h[None]), 1)  # p(h given v): weights of the data term
        positive = (data.T @ (given @ h) / len(data), data.mean(0), (given @ h).mean(0))
        negative = (v.T @ joint @ h, joint.sum(1) @ v, joint.sum(0) @ h)
    for slope, plus, minus in zip(slopes, positive, negative, strict=True):
        worst = max(worst, float((slope - (plus - minus)).abs().max()))
    print(f"gradient of log p, largest difference {worst:.1e}")
    assert worst < 1e-8


@pytest.mark.parametrize("kind", ["bernoulli", "one", "per_voxel"])
def test_the_update_is_autograd_of_a_difference_of_free_energies(kind: str) -> None:
    rbm: Machine = machine(6, 5) if kind == "bernoulli" else gaussian(6, 5, kind == "per_voxel")
    data = torch.rand(9, 6, dtype=torch.float64)
    torch.manual_seed(1)
    gradients = rbm.contrast(data, 3)
    torch.manual_seed(1)
    with torch.no_grad():
        chain = rbm.gibbs(data, 3)
    difference = rbm.free_energy(data).mean() - rbm.free_energy(chain).mean()
    names = [name for name, _ in rbm.named_parameters()]
    slopes = torch.autograd.grad(difference, list(rbm.parameters()))
    assert set(gradients) == set(names)
    worst = max(float((gradients[n] - s).abs().max()) for n, s in zip(names, slopes, strict=True))
    print(f"{kind}: update against autograd, largest difference {worst:.1e}")
    assert worst < 1e-12


def test_cd_nears_the_exact_gradient_with_k() -> None:
    rbm = machine(8, 6)
    torch.manual_seed(5)
    data = (torch.rand(20, 8, dtype=torch.float64) < 0.5).double()
    loss = rbm.free_energy(data).mean() + exact_log_partition(rbm)
    (exact,) = torch.autograd.grad(loss, [rbm.weight])
    many = data.repeat(2500, 1)  # 50,000 chains
    found = [float(torch.cosine_similarity(rbm.contrast(many, k)["weight"].flatten(), exact.flatten(), 0))
             for k in (1, 5, 25)]  # fmt: skip
    print(f"cosine of E[CD-k] with the exact gradient at k = 1, 5, 25: {', '.join(f'{c:.4f}' for c in found)}")
    assert found[0] < found[1] < found[2] and found[0] > 0.9 and found[2] > 0.999


def test_persistent_chains_go_on_from_where_they_stood() -> None:
    torch.manual_seed(0)
    rbm = BernoulliMachine(6, 4)
    rbm.carry(7)
    assert rbm.particles is not None
    before, data = rbm.particles.clone(), torch.rand(3, 6)
    torch.manual_seed(3)
    gradients = rbm.contrast(data, 2)  # a last batch smaller than the chains' number
    torch.manual_seed(3)
    assert torch.equal(rbm.particles, rbm.gibbs(before, 2))
    assert gradients["weight"].shape == (6, 4) and "particles" in rbm.state_dict()
    mean = rbm.particles.mean(0) - torch.zeros(6)
    torch.manual_seed(3)
    rbm.particles.copy_(before)
    assert torch.allclose(rbm.contrast(torch.zeros(3, 6), 2)["visible_bias"], mean)


def test_persistent_cd_learns_the_moments_of_its_data() -> None:
    """A machine of 4 visibles can match the means of any data; the chains' means must come to be the data's."""
    torch.manual_seed(0)
    data = (torch.rand(300, 4) < torch.tensor([0.1, 0.4, 0.6, 0.9])).float()
    rbm = BernoulliMachine(4, 3)
    rbm.carry(300)
    optimiser = torch.optim.SGD(rbm.parameters(), 0.2)
    for _ in range(300):
        gradients = rbm.contrast(data, 1)
        for name, parameter in rbm.named_parameters():
            parameter.grad = gradients[name]
        optimiser.step()
    v = all_states(4).float()
    with torch.no_grad():
        model = torch.softmax(-rbm.free_energy(v), 0) @ v
    print(f"means of the model against the data's: {(model - data.mean(0)).abs().max():.3f}")
    assert (model - data.mean(0)).abs().max() < 0.03


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
@torch.no_grad()
def test_the_pseudo_likelihood_is_that_of_each_voxel_given_the_others(kind: str) -> None:
    rbm: Machine = machine(5, 4) if kind == "bernoulli" else gaussian(5, 4)
    v = all_states(5)[::3]
    expected = torch.zeros(len(v), dtype=torch.float64)
    for i in range(5):
        if kind == "bernoulli":
            other = v.clone()
            other[:, i] = 1 - other[:, i]
            log_sum = torch.logaddexp(-rbm.free_energy(v), -rbm.free_energy(other))
        else:
            line = torch.linspace(-60, 60, 6001, dtype=torch.float64)
            all_of_it = v[:, None].repeat(1, len(line), 1)
            all_of_it[:, :, i] = line
            f = rbm.free_energy(all_of_it.flatten(0, 1)).view(len(v), -1)
            log_sum = torch.logsumexp(-f, 1) + math.log(float(line[1] - line[0]))
        expected += log_sum + rbm.free_energy(v)
    difference = float((pseudo_nll(rbm, v) - expected).abs().max())
    print(f"{kind}: pseudo-likelihood, largest difference {difference:.1e} nats")
    assert difference < 1e-6


@torch.no_grad()
def test_on_grey_the_loss_is_least_at_the_grey_and_zero_there() -> None:
    rbm = machine(3, 2, spread=0.0)
    grey = torch.tensor([[0.2, 0.5, 0.9]], dtype=torch.float64)
    rbm.visible_bias.data = torch.logit(grey[0])
    assert pseudo_nll(rbm, grey).abs() < 1e-12
    rbm.visible_bias.data += 0.1
    assert pseudo_nll(rbm, grey) > 1e-4


def test_gaussian_voxels_recover_mean_and_variance() -> None:
    """Independent Gaussian voxels, each of its own mean and spread: sigma must not stay where it began."""
    torch.manual_seed(0)
    mean, spread = torch.tensor([0.2, 0.5, 0.8, -1.0]), torch.tensor([0.05, 0.1, 0.3, 0.6])
    data = mean + spread * torch.randn(4000, 4)
    method = build("rbm", (1, 2, 2), {"hidden": 3, "visible": "gaussian", "sigma": "per_voxel"})
    optimisers = adam(method, 0.02)
    order = torch.Generator().manual_seed(1)
    for step in range(1500):
        for optimiser in optimisers.values():
            optimiser.param_groups[0]["lr"] = 0.02 * (1 - step / 1500)
        chosen = data[torch.randint(len(data), (200,), generator=order)]
        batch: Batch = {"image": chosen.view(-1, 1, 2, 2), "id": []}
        turns(method, batch, optimisers, lambda _: None)
    with torch.no_grad():
        drawn = method.machine.gibbs(data, 50)  # type: ignore[union-attr,operator]
    shift = ((drawn.mean(0) - data.mean(0)).abs() / spread).max()
    ratio = drawn.std(0) / data.std(0)
    print(
        f"mean within {shift:.3f} of a standard deviation, spread {ratio.min():.3f} to {ratio.max():.3f} of the data's"
    )
    assert shift < 0.1 and ratio.min() > 0.95 and ratio.max() < 1.05


def test_a_stated_sigma_stays_and_a_constant_voxel_does_not_explode() -> None:
    stated = build("rbm", (1, 2, 2), {"visible": "gaussian", "sigma": 0.3})
    assert float(stated.machine.sigma) == pytest.approx(0.3)  # type: ignore[union-attr,arg-type]
    assert "machine.log_sigma" not in dict(stated.named_parameters())
    torch.manual_seed(0)
    learned = build("rbm", (1, 2, 2), {"visible": "gaussian", "sigma": "per_voxel", "hidden": 3})
    optimisers = adam(learned, 0.05)
    for _ in range(300):
        turns(learned, {"image": torch.zeros(8, 1, 2, 2), "id": []}, optimisers, lambda _: None)
    assert all(p.isfinite().all() for p in learned.parameters())
    assert 0.01 < learned.machine.sigma.min() < 0.1  # type: ignore[union-attr,operator]


def test_free_energy_orders_likely_before_unlikely() -> None:
    torch.manual_seed(0)
    method = build("rbm", (1, 4, 4), {"hidden": 8, "gibbs": 20})
    bars = torch.zeros(8, 1, 4, 4)
    for i in range(8):
        bars[i, 0, :, i % 4] = 1.0
    optimisers = adam(method, 0.02)
    for _ in range(300):
        turns(method, {"image": bars, "id": []}, optimisers, lambda _: None)
    method.settle([{"image": bars, "id": []}])
    method.eval()
    with torch.no_grad():
        usual = method.scores(bars)["free_energy"]
        noise = method.scores((torch.rand(50, 1, 4, 4) < 0.25).float())["free_energy"]
    assert usual.max() < noise.mean()
    assert torch.allclose(method.average, bars.mean(0).flatten())  # type: ignore[arg-type]
    assert method.notes()[0].endswith("of 8 hidden units tell the training images apart")
    torch.manual_seed(1)
    method.machine.carry(5)  # type: ignore[union-attr,operator]
    assert method.sample(7).shape == (7, 1, 4, 4)  # type: ignore[operator]
