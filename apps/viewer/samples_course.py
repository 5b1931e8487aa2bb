"""How a generator's images came about: its pictures from fixed noise, and how far they were from real images."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from apps.viewer.alarms import alarms
from apps.viewer.catalogue import read_json
from apps.viewer.curves import thinned, words
from medudl.training.course import Course

_PICTURE = re.compile(r"step-(\d+)\.png")
_MOST_BYTES = 64 << 20
_TOLD = {"kid": "Distance from held-out patients' images (KID; lower is better)",
         "fid": "Distance from held-out patients' images (Fréchet; lower is better)"}  # fmt: skip
_NO_RUN = "The model that made these samples lies outside the opened folder or is gone, so that its course is unknown."


def course_of(run: Path | None) -> dict[str, Any]:
    """JSON: steps (ascending), curve {title, steps, values} or null, alarms (sentences), why (nothing to see)."""
    if run is None:
        return {"steps": [], "cell": None, "curve": None, "alarms": [], "why": _NO_RUN}
    course = Course(run / "log.jsonl")
    try:
        course.update()
    except OSError:
        pass  # pictures are of use without their log
    steps = steps_of(run)
    why = "" if steps else "No pictures were taken while this model was trained (the setting train.sample_every)."
    told = [
        alarm.told.replace("see Pictures, and train", "train it anew")
        for alarm in alarms(course)
        if alarm.kind in ("nan", "collapse", "discriminator")
    ]
    return {"steps": steps, "cell": _cell(run), "curve": _curve(course), "alarms": told, "why": why}


def steps_of(run: Path) -> list[int]:
    """Steps of which there is a picture."""
    try:
        found = [_PICTURE.fullmatch(path.name) for path in (run / "samples").iterdir()]
    except OSError:
        return []
    return sorted(int(match[1]) for match in found if match)


def _cell(run: Path) -> list[int] | None:
    """Height and width of one image in those pictures, None where run.json does not say."""
    meta = read_json(run / "run.json")
    shape = meta.get("shape") if isinstance(meta, dict) else None
    if isinstance(shape, list) and len(shape) in (3, 4) and all(isinstance(n, int) and n > 0 for n in shape):
        return [int(n) for n in shape[-2:]]
    return None


def picture_of(run: Path | None, step: int) -> bytes | None:
    """The PNG of a step, None where there is none."""
    for path in (run / "samples").glob("step-*.png") if run else ():
        match = _PICTURE.fullmatch(path.name)
        if match and int(match[1]) == step:
            try:
                return path.read_bytes() if path.stat().st_size <= _MOST_BYTES else None
            except OSError:
                return None
    return None


def _curve(course: Course) -> dict[str, Any] | None:
    """The distance from real images where it was measured, else what chose the best weights."""
    names = [name for kind, name in course.curves if kind == "validation"]
    ordered = sorted(names, key=lambda name: (_kind(name) not in _TOLD, _kind(name) != "kid", name != "loss"))
    if not ordered:
        return None
    curve = course.curves["validation", ordered[0]]
    steps, values = thinned(curve)
    told = _TOLD.get(_kind(ordered[0])) or f"{words(_kind(ordered[0]))} on held-out scans"
    return {"title": told, "steps": steps, "values": [v if math.isfinite(v) else None for v in values]}


def _kind(name: str) -> str:
    last = name.rpartition("/")[2]
    return next((kind for kind in _TOLD if last == kind or last.startswith(f"{kind}_")), last)
