"""Labels in and out: CSV, and DICOM where the scans came as DICOM; and whether readers agree."""

from __future__ import annotations

import json
from pathlib import Path

from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.labelling.prepare import cohort_of
from medudl.labels.exchange import export_csv, import_csv
from medudl.labels.store import LabelStore
from medudl.tasks.outputs import Folder

__all__ = ["agreed", "bring_in", "take_out"]


def bring_in(
    store: str | Path, source: str | Path, reader: str | None, cohort: str | Path | None
) -> tuple[int, list[str]]:
    """See `api.label_import`."""
    opened, source = LabelStore.open(store), Path(source)
    rows = cohort_of(opened, cohort)
    if source.is_dir():
        from medudl.labels.reports import import_reports

        return import_reports(opened, rows, source, reader)
    if reader is None:
        raise UserError(f"{source}: whose labels are these? say it with --reader NAME")
    return import_csv(opened, rows, source, reader)


def agreed(store: str | Path, out: str | Path | None) -> str:
    """See `api.label_agreement`."""
    from medudl.labels import agreement

    opened = LabelStore.open(store)
    found = agreement.report(opened)
    if out is not None:
        folder = Folder.create(out)
        folder.text("agreement.json", json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        folder.text("adjudication.csv", agreement.adjudication_csv(found))
    return agreement.text(found)


def take_out(store: str | Path, out: str | Path, dicom: bool, cohort: str | Path | None) -> list[str]:
    """See `api.label_export`."""
    opened, out = LabelStore.open(store), Path(out)
    rows = cohort_of(opened, cohort)
    if not dicom:
        return _tables(opened, rows, out)
    from medudl.labels.reports import export_reports, reportable

    found = reportable(opened, rows)  # before anything is written
    return [*_tables(opened, rows, out), *export_reports(opened, rows, found, out / "dicom")]


def _tables(store: LabelStore, rows: Cohort, out: Path) -> list[str]:
    return [*export_csv(store, rows, out), f"{out}: labels.csv, consensus.csv, events.csv and data_dictionary.csv"]
