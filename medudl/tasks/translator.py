"""A translation run made ready: one scan in, its synthetic counterpart with uncertainty and cycle error out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.config import Data
from medudl.data.cases import Case
from medudl.data.cohort import Cohort
from medudl.data.pipeline import Pipeline, Prepared
from medudl.data.sides import Side, side_data, side_name
from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks.detector import Restored
from medudl.tasks.stranger import warnings_of

Array = NDArray[np.float32]
Passed = Callable[[float], None]  # told which share of a case's passes is done


@dataclass(frozen=True)
class Translated:
    """One scan and what was made of it, on the model's grid, in the target's own unit (HU for CT).

    made: (C', D, H, W). uncertainty: (C', D, H, W), the standard deviation over views or members, same unit.
    back: (C, D, H, W), the scan translated there and back, in its own unit; cycle: |back - scan|. None where the method
    knows no way back.
    warnings: sentences, see `stranger.py`.
    """

    case: Case
    prepared: Prepared
    made: Array
    uncertainty: Array
    back: Array | None
    cycle: Array | None
    warnings: list[str]


class TranslationRun(Restored):
    """`translated` for each case of side `source`. members: runs of the same translation, whose mean is given.

    UserError: no translation, a way it does not know, members that differ.
    """

    def __init__(self, run: Run, to: str | None, members: Sequence[Run] = (), device: str = "auto") -> None:
        super().__init__(run, device)
        if "translate" not in self.method.verbs():
            raise UserError(f"{run.path}: method {self.name} translates nothing; pix2pix and cyclegan do")
        self.source = source_side(run, to, "back" in self.method.verbs())
        self.target: Side = "target" if self.source == "source" else "source"
        self.pipeline = run.pipeline(self.source)
        self.sides: dict[str, Any] = run.read_json("sides.json")
        for other in members:
            self._check(other)
        self.methods: list[Any] = [self.method, *(self._member(other, to, device) for other in members)]

    @property
    def to(self) -> str:
        """What it makes: "CT", "T1+FLAIR"."""
        return side_name(self.data, self.target)

    @property
    def channels(self) -> list[dict[str, Any]]:
        """name, unit, low, high of each channel that it makes."""
        found: list[dict[str, Any]] = self.sides[self.target]["channels"]
        return found

    def _check(self, other: Run) -> None:
        """Refuse a member whose answers have no mean with this run's: it must see scans and make channels alike.

        The nominal scale of the target is one of both where the settings of its map are, and what they learnt: ends
        that are measured in each scan (percentile, z-score) may have other means over other training scans.
        """
        own, advice = self.run.path, "members of one ensemble are runs of one data section with other seeds or patients"
        if (other.config.data.channels, other.config.data.target) != (self.data.channels, self.data.target):
            raise UserError(f"{other.path}: translates other contrasts than {own}; {advice}")
        pipeline = other.pipeline(self.source)
        if pipeline.key != self.pipeline.key:
            raise UserError(f"{other.path}: {_differ(pipeline, self.pipeline)} than {own}; {advice}")
        if other.shape != self.run.shape:
            shapes = (" x ".join(map(str, shape)) for shape in (other.shape, self.run.shape))
            raise UserError(f"{other.path}: takes images of {' where '.join(shapes)} are those of {own}; {advice}")

    def _member(self, other: Run, to: str | None, device: str) -> Any:
        """Its method. UserError: it does not know the way that is asked for."""
        method = Restored(other, device).method
        source_side(other, to, "back" in method.verbs())
        return method

    def translated(self, cohort: Cohort, case: Case, passed: Passed = lambda share: None) -> Translated:
        """Prepare, translate, and find out how sure that is. UserError: unreadable, or it does not fit the run."""
        return self.translated_from(case, self.prepared(cohort, case), passed)

    def translated_from(self, case: Case, prepared: Prepared, passed: Passed = lambda share: None) -> Translated:
        """The same of a scan that is prepared already; `prepared.image` holds the source's channels alone."""
        try:
            made, spread = self._made(prepared.image, passed)
            back, cycle = self._cycle(prepared, made, passed)
        except UserError as error:
            raise UserError(f"{case.id}: {error}") from None
        warnings = warnings_of(prepared, case.grid.modality, self.sides[self.source])
        return Translated(case, prepared, self._in_units(made), spread * self._widths, back, cycle, warnings)

    def nominal(self, image: Array) -> Array:
        """The plain translation of a prepared image: (C, D, H, W) -> (C', D, H, W), both nominal [0, 1]."""
        from medudl.tasks.across import across

        return across(self._way(self.method), image)

    def _made(self, image: Array, passed: Passed) -> tuple[Array, Array]:
        """Nominal translation and its standard deviation over members, or over views of the scan."""
        from medudl.tasks.across import VIEWS, across

        alone = len(self.methods) == 1
        passes = [(self.method, view) for view in range(VIEWS)] if alone else [(m, 0) for m in self.methods]
        total = VIEWS + 2 if alone else len(passes) + 2  # a cycle goes back
        first: Array | None = None
        mean: Any = 0.0
        square: Any = 0.0
        for number, (method, view) in enumerate(passes, start=1):
            one = across(self._way(method, lambda share: passed(share / total)), image, view)
            first = one if first is None else first
            # Welford's update: a variance of large HU loses nothing.
            step = one - mean
            mean = mean + step / number
            square = square + step * (one - mean)
        assert first is not None
        # Mirrored and moved views only measure; the scan as it is gives the picture.
        spread: Array = np.sqrt(square / max(1, len(passes) - 1))
        return (first if alone else mean), spread

    def _cycle(self, prepared: Prepared, made: Array, passed: Passed) -> tuple[Array | None, Array | None]:
        """There and back, and how far that is from the scan, both in the scan's own unit."""
        from medudl.tasks.across import Way, across

        if "back" not in self.method.verbs():
            return None, None
        image = prepared.image
        method: Any = self.method
        there = self._way(self.method)
        call = method.back if self.source == "source" else method.translate
        shape = (there.shape[0] // len(image) * len(made), *there.shape[1:])
        data = side_data(self.data, self.target)
        way = Way(call, shape, len(image), data, there.device, lambda share: passed(share / 6))
        back = self.pipeline.to_intensity(prepared, across(way, made))
        return back, np.abs(back - self.pipeline.to_intensity(prepared, image))

    def _way(self, method: Any, passed: Passed = lambda share: None) -> Any:
        from medudl.tasks.across import Way

        there = self.source == "source"
        shape = method.shape if there else method.target_shape
        data = side_data(self.data, self.source)
        device = next(method.parameters()).device
        return Way(method.translate if there else method.back, shape, len(self.channels), data, device, passed)

    @property
    def _widths(self) -> Array:
        return np.array([one["high"] - one["low"] for one in self.channels], np.float32)[:, None, None, None]

    def _in_units(self, made: Array) -> Array:
        lows = np.array([one["low"] for one in self.channels], np.float32)[:, None, None, None]
        return made * self._widths + lows


def _differ(other: Pipeline, own: Pipeline) -> str:
    """What `other` prepares scans with, told apart from `own`; their keys differ."""
    found = [
        f"data.{name}"
        for name in Data.model_fields
        if Pipeline(own.data.model_copy(update={name: getattr(other.data, name)}), own.state()).key != own.key
    ]
    if not found:
        return "prepares scans with a histogram map that was learnt from other scans"
    return f"prepares scans with another {' and '.join(found)}"


def source_side(run: Run, to: str | None, both_ways: bool) -> Side:
    """Which side the scans are of, where `to` is to be made (None: the run's target). UserError: no such way."""
    data = run.config.data
    names = {"target": side_name(data, "target"), "source": side_name(data, "source")}
    if to is None or to == names["target"]:
        return "source"
    if to == names["source"]:
        if both_ways:
            return "target"
        raise UserError(f"--to {to}: {run.path} makes {names['target']} of {to} and knows no way back; cyclegan does")
    raise UserError(f"--to {to}: {run.path} makes {names['target']}{' or ' + names['source'] if both_ways else ''}")
