"""What the script draws: which page, in which dress, and what is said when one fails."""

from __future__ import annotations

import sys

import streamlit as st

from apps.viewer.theme import ICON, dress, empty


def studies() -> None:
    """Scans as a table, and the viewer."""
    from apps.viewer.pages.studies import page

    page()


def anomalies() -> None:
    """Scans with their anomaly maps."""
    from apps.viewer.pages.anomalies import page

    page()


def translations() -> None:
    """Scans beside the other contrast that a model made of them."""
    from apps.viewer.pages.translations import page

    page()


def explore() -> None:
    """All cases as a map, and the walk through what a model has learnt."""
    from apps.viewer.pages.explore import page

    page()


def samples() -> None:
    """Images that a model made up, and whether they copy a patient."""
    from apps.viewer.pages.samples import page

    page()


def label() -> None:
    """Cases labelled by keyboard, and a model trained on the labels."""
    from apps.viewer.pages.label import page

    page()


def train() -> None:
    """Training, watched."""
    from apps.viewer.pages.train import page

    page()


def main() -> None:
    """Draw the page that the address asks for."""
    st.set_page_config(page_title="medudl", page_icon=ICON, layout="wide")
    dress()
    pages = [
        st.Page(studies, title="Studies", url_path="studies", icon=":material/grid_view:", default=True),
        st.Page(anomalies, title="Anomalies", url_path="anomalies", icon=":material/target:"),
        st.Page(translations, title="CT ↔ MR", url_path="translations", icon=":material/swap_horiz:"),
        st.Page(explore, title="Explore", url_path="explore", icon=":material/scatter_plot:"),
        st.Page(samples, title="Samples", url_path="samples", icon=":material/grain:"),
        st.Page(label, title="Label", url_path="label", icon=":material/label:"),
        st.Page(train, title="Train", url_path="train", icon=":material/model_training:"),
    ]
    page = st.navigation(pages, position="top")
    try:
        page.run()
    except Exception as error:
        # The kind alone: the text of an error may quote a path or a header, and those may name a patient.
        place = _place(error)
        print(f"viewer: {type(error).__name__} in {place} while drawing the page {page.title}", file=sys.stderr)
        empty("This page could not be drawn", "Something went wrong on our side, and nothing was changed or lost.",
              "Reload the page, or choose another one above. If it happens again, please report this line: "
              f"{type(error).__name__} in {place}.")  # fmt: skip


def _place(error: Exception) -> str:
    """The file and line of ours that failed, "studies.py:40"."""
    place, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "/apps/" in name or "/medudl/" in name:
            place = f"{name.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place or "the viewer"
