"""The command line: thin words around `medudl.api`. Nothing heavy is imported before a command has begun."""

from __future__ import annotations

import errno
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medudl.errors import UserError
from medudl.label_cli import label_app
from medudl.version import VERSION

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    name="medudl",
    help="Learn from medical scans without labels. For research; not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(label_app, name="label")

# typer exports BadParameter but not its base, whose package name differs between typer's versions.
UsageError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

Out = Annotated[Path, typer.Option("-o", "--out", help="Where to write.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, as `medudl train` writes it.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Features = Annotated[
    str | None,
    typer.Option(
        help="What images are compared by: pixels, efficientnet_lite0, a TorchScript or ONNX file, or a run with codes."
    ),
]
Unit = Literal["slice", "scan"]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medudl {VERSION}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    # What other libraries warn of may quote a header, and a header may hold a name.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


@app.command()
def index(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Folders or files: DICOM, NIfTI, PNG, npz ...")
    ],
    out: Out = Path("cohort.csv"),
    pattern: Annotated[
        list[str] | None,
        typer.Option(
            help='Where names stand in a path: "{subject}/{study}/{contrast}.nii.gz", or a regex with groups.'
        ),
    ] = None,
    masks: Annotated[
        list[str] | None, typer.Option(help='Lesion masks, by pattern: "{subject}/{study}/mask.nii.gz".')
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV with subject, study, series or path, and label (and split).")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Shares of train/val/test by patient, such as 70/15/15.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    contrast: Annotated[list[str] | None, typer.Option(help='Name a contrast by its description: "regex=T1c".')] = None,
    strict: Annotated[bool, typer.Option(help="Exit with 1 when anything is wrong with any file.")] = False,
) -> None:
    """Make cohort.csv: what scans there are, and what is wrong with them, in plain words."""
    from medudl import api

    cohort = api.index(
        paths, out, patterns=pattern or (), masks=masks or (), labels=labels, split=split, seed=seed,
        contrasts=contrast or (), progress=True,
    )  # fmt: skip
    if strict and cohort.has_problems:
        raise typer.Exit(1)


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A YAML file, or the name of a config that comes with medudl.")],
    cohort: Annotated[Path, typer.Option(help="cohort.csv, as `medudl index` writes it.")],
    out: Out,
    set_: Annotated[list[str] | None, typer.Option("--set", help="method.latent=32, train.steps=500 ...")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with a stopped run.")] = False,
    folds: Annotated[int | None, typer.Option(min=3, help="Train K runs, each patient held out once.")] = None,
    leave_out: Annotated[str | None, typer.Option(help="Hold this subject out of training, for testing.")] = None,
) -> None:
    """Train a method; learn its healthy thresholds on held-out healthy scans."""
    from medudl import api

    api.train(config, cohort, out, overrides=set_ or (), resume=resume, folds=folds, leave_out=leave_out)


@app.command()
def detect(
    run: RunFolder,
    input: Annotated[Path, typer.Argument(metavar="INPUT", help="cohort.csv, a folder, or one file.")],
    out: Out,
    dicom: Annotated[bool, typer.Option(help="Write a DICOM Parametric Map and a Segmentation too.")] = False,
    split: Annotated[str | None, typer.Option(help="Only this split of the cohort.")] = None,
    device: Device = "auto",
) -> None:
    """Anomaly maps in the geometry of each scan, and scores.csv."""
    from medudl import api

    table = api.detect(run, input, out, dicom=dicom, split=split, device=device)
    flagged = table["flagged"].dropna()
    told = f", {int(flagged.sum())} of them flagged" if len(flagged) else ""
    typer.echo(_counted(table, out / "scores.csv", f"scored{told}"))


@app.command()
def embed(
    run: RunFolder,
    input: Annotated[Path, typer.Argument(metavar="INPUT", help="cohort.csv, a folder, or one file.")],
    out: Out,
    split: Annotated[str | None, typer.Option(help="Only this split of the cohort.")] = None,
    by: Annotated[Unit | None, typer.Option(help="A row a slice, or a row a scan.")] = None,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Seed of UMAP, t-SNE and the groups.")] = 0,
) -> None:
    """Where each scan lies among the others: codes, planes, neighbours, near copies, groups."""
    from medudl import api

    table = api.embed(run, input, out, split=split, by=by, device=device, seed=seed)
    typer.echo(f"{len(table):,} items in {out}; look at them with: medudl view {out.parent}")


@app.command()
def sample(
    run: RunFolder,
    out: Out,
    count: Annotated[int, typer.Option("-n", "--count", help="How many.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a conditional method, what all shall show: contrast=T1, slice_position=0.5, class=NORMAL."
        ),
    ] = None,
    features: Features = None,
    device: Device = "auto",
) -> None:
    """Draw new images; beside each the training image nearest to it, and whether it is a copy."""
    from medudl import api

    table = api.sample(run, count, out, seed=seed, features=features, condition=condition or (), device=device)
    told = ""
    if "flagged" in table:
        told = f", {int(table['flagged'].sum())} of them closer to a training image than other patients are"
    typer.echo(f"{len(table):,} samples in {out}{told}; look at {out / 'grid.png'}, or: medudl view {out.parent}")


@app.command()
def translate(
    run: RunFolder,
    input: Annotated[Path, typer.Argument(metavar="INPUT", help="cohort.csv, a folder, or one file.")],
    out: Out,
    to: Annotated[str | None, typer.Option(help="What to make: the target, or (cyclegan) the source.")] = None,
    dicom: Annotated[bool, typer.Option("--dicom", help="Also write derived DICOM series.")] = False,
    burn_in: Annotated[
        bool, typer.Option("--burn-in", help="Write SYNTHETIC - NOT FOR DIAGNOSIS into the DICOM images.")
    ] = False,
    ensemble: Annotated[
        list[Path] | None, typer.Option(help="Another run of the same translation; may be given several times.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split of the cohort.")] = None,
    device: Device = "auto",
) -> None:
    """Make the other contrast of each scan: synthetic volumes on its grid, with uncertainty. Not for diagnosis."""
    from medudl import api

    table = api.translate(
        run, input, out, to=to, dicom=dicom, burn_in=burn_in, ensemble=ensemble or [], split=split, device=device
    )
    warned = int((table["warnings"].fillna("") != "").sum())
    told = f", {warned} of them unlike those it was trained on (column warnings)" if warned else ""
    typer.echo(f"{_counted(table, out / 'translations.csv', f'translated{told}')}. Synthetic, not for diagnosis")


@app.command()
def classify(
    run: RunFolder,
    input: Annotated[Path, typer.Argument(metavar="INPUT", help="cohort.csv, a folder, or one file.")],
    out: Out,
    split: Annotated[str | None, typer.Option(help="Only this split of the cohort.")] = None,
    device: Device = "auto",
) -> None:
    """Which class is each scan, and how sure is it? predictions.csv, with calibrated probabilities."""
    from medudl import api

    table = api.classify(run, input, out, split=split, device=device)
    typer.echo(_counted(table, out / "predictions.csv", "classified"))


@app.command()
def evaluate(
    run: RunFolder,
    out: Out,
    cohort: Annotated[Path | None, typer.Option(help="Default: the cohort that the run was trained from.")] = None,
    split: Annotated[str, typer.Option(help="The split to evaluate on.")] = "test",
    device: Device = "auto",
    generator: Annotated[
        bool, typer.Option("--generator", help="Report on what RUN draws, also where it has anomaly maps.")
    ] = False,
    samples: Annotated[int | None, typer.Option(help="Of a generator: how many to draw.")] = None,
    features: Features = None,
    classifier: Annotated[Path | None, typer.Option(help="Of a generator: a classifier's run, for its score.")] = None,
    label_curve: Annotated[
        bool,
        typer.Option("--label-curve", help="What RUN is worth where labels are few: with it against labels alone."),
    ] = False,
    labels: Annotated[
        str | None, typer.Option(help="With --label-curve: so many labels a class, 5,10,50, instead of shares.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="With --label-curve: labels.sqlite, for what a label costs in minutes.")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="A further run: of the same translation, or with --label-curve.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings a point, with --label-curve.")] = 5,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="With --label-curve: train.steps=300, method.freeze=true ...")
    ] = None,
) -> None:
    """How good is it, against what any ruler could do? report.html, report.json and a verdict."""
    from medudl import api

    if label_curve:
        from medudl.report.label_curve_words import reading

        tree = api.label_curve(
            run, out, against=against or (), cohort=cohort, seeds=seeds, overrides=set_ or (), labels=_numbers(labels),
            store=store,
        )  # fmt: skip
        typer.echo("\n".join([tree["table"], *reading(tree), f"Report: {out / 'label_curve.html'}", tree["verdict"]]))
        return
    if set_ or labels or store:
        name = "--set" if set_ else "--labels" if labels else "--store"
        raise UserError(f"{name} goes with --label-curve; a report takes a run as it was trained")
    result = api.evaluate(
        run, cohort, split=split, out=out, device=device, generator=generator, samples=samples, features=features,
        classifier=classifier, against=against or (),
    )  # fmt: skip
    typer.echo(f"Report: {out / 'report.html'}")
    typer.echo(str(result["verdict"]))


@app.command()
def export(
    run: RunFolder,
    out: Out,
    onnx: Annotated[bool, typer.Option(help="Write ONNX graphs too.")] = True,
    report: Annotated[Path | None, typer.Option(help="What `medudl evaluate` wrote, for the model card.")] = None,
    authors: Annotated[str, typer.Option(help="Who trained it, for the bundle's metadata.")] = "",
) -> None:
    """A MONAI bundle to give to others: weights, settings, ONNX, a model card; no scan, no patient."""
    from medudl import api

    made = api.export(run, out, onnx=onnx, report=report, authors=authors)
    for verb, why in (made.onnx.left_out if made.onnx else {}).items():
        typer.echo(f"ONNX without {verb}: {why}", err=True)
    typer.echo(f"Bundle: {out}; how to run it: {out / 'docs' / 'README.md'}; what is still to be written:"
               f" {out / 'docs' / 'model_card.md'}")  # fmt: skip


@app.command()
def view(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Scans, cohorts, runs and maps below it; or a cohort.csv.")
    ] = Path("."),
    also: Annotated[list[Path] | None, typer.Option(help="A further folder whose scans a table may point to.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 8501, or the next free one.")] = None,
    host: Annotated[str, typer.Option(help="Others than this machine need a password: 0.0.0.0, a name.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
    show_identity: Annotated[bool, typer.Option("--show-identity", help="Show what identifies a patient.")] = False,
    cache_gb: Annotated[float, typer.Option(min=0.1, help="Memory for decoded scans.")] = 2.0,
    allow_host: Annotated[list[str] | None, typer.Option(help="A further name of this machine, with --host.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate (PEM), with --key.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of the certificate (PEM).")] = None,
) -> None:
    """Read studies and anomaly maps in the browser."""
    from medudl import api

    code = api.view(
        folder, also=also or (), port=port, host=host, browser=browser, show_identity=show_identity, cache_gb=cache_gb,
        allow_hosts=allow_host or (), certificate=certificate, key=key,
    )  # fmt: skip
    raise typer.Exit(code)


@app.command()
def demo(
    out: Out = Path("demo"),
    data: Annotated[Path | None, typer.Option(help="Your own folder of scans instead of the phantoms.")] = None,
    config: Annotated[str, typer.Option(help="A YAML file, or the name of a config.")] = "demo/denoising_autoencoder",
    seed: Annotated[int, typer.Option(help="Seed of phantoms and training.")] = 0,
) -> None:
    """The whole way, from scans to a report, in minutes: phantoms by default."""
    from medudl import demo as walk

    walk.demo(out, data=data, config=config, seed=seed)


def main() -> None:
    """Entry point: bad input is one line and exit code 2; a stop by Ctrl-C is 130, by SIGTERM 143."""
    from medudl.training.stop import Stopped

    # Threads of torch that wait by spinning slow a shared machine down by a factor of four; read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        _fail(str(error), 2)
    except Stopped as stop:
        _fail(str(stop), stop.code)
    except UsageError as error:
        _fail(error.format_message(), 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("stopped", 130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _fail(f"the disk is full ({error.filename or 'while writing'}); free some space and run the command again", 2)
    sys.exit(code if isinstance(code, int) else 0)


def _counted(table: pd.DataFrame, file: Path, done: str) -> str:
    """How many scans of a table with a column `problem` were done, and how many failed."""
    failed = int((table["problem"] != "").sum())
    told = f"; {failed} failed, see the column problem" if failed else ""
    return f"{file}: {len(table) - failed} of {len(table)} scans {done}{told}"


def _numbers(text: str | None) -> list[int]:
    """The numbers of 5,10,50."""
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise UserError(f"--labels {text}: whole numbers parted by commas, such as 5,10,50")
    return [int(part) for part in parts]


def _fail(line: str, code: int) -> None:
    print(f"medudl: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
