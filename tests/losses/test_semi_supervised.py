"""The K-logit form of the K + 1 losses against the K + 1 logits themselves, at any size of the logits."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from medudl.losses.adversarial import discriminator_loss
from medudl.losses.semi_supervised import consistency_loss, generated_loss, labelled_loss, real_logit, unlabelled_loss

LABEL = torch.tensor([0, 3, 1, 4, 2, 2, 0, 1])


def _whole(logits: Tensor) -> Tensor:
    """log softmax over K + 1 classes, the last of logit 0."""
    return F.log_softmax(torch.cat([logits, torch.zeros_like(logits[:, :1])], dim=1), dim=1)


def _labelled(logits: Tensor) -> Tensor:
    """-log p(y | x, y <= K), from the K + 1 probabilities."""
    every = _whole(logits)
    return -(every.gather(1, LABEL[:, None])[:, 0] - every[:, :-1].logsumexp(1))


PAIRS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "labelled": (lambda logits: labelled_loss(logits, LABEL), _labelled),
    "unlabelled": (unlabelled_loss, lambda logits: -_whole(logits)[:, :-1].logsumexp(1)),
    "generated": (generated_loss, lambda logits: -_whole(logits)[:, -1]),
}


def _logits(scale: float) -> Tensor:
    drawn = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (scale * drawn).requires_grad_()


@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("name", list(PAIRS))
def test_equal_to_the_form_of_k_plus_1_logits(name: str, scale: float) -> None:
    found = []
    for form in PAIRS[name]:
        logits = _logits(scale)
        values = form(logits)
        (gradient,) = torch.autograd.grad(values.sum(), logits)
        found.append((values.detach(), gradient))
    (value, gradient), (other, others) = found
    worst = max(float((value - other).abs().max()), float((gradient - others).abs().max()))
    print(f"\n{name}, logits of {scale:g}: largest difference {worst:.1e}, n = 8 images of 5 classes, seed 0")
    assert value.shape == (8,) and worst < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_logits_of_10_000_lose_nothing(size: float, dtype: torch.dtype) -> None:
    logits = torch.tensor([[size, size - 64], [size, size + 64]], dtype=dtype, requires_grad=True)
    label = torch.zeros(2, dtype=torch.int64)
    gap = float((logits[1, 1] - logits[1, 0]).detach())  # 64, as far as 16 bits can tell
    first, second = labelled_loss(logits, label).tolist()
    assert first == 0 and second == pytest.approx(gap)
    rising, falling = generated_loss(logits), unlabelled_loss(logits)
    assert rising.dtype == torch.float32
    top = logits.detach().float().amax(1)
    assert torch.equal(rising, top.clamp(min=0)) and torch.equal(falling, (-top).clamp(min=0))
    (gradient,) = torch.autograd.grad((rising + falling + labelled_loss(logits, label)).sum(), logits)
    assert gradient.isfinite().all()


def test_a_sure_discriminator_keeps_a_gradient() -> None:
    """-S + softplus(S) as it is written rounds to 0 in float32 once S passes 17."""
    logits = torch.tensor([[20.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(unlabelled_loss(logits).sum(), logits)
    assert float(gradient[0, 0]) == pytest.approx(-2.06e-9, rel=1e-2)


def test_classes_may_be_numbered_in_any_order() -> None:
    order = torch.randperm(5, generator=torch.Generator().manual_seed(1))
    logits, back = _logits(3.0), order.argsort()
    torch.testing.assert_close(unlabelled_loss(logits[:, order]), unlabelled_loss(logits))
    torch.testing.assert_close(generated_loss(logits[:, order]), generated_loss(logits))
    torch.testing.assert_close(labelled_loss(logits[:, order], back[LABEL]), labelled_loss(logits, LABEL))
    assert not torch.allclose(labelled_loss(logits[:, order], LABEL), labelled_loss(logits, LABEL))


def test_the_unlabelled_halves_are_those_of_an_ordinary_discriminator() -> None:
    real, fake = _logits(2.0), _logits(1.0).flip(0)
    both = discriminator_loss("non_saturating", real_logit(real), real_logit(fake))
    torch.testing.assert_close(unlabelled_loss(real) + generated_loss(fake), both, rtol=1e-12, atol=1e-12)


def test_labels_say_nothing_about_what_is_real() -> None:
    torch.testing.assert_close(labelled_loss(_logits(1.0) + 7, LABEL), labelled_loss(_logits(1.0), LABEL))
    assert (unlabelled_loss(_logits(1.0) + 7) < unlabelled_loss(_logits(1.0))).all()


def test_consistency_is_the_squared_distance_of_two_answers() -> None:
    first, second = (
        torch.tensor([[0.0, 0.0], [50.0, 0.0], [3.0, 1.0]]),
        torch.tensor([[0.0, 0.0], [0.0, 50.0], [4.0, 2.0]]),
    )
    torch.testing.assert_close(consistency_loss(first, second), torch.tensor([0.0, 2.0, 0.0]))
    by_hand = 2 * (1 / (1 + math.exp(-1)) - 0.5) ** 2  # softmax (1, 0) against (0, 0)
    found = consistency_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
    assert found.item() == pytest.approx(by_hand, rel=1e-6)
    assert consistency_loss(first.bfloat16(), second.bfloat16()).dtype == torch.float32
