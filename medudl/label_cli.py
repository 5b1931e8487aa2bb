"""`medudl label STORE ...`: a team's labels, from the first case to the last. Thin words around `medudl.api`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

label_app = typer.Typer(
    help="Label a few cases, train, see what the model doubts, label that. STORE: labels.sqlite beside cohort.csv.",
    no_args_is_help=True,
)

Cohort = Annotated[Path | None, typer.Option(help="cohort.csv; default: the one beside STORE.")]
Unit = Literal["series", "study"]


@label_app.callback()
def _store(
    context: typer.Context,
    store: Annotated[Path, typer.Argument(metavar="STORE", help="The file of labels: labels.sqlite.")],
) -> None:
    context.obj = store


@label_app.command()
def start(
    context: typer.Context,
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="cohort.csv, as `medudl index` writes it.")],
    classes: Annotated[
        str,
        typer.Option(
            help='2 to 9, in the order of their keys: "normal,sick"; one with a comma in it stands in double quotes.'
        ),
    ],
    by: Annotated[Unit | None, typer.Option(help="What a label is about; default: study where one has many.")] = None,
    test_share: Annotated[float, typer.Option(help="Patients drawn for testing, where no split says who.")] = 0.2,
    repeats: Annotated[float, typer.Option(help="Share of cases shown again, unsaid, to the same reader.")] = 0.05,
    overlap: Annotated[float, typer.Option(help="Share of the other cases that every reader reads.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
) -> None:
    """Make STORE over the scans of a cohort; `medudl view` then has them on its Label page."""
    from medudl import api
    from medudl.labelling.sides import doubts, holds
    from medudl.labels.create import class_names

    store: Path = context.obj
    made = api.label_start(
        store, cohort, class_names(classes), by=by, test_share=test_share, repeats=repeats, overlap=overlap, seed=seed
    )  # fmt: skip
    for doubt in doubts(made):
        typer.echo(f"{store}: {doubt}", err=True)
    typer.echo(f"{store}: {holds(made)}; label them with: medudl view {store.parent}")


@label_app.command()
def grow(context: typer.Context, cohort: Cohort = None) -> None:
    """Take scans into STORE that the cohort has got since; the Label page does so by itself."""
    from medudl import api
    from medudl.labelling.sides import holds
    from medudl.labels.store import LabelStore

    new = api.label_grow(context.obj, cohort)
    typer.echo(f"{new} new; {context.obj}: {holds(LabelStore.open(context.obj))}")


@label_app.command(name="import")
def import_(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A CSV with label and subject, study, series, path or case; or a folder of Structured Reports.",
        ),
    ],
    reader: Annotated[str | None, typer.Option(help="Whose labels they are; reports name theirs.")] = None,
    cohort: Cohort = None,
) -> None:
    """Take labels in that were made elsewhere."""
    from medudl import api

    taken, notes = api.label_import(context.obj, source, reader=reader, cohort=cohort)
    for note in notes:
        typer.echo(note, err=True)
    typer.echo(f"{taken} labels taken in, {len(notes)} left out" if notes else f"{taken} labels taken in")


@label_app.command()
def export(
    context: typer.Context,
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to write.")],
    dicom: Annotated[bool, typer.Option("--dicom", help="Structured Reports and Segmentations too.")] = False,
    cohort: Cohort = None,
) -> None:
    """Labels, consensus, every event and a data dictionary as CSV."""
    from medudl import api

    for line in api.label_export(context.obj, out, dicom=dicom, cohort=cohort):
        typer.echo(line)


@label_app.command()
def agreement(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write agreement.json and adjudication.csv.")] = None,
) -> None:
    """Do the readers agree with each other, and with themselves?"""
    from medudl import api

    typer.echo(api.label_agreement(context.obj, out))


@label_app.command()
def queue(
    context: typer.Context,
    run: Annotated[Path | None, typer.Option(help="A run that classifies; default: the newest order.")] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many to print.")] = 10,
    cohort: Cohort = None,
    unblind: Annotated[
        bool, typer.Option("--unblind", help="Tell what the model thinks: who labels after that is no blind reader.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """The next cases, and why. With --run they are put in a new order by what that model doubts."""
    from medudl import api

    typer.echo(api.label_queue(context.obj, run, n=count, cohort=cohort, unblind=unblind, device=device))


@label_app.command()
def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option("-o", "--out", help="The new run folder.")],
    config: Annotated[
        str | None,
        typer.Argument(help="A YAML file, or the name of a config; default: one that fits these scans."),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="train.steps=500, method.init=RUN ...")] = None,
    cohort: Cohort = None,
) -> None:
    """Train on the labels there are, and put the rest in a new order. Stopped, it goes on with the same command."""
    from medudl import api
    from medudl.training.stop import Stopped

    try:
        lines = api.label_train(context.obj, config, out, overrides=set_ or (), cohort=cohort)
    except Stopped as stop:
        stop.args = (f"stopped at step {stop.step}; the same command goes on from there",)
        raise
    for line in lines:
        typer.echo(line)
