"""Noise as it is defined: mean, spread, place, independence."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from medudl.methods import corruption
from medudl.methods.corruption import coarse, gaussian, masking, roll_each

SIZES = {2: (21, 17), 3: (7, 6, 9)}
both_dims = pytest.mark.parametrize("dims", [2, 3])


def _everything(image: Tensor) -> Tensor:
    return torch.ones_like(image[:, :1], dtype=torch.bool)


def _flat(count: int, channels: int, size: tuple[int, ...]) -> Tensor:
    return torch.zeros(count, channels, *size)


def share_of_variance(side: int, grid: int) -> Tensor:
    """(1 - w)^2 + w^2 at each voxel of one side, w its distance to the grid point before it, in steps."""
    w = torch.arange(side, dtype=torch.float64) * (grid - 1) / (side - 1) % 1
    return (1 - w) ** 2 + w**2


@both_dims
def test_coarse_noise_before_rolling_has_the_spread_of_linear_interpolation(
    dims: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corruption, "roll_each", lambda noise, generator: noise)
    torch.manual_seed(0)
    size, grid, count = SIZES[dims], 4, 8000
    noise = coarse(_flat(count, 1, size), _everything(_flat(count, 1, size)), 0.2, grid)
    variance = torch.ones((), dtype=torch.float64)
    for side in size:
        variance = variance[..., None] * share_of_variance(side, grid)
    spread = 0.2 * variance.sqrt()
    error = (noise[:, 0].double().std(0) / spread - 1).abs()
    assert error.max() < 6 / math.sqrt(2 * count)  # a standard deviation's own error is 1 / sqrt(2 n)
    assert (noise[:, 0].mean(0).abs() / spread).max() < 6 / math.sqrt(count)
    assert spread.min() < 0.75 * 0.2 < spread.max() == pytest.approx(0.2)


@both_dims
def test_rolled_coarse_noise_has_the_same_spread_everywhere(dims: int) -> None:
    torch.manual_seed(0)
    size, grid, count = SIZES[dims], 4, 8000
    noise = coarse(_flat(count, 1, size), _everything(_flat(count, 1, size)), 0.2, grid)
    expected = 0.2 * math.sqrt(math.prod(share_of_variance(side, grid).mean().item() for side in size))
    assert noise.mean().abs() < 0.002
    # Each voxel's values are a mixture of unequal spreads, so the spread's own error is larger than 1 / sqrt(2 n).
    assert ((noise.std(0) / expected - 1).abs()).max() < 0.06
    assert noise.std().item() == pytest.approx(expected, rel=0.01)


@both_dims
def test_the_roll_is_uniform_and_each_images_own(dims: int) -> None:
    torch.manual_seed(0)
    size, count = (3, 5, 4)[:dims], 6000
    point = torch.zeros(count, 1, *size)
    point[(slice(None), 0, *[0] * dims)] = 1
    rolled = roll_each(point)
    assert (rolled.flatten(1).sum(1) == 1).all()
    landed = rolled.sum(dim=(0, 1)).flatten()
    expected = count / math.prod(size)
    chi2 = ((landed - expected) ** 2 / expected).sum().item()
    cells = math.prod(size) - 1
    assert chi2 < cells + 5 * math.sqrt(2 * cells)


@both_dims
def test_the_roll_is_torchs_and_the_same_for_all_channels(dims: int) -> None:
    x = torch.randn(5, 2, *SIZES[dims])
    torch.manual_seed(4)
    rolled = roll_each(x)
    torch.manual_seed(4)
    shifts = torch.stack([torch.randint(side, (5, 1)) for side in SIZES[dims]], dim=1)[..., 0]
    axes = tuple(range(1, dims + 1))
    for i in range(5):
        assert torch.equal(rolled[i], torch.roll(x[i], tuple(shifts[i].tolist()), axes))


def test_coarse_noise_is_enlarged_linearly_with_aligned_corners(monkeypatch: pytest.MonkeyPatch) -> None:
    """As published: torch's old upsample_bilinear, which aligns corners."""
    monkeypatch.setattr(corruption, "roll_each", lambda noise, generator: noise)
    torch.manual_seed(3)
    noise = coarse(_flat(2, 3, (31, 20)), _everything(_flat(2, 3, (31, 20))), 0.5, 16)
    torch.manual_seed(3)
    grid = 0.5 * torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(noise, F.interpolate(grid, (31, 20), mode="bilinear", align_corners=True))
    torch.testing.assert_close(noise[..., 0, 0], grid[..., 0, 0])
    torch.testing.assert_close(noise[..., -1, -1], grid[..., -1, -1])


