"""The copy-risk light of a sample, and what its figures mean, in a radiologist's words."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from apps.viewer.samples_folder import RISKS, Samples
from apps.viewer.verdicts import items
from apps.viewer.words import PSEUDONYM, count
from medudl.metrics.intervals import short

PATIENTS = "The nearest images are real patients' images. Show and share them only as you would share their scans."
NO_PATIENT = "Synthetic, not for diagnosis: a sample is no patient, and shows nothing that was measured."


def table_of(samples: Samples, private: bool) -> dict[str, Any]:
    """Everything that the browser draws from: one entry a sample. No path, and no patient's name where private."""
    cases = case_names(samples, private)
    alpha = alpha_of(samples)
    return {
        "key": samples.key, "n": samples.n, "ratio": samples.ratio,
        "nearest": samples.nearest is not None, "checked": samples.checked, "alpha": alpha,
        "counts": {risk: sum(samples.risk(row) == risk for row in range(samples.n)) for risk in RISKS},
        "codes": 0 if samples.codes is None else int(samples.codes.shape[1]),
        "about": about(samples), "warning": PATIENTS if samples.nearest is not None else "",
        "samples": [
            {"name": samples.text("sample", row) or str(row + 1), "risk": samples.risk(row), "case": cases[row],
             "condition": samples.text("condition", row), "told": told(partial(_cell, samples, row), alpha),
             "likeness": samples.number("similarity_pixels", row)}
            for row in range(samples.n)
        ],
    }  # fmt: skip


def case_names(samples: Samples, private: bool) -> list[str]:
    """How the screen names the nearest case of each sample."""
    cells = ((samples.text("nearest_case", row), samples.text("nearest_slice", row)) for row in range(samples.n))
    return [named(samples, case, slice_, private) for case, slice_ in cells]


def named(samples: Samples, case: str, slice_: str, private: bool) -> str:
    """A training case by pseudonym, or by a number among those nearest to these samples where it may be a name."""
    shown = case
    if private and case and not PSEUDONYM.match(case):
        number = _numbered(tuple(samples.table.get("nearest_case", []))).get(case)
        shown = f"training scan {number}" if number else "a training scan that is nearest to no sample of the gallery"
    return f"{shown}, slice {slice_}" if slice_ and case and _sliced(samples) else shown


def _sliced(samples: Samples) -> bool:
    """Whether scans have slices: those that are films have number 0 alone."""
    return set(samples.table.get("nearest_slice", [])) != {"0"}


@lru_cache(maxsize=8)
def _numbered(cases: tuple[str, ...]) -> dict[str, int]:
    return {case: n for n, case in enumerate(sorted(set(cases)), start=1)}


def about(samples: Samples) -> list[str]:
    """What was made, how many light up, with what it was compared; the command's own notes last."""
    meta, lines = samples.meta, [NO_PATIENT]
    compared = meta.get("compared_with")
    training = compared.get("training") if isinstance(compared, dict) else None
    if isinstance(training, dict):
        images, patients = training.get("images"), training.get("patients")
        if isinstance(images, int) and isinstance(patients, int):
            lines.append(f"Each was compared with all {count(images, 'image')} of {count(patients, 'patient')} that the"
                         " model was trained on.")  # fmt: skip
    elif not samples.checked:
        why = next((str(each["why"]) for each in (compared, meta) if isinstance(each, dict) and each.get("why")), "")
        lines.append(f"Whether they copy a patient was not checked. {why}".strip())
    notes = [note for note in items(meta.get("notes")) if isinstance(note, str)]
    return lines + [note for note in notes if not any(note in line for line in lines)]


def told(number: Callable[[str], float | None], alpha: float) -> list[str]:
    """What the figures of one image, by columns of samples.csv, mean: in pixels, and in the features of a network."""
    sentences = []
    for name, word, more in (("pixels", "Pixel by pixel", True), ("features", "In what it shows", False)):
        value = number("similarity_pixels" if more else "distance_features")
        limit = number(f"threshold_{name}")
        if value is None:
            continue
        figures = f"({'likeness' if more else 'distance'} {_three(value)}"
        figures += f", limit {_three(limit)})" if limit is not None else ")"
        if limit is None:
            sentences.append(f"{word} there is no limit to judge it by {figures}.")
        elif (value > limit) == more and value != limit:
            sentences.append(f"{word} it is more like this image than {100 * (1 - alpha):.0f} % of held-out patients'"
                             f" images are like theirs {figures}.")  # fmt: skip
        else:
            sentences.append(f"{word} it is no more like this image than held-out patients' images are like theirs"
                             f" {figures}.")  # fmt: skip
    return sentences


def _three(value: float) -> str:
    """Three digits: .987, 1.23, 22.9."""
    return short(value, 3) if abs(value) < 1 else f"{value:.3g}"


def _cell(samples: Samples, row: int, column: str) -> float | None:
    return samples.number(column, row)


def alpha_of(samples: Samples) -> float:
    """The share of new patients' images that light up by chance."""
    told = samples.meta.get("alpha")
    if isinstance(told, (int, float)) and not isinstance(told, bool) and 0 < told < 1:
        return float(told)
    return 0.05
