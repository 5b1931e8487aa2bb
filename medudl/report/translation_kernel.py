"""Do made slices look like real ones of the other side? Kernel distance, by patient; it says nothing of anatomy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medudl.errors import UserError
from medudl.metrics.kernel import kernel_distance
from medudl.networks.feature_files import ImageFeatures
from medudl.report.translation_figures import MODEL

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
REPEATS = 100
PER_SCAN = 8  # slices of a scan, evenly picked among those with foreground
REAL, TRAINING = "real scans", "training scans"
DEFINITION = (
    "Squared maximum mean discrepancy between the features of made slices and of real slices of the other side, kernel"
    " (a.b / d + 1)^3, over pairs of different patients: unbiased, 0 where they are alike. It does not see whether the"
    " anatomy is the patient's."
)


class Looked:
    """Features of slices, by network and by who made them."""

    def __init__(self, networks: Sequence[ImageFeatures]) -> None:
        self.networks = networks
        self.features: dict[str, dict[str, list[NDArray[np.float32]]]] = {one.name: {} for one in networks}
        self.patients: dict[str, list[str]] = {}

    def add(self, who: str, volume: Array, inside: Mask, patient: str) -> None:
        """volume: (C', D, H, W), nominal; cut to [0, 1], since brighter voxels would tell a real scan."""
        places = np.flatnonzero(inside.any(axis=(1, 2)))
        places = places[np.linspace(0, len(places) - 1, min(len(places), PER_SCAN)).round().astype(int)]
        image = torch.from_numpy(volume[:, places]).movedim(1, 0).clamp(0, 1).contiguous()
        for network in self.networks:
            self.features[network.name].setdefault(who, []).append(network(image).numpy().astype(np.float32))
        self.patients.setdefault(who, []).extend([patient] * len(places))

    def figures(self, channel: str) -> list[dict[str, Any]]:
        """An entry of report.json's `figures` for each network; baselines and training scans in the model's place."""
        return [self._figure(network.name, channel) for network in self.networks]

    def _figure(self, network: str, channel: str) -> dict[str, Any]:
        found, why = self._distance(network, MODEL)
        others = [who for who in self.patients if who not in (MODEL, REAL, TRAINING)]
        floor, _ = self._distance(network, TRAINING)
        return {
            "name": "kid", "title": "Kernel distance", "channel": channel, "unit": "", "features": network, **found,
            "m": len(self.patients.get(REAL, [])), "slices": len(self.patients.get(MODEL, [])),
            "baselines": {who: self._distance(network, who)[0] for who in others}, "floor": floor, "better": "lower",
            "definition": DEFINITION, "why_not": why,
        }  # fmt: skip

    def _distance(self, network: str, who: str) -> tuple[dict[str, Any], str]:
        made, real = (self.features[network].get(name, []) for name in (who, REAL))
        try:
            if not made or not real:
                raise UserError("no slice to compare")
            found = kernel_distance(
                np.concatenate(made), np.concatenate(real), self.patients[who], self.patients[REAL], REPEATS
            )
        except UserError as error:
            return {"value": None, "low": None, "high": None, "n": 0}, f"{error}."
        return found.as_dict(), ""
