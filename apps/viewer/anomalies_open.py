"""One scan of the Anomalies page: what its score means, the pictures, the report and what can be saved."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import streamlit as st

from apps.viewer.anomalies import Scan, Shelf, Volumes
from apps.viewer.anomalies_map import Map
from apps.viewer.anomalies_report import report, save
from apps.viewer.catalogue import Catalogue, Output, RunFolder, read_json
from apps.viewer.theme import empty
from apps.viewer.verdicts import Curve, curve_of, number, part, score_of
from medudl.errors import UserError

VIEWER = "anomalies"  # key of the component; it lives on from scan to scan
_OPENED = "anomalies-opened"
_CHIPS = {True: ("flagged", "Flagged"), False: ("calm", "Not flagged"), None: ("calm", "No threshold")}
_STYLE = """<style>
.verdict { display: flex; gap: .8rem; align-items: baseline; font-size: .92rem; min-height: 1.5rem; }
.verdict .chip { padding: .05rem .55rem; border-radius: 1rem; font-weight: 600; white-space: nowrap; }
.verdict .flagged { background: #5b3412; color: #ffc78a; } .verdict .calm { background: #18324a; color: #a9d3ff; }
.verdict .quiet { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
</style>"""


@dataclass(frozen=True)
class Reading:
    """The scan that is read, and where it comes from. run: None where no run of the folder made the maps."""

    catalogue: Catalogue
    output: Output
    run: RunFolder | None
    scan: Scan
    shelf: Shelf

    @property
    def calibration(self) -> Any:
        """calibration.json of the run, None where it is not at hand."""
        return None if self.run is None else read_json(self.run.path / "calibration.json")

    @property
    def curve(self) -> Curve:
        """False alarms against thresholds."""
        return curve_of(self.calibration)

    def map(self, volumes: Volumes) -> Map:
        """The map with the rule of its run."""
        return Map(volumes.map, self.run.path if self.run else None)


def extras(reading: Reading, left: Any, right: Any) -> None:
    """The two boxes of the bar: how good the model is, and what can be saved."""
    _opened(reading)
    with left, st.popover("Report", width="stretch"):
        report(reading.catalogue, reading.output)
    with right, st.popover("Save", width="stretch"):
        try:
            volumes = reading.shelf.volumes(reading.scan)
        except UserError as error:
            st.write(str(error))
            return
        save(reading.scan, reading.map(volumes), _committed(reading))


def show(reading: Reading) -> None:
    """The sentence about the score, and the pictures."""
    _verdict(reading)
    scan = reading.scan
    if scan.map is None:
        empty("This scan has no map", _why(scan), "Choose another scan, or look at it on the Studies page.")
        return
    try:
        volumes = reading.shelf.volumes(scan)
        _viewer(reading, volumes)
    except UserError as error:
        empty("This scan cannot be shown", str(error))


def _why(scan: Scan) -> str:
    return "It could not be read or scored when unusual areas were looked for." if not scan.problem else (
        "It could not be scored: " + scan.problem.rstrip(".") + ".")  # fmt: skip


def _verdict(reading: Reading) -> None:
    told = score_of(reading.scan.figures, reading.calibration)
    chip = _CHIPS[told.flagged]
    promise = html.escape(told.promise)
    st.html(
        f'{_STYLE}<div class="verdict"><span class="chip {chip[0]}">{chip[1]}</span>'
        f'<span>{html.escape(told.sentence)}</span><span class="quiet" title="{promise}">{promise}</span></div>'
    )


def _viewer(reading: Reading, volumes: Volumes) -> None:
    from apps.viewer.component import Overlay, viewer

    opened = _opened(reading)
    heat = reading.map(volumes)
    threshold = _committed(reading)
    found = heat.found(threshold)
    if "start" not in opened:  # once: a list that is made anew must not move the reader
        linked = "slice" in st.query_params
        opened["start"] = None if linked or not found.findings else {"mm": list(found.findings[0].mm)}
    base = [source for source in (volumes.scan, volumes.expected) if source]
    curve = reading.curve
    # One scale for all scans of a run: the same colour means the same, the last one what no healthy scan has.
    highest = max((point["threshold"] for point in curve.points), default=0.0)
    top = max(highest, 2 * (curve.own or 0.0)) or None
    shown = opened["threshold"]
    overlays = [Overlay(volumes.map, threshold=shown, top=top and max(top, 2 * shown), opacity=0.55)]
    if volumes.lesion and volumes.scan:
        overlays.append(Overlay(volumes.lesion, colormap="green", opacity=0.45, visible=False))
    if volumes.note:
        st.info(volumes.note)
    viewer([*base, volumes.map], overlays=overlays if base else (), key=VIEWER, layout="side",
           height="calc(100vh - 158px)", start=opened["start"], extra={
               "threshold": {"points": list(curve.points), "own": curve.own, "text": curve.text, "top": top},
               "findings": found.listed(), "total": found.total, "listed": threshold, "strip": True,
               "screenshot": {"name": heat.name(reading.scan, "picture.png"), "words": volumes.map.subject},
           })  # fmt: skip


def _opened(reading: Reading) -> dict[str, Any]:
    """What held when this scan was opened, and what the reader has settled on since.

    A threshold that the component told of an earlier scan is not this one's.
    """
    told = number(_state().get("threshold"))
    opened: dict[str, Any] = st.session_state.get(_OPENED, {})
    if opened.get("scan") != reading.scan.id:
        opened = {"scan": reading.scan.id, "told": told, "threshold": _committed(reading)}
    elif told is not None and told != opened["told"]:
        opened["told"] = st.session_state[_key(reading)] = told
    st.session_state[_OPENED] = opened
    return opened


def _committed(reading: Reading) -> float:
    """The threshold that the reader has settled on for these maps; at first the run's own."""
    return float(st.session_state.get(_key(reading), _own(reading)))


def _key(reading: Reading) -> str:
    return f"anomalies-threshold-{reading.output.id}"


def _own(reading: Reading) -> float:
    """The run's threshold; of maps without a run, what stands beside the map."""
    own = reading.curve.own
    if own is not None:
        return own
    side = None if reading.scan.map is None else read_json(
        reading.scan.map.with_name(reading.scan.map.name.removesuffix(".nii.gz") + ".json"))  # fmt: skip
    return number(part(side, "Threshold")) or 0.0


def _state() -> dict[str, Any]:
    """What the component last told, before this run of the script."""
    told: Any = st.session_state.get(VIEWER) or {}
    return dict(told.get("state") or {})
