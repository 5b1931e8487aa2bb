"""A run whose cases have no map yet: choose scans, and make it, with progress."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from apps.viewer.anomalies_search import Choice, choices_of
from apps.viewer.catalogue import Catalogue, RunFolder
from apps.viewer.explore_making import Making, Status
from apps.viewer.house import house
from apps.viewer.lookup import inside
from apps.viewer.theme import quiet
from apps.viewer.words import count, faceless, sentence, split_word
from medudl.errors import UserError

_EVERY = 2.0  # seconds between two looks at the progress


def make(catalogue: Catalogue, run: RunFolder) -> None:
    """Offer to make the map of this run's cases, or say how far that is."""
    job = Making(run.path, out_of(catalogue, run))
    status = job.status()
    if status.state == "running":
        _watch(job)
        return
    choices, trouble = choices_of(catalogue, run)
    left, middle, right = st.columns([1, 3, 1])
    with middle:
        st.html('<div style="height:10vh"></div>')
        st.subheader(f"Make a map of the cases as {run.name} sees them")
        st.write("Each picture becomes a point. Pictures that look alike to the model lie close together, so that"
                 " groups, odd cases and near copies can be found without labels.")  # fmt: skip
        if status.state == "failed":
            st.error(_failure(status))
        if not choices:
            st.warning(trouble)
            return
        ordered = sorted(choices, key=lambda choice: choice.split != "")  # whole tables first
        number = st.radio("Which scans", range(len(ordered)), format_func=lambda n: _word(ordered[n]))
        chosen = ordered[number]
        if st.button("Make the map", type="primary", icon=":material/scatter_plot:"):
            _start(job, chosen)
        quiet("Or in a terminal:")
        split = f" --split {chosen.split}" if chosen.split else ""
        st.code(f"medudl embed {run.name} {chosen.name}{split} -o {job.out.name}", language=None)


def out_of(catalogue: Catalogue, run: RunFolder) -> Path:
    """Where the map of a run goes: beside it, or inside where what lies beside it is not in the opened folder."""
    parent = run.path.parent
    top = catalogue.folder.resolve()
    return parent / f"{run.path.name}-cases" if inside(parent, top) else run.path / "cases"


def _word(choice: Choice) -> str:
    which = f"{split_word(choice.split)} scans" if choice.split else "all scans"
    return f"{count(choice.scans, 'scan')}: {which} of {choice.name}"


def _start(job: Making, chosen: Choice) -> None:
    try:
        job.start(chosen.table, chosen.split)
    except (UserError, OSError) as error:
        st.error(str(error) if isinstance(error, UserError) else "The map could not be started on this computer.")
        return
    st.rerun()


def _failure(status: Status) -> str:
    if not status.error:
        return "It was stopped. Nothing was written."
    told = faceless(status.error) if house().settings.private else status.error
    return f"It ended early: {sentence(told)}"


@st.fragment(run_every=_EVERY)
def _watch(job: Making) -> None:
    status = job.status()
    if status.state != "running":
        st.rerun()
    left, middle, right = st.columns([1, 3, 1])
    with middle:
        st.html('<div style="height:14vh"></div>')
        st.subheader("Making the map of cases")
        st.progress(min(status.done / status.total, 1.0) if status.total else 0.0, text=_progress(status))
        quiet("You may close this page; it goes on, and the map is here when you come back.")
        if st.button("Stop", icon=":material/stop_circle:"):
            job.cancel()


def _progress(status: Status) -> str:
    if status.total and status.done < status.total:
        return f"{sentence(status.what or 'scans').rstrip('.')}: {status.done:,} of {status.total:,}"
    return f"Loading the model, then arranging the cases ({status.seconds:.0f} s so far)"
