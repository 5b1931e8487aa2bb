"""The browser's part of the Explore page: Python says which cases; points, thumbnails and pictures come by routes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

STATIC = Path(__file__).parent / "static"
View = Literal["cases", "play", "triple"]
_SCRIPT = """
export default async function (component) {
  const explore = await import(new URL("/asset/explore_main.js", document.baseURI).href);
  return explore.mount(component);
}
"""


def explore(view: View, data: dict[str, Any], *, key: str, height: str = "calc(100vh - 112px)") -> None:
    """Show one part of the page. data: JSON for the part's `update` in static/, ids and words only, no path."""
    _mount()(key=key, data={"view": view, "height": height, **data})


@cache
def _mount() -> Any:
    """The component, registered once in a process."""
    style = (STATIC / "explore.css").read_text(encoding="utf-8")
    return st.components.v2.component("medudl_explore", css=style, js=_SCRIPT)
