"""The browser's part of the Samples page: Python says which folder; figures and pictures come by routes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

STATIC = Path(__file__).parent / "static"
View = Literal["gallery", "course", "walk", "reading"]
_SCRIPT = """
export default async function (component) {
  const samples = await import(new URL("/asset/samples_main.js", document.baseURI).href);
  return samples.mount(component);
}
"""


def samples(view: View, data: dict[str, Any], *, key: str, height: str = "calc(100vh - 112px)") -> None:
    """Show one part of the page. data: JSON for the part's `update` in static/, ids and words only, no path."""
    _mount()(key=key, data={"view": view, "height": height, **data})


@cache
def _mount() -> Any:
    """The component, registered once in a process."""
    style = "".join((STATIC / name).read_text(encoding="utf-8") for name in ("explore.css", "samples.css"))
    return st.components.v2.component("medudl_samples", css=style, js=_SCRIPT)
