"""Changes of images: known pictures, identity at 0, gradients of first and second order, in 2-D and 3-D."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medudl.tricks.image_changes import (
    brightness,
    contrast,
    cutout,
    flip,
    gamma,
    rotate_and_scale,
    translate,
    turn,
)

SHAPES = [(3, 2, 6, 6), (3, 2, 4, 5, 5)]
Change = Callable[[Tensor, float], Tensor]  # image, strength
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=["2-D", "3-D"])


def per_image(value: float, image: Tensor) -> Tensor:
    """Amounts that differ from image to image, `value` the largest."""
    return value * torch.tensor([1.0, 0.5, 0.0], dtype=image.dtype)


def per_axis(value: float, image: Tensor) -> Tensor:
    return (per_image(value, image)[:, None] * torch.ones(image.ndim - 2)).long()


CHANGES: dict[str, Change] = {
    "flip": lambda x, s: flip(x, per_image(s, x)),
    "turn": lambda x, s: turn(x, (3 * per_image(s, x)).long()),
    "translate": lambda x, s: translate(x, per_axis(2 * s, x)),
    "cutout": lambda x, s: cutout(x, per_axis(2, x), per_axis(3 * s, x)),
    "brightness": lambda x, s: brightness(x, per_image(0.4 * s, x)),
    "contrast": lambda x, s: contrast(x, per_image(0.6 * s, x)),
    "gamma": lambda x, s: gamma(x, per_image(0.5 * s, x)),
    "rotate_and_scale": lambda x, s: rotate_and_scale(x, per_image(0.3 * s, x), per_image(0.2 * s, x)),
}
each_change = pytest.mark.parametrize("name", CHANGES)


def images(shape: tuple[int, ...]) -> Tensor:
    torch.manual_seed(0)
    return (2 * torch.rand(shape, dtype=torch.float64) - 1) * 0.9


@each_shape
@each_change
def test_strength_0_is_the_image_itself(name: str, shape: tuple[int, ...]) -> None:
    for image in (images(shape), images(shape).float(), images(shape).bfloat16()):
        assert torch.equal(CHANGES[name](image, 0.0), image)


@each_shape
@each_change
def test_each_image_by_an_amount_of_its_own(name: str, shape: tuple[int, ...]) -> None:
    image = images(shape)
    changed = CHANGES[name](image, 1.0)
    assert changed.shape == image.shape and changed.dtype == image.dtype and changed.isfinite().all()
    assert [torch.equal(a, b) for a, b in zip(changed, image, strict=True)][::2] == [False, True]
    alone = CHANGES[name](torch.stack([image[0], image[2], image[2]]), 1.0)
    assert torch.equal(alone[0], changed[0]), "batch mates matter"


@each_shape
@each_change
def test_gradients_against_finite_differences(name: str, shape: tuple[int, ...]) -> None:
    image = images((shape[0], 1, *[7 - len(shape)] * (len(shape) - 2))).requires_grad_()

    def squared(x: Tensor) -> Tensor:  # a second derivative to speak of, also of linear changes
        return CHANGES[name](x, 1.0).square()

    assert torch.autograd.gradcheck(squared, image)
    assert torch.autograd.gradgradcheck(squared, image)


@each_shape
@each_change
def test_air_stays_air_and_has_a_gradient(name: str, shape: tuple[int, ...]) -> None:
    air = torch.full(shape, -1.0, requires_grad=True)
    changed = CHANGES[name](air, 1.0)
    torch.testing.assert_close(changed, torch.full(shape, -1.0))
    changed.sum().backward()
    assert air.grad is not None and air.grad.isfinite().all()


def test_flip_is_left_right() -> None:
    picture = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert flip(picture, torch.ones(1)).tolist() == [[[[2, 1], [4, 3]]]]


def test_quarter_turns() -> None:
    image = images((4, 1, 5, 5))
    turned = turn(image, torch.arange(4))
    assert all(torch.equal(turned[n], image[n].rot90(n, (-2, -1))) for n in range(4))
    with pytest.raises(ValueError, match="square"):
        turn(torch.zeros(1, 1, 2, 3), torch.ones(1))


def test_translation_by_whole_voxels() -> None:
    picture = torch.arange(6.0).view(1, 1, 2, 3)
    assert translate(picture, torch.tensor([[0, 1]])).tolist() == [[[[-1, 0, 1], [-1, 3, 4]]]]
    assert translate(picture, torch.tensor([[-1, -1]])).tolist() == [[[[4, 5, -1], [-1, -1, -1]]]]
    assert (translate(picture, torch.tensor([[2, 0]])) == -1).all()


@each_shape
def test_translation_is_a_shift_with_air(shape: tuple[int, ...]) -> None:
    image = images(shape)
    shift = torch.randint(-3, 4, (3, len(shape) - 2))
    padded = torch.nn.functional.pad(image, [4, 4] * (len(shape) - 2), value=-1)
    for got, whole, by in zip(translate(image, shift), padded, shift.tolist(), strict=True):
        for axis, (start, size) in enumerate(zip(by, shape[2:], strict=True), start=1):
            whole = whole.narrow(axis, 4 - start, size)
        assert torch.equal(got, whole)


def test_cutout_is_a_box() -> None:
    picture = torch.zeros(2, 1, 4, 5)
    cut = cutout(picture, torch.tensor([[1, 2], [0, 0]]), torch.tensor([[2, 3], [2, 2]]))
    assert (cut[0, 0] == -1).int().tolist() == [[0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0] * 5, [0] * 5]
    assert (cut[1, 0] == -1).int().sum() == 1, "a box beyond the edge"


def test_curves_of_grey_values() -> None:
    u = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
    image = (2 * u - 1).view(1, 1, 2, 2)

    def curve(changed: Tensor) -> Tensor:
        return (changed.flatten() + 1) / 2

    torch.testing.assert_close(curve(brightness(image, torch.tensor([0.5]))), 1.5 * u)
    mean = u.mean()
    torch.testing.assert_close(
        curve(contrast(image, torch.tensor([0.5]))), u + 0.5 * (u - mean) * u / (u + mean), atol=1e-6, rtol=0
    )
    bright = gamma(image, torch.tensor([0.7], dtype=torch.float64))
    torch.testing.assert_close(curve(bright)[1:3].logit(), u[1:3].logit() + 0.7)
    assert curve(bright)[0] == 0 and curve(bright)[3] == 1
    torch.testing.assert_close(gamma(bright, torch.tensor([-0.7], dtype=torch.float64)), image)


@pytest.mark.parametrize("amount", [-0.95, 0.95])
def test_contrast_keeps_the_order_of_greys(amount: float) -> None:
    image = torch.linspace(-1, 1, 64).view(1, 1, 8, 8)
    changed = contrast(image, torch.tensor([amount])).flatten()
    assert (changed.diff() > 0).all()
    assert (changed.std() > image.std()) == (amount > 0)


def test_contrast_has_a_mean_for_each_channel() -> None:
    image = images((1, 2, 6, 6))
    both = contrast(image, torch.tensor([0.5]))
    for channel in (0, 1):
        torch.testing.assert_close(both[:, [channel]], contrast(image[:, [channel]], torch.tensor([0.5])))


@each_shape
def test_rotation_by_a_quarter_is_a_quarter_turn(shape: tuple[int, ...]) -> None:
    image = images(shape)
    right = torch.full((3,), math.pi / 2, dtype=torch.float64)
    turned = rotate_and_scale(image, right, torch.zeros(3))
    torch.testing.assert_close(turned, image.rot90(1, (-2, -1)))


@each_shape
def test_enlarging_a_ramp_is_a_flatter_ramp(shape: tuple[int, ...]) -> None:
    size = shape[-1]
    ramp = 0.1 * (torch.arange(size, dtype=torch.float64) - (size - 1) / 2)
    image = ramp.expand(shape)
    log_scale = torch.full((3,), math.log(2.0), dtype=torch.float64)
    torch.testing.assert_close(rotate_and_scale(image, torch.zeros(3), log_scale), image / 2)


def test_shrinking_uncovers_air() -> None:
    image = torch.zeros(1, 1, 8, 8)
    shrunk = rotate_and_scale(image, torch.zeros(1), torch.tensor([-math.log(2.0)]))[0, 0]
    assert (shrunk[2:6, 2:6] == 0).all() and (shrunk[[0, -1]] == -1).all() and (shrunk[:, [0, -1]] == -1).all()
