"""Concepts are means of codes; what is added and taken away shows in the image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from factors import offset, places
from games import played
from torch import Tensor

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.methods.latent_arithmetic import combine, concept

THIRD = 8 / 6  # pixels: whoever picks an example of "left" takes one that is clearly so, beyond the middle third


def test_a_concept_is_a_mean() -> None:
    codes = torch.arange(12.0).reshape(3, 4)
    assert concept(codes).tolist() == [4, 5, 6, 7]
    for wrong in (codes[0], codes[:0]):
        with pytest.raises(UserError, match="a concept is the mean of some codes"):
            concept(wrong)


def test_concepts_are_added_and_subtracted() -> None:
    a, b, c = torch.eye(3)
    assert combine([a, b], [c]).tolist() == [1, 1, -1]
    assert combine([a]).tolist() == [1, 0, 0] and a.tolist() == [1, 0, 0], "the concepts themselves stay"
    for plus, minus in ([], [a]), ([a, torch.ones(2)], []), ([a[None]], []):
        with pytest.raises(UserError, match="codes .Z,. of one model"):
            combine(plus, minus)


def test_what_they_share_cancels() -> None:
    """Of a decoder that is linear, the goal is exact: left low - right low + right high = left high."""
    horizontal, vertical, rest = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    codes = {(h, v): h * horizontal + v * vertical + rest for h in (-1, 1) for v in (-1, 1)}
    torch.testing.assert_close(combine([codes[1, -1], codes[-1, 1]], [codes[-1, -1]]), codes[1, 1])


@pytest.mark.proof
def test_attributes_follow_the_arithmetic() -> None:
    """Discs left or right, high or low; each goal from the three other corners, 3 codes a concept. More than 80 % right
    in either attribute, at each seed."""
    found, both = [], []
    for seed in (20, 21, 22):
        train: Batch = {"image": places(2000, seed + 100), "label": torch.zeros(2000)}
        val: Batch = {"image": places(256, seed + 200)}
        method = played("gan", {"latent": 16, "width": 8}, train, val, steps=6000, seed=seed, lr=5e-4)
        hits = _hits(method, 400)
        found.append([float(share) for share in hits.float().mean(0)])
        both.append(float(hits.all(1).float().mean()))
    print(f"\nattributes as asked, horizontal and vertical: {[[f'{s:.3f}' for s in pair] for pair in found]}, both at"
          f" once {[f'{share:.3f}' for share in both]} (chance 1/4); n = 400 codes each, seeds 20 to 22")  # fmt: skip
    assert min(min(pair) for pair in found) > 0.8


@torch.no_grad()
def _hits(method: Any, count: int) -> Tensor:
    """(count, 2) bool: whether the decoded sum shows either attribute of its goal."""
    codes = method.draw(4000)
    shown = offset(method.decode(codes))
    clear = (shown.abs() > THIRD).all(1)

    def pick(right: bool, low: bool) -> Tensor:
        among = codes[clear & ((shown[:, 0] > 0) == right) & ((shown[:, 1] > 0) == low)]
        return concept(among[torch.randint(len(among), (3,))])

    goals = [(bool(i % 2), bool(i // 2 % 2)) for i in range(count)]
    made = [combine([pick(h, not v), pick(not h, v)], [pick(not h, not v)]) for h, v in goals]
    return (offset(method.decode(torch.stack(made))) > 0) == torch.tensor(goals)
