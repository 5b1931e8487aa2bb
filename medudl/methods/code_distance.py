"""How far a code lies from the training images' codes: the image-level score `latent_distance`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from medudl.errors import UserError


class CodeGaussian(nn.Module):
    """Gaussian of the training codes; distance is Mahalanobis' (1936), covariance shrunk as by OAS (Chen et al. 2010).

        d(z) = sqrt((z - m)' K (z - m)),   K = ((1 - s) S + s t I)^-1,   t = trace(S) / Z
        s = min(1, (a + t^2) / ((N + 1) (a - t^2 / Z))),   a = mean of the squares of S's entries

    m, S: mean and covariance (divided by N) of the N training codes. Shrinking makes K exist where images are fewer
    than code dimensions. For codes that are Gaussian indeed, d is sqrt(Z) or so on healthy images.

    Before `fit`, and where the training codes do not vary at all, m is 0 and K is I (m is kept in the latter case): the
    distance is then the plain one, finite but not compared with any training image; `count` is 0 before `fit`.
    Buffers: mean (Z,), precision (Z, Z), count (). Weights saved without them load too, and stand as before `fit`.
    """

    mean: Tensor
    precision: Tensor
    count: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("precision", torch.eye(latent))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_load_state_dict_pre_hook(_complete)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def fit(self, codes: Iterable[Tensor]) -> None:
        """Measure m and K. codes: parts (B, Z) of the training codes; read once, in float64, and not kept.

        Raises UserError: no code at all, or one that is not finite.
        """
        n, mean, scatter = moments(codes, len(self.mean))
        covariance = scatter / n
        scale = covariance.diagonal().mean()
        self.count.fill_(n)
        self.mean.copy_(mean)
        # Below this, float32 codes differ by rounding alone.
        if scale <= 1e-14 * mean.square().mean():
            self.precision.copy_(torch.eye(len(mean)))
            return
        share = shrinkage(covariance, n)
        shrunk = (1 - share) * covariance + share * scale * torch.eye(len(mean), dtype=torch.float64)
        # Directions without any spread, with so many images that s is next to 0, stay invertible.
        shrunk.diagonal().add_(1e-6 * scale)
        self.precision.copy_(torch.cholesky_inverse(torch.linalg.cholesky(shrunk)))

    def distance(self, code: Tensor) -> Tensor:
        """d(z): (B, Z) -> (B,) float32, >= 0, in standard deviations of the training codes."""
        with torch.autocast(code.device.type, enabled=False):
            away = code.float() - self.mean
            return ((away @ self.precision) * away).sum(dim=1).clamp(min=0).sqrt()


def moments(codes: Iterable[Tensor], latent: int) -> tuple[int, Tensor, Tensor]:
    """Number, mean (Z,) and scatter sum (z - m)(z - m)' (Z, Z) of codes that come in parts, in float64 on the CPU.

    Parts are merged by Chan et al. (1979), which does not cancel where the mean is far from 0. Raises UserError: see
    `CodeGaussian.fit`.
    """
    n, mean = 0, torch.zeros(latent, dtype=torch.float64)
    scatter = torch.zeros(latent, latent, dtype=torch.float64)
    for part in codes:
        part = part.detach().double().cpu()
        if not part.isfinite().all():
            raise UserError("the code of a training image is not finite; train again with a smaller train.optimiser.lr")
        own = part.mean(dim=0)
        away, step, total = part - own, own - mean, n + len(part)
        scatter += away.T @ away + torch.outer(step, step) * (n * len(part) / total)
        mean = mean + step * (len(part) / total)
        n = total
    if n == 0:
        raise UserError("there is no training image to measure codes on")
    return n, mean, scatter


def shrinkage(covariance: Tensor, count: int) -> float:
    """The share s of `CodeGaussian`, in [0, 1]: for a covariance (Z, Z) of `count` codes."""
    size = len(covariance)
    scale = covariance.diagonal().mean()
    squares = covariance.square().mean()
    lowest = (count + 1) * (squares - scale.square() / size)
    return 1.0 if lowest <= 0 else min(1.0, float((squares + scale.square()) / lowest))


def _complete(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    for name, own in module.named_buffers():
        state.setdefault(prefix + name, own)
