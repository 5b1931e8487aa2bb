"""Our own encoders as networks to look through."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from medudl.errors import UserError
from medudl.methods.method import Method
from medudl.networks.convolutional import ConvEncoder
from medudl.networks.feature_network import EncoderFeatures

_WIDTH = 16  # of the random encoder


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
