"""The list of the CT-MR page: one row a scan, worst first, with its warnings in words; a click opens it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from apps.viewer.anomalies import Shelf
from apps.viewer.theme import quiet
from apps.viewer.translations import Translation
from apps.viewer.translations_words import headline, unit_word, warnings_of
from apps.viewer.words import sentence

_NUMBER = "translations-table"  # session state: part of the table's key, so that it forgets a click that was followed


def pick(scans: list[Translation], shelf: Shelf) -> Translation | None:
    """Draw the list; the scan that was clicked on, else None."""
    opens, words = st.columns([1.3, 6], vertical_alignment="center")
    with words:
        quiet(f"{headline(scans)}. Worst first: most warnings, then most uncertain. Click on a row to open it.")
    first = next((scan for scan in scans if scan.made), None)
    with opens:
        if st.button("Open the first", type="primary", disabled=first is None, width="stretch"):
            return first
    with st.container(key="fill"):
        event = st.dataframe(
            frame(scans, shelf), hide_index=True, on_select="rerun", selection_mode=["single-row", "single-cell"],
            key=f"{_NUMBER}-{st.session_state.setdefault(_NUMBER, 0)}", height="stretch", row_height=30,
            column_config={"Warnings": st.column_config.TextColumn(width="large")},
        )  # fmt: skip
    selection = event["selection"]
    chosen = [cell[0] for cell in selection["cells"]] or selection["rows"]
    if not chosen:
        return None
    st.session_state[_NUMBER] += 1
    return scans[int(chosen[0])]


def frame(scans: list[Translation], shelf: Shelf) -> pd.DataFrame:
    """The table of the screen, in the order of `scans`. Columns that hold nothing are left out, but for warnings."""
    table = pd.DataFrame(
        {
            "Patient": [shelf.subject(scan) for scan in scans],
            "Study": [shelf.study(scan) for scan in scans],
            "Made": [f"{scan.to} from {shelf.title(scan)}" if scan.made else "nothing" for scan in scans],
            _with_unit("Mean uncertainty", {scan.unit for scan in scans if scan.made}): [s.uncertainty for s in scans],
            _with_unit("Cycle error", {scan.cycle_unit for scan in scans if scan.cycle_unit}): [
                scan.cycle_error for scan in scans
            ],
            "Warnings": [_told(scan) for scan in scans],
        }
    )
    kept = [name for name in table if name == "Warnings" or (table[name].notna() & table[name].ne("")).any()]
    return table[kept].round(2)


def _with_unit(name: str, units: set[str]) -> str:
    unit = unit_word(next(iter(units))) if len(units) == 1 else ""
    return f"{name} ({unit})" if unit else name


def _told(scan: Translation) -> str:
    if not scan.made:
        return f"Could not be translated: {sentence(scan.problem or 'its files are not named in the table')}"
    return " ".join(warnings_of(scan)) or "none"
