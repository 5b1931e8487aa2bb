"""Encoder and decoder by name, for methods that let a config choose between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from torch import nn

from medudl.networks.blocks import Norm
from medudl.networks.convolutional import ConvDecoder, ConvEncoder
from medudl.networks.dense import DenseDecoder, DenseEncoder

Network = Literal["linear", "dense", "convolutional"]


def encoder(
    network: Network, shape: Sequence[int], latent: int, *, hidden: Sequence[int], width: int, levels: int, norm: Norm
) -> nn.Module:
    """(B, C, *S) -> (B, Z). linear: one affine map; dense: of `hidden` units; convolutional: of width, levels, norm."""
    makers: Mapping[Network, Callable[[], nn.Module]] = {
        "linear": lambda: DenseEncoder(shape, latent),
        "dense": lambda: DenseEncoder(shape, latent, hidden=hidden),
        "convolutional": lambda: ConvEncoder(shape, latent, width=width, levels=levels, kind=norm),
    }
    return makers[network]()


def decoder(
    network: Network, shape: Sequence[int], latent: int, *, hidden: Sequence[int], width: int, levels: int, norm: Norm
) -> nn.Module:
    """(B, Z) -> (B, C, *S), the mirror of `encoder`; its output is linear."""
    makers: Mapping[Network, Callable[[], nn.Module]] = {
        "linear": lambda: DenseDecoder(shape, latent),
        "dense": lambda: DenseDecoder(shape, latent, hidden=hidden),
        "convolutional": lambda: ConvDecoder(shape, latent, width=width, levels=levels, kind=norm),
    }
    return makers[network]()
