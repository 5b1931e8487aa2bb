"""What is kept between fits is what would be seen again."""

from __future__ import annotations

import torch

from medudl.methods import build
from medudl.methods.looks import Looks


def test_each_image_is_looked_at_once_by_each_network() -> None:
    looks, image, seen = Looks(), torch.rand(5, 1, 4, 4), []

    def look(new: torch.Tensor) -> torch.Tensor:
        seen.append(len(new))
        return new.flatten(1) * 2

    want = image.flatten(1) * 2
    assert torch.equal(looks(look, image[:3], "a"), want[:3]) and torch.equal(
        looks(look, image.flip(0), "a"), want.flip(0)
    )
    assert torch.equal(looks(look, image, "a"), want) and seen == [3, 2]
    looks(look, image[:1], "b"), looks(look, image[:1] + 1e-6, "a")
    assert seen == [3, 2, 1, 1] and len(looks.kept) == 7


def test_a_method_that_shares_its_looks_answers_the_same_and_looks_once() -> None:
    torch.manual_seed(0)
    options = {"classes": ["a", "b"], "features": "random", "stages": [1, 2]}
    method, image = build("label_spreading", (1, 16, 16), options).eval(), torch.rand(6, 1, 16, 16)
    alone = method.encode(image)
    calls = []
    method.network.register_forward_hook(lambda *_: calls.append(1))
    method.looks = Looks()
    for _ in range(3):
        torch.testing.assert_close(method.encode(image), alone)
    assert len(calls) == 1
    other = build("label_spreading", (1, 16, 16), options).eval()  # other random weights: another network
    other.looks = method.looks
    assert not torch.allclose(other.encode(image), alone)
