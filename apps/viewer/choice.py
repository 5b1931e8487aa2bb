"""Boxes in which one of several things of the folder is chosen; the page's address names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import streamlit as st

T = TypeVar("T")


def choice(label: str, options: Mapping[str, T], parameter: str, gone: str, word: Callable[[T], str]) -> T:
    """What the address names, else the first; a choice is written into the address, and the page runs again.

    options: by id, at least one. parameter: of the address. gone: said where the address names what is not there.
    """
    wanted, ids = st.query_params.get(parameter, ""), list(options)
    if wanted and wanted not in options:
        st.info(gone)
    now = wanted if wanted in options else ids[0]
    # A key of its own for each state: else the box would keep what it showed when the address has changed.
    key = f"choice-{label}-{now}-{len(ids)}"
    picked = st.selectbox(label, ids, index=ids.index(now), format_func=lambda id: word(options[id]), key=key,
                          label_visibility="collapsed")  # fmt: skip
    if picked != now:
        st.query_params.from_dict({parameter: picked})
        st.rerun()
    return options[now]
