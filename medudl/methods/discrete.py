"""The guard of generators: images of a few distinct values are labels, and no generator can learn to make them."""

from __future__ import annotations

import torch
from torch import Tensor

from medudl.errors import UserError

_MOST = 32  # distinct values of what is still taken for labels; a film has 256, a phantom with a soft rim hundreds
_SLACK = 1e-3  # of the step between two labels, for the rounding of an affine map


def is_discrete(image: Tensor) -> bool:
    """Whether a batch looks like label maps: 2 to 32 distinct values in all, whole multiples of one step apart.

    An affine map of the labels changes nothing of that. A batch of one value alone (empty slices) is none. Labels that
    were interpolated (resampled, rotated) have many values, and pass as intensities.
    """
    values = torch.unique(image.detach().float())
    if not 2 <= len(values) <= min(_MOST, image.numel() // 4):
        return False
    steps = values.diff() / values.diff().min()
    return bool(((steps - steps.round()).abs() <= _SLACK * steps).all())


def refuse_discrete(image: Tensor) -> None:
    """UserError: the images are label maps."""
    if is_discrete(image):
        count = len(torch.unique(image))
        raise UserError(
            f"the images have {count} distinct values, as label maps do: what a generator makes changes smoothly with"
            " its code and its gradient cannot pass from one label to the next; train on the scans and not on masks"
        )
