"""A method's logits, or its codes, of one prepared scan, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medudl.config import Data
from medudl.data.pipeline import Prepared
from medudl.errors import UserError
from medudl.methods.method import Method
from medudl.tasks.maps import batch_size, items_for, windows


@torch.inference_mode()
def item_logits(method: Method, prepared: Prepared, data: Data) -> NDArray[np.float64]:
    """(n, K): of each slice, window or volume that holds `data.min_foreground` of foreground.

    Raises UserError where none does, or where they have another size than the method was trained on.
    """
    return _item_values(method, prepared, data, "classify")


@torch.inference_mode()
def item_codes(method: Method, prepared: Prepared, data: Data) -> NDArray[np.float64]:
    """(n, Z): as `item_logits`, the code of each item."""
    return _item_values(method, prepared, data, "encode")


def _item_values(method: Method, prepared: Prepared, data: Data, verb: str) -> NDArray[np.float64]:
    called: Any = getattr(method, verb)  # verbs are not in the base class
    device = next((p.device for p in method.parameters()), torch.device("cpu"))
    volume = torch.from_numpy(np.ascontiguousarray(prepared.image, np.float32))
    foreground = torch.from_numpy(np.ascontiguousarray(prepared.foreground))
    if data.view == "patches":
        places = [w for w in windows(tuple(foreground.shape[1:]), method.shape[1:])]
        kept = [w for w in places if foreground[0][w].float().mean() >= data.min_foreground]
        parts = [called(volume[(slice(None), *place)][None].to(device)).cpu() for place in kept]
    else:
        items = items_for(method, volume, data)
        inside = foreground[None] if data.view == "volume" else foreground.movedim(1, 0)  # (N, 1, *S)
        items = items[inside.flatten(1).float().mean(dim=1) >= data.min_foreground]
        parts = [called(part.to(device)).cpu() for part in torch.split(items, batch_size(method, data, device))]
    found = [part for part in parts if len(part)]
    if not found:
        raise UserError("no slice of it holds data.min_foreground of foreground")
    made: NDArray[np.float64] = torch.cat(found).double().numpy()
    return made
