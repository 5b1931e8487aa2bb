"""The generator of residual blocks that CycleGAN uses (Johnson et al. 2016, Zhu et al. 2017), for 2-D and 3-D."""

from __future__ import annotations

from torch import Tensor, nn

from medudl.networks.dcgan import CONV, TRANSPOSED, ResizeConv, Upsampling, first_weights
from medudl.networks.instance_norm import Norm
from medudl.networks.instance_norm import norm as norm_layer
from medudl.networks.padding import crop_to, pad_to_multiple


class ResNetGenerator(nn.Module):
    """Image -> image (Johnson et al. 2016, Zhu et al. 2017): c7-w, d2w, d4w, `blocks` times R4w, u2w, uw, c7-outputs.

        c7: 7 x 7 (x 7) convolution;   d: 3 x 3 of stride 2;   R: x + (3 x 3, norm, ReLU, 3 x 3, norm)(x);   u: enlarge

    Norm and ReLU follow c7, d and u, but a tanh the last; what lies outside is reflected in c7 and R.
    (B, inputs, *S) in [-1, 1] -> (B, outputs, *S) in [-1, 1], any sides: the last voxels are repeated up to a multiple
    of 4, and cropped.

    blocks: 9 as published for 256 pixels, 6 for 128. norm: instance has no weight and bias, as published. upsampling:
    resize (see `ResizeConv`), or transposed (3 x 3 of stride 2) as published, which makes checkerboards.
    No convolution before a norm has a bias, for the norm takes it away again. The published code keeps it beside
    instance norm: 5,248 numbers at width 64 and 9 blocks, on which the output does not depend.
    """

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        *,
        width: int = 64,
        blocks: int = 9,
        norm: Norm = "instance",
        upsampling: Upsampling = "resize",
    ) -> None:
        super().__init__()
        make, bias = CONV[dims], norm == "none"
        layers = [(make(inputs, width, 7, padding=3, padding_mode="reflect", bias=bias), width)]
        layers += [(make(c // 2, c, 3, stride=2, padding=1, bias=bias), c) for c in (2 * width, 4 * width)]
        up = [(_enlarge(upsampling, dims, 2 * c, c, bias), c) for c in (2 * width, width)]
        self.body = nn.Sequential(
            *(nn.Sequential(layer, norm_layer(norm, dims, c), nn.ReLU(inplace=True)) for layer, c in layers),
            *(Residual(dims, 4 * width, norm) for _ in range(blocks)),
            *(nn.Sequential(layer, norm_layer(norm, dims, c), nn.ReLU(inplace=True)) for layer, c in up),
            nn.Sequential(make(width, outputs, 7, padding=3, padding_mode="reflect"), nn.Tanh()),
        )
        first_weights(self)

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, *S) -> (B, outputs, *S) in [-1, 1]."""
        size = image.shape[2:]
        # A side of 4 or less would be one voxel after two halvings, which has nothing to reflect.
        padded = pad_to_multiple(image, 4 if min(size) > 4 else 8)
        return crop_to(self.body(padded), size)


class Residual(nn.Module):
    """x + (3 x 3, norm, ReLU, 3 x 3, norm)(x): (B, C, *S) -> the same; no ReLU behind the sum."""

    def __init__(self, dims: int, channels: int, norm: Norm) -> None:
        super().__init__()
        first, second = (
            CONV[dims](channels, channels, 3, padding=1, padding_mode="reflect", bias=norm == "none") for _ in range(2)
        )
        norms = [norm_layer(norm, dims, channels) for _ in range(2)]
        self.body = nn.Sequential(first, norms[0], nn.ReLU(inplace=True), second, norms[1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> the same."""
        change: Tensor = self.body(x)
        return x + change


def _enlarge(upsampling: Upsampling, dims: int, inputs: int, outputs: int, bias: bool) -> nn.Module:
    if upsampling == "resize":
        return ResizeConv(dims, inputs, outputs, bias)
    return TRANSPOSED[dims](inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=bias)
