"""Addresses that open series: `?study=<id>&series=<id>,<id>`, read and written. No path or name stands in one."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from apps.viewer.catalogue import Catalogue, CohortFile
from apps.viewer.source import identify
from medudl.data.cohort import Series

MOST = 3  # series that fit side by side


@dataclass(frozen=True)
class Opened:
    """The series of an address, the first one leading, and the table they stand in."""

    file: CohortFile
    rows: tuple[Series, ...]


def study_id(file: CohortFile, row: Series) -> str:
    """The name of a row's study in an address."""
    return identify("study", file.id, row.subject, row.study)


def opened(catalogue: Catalogue, files: list[CohortFile]) -> Opened | None:
    """What the address asks for; None where it asks for nothing, or for what is not there any more."""
    wanted = [part for part in st.query_params.get("series", "").split(",") if part][:MOST]
    study = st.query_params.get("study", "")
    for file in files if wanted or study else ():
        if wanted:
            known = {catalogue.id_of_series(file, row): row for row in file.rows}
            rows = tuple(known[id] for id in dict.fromkeys(wanted) if id in known)
        else:
            rows = tuple(row for row in file.rows if study_id(file, row) == study)[:1]
        if rows:
            return Opened(file, rows)
    return None


def asked() -> bool:
    """Whether the address asks for a study or series at all."""
    return bool(st.query_params.get("series") or st.query_params.get("study"))


def go(catalogue: Catalogue, file: CohortFile, rows: list[Series]) -> None:
    """Open these series: the address changes, and the page is drawn again."""
    ids = [catalogue.id_of_series(file, row) for row in rows[:MOST]]
    st.query_params.from_dict({"study": study_id(file, rows[0]), "series": ",".join(ids)})
    st.rerun()


def leave() -> None:
    """Back to the table."""
    st.query_params.clear()
    st.rerun()
