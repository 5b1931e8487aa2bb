"""The structure losses against plain loops, their derivatives, what they claim not to see, and what they do see."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from medudl.losses.mutual_information import mutual_information
from medudl.losses.structure import STRUCTURE, gradient_fields, mind

Array = NDArray[np.float64]
SHAPES = [(9, 8), (5, 3, 5)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
every_loss = pytest.mark.parametrize("loss", STRUCTURE.values(), ids=STRUCTURE)
SIGMA, RADIUS = 0.5, 2


def _read(image: Array, at: tuple[int, ...]) -> float:
    return float(image[tuple(min(max(i, 0), n - 1) for i, n in zip(at, image.shape, strict=True))])


def _offsets(dims: int) -> list[tuple[int, ...]]:
    return [tuple(by * (a == axis) for a in range(dims)) for axis in range(dims) for by in (1, -1)]


def _plus(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i + j for i, j in zip(a, b, strict=True))


def _counting(mask: Array, radius: int) -> list[tuple[int, ...]]:
    """Voxels all of whose neighbours within `radius` (those that exist) lie in the mask."""
    near = list(itertools.product(range(-radius, radius + 1), repeat=mask.ndim))
    return [v for v in np.ndindex(mask.shape) if all(_read(mask, _plus(v, n)) > 0 for n in near)]


def _gradient_loop(x: Array, y: Array, mask: Array) -> float:
    voxels = _counting(mask, 1)

    def field(image: Array) -> tuple[dict[tuple[int, ...], Array], float]:
        pairs = list(zip(_offsets(x.ndim)[::2], _offsets(x.ndim)[1::2], strict=True))
        g = {
            v: np.array([(_read(image, _plus(v, p)) - _read(image, _plus(v, m))) / 2 for p, m in pairs]) for v in voxels
        }
        return g, float(np.mean([math.sqrt(float(each @ each) + 1e-8) for each in g.values()]))

    (gx, ex), (gy, ey) = field(x), field(y)
    return float(
        np.mean([1 - (gx[v] @ gy[v]) ** 2 / (gx[v] @ gx[v] + ex**2) / (gy[v] @ gy[v] + ey**2) for v in voxels])
    )


def _mind_loop(x: Array, y: Array, mask: Array) -> float:
    voxels = _counting(mask, 1 + RADIUS)
    patch = list(itertools.product(range(-RADIUS, RADIUS + 1), repeat=x.ndim))
    weights = [math.exp(-sum(i * i for i in p) / (2 * SIGMA**2)) for p in patch]

    def distances(image: Array, v: tuple[int, ...]) -> list[float]:
        found = []
        for r in _offsets(x.ndim):
            steps = [_read(image, _plus(v, p)) - _read(image, _plus(_plus(v, p), r)) for p in patch]
            found.append(sum(w * s * s for w, s in zip(weights, steps, strict=True)) / sum(weights))
        return found

    def descriptors(image: Array) -> list[Array]:
        every = [np.array(distances(image, v)) for v in voxels]
        least = 1e-3 * float(np.mean([d.mean() for d in every])) + 1e-8
        raw = [np.exp(-d / (d.mean() + least)) for d in every]
        return [r / r.max() for r in raw]

    return float(np.mean([np.abs(a - b).mean() for a, b in zip(descriptors(x), descriptors(y), strict=True)]))


def _spline(t: float) -> float:
    t = abs(t)
    return (4 - 6 * t**2 + 3 * t**3) / 6 if t < 1 else max(2 - t, 0) ** 3 / 6


def _information_loop(x: Array, y: Array, mask: Array, bins: int = 32) -> float:
    voxels = _counting(mask, 0)

    def places(image: Array) -> list[float]:
        inside = [image[v] for v in voxels]
        low, high = min(inside), max(inside)
        return [1 + (value - low) / (high - low) * (bins - 3) for value in inside]

    joint = np.zeros((bins, bins))
    for u, w in zip(places(x), places(y), strict=True):
        for a in range(bins):
            for b in range(bins):
                joint[a, b] += _spline(u - a) * _spline(w - b) / len(voxels)
    told = 0.0
    for a, b in np.argwhere(joint > 0):
        told += joint[a, b] * math.log(joint[a, b] / joint[a].sum() / joint[:, b].sum())
    return -told


LOOPS: dict[str, Callable[[Array, Array, Array], float]] = {
    "gradient": _gradient_loop,
    "mind": _mind_loop,
    "mutual_information": _information_loop,
}


def _pair(shape: tuple[int, ...], batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(batch, 1, *shape, generator=generator, dtype=torch.float64)
    return x, 0.5 * x.square() + 0.5 * torch.rand(x.shape, generator=generator, dtype=torch.float64)


def _scene(side: int = 64) -> Tensor:
    """A smooth picture with edges, in [0, 1]: what a slice looks like."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 1, 8, 8, generator=generator, dtype=torch.float64)
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic", align_corners=True)
    smooth[..., 20:36, 12:40] += 0.6
    smooth = smooth + 0.02 * torch.rand(smooth.shape, generator=generator, dtype=torch.float64)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