@both_dims
@pytest.mark.parametrize("name", ["coarse", "gaussian", "masking"])
def test_nothing_changes_outside_the_foreground(dims: int, name: str) -> None:
    torch.manual_seed(0)
    image = torch.rand(4, 2, *SIZES[dims])
    foreground = torch.rand(4, 1, *SIZES[dims]) > 0.5
    noisy = {
        "coarse": lambda: coarse(image, foreground, 0.2, 4),
        "gaussian": lambda: gaussian(image, foreground, 0.2),
        "masking": lambda: masking(image, foreground, 0.5, "zero"),
    }[name]()
    assert torch.equal(noisy * ~foreground, image * ~foreground)
    assert ((noisy != image) & foreground).sum() > 0.4 * foreground.sum()


@pytest.mark.parametrize("grid", [4, None], ids=["coarse", "gaussian"])
def test_channels_and_images_are_independent(grid: int | None) -> None:
    torch.manual_seed(0)
    image = _flat(3000, 2, (9, 8))
    everything = _everything(image)
    noise = coarse(image, everything, 1.0, grid) if grid else gaussian(image, everything, 1.0)
    a, b, later = noise[:, 0, 4, 4], noise[:, 1, 4, 4], noise[:, 0, 4, 4].roll(1)
    for other in (b, later):
        assert abs(torch.corrcoef(torch.stack([a, other]))[0, 1]) < 5 / math.sqrt(3000)


def test_gaussian_noise_is_white_of_the_given_sigma() -> None:
    torch.manual_seed(0)
    image = torch.full((50, 1, 40, 40), 0.7)
    noise = gaussian(image, _everything(image), 0.3) - image
    assert noise.std().item() == pytest.approx(0.3, rel=0.01)
    assert abs(noise.mean()) < 5 * 0.3 / math.sqrt(noise.numel())
    neighbours = torch.corrcoef(torch.stack([noise[..., 1:].flatten(), noise[..., :-1].flatten()]))[0, 1]
    assert abs(neighbours) < 0.02


def _masked(fill: corruption.Fill) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    image = 0.6 + 0.1 * torch.randn(40, 2, 32, 32)
    foreground = torch.zeros(40, 1, 32, 32, dtype=torch.bool)
    foreground[..., 4:28, 6:30] = True
    return image, foreground, masking(image, foreground, 0.25, fill)


def test_masking_to_zero_shifts_the_mean_which_is_the_trap() -> None:
    image, foreground, noisy = _masked("zero")
    inside = foreground.expand_as(image)
    assert noisy[inside].mean().item() == pytest.approx(0.75 * image[inside].mean().item(), rel=0.01)


def test_masking_to_the_mean_keeps_the_mean() -> None:
    image, foreground, noisy = _masked("mean")
    inside = foreground.expand_as(image)
    assert noisy[inside].mean().item() == pytest.approx(image[inside].mean().item(), rel=0.002)
    changed = noisy != image
    own = (image * foreground).sum((2, 3), keepdim=True) / foreground.sum((2, 3), keepdim=True)
    torch.testing.assert_close(noisy[changed], own.expand_as(image)[changed])


def test_masking_takes_its_share_of_voxels_with_all_channels() -> None:
    image, foreground, noisy = _masked("zero")
    gone = (noisy == 0).all(dim=1, keepdim=True)
    assert torch.equal(gone, (noisy == 0).any(dim=1, keepdim=True))
    assert gone.sum().item() / foreground.sum().item() == pytest.approx(0.25, abs=0.01)


def test_masking_an_empty_foreground_changes_nothing() -> None:
    image = torch.rand(2, 1, 4, 4)
    nowhere = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    assert torch.equal(masking(image, nowhere, 0.5, "mean"), image)


@pytest.mark.parametrize("name", ["coarse", "gaussian", "masking"])
def test_a_generator_gives_the_same_noise_and_leaves_torchs_own_alone(name: str) -> None:
    image = torch.rand(2, 1, 8, 8)
    everything = _everything(image)

    def corrupt() -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return {
            "coarse": lambda: coarse(image, everything, 0.2, 4, generator),
            "gaussian": lambda: gaussian(image, everything, 0.2, generator),
            "masking": lambda: masking(image, everything, 0.5, "zero", generator),
        }[name]()

    state = torch.get_rng_state()
    first = corrupt()
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(9)
    assert torch.equal(first, corrupt())
