"""One turn of the reader test as the browser asks for it. Until the end: a place and a picture, no more."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from starlette.responses import Response

from apps.viewer.samples_auc import caution, verdict
from apps.viewer.samples_desk import Offered
from apps.viewer.samples_folder import Samples, taken
from apps.viewer.samples_reading import RATINGS, Item, Reading, readers
from apps.viewer.samples_routes import Bad, raw

_SHOWN = 24  # mistaken images that are shown at the end


def turn(offered: Offered, body: bytes) -> Response:
    """body: JSON {"do": "begin" | "answer" | "undo", "reader", ...}. Raises UserError, Bad."""
    try:
        asked = json.loads(body)
        do, reader = str(asked["do"]), str(asked["reader"])
    except (ValueError, KeyError, TypeError):
        raise Bad from None
    samples = offered.samples()
    reading = Reading(samples, reader)
    if do == "begin":
        reading.begin(_whole(asked, "n", 2, 1000))
    elif not reading.began:
        raise Bad
    elif do == "answer":
        reading.answer(_whole(asked, "place", 0, 1000), _whole(asked, "rating", 1, len(RATINGS)), _seconds(asked))
    elif do == "undo":
        reading.undo()
    else:
        raise Bad
    return _end(samples, reading) if reading.done else _next(samples, reading)


def _next(samples: Samples, reading: Reading) -> Response:
    """The image to be judged: its place in the test, and its grey values. Equal in form for both kinds."""
    place = len(reading.answers)
    return raw(_pictures(samples, [reading.order[place]]), {"place": place, "of": len(reading.order)})


def _end(samples: Samples, reading: Reading) -> Response:
    """Figures in words, and the images that were taken for the other kind."""
    found, wrong = reading.figure(), reading.mistaken()
    n = len(reading.order)
    kinds = {kind: [item for item in wrong if item.kind == kind] for kind in ("synthetic", "real")}
    shown = wrong[:_SHOWN]
    told = [
        verdict(found), caution(found),
        f"You were right in {n - len(wrong)} of {n} images. You took {len(kinds['synthetic'])} of {n // 2} synthetic"
        f" images for real, and {len(kinds['real'])} of {n // 2} real ones for synthetic.",
    ]  # fmt: skip
    about = {
        "place": n, "of": n, "told": [line for line in told if line], "auc": found.value, "low": found.low,
        "high": found.high, "others": _others(samples, reading),
        "mistaken": [item.kind for item in shown], "reader": reading.reader,
    }  # fmt: skip
    return raw(_pictures(samples, shown), about)


def _others(samples: Samples, reading: Reading) -> list[str]:
    """Readers who have come to the end too, each with his figure."""
    return [f"{one.reader} {one.figure().text()}, n = {len(one.order)}" for one in readers(samples)
            if one.done and one.reader != reading.reader]  # fmt: skip


def _pictures(samples: Samples, items: list[Item]) -> Any:
    assert samples.held_out is not None
    files = {"real": samples.held_out, "synthetic": samples.pictures}
    found = [taken(files[item.kind], [item.row])[0] for item in items]
    return np.stack(found) if found else np.zeros((0, *samples.pictures.shape[1:]), np.uint8)


def _whole(asked: dict[str, Any], name: str, low: int, high: int) -> int:
    value = asked.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Bad
    return value


def _seconds(asked: dict[str, Any]) -> float:
    value = asked.get("seconds", 0)
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value)
    return min(max(float(value), 0.0), 36_000.0) if usable else 0.0
