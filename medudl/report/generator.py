"""Evaluate a generator: its samples beside held-out patients' images, real ones in their place, and trivial ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medudl.data.cohort import Cohort
from medudl.methods.method import Method
from medudl.metrics.collapse import collapse
from medudl.report.generator_classes import Judge, class_figure
from medudl.report.generator_copies import copies_figures, memory_of, picture_grid
from medudl.report.generator_figures import REPEATS, feature_figures
from medudl.report.generator_sets import Real, Sets, gather_sets, how_many, read_real
from medudl.report.generator_spectra import spectra_of, spectrum_figure
from medudl.report.generator_verdict import closing
from medudl.tasks.conditions import conditions_of
from medudl.tasks.detector import Restored
from medudl.tasks.folds import one_run
from medudl.tasks.outputs import Folder
from medudl.version import VERSION

SEED = 0
_BY_PIXELS = "In pixels the trivial generator is hard to beat: it has their mean and covariance by construction."


def evaluate_generator(
    run: str | Path, cohort: str | Path | None = None, *, split: str = "test", out: str | Path,
    samples: int | None = None, features: str | Path | None = None, classifier: str | Path | None = None,
    log: Sequence[Mapping[str, Any]] = (), device: str = "auto", progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Write OUT/report.json and OUT/report.html; returns the former's content. See `report.evaluate.evaluate`.

    samples: how many are drawn; by default as many as there are training images, 500 at most. features: see
    `tasks.sample`. classifier: a run that classifies such images, for the inception score. log: lines of log.jsonl.
    Raises UserError: a method that draws nothing, no held-out scan, OUT not writable.
    """
    from medudl.report.generator_page import page
    from medudl.tasks.draw import check_samples
    from medudl.tasks.feature_choice import chosen_features

    opened = one_run(run)
    restored = Restored(opened, device)
    check_samples(opened, restored.method, restored.name)
    how_many(samples, 0)
    chosen = chosen_features(features, restored, device)
    judge = None if classifier is None else Judge(one_run(classifier), restored, device)
    real = read_real(restored, None if cohort is None else Cohort.read(Path(cohort)), split, progress)
    folder = Folder.create(out)
    n = how_many(samples, len(real.training))
    sets = gather_sets(restored, real, chosen.networks, n, SEED, progress)
    first, data = chosen.networks[0].name, restored.data
    memory, spectra = memory_of(sets, first), spectra_of(sets, data)
    figures = [
        *(row for network in chosen.networks for row in feature_figures(network.name, sets)),
        *copies_figures(memory, sets, first), spectrum_figure(sets, data), class_figure(judge, sets),
    ]  # fmt: skip
    tree = {
        **_about(restored, real, sets, split), "features": [network.name for network in chosen.networks],
        "figures": figures, **closing(sets, first), "collapse": _collapse(sets, first), "spectra": spectra,
        "notes": list(dict.fromkeys([*chosen.notes, _BY_PIXELS, *_told(restored.method), *_left_out(real), *sets.notes,
                                     *memory.notes])),
    }  # fmt: skip
    folder.text("report.json", json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    folder.text("report.html", page(tree, picture_grid(memory, sets, real, data), log))
    return tree


def _about(restored: Restored, real: Real, sets: Sets, split: str) -> dict[str, Any]:
    return {
        "kind": "generator", "medudl": VERSION, "run_name": restored.run.path.resolve().name, "method": restored.name,
        "split": split, "n_samples": len(sets.samples), "n_real": len(sets.held_out),
        "n_patients": real.held_out.counts()["patients"], "training": real.training.counts(),
        "held_out": real.held_out.counts(), "seed": SEED,
        "intervals": {"level": 0.95, "unit": "patient", "subsamples": REPEATS},
    }  # fmt: skip


def _collapse(sets: Sets, network: str) -> dict[str, Any] | None:
    """Whether samples differ from one another as held-out images do; None with a single held-out image."""
    real = sets.held_out
    if len(real) < 2:
        return None
    found = asdict(collapse(sets.samples.features[network], real.features[network], SEED, real.patients))
    known = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in found.items()
    }
    return {**known, "sentence": f"{found['sentence'][:1].upper()}{found['sentence'][1:]}.", "features": network}


def _told(method: Method) -> list[str]:
    """Of a conditional method: what its samples were told, which no figure judges."""
    names = " and ".join(one.name for one in conditions_of(method))
    if not names:
        return []
    return [
        f"Samples were told {names}, drawn as often as among the training images. Figures are of all of them together:"
        " whether a sample shows what it was told is not judged here."
    ]


def _left_out(real: Real) -> list[str]:
    return [*real.held_out.left_out, *real.training.left_out]