@every_shape
@pytest.mark.parametrize("name", STRUCTURE)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_equal_to_a_plain_loop(name: str, shape: tuple[int, ...], masked: bool) -> None:
    x, y = _pair(shape)
    mask = torch.ones(2, 1, *shape)
    if masked:
        mask[..., -1:], mask[1, :, -1:] = 0, 0
    own = STRUCTURE[name](x, y, mask if masked else None)
    assert own.shape == (2,)
    plain = [LOOPS[name](a.numpy(), b.numpy(), m.numpy()) for a, b, m in zip(x[:, 0], y[:, 0], mask[:, 0], strict=True)]
    print(f"{name}: largest difference from the loop {max(abs(own.numpy() - plain)):.1e}, n = 2 images, seed 0")
    np.testing.assert_allclose(own.numpy(), plain, rtol=1e-9, atol=1e-12)


@every_shape
@every_loss
def test_gradients_against_finite_differences(loss: Callable[..., Tensor], shape: tuple[int, ...]) -> None:
    x, y = _pair({2: (5, 6), 3: (2, 3, 5)}[len(shape)], batch=1)
    mask = torch.ones_like(x)
    mask[..., 0] = 0
    for part in (x, y):
        part.requires_grad_()
    for m in (None, mask):
        assert torch.autograd.gradcheck(lambda a, b, m=m: loss(a, b, m), (x, y), eps=1e-7, atol=1e-5)  # type: ignore[misc]


