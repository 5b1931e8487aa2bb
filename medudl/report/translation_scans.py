"""The scans that a translation is judged on: registered pairs, or the scans of each side, prepared as in training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medudl.data.cases import Case
from medudl.data.cohort import Cohort
from medudl.data.pipeline import Prepared
from medudl.data.sides import Side, pair_cases, side_cases
from medudl.errors import UserError
from medudl.tasks.detector import Restored
from medudl.tasks.outputs import without_paths
from medudl.tasks.progress import counted
from medudl.tasks.translator import TranslationRun

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
MOST = 40  # scans that baselines are fitted on, and chosen on; evenly picked where there are more


@dataclass(frozen=True)
class Scan:
    """One prepared scan. source: (C, D, H, W), nominal; inside: (D, H, W), its foreground; spacing: mm along D, H, W.

    target: (C', D, H, W), nominal, and truth, the same in the target's unit; None where nobody knows them.
    lesion: (D, H, W), where one was drawn, or None.
    """

    case: Case
    prepared: Prepared
    source: Array
    inside: Mask
    spacing: tuple[float, float, float]
    target: Array | None = None
    truth: Array | None = None

    @property
    def lesion(self) -> Mask | None:
        """None too where the mask is empty."""
        mask = self.prepared.mask
        return mask[0] if mask is not None and mask.any() else None


class Scans:
    """Scans one by one, those that cannot be used named in `notes`. side None: registered pairs.

    Raises UserError nowhere: a scan that cannot be read is a note.
    """

    def __init__(self, translator: TranslationRun, cohort: Cohort, side: Side | None, notes: list[str]) -> None:
        self.translator, self.side, self.notes = translator, side, notes
        self.cohort = cohort
        self.restored = _As(translator, side)

    def cases(self, split: str) -> list[Case]:
        """The cases of a split; who was left out goes into `notes`."""
        data = self.translator.data
        rows = self.cohort.select(data.where, split)
        found, told = pair_cases(rows, data) if self.side is None else side_cases(rows, data, self.side)
        self.notes += told
        return found

    def read(self, cases: Sequence[Case], what: str, progress: bool) -> Iterator[Scan]:
        """The scans of these cases."""
        for case in counted(cases, what, len(cases), progress):
            try:
                yield self._scan(case, self.restored.prepared(self.cohort, case))
            except UserError as error:
                self.notes.append(f"{case.id} left out: {without_paths(str(error), self.cohort, case.present)}")

    def _scan(self, case: Case, prepared: Prepared) -> Scan:
        split = len(self.translator.data.channels) if self.side is None else len(prepared.image)
        affine = np.asarray(prepared.geometry["affine"], np.float64)
        depth, height, width = (float(mm) for mm in np.linalg.norm(affine[:3, :3], axis=0))
        source, inside = np.asarray(prepared.image[:split]), np.asarray(prepared.foreground[0])
        # A prepared scan of the source alone, as a translator expects it.
        cut = {name: prepared.geometry[name][:split] for name in ("channels", "intensity", "units")}
        alone = replace(prepared, image=source, geometry={**prepared.geometry, **cut})
        if self.side is not None:
            return Scan(case, alone, source, inside, (depth, height, width))
        target = np.asarray(prepared.image[split:])
        own = self.restored.pipeline.to_intensity(prepared, prepared.image)[split:]
        truth = np.stack([
            exact if channel["unit"] == "HU" else plain * (channel["high"] - channel["low"]) + channel["low"]
            for exact, plain, channel in zip(own, target, self.translator.channels, strict=True)
        ]).astype(np.float32)  # fmt: skip
        return Scan(case, alone, source, inside, (depth, height, width), target, truth)


class _As(Restored):
    """A restored translation whose scans are prepared as registered pairs, or as one side alone."""

    def __init__(self, translator: TranslationRun, side: Side | None) -> None:
        self.run, self.data, self.method = translator.run, translator.data, translator.method
        self.pipeline = translator.run.pipeline(side)
        self._cache = None


def evenly(cases: Sequence[Case], most: int = MOST) -> list[Case]:
    """At most `most` of them, evenly picked."""
    return [cases[i] for i in np.linspace(0, len(cases) - 1, min(len(cases), most)).round().astype(int)]


def check_leaks(cases: Sequence[Case], trained: Cohort, split: str) -> list[str]:
    """Sentences on patients that were trained on too. Raises UserError where they are in the test split."""
    known = {series.subject for series in trained.series() if series.split == "train"}
    both = sorted({case.subject for case in cases} & known)
    if both and split == "test":
        raise UserError(
            f"the model was trained on {len(both)} of these patients ({', '.join(both[:5])}), which would flatter it;"
            " evaluate on patients that it has not seen"
        )
    return [f"The model was trained on {len(both)} of these patients: the figures flatter it."] if both else []
