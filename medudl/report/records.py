"""What evaluation keeps of each scan, for figures and plots alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medudl.metrics.detection import Lesions
from medudl.metrics.voxels import Counts
from medudl.report.montage import Example

MODEL = "the model"


@dataclass(frozen=True)
class Variant:
    """The model under another setting: scan score, and with a lesion mask voxels by score where the map changes."""

    score: float
    counts: Counts | None = None


@dataclass(frozen=True)
class Record:
    """One test scan. sick: by label or mask, None where nobody knows.

    scores: scan score of every map, the model under MODEL; numbers: whole-scan baselines. With a lesion mask also
    counts: voxels of every map by score; lesions: which were met at the healthy threshold. false: unusual areas that
    meet no lesion, None without a threshold or where a sick scan has no mask; overlap: numerator and denominator of
    the Dice of those areas. rim: shares of map and of voxels.
    millilitres: volume of a voxel, 0 for single images. threshold: the scan threshold of its run, or None.
    variants: what the model would have got otherwise, by name.
    """

    case: str
    subject: str
    label: str
    sick: bool | None
    scores: dict[str, float]
    numbers: dict[str, float]
    rim: tuple[float, float]
    millilitres: float
    threshold: float | None
    voxel_threshold: float | None
    counts: dict[str, Counts] = field(default_factory=dict)
    lesions: Lesions | None = None
    false: int | None = None
    overlap: tuple[float, float] | None = None
    fold: int = 0
    example: Example | None = None
    variants: dict[str, Variant] = field(default_factory=dict)


def patients(records: Sequence[Record]) -> tuple[list[str], NDArray[np.int64]]:
    """The patients of these records, and which of them each record belongs to."""
    names, place = np.unique([record.subject for record in records], return_inverse=True)
    return [str(name) for name in names], place
