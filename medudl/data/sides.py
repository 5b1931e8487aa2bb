"""The two sides of a translation: which series belong to which, and the settings that each is prepared with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from medudl.config import Data
from medudl.data.cases import Case, cases_of

if TYPE_CHECKING:
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
