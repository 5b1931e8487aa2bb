"""Gradient penalty: closed form on critics of known slope, second-order gradient, full precision."""

import pytest
import torch
from torch import Tensor, nn

from medudl.tricks.gradient_penalty import gradient_penalty

REAL, FAKE = torch.zeros(4, 1, 3, 3), torch.ones(4, 1, 3, 3)


def linear(slope: float) -> nn.Module:
    """critic(x) = w'x with ||w|| = slope."""
    layer = nn.Linear(9, 1, bias=False)
    nn.init.constant_(layer.weight, slope / 3)
    return nn.Sequential(nn.Flatten(), layer)


@pytest.mark.parametrize(("slope", "two", "one"), [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (3.0, 4.0, 4.0), (0.5, 0.25, 0.0)])
def test_closed_form_on_linear_critics(slope: float, two: float, one: float) -> None:
    torch.testing.assert_close(gradient_penalty(linear(slope), REAL, FAKE), torch.full((4,), two))
    torch.testing.assert_close(gradient_penalty(linear(slope), REAL, FAKE, one_sided=True), torch.full((4,), one))


def test_taken_on_the_line_between_real_and_fake() -> None:
    """critic = ||x||^2 / 2 has slope ||x||, and x = (1 - a) * ones here, so the penalty tells a back."""
    torch.manual_seed(0)
    real, fake = torch.zeros(4000, 1, 3, 3), torch.ones(4000, 1, 3, 3)
    penalty = gradient_penalty(lambda x: x.flatten(1).square().sum(1) / 2, real, fake)
    # E (3u - 1)^2 for u ~ U(0, 1) = 3 - 3 + 1
    assert penalty.mean().item() == pytest.approx(1.0, abs=0.06)
    assert penalty.std() > 0.5, "one a for all images"


def test_its_gradient_is_second_order() -> None:
    """d (||w|| - 1)^2 / dw = 2 (||w|| - 1) w / ||w||, which a first-order gradient gives as 0."""
    critic = linear(3.0)
    gradient_penalty(critic, REAL, FAKE).mean().backward()
    (weight,) = critic.parameters()
    torch.testing.assert_close(weight.grad, 2 * 2.0 * weight.detach() / 3)


def test_images_do_not_share_a_slope() -> None:
    def critic(x: Tensor) -> Tensor:
        return x.flatten(1) @ torch.ones(9) * torch.tensor([0.0, 1 / 3, 1.0, 2 / 3])

    torch.testing.assert_close(gradient_penalty(critic, REAL, FAKE), torch.tensor([1.0, 0.0, 4.0, 1.0]))


def test_full_precision_inside_autocast() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(9, 32), nn.Tanh(), nn.Linear(32, 1))
    torch.manual_seed(1)
    expected = gradient_penalty(critic, REAL, FAKE)
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = gradient_penalty(critic, REAL.bfloat16(), FAKE.bfloat16())
    assert torch.equal(inside, expected)


def test_the_generator_gets_nothing() -> None:
    fake = FAKE.clone().requires_grad_()
    # A slope that depends on x: a linear critic's penalty would give the fakes nothing in any case.
    gradient_penalty(lambda x: x.flatten(1).square().sum(1), REAL, fake).sum().backward()
    assert fake.grad is None
