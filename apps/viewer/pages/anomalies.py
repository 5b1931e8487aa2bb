"""Anomalies: a scan, the scan as the model expects it, and the map of what is unusual, with what it promises."""

from __future__ import annotations

import streamlit as st

from apps.viewer.anomalies import Scan, Shelf, scans_of
from apps.viewer.anomalies_open import Reading, extras, show
from apps.viewer.anomalies_search import search
from apps.viewer.catalogue import Catalogue, Output, RunFolder
from apps.viewer.house import house
from apps.viewer.theme import empty
from apps.viewer.verdicts import figures
from medudl.errors import UserError

_FILTERS: dict[str, bool | None] = {"All": None, "Flagged": True, "Not flagged": False}
_FILTER = "anomalies-filter"
_COLUMNS = [2.2, 2.8, 2.6, 0.55, 0.55, 1.25, 1.25]  # of the bar: maps, scan, filter, before, after, report, save


def page() -> None:
    """Draw the page: nothing there yet, a run that has looked at no scan, or a scan with its map."""
    catalogue = Catalogue(*house().settings.places)
    outputs, runs = catalogue.outputs(), [run for run in catalogue.runs() if (run.path / "calibration.json").is_file()]
    if not outputs and not runs:
        _nothing(catalogue)
        return
    options: dict[str, Output | RunFolder] = {**{each.id: each for each in outputs}, **{run.id: run for run in runs}}
    chosen = _asked(options, outputs)
    cells = st.columns(_COLUMNS, vertical_alignment="center", gap="small")
    with cells[0]:
        _box(options, chosen)
    if isinstance(chosen, RunFolder):
        search(catalogue, chosen)
        return
    run = next((run for run in runs if run.id == chosen.run), None)
    try:
        scans = scans_of(chosen)
    except UserError as error:
        empty("These maps cannot be shown", str(error))
        return
    shelf = Shelf(catalogue, run.path if run else None, house().settings.private)
    with cells[2]:
        listed = _filtered(scans)
    with cells[1]:
        scan = _pick(chosen, listed or scans, shelf)
    _neighbours(chosen, listed or scans, scan, cells[3:5])
    reading = Reading(catalogue, chosen, run, scan, shelf)
    with cells[5], cells[6]:
        extras(reading, cells[5], cells[6])
    show(reading)


def _nothing(catalogue: Catalogue) -> None:
    if catalogue.runs():
        empty("No model is ready yet", "A model of this folder is still being trained, or its training broke off.",
              "Have a look at the Train page. Once it has ended, unusual areas can be looked for here.")  # fmt: skip
        return
    empty("No anomaly maps yet", "Here a scan is shown beside the scan as a model of healthy anatomy expects it, with a"
          " map of what is unusual.", "First train a model on healthy scans: see the Train page.",
          "Maps that were made elsewhere appear here when they lie in the opened folder.")  # fmt: skip


def _asked(options: dict[str, Output | RunFolder], outputs: list[Output]) -> Output | RunFolder:
    """What the address names: maps, or a run, which stands for its maps unless it is to look again."""
    wanted = st.query_params.get("run", "")
    again = "search" in st.query_params
    made = next((output for output in outputs if wanted and output.run == wanted), None)
    if made is not None and not again:
        return made
    if wanted and wanted not in options:
        st.info("The link names maps that are not in this folder any more. These are others.")
    return options.get(wanted, next(iter(options.values())))


def _box(options: dict[str, Output | RunFolder], chosen: Output | RunFolder) -> None:
    """Other maps, or a run to look with."""
    ids = list(options)
    picked = st.selectbox("Maps", ids, index=ids.index(chosen.id), format_func=lambda id: _word(options[id], options),
                          key=f"anomalies-of-{chosen.id}", label_visibility="collapsed")  # fmt: skip
    if picked != chosen.id:
        other = options[picked]
        st.query_params.from_dict({"run": picked} | ({"search": "1"} if isinstance(other, RunFolder) else {}))
        st.rerun()


def _word(option: Output | RunFolder, options: dict[str, Output | RunFolder]) -> str:
    if isinstance(option, RunFolder):
        return f"Look for unusual areas with {option.name}"
    run = options.get(option.run)
    return f"{option.name} (by {run.name})" if isinstance(run, RunFolder) else option.name


def _filtered(scans: list[Scan]) -> list[Scan]:
    counts = {name: sum(want is None or scan.flagged is want for scan in scans) for name, want in _FILTERS.items()}
    if st.session_state.get(_FILTER) is None:  # a click on the chosen one clears it
        st.session_state[_FILTER] = "All"
    name = st.segmented_control("Scans", list(_FILTERS), key=_FILTER, format_func=lambda name: f"{name} {counts[name]}",
                                label_visibility="collapsed")  # fmt: skip
    want = _FILTERS[name or "All"]
    return [scan for scan in scans if want is None or scan.flagged is want]


def _pick(output: Output, scans: list[Scan], shelf: Shelf) -> Scan:
    """The scan that the address names, else the first; the box opens another. Highest score first."""
    by_id = {scan.id: scan for scan in scans}
    ids = list(by_id)
    wanted = st.query_params.get("scan", "")
    now = wanted if wanted in by_id else ids[0]
    if now != wanted:  # a slice in the address is of the scan that was asked for, not of this one
        st.query_params.from_dict({"run": output.id, "scan": now})
    picked = st.selectbox("Scan", ids, index=ids.index(now), format_func=lambda id: _line(by_id[id], shelf),
                          key=f"anomalies-scan-{output.id}-{len(ids)}-{now}", label_visibility="collapsed")  # fmt: skip
    if picked != now:
        _go(output, by_id[picked])
    return by_id[now]


def _line(scan: Scan, shelf: Shelf) -> str:
    if scan.score is None:
        return f"{shelf.subject(scan)} · no score"
    told = figures(scan.score, scan.figures["threshold"] or 0)[0]
    return f"{'▲ ' if scan.flagged else ''}{shelf.subject(scan)} · {shelf.title(scan)} · score {told}" + (
        " · flagged" if scan.flagged else "")  # fmt: skip


def _neighbours(output: Output, scans: list[Scan], scan: Scan, cells: list[st.delta_generator.DeltaGenerator]) -> None:
    here = scans.index(scan)
    for cell, step, icon, help in zip(cells, (-1, 1), ("left", "right"), ("Scan before", "Next scan"), strict=True):
        with cell:
            off = not 0 <= here + step < len(scans)
            if st.button(f":material/chevron_{icon}:", help=help, disabled=off, key=f"anomalies-{icon}"):
                _go(output, scans[here + step])


def _go(output: Output, scan: Scan) -> None:
    st.query_params.from_dict({"run": output.id, "scan": scan.id})
    st.rerun()
