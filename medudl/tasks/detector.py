"""A run made ready to look at scans: its pipeline, its method, its filter, one scan at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from medudl.data.cases import Case
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks.postprocess import OwnScores, filtered, inner, scan_score

if TYPE_CHECKING:
    from medudl.data.cache import Cache
    from medudl.data.pipeline import Prepared
    from medudl.tasks.maps import RawMap

_CACHE = ".medudl_cache"  # where training puts it, beside the run; elsewhere, scans are prepared again


@dataclass(frozen=True)
class Scored:
    """One scan and what the model says about it, on the model's grid.

    raw: (D, H, W), the method's map; inside: the eroded foreground; smooth: the reported map (filtered, zero outside
    `inside`); expected: (C, D, H, W) or None; score: one number, NaN where `inside` is empty; own: the method's own
    scores by name, of each slice, patch or volume.
    """

    case: Case
    prepared: Prepared
    raw: NDArray[np.float32]
    inside: NDArray[np.bool_]
    smooth: NDArray[np.float32]
    expected: NDArray[np.float32] | None
    score: float
    own: OwnScores

    @property
    def foreground(self) -> NDArray[np.bool_]:
        """(D, H, W)."""
        first: NDArray[np.bool_] = self.prepared.foreground[0]
        return first

    def within(self, region: NDArray[np.bool_], detector: Detector) -> Scored:
        """The same scan, scored inside `region` (D, H, W) alone."""
        inside = self.inside & region
        return replace(self, inside=inside, score=scan_score(self.smooth, inside, detector.settings, self.own))


class Restored:
    """A run's pipeline, its method on a device, and scans as the method sees them."""

    def __init__(self, run: Run, device: str = "auto") -> None:
        self.run = run
        self.data = run.config.data
        self.pipeline = run.pipeline()
        self.method = run.method(chosen_device(device))
        self._cache: Cache | None = None

    @property
    def name(self) -> str:
        """The method's name."""
        return str(self.run.config.method["name"])

    def prepared(self, cohort: Cohort, case: Case) -> Prepared:
        """From the training's cache where the case lies there, else computed, and not kept."""
        from medudl.data.cache import Cache
        from medudl.data.entry import read_entry

        if self._cache is None or self._cache.cohort is not cohort:
            root = Path(self.data.cache) if self.data.cache else self.run.path.parent / _CACHE
            self._cache = Cache(root, self.pipeline, cohort)
        found = read_entry(self._cache.folder(case)) if self._cache.root.is_dir() else None
        if found is None:
            return self.pipeline.prepare(cohort, case)
        found.case_id = case.id
        return found


class Detector(Restored):
    """`scored` for each case. Raises UserError where the run's method has no anomaly map."""

    def __init__(self, run: Run, device: str = "auto") -> None:
        super().__init__(run, device)
        self.settings = run.config.detect
        if "anomaly" not in self.method.verbs():
            raise UserError(f"{run.path}: method {self.name} has no anomaly map; detect and evaluate need one that has")

    def scored(self, cohort: Cohort, case: Case, *, expected: bool = False) -> Scored:
        """Prepare, map, filter, score. Raises UserError where the scan cannot be read or does not fit the run."""
        from medudl.tasks.maps import raw_map  # torch: bad input is answered before it is loaded

        prepared = self.prepared(cohort, case)
        try:
            made = raw_map(self.method, prepared.image, self.data, expected=expected)
        except UserError as error:
            raise UserError(f"{case.id}: {error}") from None
        return self.judged(case, prepared, made)

    def judged(self, case: Case, prepared: Prepared, made: RawMap) -> Scored:
        """Filter and score a map that was made of `prepared`, here or elsewhere (in an exported bundle)."""
        inside = inner(prepared.foreground[0], self.settings, self.data.dims)
        smooth = filtered(made.heat, inside, self.settings, self.data.dims)
        score = scan_score(smooth, inside, self.settings, made.scores)
        return Scored(case, prepared, made.heat, inside, smooth, made.expected, score, made.scores)


def chosen_device(device: str) -> str:
    """'auto' is the GPU where there is one. Raises UserError where a GPU is asked for and absent."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("--device cuda: no GPU is to be seen from here; leave it out to compute on the CPU")
    return device


def shown(cases: Sequence[Case], title: str, progress: bool) -> Iterator[Case]:
    """The cases one by one, with a bar and the time that is left on stderr."""
    yield from track(cases, title, console=Console(stderr=True), disable=not progress)
