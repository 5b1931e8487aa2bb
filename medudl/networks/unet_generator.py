"""The U-Net that pix2pix uses (Isola et al. 2017), for 2-D and 3-D."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.networks.dcgan import Upsampling, enlarge, first_weights
from medudl.networks.few_voxels import FEW_VOXEL_CONV
from medudl.networks.instance_norm import Norm
from medudl.networks.instance_norm import norm as norm_layer
from medudl.networks.padding import crop_to, pad_to_multiple

_MOST = 8  # times `width`: channels double with each halving up to this
_DROPPED = 3  # innermost levels on the way up that have dropout
_SLOPE = 0.2  # of the leaky ReLU


def depth_of(size: Sequence[int]) -> int:
    """How often an image of `size` is halved until its shortest side is one voxel: 256 -> 8, 128 -> 7; from 2 to 8."""
    return min(8, max(2, math.floor(math.log2(min(size)))))


class UNetGenerator(nn.Module):
    """Image -> image (Isola et al. 2017): halved `depth` times, then enlarged as often, each level beside its skip.

        down   leaky ReLU (but at the input), 4 x 4 (x 4) convolution of stride 2, norm (but at the first and innermost)
        up     ReLU, enlarge, norm, dropout in the three innermost; a tanh and no norm at the output

    Channels are w, 2w, 4w, 8w, 8w ... (B, inputs, *S) in [-1, 1] -> (B, outputs, *S) in [-1, 1], any sides: the last
    voxels are repeated up to a multiple of 2^depth, and cropped; so every norm sees 2 voxels a side at least.

    depth: 8 is U-Net-256, 7 U-Net-128; see `depth_of`. norm: instance has no weight and bias. upsampling: resize (see
    `ResizeConv`), or transposed (4 x 4 of stride 2) as published, which makes checkerboards.
    No convolution before a norm has a bias, for the norm takes it away again; the published code keeps it beside
    instance norm (4,928 numbers at width 64 and depth 8). With batch norm the last one alone has a bias, as there.
    """

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        *,
        width: int = 64,
        depth: int = 8,
        norm: Norm = "instance",
        upsampling: Upsampling = "resize",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.multiple = 2**depth
        widths = [width * min(_MOST, 2**i) for i in range(depth)]
        ends, plain = (0, depth - 1), norm == "none"  # levels without a norm on the way down
        self.down = nn.ModuleList()
        for i, (a, b) in enumerate(zip([inputs, *widths], widths, strict=False)):
            halve = FEW_VOXEL_CONV[dims](a, b, 4, stride=2, padding=1, bias=plain or (i in ends and norm == "instance"))
            self.down.append(halve if i in ends else nn.Sequential(halve, norm_layer(norm, dims, b)))
        self.up = nn.ModuleList()  # innermost first
        for i in reversed(range(1, depth)):
            larger = enlarge(upsampling, dims, widths[i] * (1 if i == depth - 1 else 2), widths[i - 1], bias=plain)
            drop = [nn.Dropout(dropout)] if dropout and i >= depth - _DROPPED else []
            self.up.append(nn.Sequential(larger, norm_layer(norm, dims, widths[i - 1]), *drop))
        self.last = nn.Sequential(enlarge(upsampling, dims, 2 * width, outputs, bias=True), nn.Tanh())
        first_weights(self)

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, *S) -> (B, outputs, *S) in [-1, 1]."""
        skips = [pad_to_multiple(image, self.multiple)]
        for down in self.down:
            # A skip is kept as the leaky ReLU leaves it: the ReLU that it meets next gives the same of both.
            skips.append(F.leaky_relu_(down(skips[-1]), _SLOPE))
        x = F.relu(skips[-1])
        for up, skip in zip(self.up, skips[-2:0:-1], strict=True):
            x = F.relu_(torch.cat([skip, up(x)], dim=1))
        return crop_to(self.last(x), image.shape[2:])
