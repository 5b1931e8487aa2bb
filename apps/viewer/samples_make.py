"""A generator that has made no samples yet: how many, one button, and progress."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from apps.viewer.catalogue import Catalogue, RunFolder
from apps.viewer.lookup import inside
from apps.viewer.making_page import button, failure, panel, passing, watch
from apps.viewer.samples_find import INNER, id_of
from apps.viewer.samples_making import Sampling

_BEFORE = "Loading the model, then comparing with patients' images"
_COUNTS = (16, 64, 200, 500)


def make(catalogue: Catalogue, run: RunFolder) -> None:
    """Offer to make this run's samples, or say how far that is."""
    job = Sampling(run.path, out_of(catalogue, run))
    status = job.status()
    if status.state == "running":
        watch(job, "Making samples", passing("samples", _BEFORE), "it goes on, and the samples are here",
              lambda: st.query_params.from_dict({"of": id_of(job.out)}))  # fmt: skip
        return
    with panel(f"Make samples with {run.name}", "8vh"):
        st.write("The model makes up images of its own. Each is then compared with every image that the model was"
                 " trained on, and marked where it may copy a patient.")  # fmt: skip
        failure(status)
        enough = "64 give a first impression. A reader test, and figures that can be trusted, want 200 or more."
        n = st.segmented_control("How many", _COUNTS, default=_COUNTS[1], required=True, key=f"samples-n-{run.id}")
        button("Make samples", "grain", lambda: job.start(int(n), _seed(job.out)), "The samples",
               ["medudl", "sample", run.name, "-n", str(n), "-o", job.out.name], enough)  # fmt: skip


def out_of(catalogue: Catalogue, run: RunFolder) -> Path:
    """Where the samples of a run go: beside it, or inside where what lies beside it is not in the opened folder.

    Never where samples lie already: readers may have judged them.
    """
    parent = run.path.parent
    first = parent / f"{run.path.name}-samples" if inside(parent, catalogue.folder.resolve()) else run.path / INNER
    names = (first.with_name(f"{first.name}{number}") for number in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for path in names if not path.exists())


def _seed(out: Path) -> int:
    """Another one for each folder of samples: the same seed would draw the same images again."""
    number = out.name.rpartition("-")[2]
    return int(number) - 1 if number.isdigit() else 0
