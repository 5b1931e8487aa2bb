"""What images are compared by: the network that a user names, or what is at hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from medudl.errors import UserError
from medudl.networks.feature_files import ImageFeatures, ImageNetImageFeatures, PixelFeatures, features_of_file
from medudl.run import Run
from medudl.tasks.detector import Restored
from medudl.tasks.run_features import RunFeatures

NAMES = ("efficientnet_lite0", "pixels")
_NO_LITE = "EfficientNet-Lite0 is not installed (pip install medudl[features]): images were compared by pixels alone."
_AT_ONCE = {"cpu": 4, "cuda": 64}  # images


@dataclass(frozen=True)
class Chosen:
    """networks: the one that decides first, pixels last. notes: sentences on what is lacking."""

    networks: list[ImageFeatures]
    notes: list[str] = field(default_factory=list)


class _On:
    """A network that computes on a device, for images and features on the CPU, few at a time.

    Large batches take a CPU up to four times as long: each asks the system for its memory anew.
    """

    def __init__(self, network: ImageFeatures, device: torch.device) -> None:
        self.network, self.device, self.name = network, device, network.name

    def __call__(self, image: Tensor) -> Tensor:
        """See `ImageFeatures`."""
        step = _AT_ONCE[self.device.type]
        return torch.cat([self.network(part.to(self.device)).cpu() for part in torch.split(image, step)])


def chosen_features(spec: str | Path | None, restored: Restored, device: str) -> Chosen:
    """spec: one of NAMES, a TorchScript or ONNX file, a run with codes, or None for the first of NAMES there is.

    Raises UserError: nothing of that name, or it does not fit the run's images.
    """
    pixels = PixelFeatures()
    if str(spec) == "pixels":
        return Chosen([pixels])
    if spec is None or str(spec) == "efficientnet_lite0":
        try:
            return Chosen([_on_device(ImageNetImageFeatures(), restored), pixels])
        except UserError:  # its package is not there
            if spec is not None:
                raise
            return Chosen([pixels], [_NO_LITE])
    path = Path(spec)
    if path.is_dir():
        return _of_run(path, restored, device, pixels)
    if not path.is_file():
        raise UserError(f"--features {spec}: neither {', '.join(NAMES)}, nor a file or a run there; check the path")
    named = _on_device(features_of_file(path), restored)
    named(torch.zeros(2, *restored.method.shape))  # told now, and not after minutes
    return Chosen([named, pixels])


def _of_run(path: Path, restored: Restored, device: str, pixels: ImageFeatures) -> Chosen:
    found = RunFeatures(Run.open(path), tuple(restored.method.shape), device)
    notes = []
    if found.pipeline != restored.pipeline.key:
        notes.append(f"{found.name}: that run prepares its scans otherwise, so its features may mean little here.")
    return Chosen([found, pixels], notes)


def _on_device(network: ImageFeatures, restored: Restored) -> ImageFeatures:
    return _On(network, next((p.device for p in restored.method.parameters()), torch.device("cpu")))
