"""What evaluation keeps of each test scan of a translation: figures, curves, lesions, features, one slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medudl.errors import UserError
from medudl.metrics.image import jump_ratio
from medudl.report.translation_baselines import Baseline, Maker
from medudl.report.translation_calibration import CYCLE, UNCERTAINTY, Told, told_by
from medudl.report.translation_figures import MODEL, Scale, Scored, error_of, measured
from medudl.report.translation_kernel import REAL, Looked
from medudl.report.translation_lesions import Lesions, LesionScan, Planting, lesions_of
from medudl.report.translation_pictures import Example, Shown, example
from medudl.report.translation_scans import Scan
from medudl.tasks.translator import Translated, TranslationRun

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Setup:
    """What every test scan goes through. baselines: further runs too; on_lesions: names of those that lesions try."""

    translator: TranslationRun
    baselines: Sequence[Baseline]
    on_lesions: Sequence[str]
    scales: Sequence[Scale]
    planting: Planting
    looked: Looked

    @property
    def model(self) -> Maker:
        """The plain translation."""
        return lambda source, inside: self.translator.nominal(source)

    @property
    def ends(self) -> tuple[Array, Array]:
        """Low and width of the nominal range of each target channel, (C', 1, 1, 1) each."""
        return _ends(self.translator.channels)

    @property
    def source_widths(self) -> Array:
        """The same widths of the source."""
        return _ends(self.translator.sides[self.translator.source]["channels"])[1]


@dataclass
class Collected:
    """Of all test scans; scored and told stay empty without truth. rows: a line of the page's table each."""

    scored: list[Scored] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    lesions: dict[str, Lesions] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def collect(setup: Setup, scans: Iterator[Scan], notes: list[str]) -> Collected:
    """Every scan through the model and, where there is truth, through every baseline; failures go into `notes`."""
    found = Collected(lesions={name: Lesions() for name in setup.on_lesions})
    for number, scan in enumerate(scans):
        try:
            done = setup.translator.translated_from(scan.case, scan.prepared)
        except UserError as error:
            notes.append(f"{scan.case.id} left out: {error}")
            continue
        _add(setup, scan, done, number, found)
    return found


def score(setup: Setup, scan: Scan, made: dict[str, Array]) -> Scored:
    """made: by name, (C', D, H, W) in the target's unit."""
    assert scan.truth is not None
    figures = {
        name: [
            measured(true, one, scan.inside, scale)
            for true, one, scale in zip(scan.truth, volume, setup.scales, strict=True)
        ]
        for name, volume in made.items()
    }
    return Scored(scan.case.id, scan.case.subject, figures)


def _add(setup: Setup, scan: Scan, done: Translated, number: int, found: Collected) -> None:
    low, width = setup.ends
    patient, row = scan.case.subject, _row(scan, done)
    plain = {MODEL: (done.made - low) / width}
    plain |= {one.name: one.make(scan.source, scan.inside) for one in setup.baselines}
    for name, volume in plain.items():
        setup.looked.add(name, volume.astype(np.float32), scan.inside, patient)
    error = float("nan") if done.cycle is None else row["cycle_error"]
    if scan.truth is not None and scan.target is not None:
        setup.looked.add(REAL, scan.target, scan.inside, patient)
        one = score(setup, scan, {MODEL: done.made} | {
            name: volume * width + low for name, volume in plain.items() if name != MODEL
        })  # fmt: skip
        found.scored.append(one)
        found.told.extend(_told(setup, scan, done))
        error = error_of(one, MODEL, setup.scales)
        row["error"] = error
    else:
        row["jump_ratio"] = _finite(jump_ratio(done.made[0], scan.source[0], scan.inside, 0, paired=False))
    found.rows.append(row)
    found.examples.append(_example(setup, scan, done, error))
    _lesions(setup, scan, number, found)


def _row(scan: Scan, done: Translated) -> dict[str, Any]:
    return {
        "case": scan.case.id, "patient": scan.case.subject,
        "uncertainty": _finite(done.uncertainty[0][scan.inside].mean()),
        "cycle_error": None if done.cycle is None else _finite(done.cycle[0][scan.inside].mean()),
        "warnings": list(done.warnings),
    }  # fmt: skip


def _told(setup: Setup, scan: Scan, done: Translated) -> Iterator[Told]:
    assert scan.truth is not None
    for place, scale in enumerate(setup.scales):
        error = done.made[place] - scan.truth[place]
        about = scan.case.subject, scale.name
        yield told_by(*about, UNCERTAINTY, error, done.uncertainty[place], scan.inside)
        if done.cycle is not None:
            yield told_by(*about, CYCLE, error, (done.cycle / setup.source_widths).mean(axis=0), scan.inside)


def _lesions(setup: Setup, scan: Scan, number: int, found: Collected) -> None:
    makers = {MODEL: setup.model} | {one.name: one.make for one in setup.baselines}
    about = LesionScan(scan.case.subject, scan.source, scan.inside, scan.spacing, scan.lesion, scan.target)
    for name in setup.on_lesions:
        found.lesions[name].add(lesions_of(makers[name], about, setup.planting, number))


def _example(setup: Setup, scan: Scan, done: Translated, error: float) -> Example:
    (low, width), names = setup.ends, (scan.case.names[0], setup.scales[0].name)
    shown = Shown(
        scan.source[0], (done.made - low)[0] / width[0, 0, 0, 0],
        None if scan.truth is None else (scan.truth - low)[0] / width[0, 0, 0, 0],
        done.uncertainty[0] / width[0, 0, 0, 0],
        None if done.cycle is None else (done.cycle / setup.source_widths)[0], scan.inside, scan.spacing,
    )  # fmt: skip
    return example(scan.case.id, scan.case.subject, error, shown, names)


def _ends(channels: Sequence[dict[str, Any]]) -> tuple[Array, Array]:
    low = np.array([one["low"] for one in channels], np.float32)[:, None, None, None]
    high = np.array([one["high"] for one in channels], np.float32)[:, None, None, None]
    return low, high - low


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
