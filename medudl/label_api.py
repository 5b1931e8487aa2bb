"""The functions of `medudl label`: what its commands and a script call. `medudl.api` has them too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from medudl.config import Config, read_config
from medudl.errors import UserError
from medudl.shipped import config_path
from medudl.train_one import check_method, train_one

if TYPE_CHECKING:
    from medudl.data.cohort import Cohort
    from medudl.labels.store import LabelStore

__all__ = ["label_agreement", "label_export", "label_grow", "label_import", "label_queue", "label_start", "label_train"]


def label_start(
    store: str | Path, cohort: str | Path, classes: Sequence[str], *, by: Literal["series", "study"] | None = None,
    test_share: float = 0.2, repeats: float = 0.05, overlap: float = 1.0, seed: int = 0,
) -> LabelStore:  # fmt: skip
    """Make the file of labels of a team over the scans of a cohort. docs/labels.md."""
    from medudl.data.cohort import Cohort
    from medudl.labels.store import LabelStore

    rows = Cohort.read(Path(cohort))
    return LabelStore.create(
        store, rows, classes, unit=by, test_share=test_share, repeats=repeats, overlap=overlap, seed=seed
    )


def label_grow(store: str | Path, cohort: str | Path | None = None) -> int:
    """Take scans of the cohort that are new into the store; returns how many cases. Patients keep their side.

    cohort: default, cohort.csv beside the store. Raises UserError where it has none of the store's cases.
    """
    from medudl.labelling.prepare import cohort_of
    from medudl.labels.store import LabelStore

    opened = LabelStore.open(store)
    rows = cohort_of(opened, cohort)
    if not any(opened.series_of(rows).values()):
        raise UserError(f"{store}: the cohort has none of its scans; give the one it was made from, indexed anew")
    return opened.grow(rows)


def label_import(
    store: str | Path, source: str | Path, *, reader: str | None = None, cohort: str | Path | None = None
) -> tuple[int, list[str]]:  # fmt: skip
    """Take in the labels of a CSV, in the name of `reader`, or those of a folder of Structured Reports.

    cohort: default, cohort.csv beside the store. Returns how many, and a sentence on each line left out.
    """
    from medudl.labelling.exchange import bring_in

    return bring_in(store, source, reader, cohort)


def label_export(
    store: str | Path, out: str | Path, *, dicom: bool = False, cohort: str | Path | None = None
) -> list[str]:  # fmt: skip
    """Labels, consensus, events and a data dictionary as CSV; with dicom, Structured Reports and Segmentations.

    Returns sentences on what was written and what was not.
    """
    from medudl.labelling.exchange import take_out

    return take_out(store, out, dicom, cohort)


def label_agreement(store: str | Path, out: str | Path | None = None) -> str:
    """Kappas between readers and within them, as text; out: for agreement.json and adjudication.csv."""
    from medudl.labelling.exchange import agreed

    return agreed(store, out)


def label_queue(
    store: str | Path, run: str | Path | None = None, *, n: int = 10, cohort: str | Path | None = None,
    unblind: bool = False, device: str = "auto", progress: bool = True,
) -> str:  # fmt: skip
    """The next n cases and why, as a table; run: a model by whose doubts the cases are put in a new order first.

    unblind: with the percentages the model gives; who has seen them reads those cases no longer blind.
    """
    from medudl.labelling.prepare import cohort_of
    from medudl.labelling.table import next_cases
    from medudl.labels.store import LabelStore

    opened = LabelStore.open(store)
    if run is None:
        return next_cases(opened, n, unblind=unblind)
    from medudl.labelling.ranking import rank_pool
    from medudl.run import Run

    _, notes = rank_pool(opened, Run.open(run), cohort_of(opened, cohort), device=device, progress=progress)
    return "\n".join([*notes, next_cases(opened, n, unblind=unblind)])


def default_settings(store: LabelStore, cohort: Cohort, out: Path, overrides: Sequence[str]) -> Config:
    """Those of a run that was stopped at `out`; else a config made to fit the scans of a store, see `chosen`."""
    from medudl.labelling.settings import chosen

    if (out / "config.yaml").is_file():
        return read_config(out / "config.yaml", overrides)
    name, settings = chosen(store, cohort)
    return read_config(config_path(name), [*settings, *overrides])


def label_train(
    store: str | Path, config: str | Path | Config | None, out: str | Path, *, overrides: Sequence[str] = (),
    cohort: str | Path | None = None, progress: bool = True,
) -> list[str]:  # fmt: skip
    """Train on the labels there are and put the rest in a new order. Returns sentences.

    config: None, for one made to fit the scans of the store (`medudl.labelling.settings.chosen`). Writes
    OUT/labels.json: how many labels it knew, and how right it is on the labelled random test set alone. A training that
    was stopped goes on with the same call, on the labels that it began with.
    """
    from medudl.labelling.prepare import cohort_of, prepare
    from medudl.labels.store import LabelStore

    opened = LabelStore.open(store)
    rows = cohort_of(opened, cohort)
    if config is None:
        settings = default_settings(opened, rows, Path(out), overrides)
    else:
        settings = config if isinstance(config, Config) else read_config(config_path(config), overrides)
    job = prepare(opened, settings, Path(out), rows)
    check_method(job.settings)
    if not job.finished:
        train_one(job.settings, job.rows, Path(out), job.resume, progress)

    from medudl.labelling.ranking import ranked
    from medudl.run import Run

    return [*job.notes, *ranked(opened, Run.open(out), rows, progress=progress)[1]]
