"""The toys do what they are named after; else they would prove nothing about the contract."""

import pytest
import torch
from flow import adam, turns
from torch import Tensor
from toys import ImagePool, ToyRBM, ToyStagedRBM, ToyUnrolled, ToyWasserstein

SHAPE = (1, 3, 3)


def test_the_critic_moves_k_times_for_each_move_of_the_generator() -> None:
    method = ToyWasserstein(SHAPE, critic_steps=3)
    players = [o.player for o in method.step({"image": torch.rand(4, *SHAPE)})]
    assert players == ["critic"] * 3 + ["generator"]


def test_the_generators_turn_records_no_gradient_of_the_critic() -> None:
    method = ToyWasserstein(SHAPE, critic_steps=1)
    _, last = list(method.step({"image": torch.rand(4, *SHAPE)}))
    assert last.loss is not None
    last.loss.backward()
    assert all(p.grad is None and p.requires_grad for p in method.critic.parameters())
    assert all(p.grad is not None for p in method.generator.parameters())


def test_pool_holds_what_it_was_given_and_gives_back_half() -> None:
    torch.manual_seed(0)
    pool = ImagePool((1,), 5)
    first = torch.arange(5.0).view(5, 1)
    assert torch.equal(pool.query(first), first)
    assert torch.equal(pool.images, first)
    fresh = torch.arange(100.0, 2100.0).view(2000, 1)
    given = pool.query(fresh)
    own = (given == fresh).float().mean().item()
    assert own == pytest.approx(0.5, abs=0.05)
    assert set(pool.images.flatten().tolist()) < set(fresh.flatten().tolist())


def test_cd1_is_the_gradient_of_the_difference_of_free_energies() -> None:
    """dW = d (F(v0) - F(v1)) / dW with v1 held fixed, F(v) = -b'v - sum softplus(c + v'W)."""
    torch.manual_seed(0)
    rbm, v = ToyRBM(6, 4), torch.bernoulli(torch.rand(8, 6))
    torch.manual_seed(1)
    by_hand = rbm.cd1(v)
    torch.manual_seed(1)
    v1 = rbm.mean_visibles(torch.bernoulli(rbm.mean_hiddens(v))).detach()

    def free_energy(x: Tensor) -> Tensor:
        return -x @ rbm.visible_bias - torch.nn.functional.softplus(rbm.hidden_bias + x @ rbm.weight).sum(1)

    (free_energy(v) - free_energy(v1)).mean().backward()
    for name, parameter in rbm.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(by_hand[name], parameter.grad, atol=1e-6, rtol=1e-5)


def test_a_phase_trains_its_own_layer() -> None:
    method = ToyStagedRBM(SHAPE)
    movers: list[str] = []
    for phase in method.phases():
        method.enter_phase(phase)
        turns(method, {"image": torch.rand(4, *SHAPE)}, adam(method, 1e-2), lambda o: movers.append(o.player))
    assert movers == ["first", "second"]


@pytest.mark.parametrize("k", [1, 5])
def test_unrolled_gradient_equals_finite_differences_and_first_order_does_not(k: int) -> None:
    torch.manual_seed(0)
    method = ToyUnrolled(SHAPE, unroll=k, rate=0.5).double()
    real, z = torch.rand(6, *SHAPE).double(), torch.randn(6, 2).double()
    method.generator_loss(real, z).backward()
    assert all(p.grad is None for p in method.discriminator.parameters()), "D itself must not be pushed"
    weight = method.generator.net[2].weight
    assert weight.grad is not None
    analytic, step = weight.grad[3, 5].item(), 1e-5
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[3, 5] += sign * step
        values.append(method.generator_loss(real, z).item())
        with torch.no_grad():
            weight[3, 5] -= sign * step
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(analytic, rel=1e-6)
    weight.grad = None
    stale = {name: w.detach() for name, w in method.weights().items()}
    for _ in range(k):
        leaves = {name: w.requires_grad_() for name, w in stale.items()}
        loss = method.discriminator_loss(leaves, real, method.generator(z).detach())
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        stale = {n: (w - method.rate * g).detach() for (n, w), g in zip(leaves.items(), slopes, strict=True)}
    out = torch.func.functional_call(method.discriminator, stale, (method.generator(z),))
    torch.nn.functional.softplus(-out).mean().backward()
    assert weight.grad is not None
    assert abs(weight.grad[3, 5].item() - analytic) > 1e-3 * abs(analytic)
