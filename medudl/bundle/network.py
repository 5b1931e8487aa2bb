"""The method as a network with one output, which MONAI asks for, and what each verb gives for a graph with several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from medudl.errors import UserError
from medudl.methods.method import Method

if TYPE_CHECKING:
    from medudl.bundle.shipped import Shipped

# What each verb gives of an image, by the names that the ONNX graph has.
OUTPUTS: Mapping[str, Callable[[Any, Tensor], dict[str, Tensor]]] = {
    "anomaly": lambda method, image: dict(zip(("anomaly", "score"), method.anomaly(image), strict=True)),
    "reconstruct": lambda method, image: {"expected": method.reconstruct(image)},
    "encode": lambda method, image: {"code": method.encode(image)},
    "uncertainty": lambda method, image: {"code_std": method.uncertainty(image)},
    "classify": lambda method, image: {"logits": method.classify(image)},
    "translate": lambda method, image: {"target": method.translate(image)},
}
_MAIN = ("anomaly", "encode", "classify", "translate")


def main_verb(method: Method) -> str:
    """What the method is for: its classes where it learnt from labels, else its map, its code or its translation."""
    wanted = ("classify", *_MAIN) if method.supervised else _MAIN
    found = next((verb for verb in wanted if verb in method.verbs()), None)
    if found is None:
        raise UserError(f"{type(method).__name__} has no verb that takes an image, so there is nothing to export")
    return found


class Network(nn.Module):
    """A run's method behind `forward(image)`: (B, C, *S) -> what its main verb gives.

    That is a map (B, 1, *S), a code (B, Z), logits (B, K) or a translation (B, C', *S).

    Built without weights, as MONAI wants a network definition; `load` fills them in.
    """

    def __init__(self, shipped: Shipped) -> None:
        super().__init__()
        self.method = shipped.untrained().eval()
        self.verb = main_verb(self.method)

    def forward(self, image: Tensor) -> Tensor:
        """The first output of the main verb."""
        return next(iter(OUTPUTS[self.verb](self.method, image).values()))

    def load(self, path: str | Path) -> Network:
        """Fill in the weights of models/model.pt (tensors only are read). Raises UserError: absent, damaged, unfit."""
        if not Path(path).is_file():
            raise UserError(f"{path}: no such file; give the bundle's models/model.pt")
        try:
            self.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # torch raises a dozen kinds for a damaged file
            raise UserError(f"{path}: damaged, or of another bundle ({' '.join(str(error).split())[:200]})") from None
        return self.eval()
