"""What a fixed network saw, kept for further fits on the same scans."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor


class Looks:
    """Features by network and image.

    An image is known by the SHA-256 of its voxels, so that an augmented one is another. In memory only: Z numbers an
    image, and no image.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[str, bytes], Tensor] = {}

    def __call__(self, look: Callable[[Tensor], Tensor], image: Tensor, network: str) -> Tensor:
        """`look(image)`: (B, C, *S) -> (B, Z), without gradients; only images that are new are looked at.

        network: a name that no other network has.
        """
        keys = [(network, hashlib.sha256(one.contiguous().numpy()).digest()) for one in image.detach().cpu()]
        new = [place for place, key in enumerate(keys) if key not in self.kept]
        if new:
            with torch.no_grad():
                seen = look(image[new]).cpu()
            self.kept.update(zip((keys[place] for place in new), seen, strict=True))
        return torch.stack([self.kept[key] for key in keys]).to(image.device)
