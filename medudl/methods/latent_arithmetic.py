"""Latent arithmetic (Radford et al. 2016): concepts are means of codes, and are added and subtracted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medudl.errors import UserError


def concept(codes: Tensor) -> Tensor:
    """What some codes have in common: their mean, (n, Z) -> (Z,).

    Three images that show the same thing are what Radford et al. took: of a single code the rest of the image would
    come along. UserError: no code at all.
    """
    if codes.ndim != 2 or not len(codes):
        raise UserError(f"a concept is the mean of some codes (n, Z), n >= 1; these are {tuple(codes.shape)}")
    return codes.mean(dim=0)


def combine(plus: Sequence[Tensor], minus: Sequence[Tensor] = ()) -> Tensor:
    """Sum of `plus` - sum of `minus`: concepts (Z,) -> a code (Z,), to be decoded.

    "large on the left" - "small on the left" + "small on the right" = "large on the right". Concepts that are added
    must outnumber those subtracted by one for the result to lie where codes do. UserError: lengths that differ.
    """
    lengths = {tuple(code.shape) for code in (*plus, *minus)}
    if not plus or len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise UserError("concepts are codes (Z,) of one model, and at least one is added; see `concept`")
    zero = torch.zeros_like(plus[0])
    return sum(plus, zero) - sum(minus, zero)
