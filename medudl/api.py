"""One public function a command, with the same words: what the command line, the viewer and a script call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medudl.config import Config, read_config
from medudl.errors import UserError
from medudl.label_api import (
    label_agreement,
    label_export,
    label_grow,
    label_import,
    label_queue,
    label_start,
    label_train,
)
from medudl.shipped import config_path, shipped
from medudl.train_one import check_method, train_one

if TYPE_CHECKING:
    import pandas as pd

    from medudl.bundle.export import Exported
    from medudl.data.cohort import Cohort

__all__ = [
    "check_method", "classify", "config_path", "detect", "embed", "evaluate", "export", "index", "label_agreement",
    "label_curve", "label_export", "label_grow", "label_import", "label_queue", "label_start", "label_train", "sample",
    "shipped", "train", "translate", "view",
]  # fmt: skip


def index(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    patterns: Sequence[str] = (),
    masks: Sequence[str] = (),
    labels: str | Path | None = None,
    split: str | None = None,
    seed: int = 0,
    contrasts: Sequence[str] = (),
    progress: bool = False,
) -> Cohort:
    """Write cohort.csv over all scans under `paths`, and say what is wrong with them. See docs/data.md."""
    from medudl.data import index as rows

    return rows.index(
        paths, out, patterns=patterns, masks=masks, labels=labels, split=split, seed=seed, contrasts=contrasts,
        progress=progress,
    )  # fmt: skip


def train(
    config: str | Path | Config,
    cohort: str | Path,
    out: str | Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    folds: int | None = None,
    leave_out: str | None = None,
    progress: bool = True,
) -> None:
    """Train, then learn the healthy thresholds on the held-out healthy scans where the method has anomaly maps.

    folds: K runs in out/fold-0 ..., each patient held out once; leave_out: this subject alone is the test split.
    """
    from medudl.data.cohort import Cohort

    settings = config if isinstance(config, Config) else read_config(config_path(config), overrides)
    if folds is not None and leave_out is not None:
        raise UserError("--folds and --leave-out exclude each other: folds leave out every patient once")
    rows = Cohort.read(Path(cohort))
    check_method(settings)

    from medudl.training import folds as plan

    if folds is not None:
        for fold in range(folds):
            train_one(settings, plan.with_folds(rows, folds, fold), Path(out) / f"fold-{fold}", resume, progress)
    elif leave_out is not None:
        train_one(settings, plan.leave_out(rows, leave_out), Path(out), resume, progress)
    else:
        train_one(settings, rows, Path(out), resume, progress)


def detect(
    run: str | Path, input: str | Path, out: str | Path, *, dicom: bool = False, split: str | None = None,
    device: str = "auto", progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Anomaly maps and expected-normal volumes in each scan's geometry, and scores.csv. Returns the scores."""
    from medudl.tasks import detect as task

    return task.detect(run, input, out, dicom=dicom, split=split, device=device, progress=progress)


