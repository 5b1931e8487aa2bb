"""Labels spread over a graph of images: who is whose neighbour, how far a label reaches, and a layer fitted on it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["neighbour_graph", "put_in", "reach", "spread_labels", "sureness"]

_AT_ONCE = 1024  # rows compared with all others at a time
_LEFT = 1e-6  # share of a label that is still on its way when spreading ends


def neighbour_graph(code: Tensor, neighbours: int) -> Tensor:
    """S = D^-1/2 W D^-1/2, sparse (N, N) float64 with a spectral radius of 1.

    W_ij = 1 where i is among the `neighbours` nearest of j by cosine or j among those of i, i != j; else 0.
    code: (N, Z), N >= 2.
    """
    unit = F.normalize(code.float(), dim=1)
    count, kept = len(unit), min(neighbours, len(unit) - 1)
    pairs = []
    for start in range(0, count, _AT_ONCE):
        alike = unit[start : start + _AT_ONCE] @ unit.T  # (rows, N)
        row = torch.arange(start, start + len(alike), device=code.device)
        alike[row - start, row] = -math.inf
        near = alike.topk(kept, dim=1).indices
        pairs.append(torch.stack([row[:, None].expand_as(near), near]).flatten(1))
    edge = torch.cat(pairs, dim=1)
    edge = torch.unique(torch.cat([edge, edge.flip(0)], dim=1), dim=1)  # (2, E)
    degree = torch.bincount(edge[0], minlength=count).double()
    weight = (degree[edge[0]] * degree[edge[1]]).rsqrt()
    return torch.sparse_coo_tensor(edge, weight, (count, count), is_coalesced=True, check_invariants=True)


def spread_labels(graph: Tensor, label: Tensor, share: Tensor, alpha: float) -> Tensor:
    """F = (1 - alpha) (I - alpha S)^-1 Y, each class brought to its share: (N, K) float64 >= 0 (Zhou et al. 2004).

    Y_ik = 1 where image i has label k, else 0. The fixed point of F <- alpha S F + (1 - alpha) Y, to 1e-6 of a label.
    graph: S, see `neighbour_graph`. label: (N,) in 0..K-1, -1 for none. share: (K,) > 0, sums of F's columns (class
    mass normalisation, Zhu et al. 2003), so that the class with the more central labels does not take all.
    """
    given = F.one_hot(label.clamp(min=0), len(share)).double() * (label >= 0)[:, None]
    found = given
    for _ in range(math.ceil(math.log(_LEFT) / math.log(alpha))):
        found = alpha * torch.sparse.mm(graph, found) + (1 - alpha) * given
    return found / found.sum(0).clamp(min=torch.finfo(found.dtype).tiny) * share.double()


def sureness(spread: Tensor) -> Tensor:
    """(F_1 - F_2) / sum_k F_k of the two largest: (N, K) -> (N,) in [0, 1]; 0 where no label has arrived."""
    first, second = spread.topk(2, dim=1).values.unbind(1)
    total = spread.sum(1)
    return torch.where(total > 0, (first - second) / total.clamp(min=torch.finfo(total.dtype).tiny), 0)


def reach(h: Tensor, label: Tensor, share: Tensor, neighbours: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Class and weight of every image: its own label and 1; without one argmax_k F_k and how sure that is.

    h: (N, Z). label: (N,), -1 for none. Returns (N,) int64 in 0..K-1 and (N,) float64 in [0, 1].
    """
    spread = spread_labels(neighbour_graph(h, neighbours), label, share, alpha)
    told = label >= 0
    return torch.where(told, label, spread.argmax(1)), sureness(spread).masked_fill(told, 1)


@torch.no_grad()
def put_in(layer: nn.Linear, h: Tensor, label: Tensor, weight: Tensor, ridge: float) -> None:
    """Ridge logistic regression into a layer: the minimum of sum_i weight_i CE_i + ridge Z / 2 |W|^2, the bias free.

    h: (N, Z). label: (N,), each of the K classes at least once. With K = 2, W is the difference of the layer's rows.
    """
    from sklearn.linear_model import LogisticRegression

    kept = weight > 0
    values, truth, share = (one[kept].double().cpu().numpy() for one in (h, label, weight))
    model = LogisticRegression(C=1 / (ridge * layer.in_features), max_iter=2000).fit(values, truth, sample_weight=share)
    slope, bias = torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)
    if layer.out_features == 2:  # one row: that of the second class beside the first
        slope, bias = torch.cat([-slope, slope]) / 2, torch.cat([-bias, bias]) / 2
    layer.weight.copy_(slope)
    layer.bias.copy_(bias)
