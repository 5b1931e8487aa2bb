"""A generator that has made no samples yet: how many, one button, and progress."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from apps.viewer.catalogue import Catalogue, RunFolder
from apps.viewer.explore_making import Status
from apps.viewer.house import house
from apps.viewer.lookup import inside
from apps.viewer.samples_find import INNER, id_of
from apps.viewer.samples_making import Sampling
from apps.viewer.theme import quiet
from apps.viewer.words import faceless, sentence
from medudl.errors import UserError

_EVERY = 2.0  # seconds between two looks at the progress
_COUNTS = (16, 64, 200, 500)


def make(catalogue: Catalogue, run: RunFolder) -> None:
    """Offer to make this run's samples, or say how far that is."""
    job = Sampling(run.path, out_of(catalogue, run))
    status = job.status()
    if status.state == "running":
        _watch(job)
        return
    _, middle, _ = st.columns([1, 3, 1])
    with middle:
        st.html('<div style="height:8vh"></div>')
        st.subheader(f"Make samples with {run.name}")
        st.write("The model makes up images of its own. Each is then compared with every image that the model was"
                 " trained on, and marked where it may copy a patient.")  # fmt: skip
        if status.state == "failed":
            st.error(_failure(status))
        n = st.segmented_control("How many", _COUNTS, default=_COUNTS[1], required=True, key=f"samples-n-{run.id}")
        if st.button("Make samples", type="primary", icon=":material/grain:"):
            _start(job, int(n))
        quiet("64 give a first impression. A reader test, and figures that can be trusted, want 200 or more.")
        quiet("Or in a terminal:")
        st.code(f"medudl sample {run.name} -n {n} -o {job.out.name}", language=None)


def out_of(catalogue: Catalogue, run: RunFolder) -> Path:
    """Where the samples of a run go: beside it, or inside where what lies beside it is not in the opened folder.

    Never where samples lie already: readers may have judged them.
    """
    parent = run.path.parent
    first = parent / f"{run.path.name}-samples" if inside(parent, catalogue.folder.resolve()) else run.path / INNER
    names = (first.with_name(f"{first.name}{number}") for number in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for path in names if not path.exists())


def _start(job: Sampling, n: int) -> None:
    try:
        job.start(n, _seed(job.out))
    except (UserError, OSError) as error:
        told = isinstance(error, UserError)
        st.error(str(error) if told else "The samples could not be started on this computer.")
        return
    st.rerun()


def _seed(out: Path) -> int:
    """Another one for each folder of samples: the same seed would draw the same images again."""
    number = out.name.rpartition("-")[2]
    return int(number) - 1 if number.isdigit() else 0


def _failure(status: Status) -> str:
    if not status.error:
        return "It was stopped. Nothing was written."
    told = faceless(status.error) if house().settings.private else status.error
    return f"It ended early: {sentence(told)}"


@st.fragment(run_every=_EVERY)
def _watch(job: Sampling) -> None:
    status = job.status()
    if status.state != "running":
        if status.state == "done":
            st.query_params.from_dict({"of": id_of(job.out)})
        st.rerun()
    _, middle, _ = st.columns([1, 3, 1])
    with middle:
        st.html('<div style="height:14vh"></div>')
        st.subheader("Making samples")
        st.progress(min(status.done / status.total, 1.0) if status.total else 0.0, text=_progress(status))
        quiet("You may close this page; it goes on, and the samples are here when you come back.")
        if st.button("Stop", icon=":material/stop_circle:"):
            job.cancel()


def _progress(status: Status) -> str:
    if status.total and status.done < status.total:
        return f"{sentence(status.what or 'samples').rstrip('.')}: {status.done:,} of {status.total:,}"
    return f"Loading the model, then comparing with patients' images ({status.seconds:.0f} s so far)"
