"""Beside what a model draws now: the nearest training case and the copy-risk light, as the gallery has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.viewer.house import house
from apps.viewer.samples_codes import Codes
from apps.viewer.samples_desk import Offered
from apps.viewer.samples_folder import RISKS, Samples
from apps.viewer.samples_words import PATIENTS, alpha_of, named, told
from medudl.errors import UserError

GONE = ("The model that made these samples lies outside the opened folder or is gone, so that nothing can be drawn."
        " Open the folder that holds both.")  # fmt: skip
_NO_LIMITS = ("There is no light: these samples were not judged against patients that the model did not learn from, so"
              " that nobody knows how alike two patients are.")  # fmt: skip
_PIXELS = ("The light looks at pixels alone: the network that these samples were compared with is not installed"
           " here.")  # fmt: skip


def alike(offered: Offered, samples: Samples, codes: Codes) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """The nearest training image of each drawing, and what is told: items, note, or building, or why.

    Raises UserError, a sentence.
    """
    if offered.run is None:
        raise UserError(GONE)
    limits = limits_of(samples)
    asked = {"codes": codes.astype(float).tolist(), "limits": limits}
    drawn = house().samples.searchers.ask(offered.run, asked)
    about = drawn.about
    if "building" in about:
        return drawn.pictures, {
            "building": f"To compare, {about['building']}. This is done once; drawing goes on meanwhile."
        }
    if "why" in about:
        why = f"Whether this copies a patient cannot be told: the training images are not at hand. {about['why']}"
        return drawn.pictures, {"why": why}
    items = [item(samples, row, offered.private) for row in about["rows"]]
    return drawn.pictures, {
        "items": items,
        "warning": PATIENTS,
        "note": _note(limits, int(about["images"]), str(about["lights"])),
    }


def limits_of(samples: Samples) -> dict[str, Any]:
    """What samples.json says of thresholds: pixels and features, None where it does not, network, images."""
    meta = samples.meta
    compared = meta.get("compared_with")
    training = compared.get("training") if isinstance(compared, dict) else None
    images = training.get("images") if isinstance(training, dict) else None
    return {
        "pixels": _number(meta.get("threshold_pixels")), "features": _number(meta.get("threshold_features")),
        "network": str(meta.get("features") or ""), "images": images if isinstance(images, int) else None,
    }  # fmt: skip


def item(samples: Samples, row: Mapping[str, Any], private: bool) -> dict[str, Any]:
    """What the page says of one drawing, as `samples_words.table_of` says it of a sample."""
    risk = row.get("risk")
    return {
        "risk": risk if risk in RISKS else "",
        "case": named(samples, str(row["nearest_case"]), str(row["nearest_slice"]), private),
        "told": told(lambda name: _number(row.get(name)), alpha_of(samples)),
    }  # fmt: skip


def _note(limits: Mapping[str, Any], images: int, lights: str) -> str:
    """What the light does not say, "" where it says all."""
    if limits["images"] not in (None, images):
        return (f"There is no light: these samples were judged beside {limits['images']:,} training images, and"
                f" {images:,} are at hand now. Make the samples again.")  # fmt: skip
    return {"none": _NO_LIMITS, "pixels": _PIXELS, "both": ""}[lights]


def _number(value: Any) -> float | None:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if fits and np.isfinite(value) else None
