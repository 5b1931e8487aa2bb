"""U-Net (Ronneberger et al. 2015) as the coarse-noise denoising autoencoder has it (Kascenas et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medudl.networks.blocks import (
    ConvBlock,
    Norm,
    channels_to_space,
    conv,
    conv_transpose,
    halve,
    space_to_channels,
)
from medudl.networks.padding import crop_to, pad_to_multiple


class UNet(nn.Module):
    """U-Net with skips: `levels` resolutions, `width` channels at the finest, doubled at each coarser one.

    (B, C, *S) -> (B, C', *S) for any S: sides that are no multiple of patch * 2^(levels - 1) are padded inside and
    cropped. Down by averaging, up by transposed convolution. width 64, levels 4, 2-D: 7.7 million parameters.
    patch: 2 folds each 2 x 2 (x 2) voxels into channels on the way in and back on the way out: a quarter (an eighth)
    of the work at the same width; finer details reach the output only through those channels.
    """

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        *,
        width: int = 64,
        levels: int = 4,
        patch: int = 1,
        norm: Norm = "group",
    ) -> None:
        super().__init__()
        self.patch = patch
        self.multiple = patch * 2 ** (levels - 1)
        inputs, outputs = inputs * patch**dims, outputs * patch**dims
        widths = [width * 2**i for i in range(levels)]
        self.down = nn.ModuleList(ConvBlock(dims, a, b, norm) for a, b in zip([inputs, *widths], widths, strict=False))
        coarse_first = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.enlarge = nn.ModuleList(conv_transpose(dims, a, b) for a, b in coarse_first)
        self.up = nn.ModuleList(ConvBlock(dims, 2 * b, b, norm) for _, b in coarse_first)
        self.last = conv(dims, width, outputs, kernel=1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C', *S)."""
        skips = self._skips(image)
        x = skips[-1]
        for enlarge, block, skip in zip(self.enlarge, self.up, reversed(skips[:-1]), strict=True):
            x = block(torch.cat([enlarge(x), skip], dim=1))
        out = channels_to_space(self.last(x), self.patch)
        return crop_to(out, image.shape[2:])

    def features(self, image: Tensor) -> Tensor:
        """The coarsest features: (B, C, *S) -> (B, width * 2^(levels - 1), *S / (patch * 2^(levels - 1)))."""
        return self._skips(image)[-1]

    def _skips(self, image: Tensor) -> list[Tensor]:
        x = space_to_channels(pad_to_multiple(image, self.multiple), self.patch)
        skips: list[Tensor] = []
        for block in self.down:
            x = block(halve(x) if skips else x)  # (B, width * 2^i, *S / 2^i)
            skips.append(x)
        return skips