def embed(
    run: str | Path, input: str | Path, out: str | Path, *, split: str | None = None,
    by: Literal["slice", "scan"] | None = None, device: str = "auto", seed: int = 0, progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Codes of every slice or scan, their pictures, planes, neighbours, copies and groups. Returns the table."""
    from medudl.tasks import embed as task

    return task.embed(run, input, out, split=split, by=by, device=device, seed=seed, progress=progress)


def sample(
    run: str | Path, n: int, out: str | Path, *, seed: int = 0, features: str | Path | None = None,
    condition: Sequence[str] = (), device: str = "auto", progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """New images that a run draws, each beside the training image nearest to it. Returns samples.csv.

    condition: what all are to show, for a method that can be told: ["contrast=T1", "slice_position=0.5"].
    """
    from medudl.tasks import sample as task

    return task.sample(run, n, out, seed=seed, features=features, condition=condition, device=device, progress=progress)


def translate(
    run: str | Path, input: str | Path, out: str | Path, *, to: str | None = None, dicom: bool = False,
    burn_in: bool = False, ensemble: Sequence[str | Path] = (), split: str | None = None, device: str = "auto",
    progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Synthetic volumes of the other contrast on the source's grid. Returns translations.csv."""
    from medudl.tasks import translate as task

    return task.translate(
        run, input, out, to=to, dicom=dicom, burn_in=burn_in, ensemble=ensemble, split=split, device=device,
        progress=progress,
    )  # fmt: skip


def classify(
    run: str | Path, input: str | Path, out: str | Path, *, split: str | None = None, device: str = "auto",
    progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """predictions.csv: the class of each scan with calibrated probabilities. Returns it."""
    from medudl.tasks import classify as task

    return task.classify(run, input, out, split=split, device=device, progress=progress)


def evaluate(
    run: str | Path, cohort: str | Path | None = None, *, split: str = "test", out: str | Path,
    device: str = "auto", generator: bool = False, samples: int | None = None, features: str | Path | None = None,
    classifier: str | Path | None = None, against: Sequence[str | Path] = (), progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """report.json and report.html: the model beside trivial baselines, with intervals and a verdict.

    generator: report on the samples of a run that has anomaly maps or classes too; of one that can do nothing else,
    always. samples, features, classifier belong to that report, see `medudl.report.generator`. against: further runs
    of the same translation, as baselines; it goes with a translation alone, as features does too.
    """
    from medudl.methods import method_class
    from medudl.report import evaluate as report
    from medudl.report.classification import evaluate_classifier
    from medudl.tasks.folds import runs_of

    cls = method_class(runs_of(run)[0].config.method["name"])
    if cls.paired is not None:
        return _evaluate_translation(
            run, cohort, split=split, out=out, device=device, features=features, against=against, progress=progress,
            others={"--generator": generator, "--samples": samples, "--classifier": classifier},
        )  # fmt: skip
    if against:
        raise UserError("--against goes with the report on a translation, and with --label-curve; leave it out")
    if generator or (hasattr(cls, "sample") and not hasattr(cls, "anomaly") and not hasattr(cls, "classify")):
        from medudl.report.generator import evaluate_generator
        from medudl.training.course import read_log

        log = Path(run) / "log.jsonl"
        return evaluate_generator(
            run, cohort, split=split, out=out, samples=samples, features=features, classifier=classifier,
            log=read_log(log) if log.is_file() else (), device=device, progress=progress,
        )  # fmt: skip
    if samples is not None or features is not None or classifier is not None:
        raise UserError("--samples, --features and --classifier go with the report on a generator; add --generator")
    if cls.supervised:
        return evaluate_classifier(run, cohort, split=split, out=out, device=device, progress=progress)
    return report.evaluate(run, cohort, split=split, out=out, device=device, progress=progress)


def _evaluate_translation(
    run: str | Path, cohort: str | Path | None, *, others: dict[str, Any], **more: Any
) -> dict[str, Any]:  # fmt: skip
    """others: options of other reports, refused where they are given."""
    from medudl.report.translation import evaluate_translation

    given = [name for name, value in others.items() if value]
    if given:
        raise UserError(f"{given[0]}: {run} makes one kind of scan of another, and its report has no use for it;"
                        " leave it out")  # fmt: skip
    return evaluate_translation(run, cohort, **more)


def label_curve(
    run: str | Path, out: str | Path, *, against: Sequence[str | Path] = (), cohort: str | Path | None = None,
    seeds: int = 5, overrides: Sequence[str] = (), labels: Sequence[int] = (), store: str | Path | None = None,
    progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """label_curve.json and .html: classifiers on growing numbers of labels, from labels alone and with what RUN gives.

    overrides: as `--set`, of the settings of configs/classifier.yaml, and of those of a run that classifies itself.
    labels: so many a class instead of shares; store: whose first reads tell what a label costs. See
    `medudl.label_curve`.
    """
    from medudl import label_curve as curve

    settings = read_config(config_path("classifier"), overrides)
    check_method(settings)
    return curve.label_curve(
        [run, *against], settings, out, overrides=overrides, cohort=cohort, seeds=seeds, labels=labels, store=store,
        progress=progress,
    )  # fmt: skip


def export(
    run: str | Path, out: str | Path, *, onnx: bool = True, report: str | Path | None = None, authors: str = ""
) -> Exported:  # fmt: skip
    """A MONAI bundle in the new folder `out`: weights, settings, ONNX, model card; nothing of patients. docs/export.md.

    report: what `medudl evaluate -o` wrote, for the model card. Returns what was written, and what ONNX left out.
    """
    from medudl.bundle import export as pack

    return pack.export(run, out, onnx=onnx, report=report, authors=authors)


def view(
    folder: str | Path = ".",
    *,
    also: Sequence[str | Path] = (),
    port: int | None = None,
    host: str = "127.0.0.1",
    browser: bool = True,
    show_identity: bool = False,
    cache_gb: float = 2.0,
    allow_hosts: Sequence[str] = (),
    certificate: str | Path | None = None,
    key: str | Path | None = None,
) -> int:
    """Show scans, runs and maps below `folder` in the browser; blocks until the viewer is stopped.

    folder: or a cohort.csv, for the folder it lies in. also: folders whose scans a table in it may point to; that of a
    cohort.csv given is one. port: 8501, or the next free one, where none is given. host: others than this machine need
    a password, from MEDUDL_VIEW_PASSWORD or asked for at the terminal. Returns the exit code of the viewer. Raises
    UserError: no such folder, port in use, no password, streamlit absent.
    """
    from medudl import launch

    network = launch.Network(host, tuple(allow_hosts), launch.checked_tls(certificate, key))
    return launch.view(
        launch.Shown.of(Path(folder), [Path(place) for place in also]), port=port, browser=browser,
        show_identity=show_identity, cache_gb=cache_gb, apps=shipped("apps"), network=network,
    )  # fmt: skip
