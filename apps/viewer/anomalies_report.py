"""The boxes of the Anomalies page: the report in words, and what can be saved."""

from __future__ import annotations

import streamlit as st

from apps.viewer.anomalies import Scan
from apps.viewer.anomalies_map import Map
from apps.viewer.catalogue import Catalogue, Output, read_json
from apps.viewer.theme import quiet
from apps.viewer.verdicts import Verdict, verdict_of

NOTICE = "Research only, not for diagnosis."
_SIGNS = {True: ":material/check_circle:", False: ":material/cancel:", None: ":material/help:"}


def report(catalogue: Catalogue, output: Output) -> None:
    """How good the model is, as its report says: the verdict, the model beside the best baselines, the whole report."""
    reports = catalogue.reports()
    found = next((each for each in reports if output.run and each.run == output.run), None)
    told = None if found is None else verdict_of(read_json(found.path / "report.json"))
    if found is None or told is None:
        # A damaged report does not say whose it is.
        damaged = any(verdict_of(read_json(each.path / "report.json")) is None for each in reports)
        st.write("A report in this folder cannot be read: it is damaged or still being written." if damaged else
                 "There is no report of this run in the folder.")  # fmt: skip
        quiet("A report says how well the maps find lesions, beside what simple rules find. In a terminal:")
        st.code("medudl evaluate RUN -o REPORT", language=None)
        return
    _words(told)
    page = found.path / "report.html"
    if page.is_file():
        st.download_button("Save the whole report", page.read_bytes, "report.html", "text/html", on_click="ignore",
                           icon=":material/download:", key="anomalies-report")  # fmt: skip


def _words(told: Verdict) -> None:
    st.markdown(f"{_SIGNS[told.beats]} **{_plain(told.text)}**")
    for title, rows in told.tables:
        quiet(title)
        st.table({"": [name for name, _ in rows], "value (95 % interval)": [figure for _, figure in rows]},
                 border="horizontal")  # fmt: skip
    quiet(" ".join(told.notes))


def save(scan: Scan, heat: Map, threshold: float) -> None:
    """Buttons for the map and for the areas above the threshold; their files are made when they are asked for."""
    st.download_button("The map", heat.file, heat.name(scan, "anomaly.nii.gz"), "application/gzip", on_click="ignore",
                       icon=":material/download:", key="anomalies-map", width="stretch")  # fmt: skip
    st.download_button(f"Unusual areas above {threshold:.3g}", lambda: heat.mask(threshold),
                       heat.name(scan, "unusual.nii.gz"), "application/gzip", on_click="ignore",
                       icon=":material/download:", key="anomalies-mask", width="stretch")  # fmt: skip
    quiet("NIfTI files on the scan's own grid: they open beside the scan in any reader."
          f" A picture of the screen: PNG, above the scan. {NOTICE}")  # fmt: skip


def _plain(text: str) -> str:
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|<>:$~" else c for c in text)
