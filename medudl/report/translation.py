"""Evaluate a translation: beside the truth where test studies hold both sides, beside baselines, and on lesions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medudl.data.cases import Case
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.metrics.image import over_patients
from medudl.report.translation_against import further_runs
from medudl.report.translation_baselines import Baseline, Fitting
from medudl.report.translation_calibration import DEFINITIONS, calibration_of
from medudl.report.translation_collect import Collected, Setup, collect, score
from medudl.report.translation_figures import MODEL, SEED, Scale, error_of, error_unit, figures_of, scale_of, shortest
from medudl.report.translation_kernel import REAL, TRAINING, Looked
from medudl.report.translation_lesion_figures import PREVALENCE, lesion_figures, prevalence
from medudl.report.translation_lesions import Planting, radius_for
from medudl.report.translation_scans import MOST, Scans, check_leaks, evenly
from medudl.report.translation_unpaired import plain_figures
from medudl.report.translation_verdict import best_on, closing, without_truth
from medudl.tasks.feature_choice import chosen_features
from medudl.tasks.folds import one_run
from medudl.tasks.outputs import Folder
from medudl.tasks.translator import TranslationRun
from medudl.version import VERSION

NOTICE = "Synthetic, not for diagnosis."
REPEATS = 2000


def evaluate_translation(
    run: str | Path, cohort: str | Path | None = None, *, split: str = "test", out: str | Path,
    against: Sequence[str | Path] = (), features: str | Path | None = None, device: str = "auto", progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Write OUT/report.json and OUT/report.html; returns the former's content. See `report.evaluate.evaluate`.

    against: further runs of the same translation, baselines like the others; one of pix2pix with adversarial 0 is
    called "L1 only". features: what made and real slices are compared by, see `tasks.feature_choice`.
    Raises UserError: no translation, nothing in the split, a run that does not fit, OUT not writable.
    """
    from medudl.report.translation_page import page

    opened = one_run(run)
    job = _Job(TranslationRun(opened, None, (), device), split, progress, [])
    rows = opened.cohort() if cohort is None else Cohort.read(Path(cohort))
    others = further_runs(job.translator, against, device)
    chosen = chosen_features(features, job.translator, device)
    folder = Folder.create(out)
    job.notes.extend(chosen.notes)
    looked = Looked(chosen.networks)
    learnt = job.learn(looked)
    setup = job.setup(learnt, others, looked)
    found, paired, test = job.judge(setup, rows)
    tree = job.tree(setup, learnt, found, paired, test)
    folder.text("report.json", json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    folder.text("report.html", page(tree, found.examples))
    return tree


@dataclass
class _Learnt:
    """Of the training and validation scans: baselines, spreads, what lesions and windows fit."""

    fitting: Fitting
    baselines: list[Baseline]
    train: dict[str, list[Case]]
    spacing: list[tuple[float, float, float]]
    sides: list[tuple[int, ...]]
    pairs: bool
    errors: dict[str, float]


@dataclass
class _Job:
    translator: TranslationRun
    split: str
    progress: bool
    notes: list[str]

    def learn(self, looked: Looked) -> _Learnt:
        """Fit the baselines on the train split of the run's own cohort: pairs where there are any, else sides."""
        own, quiet = self.translator.run.cohort(), list[str]()
        pairs = Scans(self.translator, own, None, quiet)
        cases = pairs.cases("train")
        sides: dict[str, list[Case]] = {"pairs": cases} if cases else {}
        fitting = Fitting(min(len(cases), MOST), SEED)
        spacing, shapes = list[tuple[float, float, float]](), list[tuple[int, ...]]()
        for scan in pairs.read(evenly(cases), "fitting baselines", self.progress):
            assert scan.target is not None
            fitting.add_pair(scan.source, scan.target, scan.inside)
            looked.add(TRAINING, scan.target, scan.inside, scan.case.subject)
            spacing.append(scan.spacing)
            shapes.append(scan.inside.shape)
        known = bool(shapes)
        if not known:
            for side in ("source", "target"):
                part = Scans(self.translator, own, "source" if side == "source" else "target", quiet)
                sides[side] = part.cases("train")
                for scan in part.read(evenly(sides[side]), f"reading training scans, {side}", self.progress):
                    if side == "source":
                        fitting.add_source(scan.source, scan.inside)
                        spacing.append(scan.spacing)
                        shapes.append(scan.inside.shape)
                    else:
                        fitting.add_target(scan.source, scan.inside)
                        looked.add(TRAINING, scan.source, scan.inside, scan.case.subject)
        if not fitting.quantiles or not fitting.source_spread:
            why = quiet[-1] if quiet else "none is there"
            raise UserError(
                f"{self.translator.run.path}: none of its training scans can be read ({why}); mend its cohort.csv"
            )
        return _Learnt(fitting, fitting.done(), sides, spacing, shapes, known, {})

    def setup(self, learnt: _Learnt, others: Sequence[Baseline], looked: Looked) -> Setup:
        """Everything that a test scan goes through; the best baseline is chosen on the val split."""
        translator = self.translator
        view = translator.data.view
        shortest_side = min(shortest(shape, 0 if view.startswith("slices") else None) for shape in learnt.sides)
        scales = [scale_of(channel, view, shortest_side) for channel in translator.channels]
        planting = Planting(
            float(np.mean(learnt.fitting.source_spread)), radius_for(np.median(learnt.spacing, axis=0).tolist()),
            float(np.mean(learnt.fitting.target_spread)), SEED,
        )  # fmt: skip
        setup = Setup(translator, [*learnt.baselines, *others], [], scales, planting, looked)
        learnt.errors.update(self._val_errors(setup))
        best = best_on(learnt.errors) or learnt.baselines[0].name
        names = [MODEL, *dict.fromkeys([best, *(one.name for one in others)])]
        return Setup(translator, setup.baselines, names, scales, planting, looked)

    def judge(self, setup: Setup, rows: Cohort) -> tuple[Collected, bool, list[Case]]:
        """The test scans: pairs, or without any the scans of each side."""
        apart: list[str] = []
        pairs = Scans(self.translator, rows, None, apart)
        cases = pairs.cases(self.split)
        if cases:
            self.notes.extend(check_leaks(cases, self.translator.run.cohort(), self.split))
            found = collect(setup, pairs.read(cases, "evaluating", self.progress), apart)
            if found.scored:
                self.notes.extend(apart)
                return found, True, cases
        if type(self.translator.method).paired:
            why = apart[-1] if apart else "the cohort has no study in it that holds both sides"
            raise UserError(f"split {self.split}: nothing to evaluate ({why}); name another split")
        self.notes.extend(note for note in apart if cases)
        sources = Scans(self.translator, rows, "source", self.notes)
        targets = Scans(self.translator, rows, "target", self.notes)
        cases = sources.cases(self.split)
        if not cases:
            raise UserError(f"split {self.split}: no scan of {self.translator.sides['source']['name']} in it;"
                            " name another split")  # fmt: skip
        self.notes.extend(check_leaks(cases, self.translator.run.cohort(), self.split))
        found = collect(setup, sources.read(cases, "evaluating", self.progress), self.notes)
        if not found.rows:
            raise UserError(f"split {self.split}: not one scan could be translated ({self.notes[-1]})")
        for scan in targets.read(targets.cases(self.split), "looking at real scans", self.progress):
            setup.looked.add(REAL, scan.source, scan.inside, scan.case.subject)
        return found, False, cases

    def tree(
        self, setup: Setup, learnt: _Learnt, found: Collected, paired: bool, test: Sequence[Case]
    ) -> dict[str, Any]:
        """report.json."""
        translator, scales = self.translator, setup.scales
        source = translator.sides["source"]
        one = source["channels"][0]
        truth = (
            figures_of(found.scored, scales, self._mask)
            if paired
            else plain_figures(found, source, translator.sides["target"])
        )
        told = closing(found.scored, scales, learnt.errors) if paired else without_truth()
        return {
            "kind": "translation", "medudl": VERSION, "notice": NOTICE,
            "run_name": translator.run.path.resolve().name, "method": translator.name, "split": self.split,
            "source": source["name"], "target": translator.to, "paired": paired, "n_scans": len(found.rows),
            "n_patients": len({row["patient"] for row in found.rows}), "unit": error_unit(scales), "mask": self._mask,
            "figures": [*truth, *setup.looked.figures(translator.to)], **told,
            "calibration": calibration_of(found.told), "calibration_definitions": DEFINITIONS,
            "lesions": lesion_figures(found.lesions, setup.planting, (one["unit"], one["high"] - one["low"])),
            "prevalence": prevalence({self.split: test, **{f"train, {k}": v for k, v in learnt.train.items()}},
                                     translator.data.healthy_labels),
            "baselines": [{"name": b.name, "definition": b.definition, "val_error": learnt.errors.get(b.name)}
                          for b in setup.baselines],
            "fitted_on": {"scans": len(learnt.fitting.quantiles), "pairs": learnt.pairs, "most": MOST},
            "scans": found.rows, "seed": SEED,
            "intervals": {"level": 0.95, "unit": "patient", "repeats": REPEATS},
            "notes": list(dict.fromkeys([*self.notes, *self._about(scales, paired), PREVALENCE])),
        }  # fmt: skip

    @property
    def _mask(self) -> str:
        kind = self.translator.data.foreground
        return "the whole image (data.foreground: none)" if kind == "none" else f"the foreground ({kind})"

    def _val_errors(self, setup: Setup) -> dict[str, float]:
        """Error of every baseline on the pairs of the run's own val split; none where it has no pair."""
        notes: list[str] = []
        pairs = Scans(self.translator, self.translator.run.cohort(), None, notes)
        low, width = setup.ends
        found: dict[str, list[float]] = {one.name: [] for one in setup.baselines}
        patients: list[str] = []
        for scan in pairs.read(evenly(pairs.cases("val")), "choosing the best baseline", self.progress):
            one = score(setup, scan, {b.name: b.make(scan.source, scan.inside) * width + low for b in setup.baselines})
            patients.append(scan.case.subject)
            for name, errors in found.items():
                errors.append(error_of(one, name, setup.scales))
        return {name: over_patients(errors, patients, seed=SEED, repeats=1).value for name, errors in found.items()
                if errors}  # fmt: skip

    def _about(self, scales: Sequence[Scale], paired: bool) -> list[str]:
        """Sentences on units and pairs."""
        data, told = self.translator.data, []
        if paired and any(not scale.hounsfield for scale in scales):
            told.append(
                "Where the target has no absolute unit, made and true intensities are both brought from the nominal"
                " scale to the mean scale of the training scans; each true scan's own scale is not judged."
            )
        if any(data.intensity_of(name).clip for name in data.target):
            told.append("data.intensity.clip cut the truth too: errors beyond its range are unseen.")
        if paired and self.split == "val":
            told.append("The best baseline was chosen on these very scans, and so were the weights of the runs.")
        if paired and data.pairs == "trust":
            told.append("data.pairs is trust: whether the sides lie on each other was not checked.")
        return told
