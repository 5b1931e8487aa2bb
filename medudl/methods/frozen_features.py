"""The fixed networks that methods look through, by name: ImageNet's, or one of our own encoders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from medudl.errors import UserError
from medudl.methods.method import Method
from medudl.networks.convolutional import ConvEncoder
from medudl.networks.feature_network import EncoderFeatures, FeatureNetwork, ImageNetFeatures

Features = Literal["efficientnet_lite0", "encoder", "random"]
_WIDTH = 16  # of the random encoder


def feature_network(
    features: Features, shape: tuple[int, ...], stages: Sequence[int], side: int, body: Mapping[str, Any] | None
) -> FeatureNetwork:
    """efficientnet_lite0 on ImageNet weights, pictures of `side`; the encoder of `body`; or a random one.

    Raises UserError: a stage twice, or one that the network does not have.
    """
    if len(set(stages)) < len(stages):
        raise UserError(f"method.stages: {stages} names a stage twice")
    networks: Mapping[Features, Callable[[], FeatureNetwork]] = {
        "efficientnet_lite0": lambda: ImageNetFeatures(shape, stages, side),
        "encoder": lambda: encoder_features(shape, stages, body),
        "random": lambda: random_features(shape, stages),
    }
    return networks[features]()


def look_through(network: FeatureNetwork, shape: tuple[int, ...], other: Method) -> None:
    """Take over the encoder of `other`. Raises UserError: the network is no such encoder, or of another shape."""
    if not isinstance(network, EncoderFeatures):
        raise UserError("method.init: only features: encoder looks through another run; leave init out")
    if other.shape != shape:
        raise UserError(f"method.init: its images are {other.shape}, these are {shape}; train both on one size")
    source = encoder_features(shape, network.stages, other)
    try:
        network.load_state_dict(source.state_dict())
    except RuntimeError:
        raise UserError("method.init: its encoder does not fit method.body; leave method.body out") from None
    network.settle_on(weights_digest(network.network))


def fingerprint_of(network: FeatureNetwork) -> str:
    """Which network it is, and the beginning of its weights' SHA-256."""
    return f"{network.name()}, SHA-256 {bytes(network.fingerprint.tolist()).hex()[:16]}"


def encoder_features(
    shape: tuple[int, ...], stages: Sequence[int], source: Method | Mapping[str, Any] | None
) -> EncoderFeatures:
    """The convolutional encoder of `source`: a method with its weights, or the `method` section of one.

    Raises UserError: None, or a method without a convolutional encoder.
    """
    if source is None:
        raise UserError("method.features: encoder looks through another run's encoder; name that run: method.init=RUN")
    method = source if isinstance(source, Method) else _built(shape, source)
    encoder = next((part for part in method.modules() if isinstance(part, ConvEncoder)), None)
    if encoder is None:
        raise UserError(f"method.init: {type(method).__name__} has no convolutional encoder; begin from an autoencoder")
    return EncoderFeatures(encoder, stages, f"encoder of a run of {type(method).__name__}")


def random_features(shape: tuple[int, ...], stages: Sequence[int]) -> EncoderFeatures:
    """An encoder with random weights, drawn from torch's own state."""
    encoder = ConvEncoder(shape, 1, width=_WIDTH, levels=max(stages), kind="group")
    network = EncoderFeatures(encoder, stages, "a random convolutional encoder")
    if encoder.head.weight.device.type != "meta":
        network.settle_on(weights_digest(network.network))
    return network


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over all weights and buffers, in their order."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _built(shape: tuple[int, ...], section: Mapping[str, Any]) -> Method:
    from medudl.methods import build  # its table names the file that imports this one

    return build(str(section.get("name")), shape, {key: value for key, value in section.items() if key != "name"})
