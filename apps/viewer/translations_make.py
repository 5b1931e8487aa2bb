"""A run that translates: choose what it is to make and of which scans, and start it, with progress."""

from __future__ import annotations

import streamlit as st

from apps.viewer.anomalies_search import Cases, choices_of, pick, progress
from apps.viewer.catalogue import Catalogue, RunFolder
from apps.viewer.making_page import button, failure, panel, watch
from apps.viewer.translations_find import id_of, out_of, ways_of
from apps.viewer.translations_making import Translating
from medudl.config import Data
from medudl.data.cases import Case
from medudl.data.cohort import Cohort
from medudl.data.sides import Side, side_cases


def make(catalogue: Catalogue, run: RunFolder) -> None:
    """Offer to translate with this run, or say how far that is."""
    ways = ways_of(run)
    if not ways:
        with panel(f"Translate with {run.name}"):
            st.warning(
                "This run does not say what it translates: its sides.json is missing or damaged. Train it again."
            )
        return
    for to in ways:  # whichever of them is on its way, started here or by another session
        job = Translating(run.path, out_of(catalogue, run, to))
        if job.status().state == "running":
            watch(job, f"Making synthetic {to}", progress, "it goes on, and the synthetic scans are here",
                  lambda out=job.out: st.query_params.from_dict({"of": id_of(catalogue, out)}))  # type: ignore[misc]  # fmt: skip
            return
    with panel(f"Translate with {run.name}"):
        st.write("Each scan gets the other contrast as a synthetic volume on its own grid, how unsure that is, and"
                 " warnings where the scan is unlike those that the model was trained on.")  # fmt: skip
        st.write("**Synthetic - not for diagnosis.**")
        to = next(iter(ways))
        if len(ways) > 1:
            to = st.segmented_control("Make", list(ways), default=to, required=True, key=f"translations-to-{run.id}",
                                      format_func=lambda name: f"{name} from {ways[name][1]}")  # fmt: skip
        _begin(catalogue, run, Translating(run.path, out_of(catalogue, run, to)), to, ways[to])


def _begin(catalogue: Catalogue, run: RunFolder, job: Translating, to: str, way: tuple[Side, str, str]) -> None:
    status = job.status()
    failure(status, "The translation", "The translation was stopped. Without its table nothing of it is shown.")
    choices, trouble = choices_of(catalogue, run, cases_of_side(way[0]))
    chosen = pick(choices, f"No table of this folder holds a {way[1]} scan. {trouble}")
    if chosen is not None:
        button("Translate", "swap_horiz", lambda: job.start(chosen.table, chosen.split, to, chosen.scans),
               "The translation",
               ["medudl", "translate", run.name, *chosen.words(), "--to", to, "-o", job.out.name])  # fmt: skip


def cases_of_side(side: Side) -> Cases:
    """The cases of one side of a translation."""

    def cases(cohort: Cohort, data: Data) -> tuple[list[Case], list[str]]:
        return side_cases(cohort.select(data.where), data, side)

    return cases
