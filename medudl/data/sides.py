"""The two sides of a translation: which series belong to which, and the settings that each is prepared with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from medudl.config import Data
from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort

Side = Literal["source", "target"]


def side_data(data: Data, side: Side) -> Data:
    """The settings of one side alone: its channels, and no target."""
    names = data.channels if side == "source" else data.target
    grid = data.grid if data.grid in names else None
    return data.model_copy(update={"channels": list(names), "target": [], "grid": grid})


def paired_data(data: Data) -> Data:
    """The settings of registered pairs: the channels of both sides on the grid of the source, the source's first."""
    return data.model_copy(update={"channels": [*data.channels, *data.target], "target": []})


def pair_cases(cohort: Cohort, data: Data) -> tuple[list[Case], list[str]]:
    """The studies that hold both sides, as `paired_data` stacks them, and sentences on who was left out.

    A name that no series has as its contrast is a modality ("MR"): any series of it whose contrast is not named; of
    several in a study, the one with most voxels.
    """
    rows = cohort.select(data.where)
    named = _with_names(rows, data)
    own = dict(zip(named.series(), rows.series(), strict=True))
    cases, notes = cases_of(named, paired_data(data).model_copy(update={"where": {}}))
    for place, case in enumerate(cases):
        channels = tuple(None if series is None else own[series] for series in case.channels)
        cases[place] = replace(case, channels=channels, grid=own[case.grid])
    return cases, notes


def _with_names(cohort: Cohort, data: Data) -> Cohort:
    """The cohort with the series that a side names by their modality called by that name."""
    table: Any = cohort.table.copy()
    names = [*data.channels, *data.target]
    contrast = table["contrast"].copy()
    for name in names:
        if not (contrast == name).any():
            table.loc[(table["modality"] == name) & ~contrast.isin(names), "contrast"] = name
    return Cohort(cohort.root, table, cohort.meta)


def side_cases(cohort: Cohort, data: Data, side: Side) -> tuple[list[Case], list[str]]:
    """The cases of one side, and sentences on who was left out.

    A side of one channel: every series of that contrast, or of that modality ("MR": whatever its contrast), is a case
    of its own. Of several channels: a study each, as without a translation.
    """
    alone = side_data(data, side)
    if len(alone.channels) > 1:
        return cases_of(cohort, alone)
    name = alone.channels[0]
    cases, notes = cases_of(cohort.named(name), alone.model_copy(update={"channels": []}))
    return [replace(case, names=(name,)) for case in cases], notes


def target_channels(data: Data, paired: bool) -> int:
    """Channels of one target image; unpaired 2.5-D images bring their neighbours on both sides."""
    near = 2 * data.neighbours + 1 if data.view == "slices_25d" and not paired else 1
    return len(data.target) * near


def side_name(data: Data, side: Side) -> str:
    """What it is called in file names and on pages: "CT", "T1+FLAIR"."""
    return "+".join(data.channels if side == "source" else data.target)
