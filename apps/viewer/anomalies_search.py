"""A run that has looked at no scans yet: choose some, and look, with progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from apps.viewer.catalogue import Catalogue, RunFolder
from apps.viewer.lookup import inside
from apps.viewer.making import Status
from apps.viewer.making_page import button, failure, panel, watch
from apps.viewer.searching import Searching
from apps.viewer.words import count, faceless, sentence, split_word
from medudl.config import Data, read_config
from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort
from medudl.errors import UserError

Cases = Callable[[Cohort, Data], tuple[list[Case], list[str]]]  # of a table those that a run looks at


@dataclass(frozen=True)
class Choice:
    """Scans to look at: of one split of a table, "" for all of it."""

    name: str
    table: Path
    split: str
    scans: int

    def words(self) -> list[str]:
        """As a command line has them."""
        return [self.name, *(["--split", self.split] if self.split else [])]


def search(catalogue: Catalogue, run: RunFolder) -> None:
    """Offer to look for unusual areas with this run, or say how far that is."""
    job = Searching(run.path, out_of(catalogue, run))
    status = job.status()
    if status.state == "running":
        watch(job, "Looking for unusual areas", progress, "the search goes on, and the maps are here",
              lambda: st.query_params.from_dict({"run": run.id}))  # fmt: skip
        return
    choices, trouble = choices_of(catalogue, run)
    with panel(f"Look for unusual areas with {run.name}"):
        st.write("Each scan gets a map of what is unusual, the scan as the model expects it, and a score.")
        failure(status, "The search", f"The search was stopped after {count(status.done, 'scan')}.")
        chosen = pick(choices, trouble)
        if chosen is not None:
            button("Look for unusual areas", "search", lambda: job.start(chosen.table, chosen.split, chosen.scans),
                   "The search", ["medudl", "detect", run.name, *chosen.words(), "-o", job.out.name])  # fmt: skip


def pick(choices: Sequence[Choice], trouble: str) -> Choice | None:
    """Which scans: None, and the trouble on the screen, where there are none."""
    if not choices:
        st.warning(trouble)
        return None
    return choices[st.radio("Which scans", range(len(choices)), format_func=lambda n: _word(choices[n]))]


def out_of(catalogue: Catalogue, run: RunFolder) -> Path:
    """Where the maps of a run go: beside it, or inside where what lies beside it is not in the opened folder."""
    parent = run.path.parent
    top = catalogue.folder.resolve()
    return parent / f"{run.path.name}-maps" if inside(parent, top) else run.path / "maps"


def choices_of(catalogue: Catalogue, run: RunFolder, cases: Cases = cases_of) -> tuple[list[Choice], str]:
    """Test scans first, then whole tables; a sentence where there are none that this run looks at."""
    tables = [(file.name, file.path, file.cohort) for file in catalogue.cohorts() if catalogue.shows(file)]
    trouble = "No table of scans lies in the opened folder. Index scans on the Studies page first."
    try:
        data = read_config(run.path / "config.yaml").data
        own = Cohort.read(run.path / "cohort.csv")
        tables.insert(0, (f"{run.name}/cohort.csv", run.path / "cohort.csv", own))
    except (UserError, OSError):
        return [], "The settings or the table of this run cannot be read: its folder is damaged or incomplete."
    found: list[Choice] = []
    for name, path, cohort in tables:
        for split in ("test", ""):
            try:
                there, _ = cases(cohort.select({}, split or None), data)
            except UserError as error:
                trouble = sentence(faceless(str(error)))
                continue
            if there:
                found.append(Choice(name, path, split, len(there)))
    # The table that a run came from holds the scans of its own table once more.
    first = {(choice.split, choice.scans): choice for choice in reversed(found)}
    return list(reversed(first.values())), trouble


def _word(choice: Choice) -> str:
    which = f"{split_word(choice.split)} scans" if choice.split else "all scans"
    return f"{count(choice.scans, 'scan')}: {which} of {choice.name}"


def progress(status: Status) -> str:
    """How many scans are done, and how long the others will take."""
    text = f"{status.done:,} of {count(status.total, 'scan')}" if status.done else "Loading the model"
    if status.left is not None and status.done < status.total:
        text += (
            f", about {status.left:.0f} s left" if status.left < 90 else f", about {status.left / 60:.0f} minutes left"
        )
    return text
