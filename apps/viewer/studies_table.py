"""The table of the Studies page: filters, counts, problems; a click on a row opens it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from apps.viewer import links
from apps.viewer.catalogue import Catalogue, CohortFile
from apps.viewer.studies_about import about
from apps.viewer.table import FINE, LOST, NOTED, UNUSABLE, Filters, frame, headline, keep, problems, state
from apps.viewer.theme import quiet
from apps.viewer.words import Names, count, split_word
from medudl.data.cohort import SPLITS, Series

_NONE = "none given"
_READ = 40  # kinds of problems that are told in full, as text that wraps
ORDER = "order-of-series"  # session state: ids of the rows as last seen, for the way to the next one


def series_table(catalogue: Catalogue, file: CohortFile, names: Names) -> None:
    """Draw the table of one cohort."""
    rows = file.rows
    table = frame(rows, names)
    if not catalogue.shows(file):
        _elsewhere(file, names)
    wrong = problems(rows, names)
    top = st.columns([2.2, 3.2, 2.6], vertical_alignment="center")
    options = ["Series", _problems_word(wrong)]
    with top[0]:
        view = st.segmented_control("View", options, default=options[0], key="view", label_visibility="collapsed")
    if view == options[1]:
        _problems(wrong, names)
        return
    filters = _filters(rows)
    shown = keep(rows, table, filters)
    with top[1]:
        guess = " (some told apart by file names only: see Problems)" if names.guessed else ""
        quiet(headline(rows, shown) + guess)
    if not any(row.usable for row in rows):
        st.warning("No series of this table can be used as it is: see Problems for why, and what to do.")
    if not shown:
        _no_match()
        return
    st.session_state[ORDER] = [catalogue.id_of_series(file, rows[n]) for n in shown]
    picked = _rows(table.iloc[shown], names)
    chosen = [rows[shown[n]] for n in picked]
    with top[2]:
        _compare(catalogue, file, chosen, names)


def _rows(table: pd.DataFrame, names: Names) -> list[int]:
    """Draw the rows; the positions of the ticked ones. A click on a cell counts as one row, and opens it."""
    key = f"series-{st.session_state.setdefault('table-number', 0)}"
    with st.container(key="fill"):
        event = st.dataframe(
            table, hide_index=True, on_select="rerun", selection_mode=["multi-row", "single-cell"], key=key,
            height="stretch", row_height=30, column_config={
                "What is wrong": st.column_config.TextColumn(width="large"),
                "Series": st.column_config.TextColumn(help="Click on a row to open it; tick two or three to compare."),
            },
        )  # fmt: skip
    selection = event["selection"]
    if selection["cells"]:
        st.session_state["clicked"] = True
        return [int(selection["cells"][0][0])]
    return [int(n) for n in selection["rows"]]


def _compare(catalogue: Catalogue, file: CohortFile, chosen: list[Series], names: Names) -> None:
    if not chosen:
        quiet("Click on a row to open it; tick two or three to compare them.")
        return
    if st.session_state.pop("clicked", False):
        open_(catalogue, file, chosen)
    if len(chosen) > links.MOST:
        quiet(f"{len(chosen)} are ticked; at most {links.MOST} fit side by side.")
        return
    label = f"Open {names.title(chosen[0])}" if len(chosen) == 1 else f"Compare these {len(chosen)}"
    button, more = st.columns([2, 1])
    with button:
        if st.button(label, type="primary", icon=":material/splitscreen_right:" if len(chosen) > 1 else None):
            open_(catalogue, file, chosen)
    with more, st.popover("About", disabled=len(chosen) > 1):
        about(file, chosen[0], names)


def open_(catalogue: Catalogue, file: CohortFile, rows: list[Series]) -> None:
    """Open series from the table, which forgets its ticks: else it would open them again at the way back."""
    st.session_state["table-number"] = st.session_state.get("table-number", 0) + 1
    links.go(catalogue, file, rows)


def _filters(rows: Sequence[Series]) -> Filters:
    """A filter for each part that has more than one value."""
    fields: list[tuple[str, str, list[str], Callable[[str], str]]] = []
    for name in ("modality", "contrast", "label", "split"):
        values = {str(getattr(row, name)) for row in rows}
        order = (
            [s for s in (*SPLITS, "") if s in values] if name == "split" else sorted(values, key=lambda v: (not v, v))
        )
        if len(order) > 1:
            fields.append((name, name.capitalize(), order, lambda value: split_word(value) or _NONE))
    states = {state(row) for row in rows}
    if len(states) > 1:
        fields.append(("states", "Problems", [s for s in (UNUSABLE, NOTED, FINE) if s in states], str))
    columns = st.columns([1.6, *[1.0] * len(fields)], vertical_alignment="bottom")
    with columns[0]:
        text = st.text_input("Search", placeholder="patient, label, problem ...", key="studies-text")
    chosen = {}
    for column, (name, title, options, word) in zip(columns[1:], fields, strict=True):
        with column:
            chosen[name] = tuple(st.multiselect(title, options, format_func=word, placeholder="all",
                                                key=f"studies-{name}"))  # fmt: skip
    return Filters(**chosen, text=text)


def _no_match() -> None:
    st.info("No series fits these filters.", icon=":material/filter_alt_off:")
    if st.button("Show all"):
        for key in [key for key in st.session_state if str(key).startswith("studies-") and key != "studies-file"]:
            del st.session_state[key]
        st.rerun()


def _problems_word(wrong: pd.DataFrame) -> str:
    bad = int(wrong["Weight"].isin([UNUSABLE, LOST]).sum())
    rest = len(wrong) - bad
    return f"Problems ({bad})" + (f", {count(rest, 'note')}" if rest else "")


def _problems(wrong: pd.DataFrame, names: Names) -> None:
    if not len(wrong):
        st.success("Nothing is wrong with these scans.", icon=":material/check_circle:")
    else:
        _kinds(wrong)
    for told in names.readings():
        quiet(told)


def _kinds(wrong: pd.DataFrame) -> None:
    if len(wrong) <= _READ:
        with st.container(key="problems"):
            st.table(wrong.rename(columns={"Weight": ""}), border="horizontal", hide_index=True)
        return
    with st.container(key="fill"):
        st.dataframe(
            wrong, hide_index=True, height="stretch", row_height=34,
            column_config={"What is wrong": st.column_config.TextColumn(width="large"),
                           "What to do": st.column_config.TextColumn(width="large"),
                           "Weight": st.column_config.TextColumn("", width="medium")},
        )  # fmt: skip


def _elsewhere(file: CohortFile, names: Names) -> None:
    place = "" if names.private else f" They lie in {file.cohort.root}."
    st.warning(
        "The scans of this table lie outside the opened folder, and nothing outside it is shown." + place + " Start the"
        f" viewer on the table itself: medudl view {file.name}, or name their folder with --also.",
        icon=":material/folder_off:",
    )
