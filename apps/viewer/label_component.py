"""The browser's part of the Label page: Python says which store; cases, labels and models come by routes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

STATIC = Path(__file__).parent / "static"
_SCRIPT = """
export default async function (component) {
  const labels = await import(new URL("/asset/label_main.js", document.baseURI).href);
  return labels.mount(component);
}
"""


def labelling(data: dict[str, Any], *, key: str, height: str = "calc(100vh - 66px)") -> None:
    """Label the cases of one store. data: its `id`, `classes` and `unit`; no path, and nothing of any reader."""
    _mount()(key=key, data={"height": height, **data})


@cache
def _mount() -> Any:
    """The component, registered once in a process."""
    style = "".join((STATIC / name).read_text(encoding="utf-8") for name in ("style.css", "label.css"))
    return st.components.v2.component("medudl_label", css=style, js=_SCRIPT)