@every_loss
def test_blind_to_affine_maps_and_inversion(loss: Callable[..., Tensor]) -> None:
    x = _scene()
    y = x.roll(1, -1).square()
    value = loss(x, y)
    for a, b in ((2.0, -1.0), (0.5, 0.2), (-1.0, 1.0), (-3.0, 0.0)):
        torch.testing.assert_close(loss(x, a * y + b), value, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(loss(a * x + b, y), value, rtol=1e-4, atol=1e-5)


@every_loss
def test_a_shift_of_two_voxels_raises_it(loss: Callable[..., Tensor]) -> None:
    x = _scene()
    for y in (x, 1 - x, x**2):
        stays, moved = loss(x, y).item(), loss(x, y.roll(2, -1)).item()
        print(f"{stays:.4f} in place, {moved:.4f} moved by two voxels")
        assert moved > stays


def test_monotone_maps_hardly_move_mind_and_mutual_information() -> None:
    x = _scene()
    for loss in (mind, mutual_information):
        alike, moved = loss(x, x).item(), loss(x, x.roll(2, -1)).item()
        change = abs(loss(x, (x + 0.2) ** 2).item() - alike) / (moved - alike)
        print(f"{loss.__name__}: a square moves it by {change:.3f} of what two voxels do")
        assert change < 0.5


def test_mutual_information_is_blind_to_any_map_of_levels_far_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 8, (1, 1, 32, 32), generator=generator)
    order = torch.tensor([3, 0, 7, 5, 1, 6, 2, 4])  # one to one, not monotone
    x, y = levels / 7.0, order[levels] / 7.0
    share = torch.bincount(levels.flatten(), minlength=8) / levels.numel()
    entropy = -(share * share.log()).sum()
    torch.testing.assert_close(mutual_information(x, y)[0], -entropy, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mutual_information(x, x), mutual_information(x, y), rtol=1e-5, atol=1e-5)
    # Two levels made one: it tells less of the input.
    folded = share.view(4, 2).sum(dim=1)
    torch.testing.assert_close(
        mutual_information(x, (levels // 2) / 3.0)[0], (folded * folded.log()).sum(), rtol=1e-5, atol=1e-5
    )
    # ... which the others do not claim, and do not have.
    for loss in (gradient_fields, mind):
        assert loss(x, y).item() > loss(x, x).item() + 0.1


def test_what_is_not_claimed_is_seen() -> None:
    """Maps that are not affine move gradient fields; shuffled places move all but mutual information."""
    x = _scene()
    assert abs(gradient_fields(x, x**4) - gradient_fields(x, x)).item() > 1e-2
    y = (x + 0.3 * x.roll(1, -2)) ** 2
    order = torch.randperm(64 * 64, generator=torch.Generator().manual_seed(0))
    a, b = (part.flatten()[order].view_as(part) for part in (x, y))
    torch.testing.assert_close(mutual_information(a, b), mutual_information(x, y))
    for loss in (gradient_fields, mind):
        assert abs(loss(a, b) - loss(x, y)).item() > 0.02


def test_equal_images() -> None:
    x = _scene()
    assert mind(x, x).item() == 0
    assert 0 < gradient_fields(x, x).item() < 1
    assert -math.log(32) < mutual_information(x, x).item() < -1


def test_independent_voxels_look_dependent_as_told() -> None:
    x, y = _pair((128, 128))
    y = torch.rand(y.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    told = -mutual_information(x, y).mean().item() / (32**2 / 8 / 128**2)
    assert 0.6 < told < 1.2


@every_shape
@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flat_images_are_finite_and_have_no_gradient(
    loss: Callable[..., Tensor], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    textured = _pair(shape, batch=1)[0].to(dtype)
    for value, other in itertools.product((0.0, -1.0, 0.5), (None, textured)):
        x = torch.full((1, 1, *shape), value, dtype=dtype)
        y = x.clone().requires_grad_()
        told = loss(x if other is None else other, y)
        told.sum().backward()
        assert y.grad is not None and y.grad.isfinite().all() and y.grad.abs().max() < 1e-3
        assert told.isfinite().all()
        if loss is mutual_information:
            assert told.abs().item() < 1e-5
        if loss is gradient_fields:
            assert told.item() == pytest.approx(1)


@every_loss
def test_an_empty_mask_is_finite(loss: Callable[..., Tensor]) -> None:
    x, y = (part.float() for part in _pair((9, 8)))
    x[..., :5], y[..., :5] = 0, 0  # flat places too
    y.requires_grad_()
    value = loss(x, y, torch.zeros(2, 1, 9, 8, dtype=torch.bool))
    value.sum().backward()
    assert value.abs().max() < 1e-6 and y.grad is not None and y.grad.isfinite().all()


@every_shape
@every_loss
def test_outside_the_mask_nothing_counts(loss: Callable[..., Tensor], shape: tuple[int, ...]) -> None:
    x, y = _pair(tuple(n + 6 for n in shape))
    mask = torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.bool)
    mask[..., 2:11, 2:11] = True
    elsewhere = torch.where(mask, y, y + 5).requires_grad_()
    value = loss(x, elsewhere, mask)
    torch.testing.assert_close(value, loss(x, y, mask))
    value.sum().backward()
    assert elsewhere.grad is not None and (elsewhere.grad * ~mask == 0).all() and (elsewhere.grad != 0).any()


@every_loss
def test_channels_pair_up_or_are_averaged_first(loss: Callable[..., Tensor]) -> None:
    x, y = _pair((12, 12), batch=6)
    x, y = x.view(3, 2, 12, 12), y.view(3, 2, 12, 12)
    each = torch.stack([loss(x[:, c : c + 1], y[:, c : c + 1]) for c in range(2)], dim=1)
    torch.testing.assert_close(loss(x, y), each.mean(dim=1))
    mask = torch.ones(3, 1, 12, 12)
    mask[1, :, 9:] = 0
    together = loss(x, y[:, :1], mask)
    torch.testing.assert_close(together, loss(x.mean(dim=1, keepdim=True), y[:, :1], mask))
    assert not torch.allclose(together, loss(x, y[:, :1]))


@every_loss
def test_sixteen_bits_in_full_precision_out(loss: Callable[..., Tensor]) -> None:
    x, y = (part.bfloat16() for part in _pair((16, 16)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(x, y)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(x.float(), y.float()))


@every_loss
def test_images_of_different_sizes_are_refused(loss: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match="one size"):
        loss(torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 9))


def test_too_few_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        mutual_information(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8), bins=4)


@every_loss
def test_descending_it_brings_the_structure_back(loss: Callable[..., Tensor]) -> None:
    """From the input moved by a voxel and noise, 60 steps lower the loss and leave the output nearer in structure."""
    x = _scene(32).float()
    noise = 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    y = (1 - x.roll(1, -1) + noise).requires_grad_()
    optimiser = torch.optim.Adam([y], lr=1e-2)
    first = loss(x, y).item()
    before = abs(torch.corrcoef(torch.stack([x.flatten(), y.detach().flatten()]))[0, 1].item())
    for _ in range(60):
        optimiser.zero_grad()
        loss(x, y).sum().backward()
        optimiser.step()
    after = abs(torch.corrcoef(torch.stack([x.flatten(), y.detach().flatten()]))[0, 1].item())
    print(f"loss {first:.3f} to {loss(x, y).item():.3f}; correlation with the input {before:.3f} to {after:.3f}")
    assert loss(x, y).item() < first - 0.05 and after > before
