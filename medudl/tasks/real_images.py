"""The real images that samples are held against: of a run's own scans, through its own pipeline, item by item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medudl.config import Data
from medudl.data.cases import Case, cases_of, training_cases
from medudl.data.cohort import Cohort
from medudl.data.loaders import Loader
from medudl.errors import UserError
from medudl.methods import method_class
from medudl.run import Run
from medudl.tasks.classify import SCANS
from medudl.tasks.detector import Restored
from medudl.tasks.outputs import without_paths
from medudl.tasks.progress import counted
from medudl.tasks.sample_pictures import Pictures, shown

_BATCH = 32


@dataclass(frozen=True)
class RealImages:
    """Images as the method was trained on them, in a fixed order, not augmented.

    cases, slices, patients: of each of the M images. scans: how many cases are in it. left_out: those that could not
    be read, and why. aspect: a picture pixel's height over its width; spacing: of the grid in mm along D, H, W.
    """

    loader: Loader
    cases: list[str]
    slices: list[int]
    patients: list[str]
    left_out: list[str]
    aspect: float
    spacing: tuple[float, float, float]

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def scans(self) -> int:
        """How many cases."""
        return len(set(self.cases))

    def batches(self, only: NDArray[np.int64] | None = None) -> Iterator[Tensor]:
        """All images in their order, or those with the numbers `only`, ascending: (B, C, *S) float32, B >= 1."""
        start = 0
        for batch in self.loader.epoch(0):
            image = batch["image"]
            if only is not None:
                image = image[only[(only >= start) & (only < start + len(image))] - start]
            start += len(batch["image"])
            if len(image):
                yield image

    def pictures_of(self, numbers: NDArray[np.int64], data: Data) -> Pictures:
        """The images with these numbers, in any order and any of them several times, as they are shown: (n, H, W)."""
        chosen, back = np.unique(numbers, return_inverse=True)
        kept = np.concatenate([shown(image.clamp(0, 1), data) for image in self.batches(chosen)])
        return kept[back]

    def counts(self) -> dict[str, int]:
        """For a JSON file."""
        return {"scans": self.scans, "images": len(self), "patients": len(set(self.patients))}


def learnt_and_held_out(run: Run, cohort: Cohort, splits: Sequence[str] = ("val", "test")) -> tuple[list[Case], ...]:
    """The scans that the run learnt from, and those of `splits` of other patients that it could have learnt from.

    What it learnt from stands in scans.json; where that is absent, the train split counts. Raises UserError: no such
    scan.
    """
    cases, _ = cases_of(cohort.select(run.config.data.where), run.config.data)
    named = set(run.read_json(SCANS)["train"]) if (run.path / SCANS).is_file() else None
    learnt = [case for case in cases if (case.split == "train" if named is None else case.id in named)]
    if not method_class(run.config.method["name"]).supervised_by(run.config.data.condition):
        cases = training_cases(cases, run.config.data)[0]
    known = {case.subject for case in learnt}
    others = [case for case in cases if case.split in splits and case.subject not in known]
    return learnt, others


def read_images(
    restored: Restored, cohort: Cohort, cases: Sequence[Case], what: str, progress: bool
) -> RealImages:  # fmt: skip
    """The images of these cases. Raises UserError, the first reason, where none can be read."""
    prepared, left_out = [], []
    for case in counted(cases, what, len(cases), progress):
        try:
            prepared.append(restored.prepared(cohort, case))
        except UserError as error:
            left_out.append(f"{case.id} left out: {without_paths(str(error), cohort, case.present)}")
    if not prepared:
        raise UserError(left_out[0] if left_out else f"there are no {what}")
    data = restored.data
    if data.lesion_free_slices:  # as the loader itself does
        prepared = [one for one in prepared if one.mask is not None]
    loader = Loader(prepared, data, batch_size=_BATCH, shuffle=False, lesion_free=data.lesion_free_slices)
    if loader.shape != tuple(restored.method.shape):
        raise UserError(
            f"{what} are {loader.shape}, the run's {tuple(restored.method.shape)}; train with data.size set"
        )
    subject = {case.id: case.subject for case in cases}
    names = [prepared[item.case].case_id for item in loader.items]
    depth = prepared[0].image.shape[1] // 2
    slices = [item.index if data.dims == 2 else depth for item in loader.items]
    sides = np.linalg.norm(np.asarray(prepared[0].geometry["affine"], np.float64)[:3, :3], axis=0)
    d, h, w = (float(side) for side in sides)
    return RealImages(loader, names, slices, [subject[name] for name in names], left_out, h / w, (d, h, w))
