"""The pictures: a component that holds whole volumes in the browser; Python says which, and hears what was settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from apps.viewer.house import house
from apps.viewer.source import Source

STATIC = Path(__file__).parent / "static"
# Pictures and plain radiographs have no place in a patient: no letters, no mm, whatever their file's affine says.
_FLAT_FORMATS = ("png",)
_FLAT_MODALITIES = ("CR", "DX", "MG", "RF", "US", "XA")
_SCRIPT = """
export default async function (component) {
  const viewer = await import(new URL("/asset/main.js", document.baseURI).href);
  return viewer.mount(component);
}
"""


@dataclass(frozen=True)
class Overlay:
    """A map or mask laid over a series.

    on: index of the series it lies on. threshold: values below it are not drawn; None draws from the map's own lower
    end (masks: every voxel set). top: the value of the last colour; None for the map's highest. visible: whether it is
    shown before the reader says so.
    """

    source: Source
    on: int = 0
    colormap: str = "hot"
    opacity: float = 0.5
    threshold: float | None = None
    top: float | None = None
    title: str = ""
    visible: bool = True


@dataclass(frozen=True)
class ViewerState:
    """What the reader has settled on: the threshold, and where the crosshair was then (mm, RAS). None before that.

    series: ids of the series that were shown. values: all that was committed, by name.
    """

    threshold: float | None
    mm: tuple[float, float, float] | None
    series: tuple[str, ...]
    values: dict[str, Any]


def viewer(
    series: Sequence[Source],
    *,
    overlays: Sequence[Overlay] = (),
    key: str,
    layout: str = "planes",
    height: str = "calc(100vh - 120px)",
    start: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
    pairs: dict[str, list[tuple[int, int]]] | None = None,
    on_change: Callable[[], None] | None = None,
) -> ViewerState:
    """Show one to four series that share a patient's space, with overlays.

    layout: "single", "planes", "quad" (with 3-D), "side", "swipe" or "difference". height: a CSS length. start: where
    to open: {"slice": 1-based number in the series' own plane} or {"mm": [x, y, z] in RAS}, and {"plane": name}; the
    address's ?slice= where it says nothing. extra: what the extensions in static/ are given. pairs: which two series
    "swipe" and "difference" compare, by layout and in turn; a layout that is not named is not offered then. on_change:
    called before the rerun that a settled change makes; moving through slices makes none.
    """
    house().sources.offer([*series, *(overlay.source for overlay in overlays)])
    data = {
        "series": [describe(source) for source in series],
        "overlays": [_overlay(overlay) for overlay in overlays],
        "layout": layout,
        "height": height,
        "start": start,
        "extra": extra or {},
        "pairs": pairs,
    }
    result = _mount()(key=key, data=data, default={"state": {}}, on_state_change=on_change or _nothing)
    values = dict(result.get("state") or {})
    mm = values.get("mm")
    return ViewerState(
        values.get("threshold"), (mm[0], mm[1], mm[2]) if mm else None, tuple(values.get("series", ())), values
    )


def describe(source: Source) -> dict[str, Any]:
    """What the browser is told of a source: its id and words, no path and no identity."""
    return {
        "id": source.id,
        "title": source.title,
        "role": source.role,
        "subject": source.subject,
        "modality": source.modality,
        "contrast": source.contrast,
        "placed": not source.flat and source.format not in _FLAT_FORMATS and source.modality not in _FLAT_MODALITIES,
    }


def _overlay(overlay: Overlay) -> dict[str, Any]:
    return describe(overlay.source) | {
        "on": overlay.on,
        "colormap": overlay.colormap,
        "opacity": overlay.opacity,
        "threshold": overlay.threshold,
        "top": overlay.top,
        "title": overlay.title or overlay.source.title,
        "visible": overlay.visible,
    }


@cache
def _mount() -> Any:
    """The component, registered once in a process."""
    style = (STATIC / "style.css").read_text(encoding="utf-8")
    return st.components.v2.component("medudl_viewer", css=style, js=_SCRIPT)


def _nothing() -> None:
    """Streamlit wants a callback for each value that comes back."""
