"""Translations with a known answer, recovered by pix2pix from pairs and by CycleGAN without."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from translation_scenes import blurred, scenes, trained

from medudl.methods.method import Method

SEEDS = (0, 1, 2)
SLOPE, OFFSET = 0.6, 0.15
SMALL = {"width": 8, "blocks": 2, "discriminator_width": 16, "receptive_field": 16}


def _map(image: Tensor) -> Tensor:
    return OFFSET + SLOPE * image


def _line(source: Tensor, made: Tensor) -> tuple[float, float, float]:
    """Least-squares slope and offset of made over source, and their correlation."""
    x, y = source.flatten().double(), made.flatten().double()
    slope = ((x - x.mean()) * (y - y.mean())).mean() / x.var(correction=0)
    return float(slope), float(y.mean() - slope * x.mean()), float(torch.corrcoef(torch.stack([x, y]))[0, 1])


@torch.no_grad()
def _through(method: Method, verb: str, image: Tensor) -> Tensor:
    made: Tensor = getattr(method, verb)(image)
    return made


@pytest.mark.proof
@pytest.mark.parametrize("seed", SEEDS)
def test_pix2pix_recovers_a_blur_and_an_intensity_map(seed: int) -> None:
    """y = .15 + .6 blur(x, 2 voxels): held out, at most half the error of the same map without the blur."""
    train, held = scenes(200, seed), scenes(50, 1000 + seed)
    truth = _map(blurred(held, 2.0))
    method = trained(
        "pix2pix", train, _map(blurred(train, 2.0)), 400, seed, paired=True, network="unet", width=16, depth=4,
        discriminator_width=16, receptive_field=16,
    )  # fmt: skip
    error = (_through(method, "translate", held) - truth).abs().mean().item()
    unblurred = (_map(held) - truth).abs().mean().item()
    print(f"seed {seed}: mean absolute error {error:.4f}, of the map without the blur {unblurred:.4f}, n = {len(held)}")
    assert error < 0.5 * unblurred


@pytest.mark.proof
@pytest.mark.parametrize("seed", SEEDS)
def test_cyclegan_recovers_an_affine_map_without_pairs(seed: int) -> None:
    """y = .15 + .6 x of other scenes: slope within .06 and offset within .03 on held-out ones, both ways."""
    held, target = scenes(50, 1000 + seed), _map(scenes(200, 500 + seed))
    method = trained("cyclegan", scenes(200, seed), target, 800, seed, paired=False, **SMALL)
    slope, offset, like = _line(held, _through(method, "translate", held))
    there, away, back = _line(_map(held), _through(method, "back", _map(held)))
    print(f"seed {seed}: slope {slope:.3f} (.6), offset {offset:.3f} (.15), correlation {like:.3f};"
          f" back {there:.3f} (1.667), {away:.3f} (-.25), {back:.3f}")  # fmt: skip
    assert abs(slope - SLOPE) < 0.06 and abs(offset - OFFSET) < 0.03 and like > 0.95
    assert abs(there * SLOPE - 1) < 0.1 and abs(away + OFFSET / SLOPE) < 0.05 and back > 0.95


@pytest.mark.proof
def test_without_a_discriminator_nothing_says_what_the_other_side_looks_like() -> None:
    """The same proof must fail where only the cycle is learnt: there and back is right, there alone is not."""
    held, target = scenes(50, 1000), _map(scenes(200, 500))
    method = trained("cyclegan", scenes(200, 0), target, 800, 0, paired=False, adversarial=0, **SMALL)
    made = _through(method, "translate", held)
    slope, offset, _ = _line(held, made)
    around = (_through(method, "back", made) - held).abs().mean().item()
    print(f"cycle alone: slope {slope:.3f} (.6), offset {offset:.3f} (.15), there and back {around:.3f}")
    assert around < 0.03 and (abs(slope - SLOPE) > 0.06 or abs(offset - OFFSET) > 0.03)
