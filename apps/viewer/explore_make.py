"""A run whose cases have no map yet: choose scans, and make it, with progress."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from apps.viewer.anomalies_search import choices_of, pick
from apps.viewer.catalogue import Catalogue, RunFolder
from apps.viewer.explore_making import Making
from apps.viewer.lookup import inside
from apps.viewer.making_page import button, failure, panel, passing, watch

_BEFORE = "Loading the model, then arranging the cases"


def make(catalogue: Catalogue, run: RunFolder) -> None:
    """Offer to make the map of this run's cases, or say how far that is."""
    job = Making(run.path, out_of(catalogue, run))
    status = job.status()
    if status.state == "running":
        watch(job, "Making the map of cases", passing("scans", _BEFORE), "it goes on, and the map is here")
        return
    choices, trouble = choices_of(catalogue, run)
    with panel(f"Make a map of the cases as {run.name} sees them"):
        st.write("Each picture becomes a point. Pictures that look alike to the model lie close together, so that"
                 " groups, odd cases and near copies can be found without labels.")  # fmt: skip
        failure(status)
        ordered = sorted(choices, key=lambda choice: choice.split != "")  # whole tables first
        chosen = pick(ordered, trouble)
        if chosen is not None:
            button("Make the map", "scatter_plot", lambda: job.start(chosen.table, chosen.split), "The map",
                   ["medudl", "embed", run.name, *chosen.words(), "-o", job.out.name])  # fmt: skip


def out_of(catalogue: Catalogue, run: RunFolder) -> Path:
    """Where the map of a run goes: beside it, or inside where what lies beside it is not in the opened folder."""
    parent = run.path.parent
    top = catalogue.folder.resolve()
    return parent / f"{run.path.name}-cases" if inside(parent, top) else run.path / "cases"
