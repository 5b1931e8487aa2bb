"""One scan of the CT-MR page: source, synthetic, the real one where there is one, there and back; and the overlays."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from apps.viewer.anomalies import Shelf
from apps.viewer.component import Overlay, viewer
from apps.viewer.source import Source
from apps.viewer.theme import empty
from apps.viewer.translations import Made, Translation, Volumes, volumes_of
from apps.viewer.translations_words import (
    NOTICE,
    back_of,
    comparison_of,
    figures_of,
    meaning_of,
    method_of,
    unit_word,
    warnings_of,
)
from apps.viewer.words import count, sentence
from medudl.errors import UserError

VIEWER = "translations"  # key of the component; it lives on from scan to scan
_TURN = "translations-turn"
_STYLE = """<style>
.synthetic { display: flex; gap: .8rem; align-items: baseline; font-size: .92rem; min-height: 1.5rem; }
.synthetic .chip { padding: .05rem .55rem; border-radius: 1rem; font-weight: 600; white-space: nowrap; }
.synthetic .notice { background: #5b1a1a; color: #ffc9c2; } .synthetic .warned { background: #5b3412; color: #ffc78a; }
.synthetic .calm { background: #18324a; color: #a9d3ff; }
.synthetic .quiet { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
</style>"""


@dataclass(frozen=True)
class Reading:
    """The scan that is read. made: of several contrasts that were made the one that is shown.

    before, after: whether the list goes on; step: goes there, by 1 or -1.
    """

    shelf: Shelf
    scan: Translation
    made: Made | None
    before: bool
    after: bool
    step: Callable[[int], None]


def show(reading: Reading) -> None:
    """The sentence above the pictures, and the pictures."""
    scan, made = reading.scan, reading.made
    if made is None:
        why = sentence(scan.problem) if scan.problem else "Its volume is not named in the table."
        empty("This scan could not be translated", why, "Choose another scan, or look at it on the Studies page.")
        return
    try:
        volumes = volumes_of(reading.shelf, scan, made)
        _line(reading, made)
        for note in volumes.notes:
            st.info(note)
        _viewer(reading, made, volumes)
    except UserError as error:
        empty("This scan cannot be shown", str(error))


def _line(reading: Reading, made: Made) -> None:
    scan = reading.scan
    kind, told = ("warned", count(len(scan.warnings), "warning")) if scan.warnings else ("calm", "No warning")
    by = f" by {method_of(made)}" if method_of(made) else ""
    words = ". ".join([f"{made.name} made from {reading.shelf.title(scan)}{by}", *figures_of(scan)]) + "."
    st.html(
        f'{_STYLE}<div class="synthetic"><span class="chip notice">{NOTICE}</span>'
        f'<span class="chip {kind}">{told}</span><span class="quiet" title="{html.escape(words)}">'
        f"{html.escape(words)}</span></div>"
    )


def series_of(volumes: Volumes) -> list[Source]:
    """Source, synthetic, real, there and back: those that are there."""
    return [one for one in (volumes.scan, volumes.made, volumes.real, volumes.back) if one is not None]


def overlays_of(volumes: Volumes, scan: Translation) -> list[Overlay]:
    """What can be laid over them, hidden until it is asked for; shown is what lies above the scan's mean."""
    series = series_of(volumes)
    on = series.index(volumes.made)
    unit = unit_word(volumes.made.unit)
    found = []
    if volumes.uncertainty:
        found.append(Overlay(volumes.uncertainty, on=on, colormap="cool", title=f"uncertainty (± {unit})", opacity=0.6,
                             threshold=scan.uncertainty, visible=False))  # fmt: skip
    if volumes.difference:
        found.append(Overlay(volumes.difference, on=on, colormap="hot", opacity=0.6, visible=False))
    if volumes.cycle and volumes.scan:
        title = f"cycle error ({unit_word(volumes.cycle.unit)})"
        found.append(Overlay(volumes.cycle, on=0, colormap="viridis", title=title, opacity=0.6,
                             threshold=scan.cycle_error, visible=False))  # fmt: skip
    return found


def pairs_of(volumes: Volumes) -> dict[str, list[tuple[int, int]]]:
    """What swipe compares in turn; subtracted are only series that show the same contrast."""
    series = series_of(volumes)
    at = {name: series.index(one) for name, one in vars(volumes).items() if isinstance(one, Source) and one in series}
    wanted = (("scan", "made"), ("made", "real"), ("scan", "back"), ("scan", "real"))
    swipe = [(at[one], at[two]) for one, two in wanted if one in at and two in at]
    alike = [(at[one], at[two]) for one, two in (("made", "real"), ("back", "scan")) if one in at and two in at]
    return {name: pairs for name, pairs in (("swipe", swipe), ("difference", alike)) if pairs}


def _viewer(reading: Reading, made: Made, volumes: Volumes) -> None:
    series, scan = series_of(volumes), reading.scan
    placed = not volumes.made.flat
    name = "".join(c if c.isalnum() else "-" for c in volumes.made.subject).strip("-") or f"scan-{scan.number}"
    viewer(series, overlays=overlays_of(volumes, scan), key=VIEWER, layout="side" if len(series) > 1 else "planes",
           height="calc(100vh - 158px)", pairs=pairs_of(volumes), on_change=lambda: _stepped(reading), extra={
               "translation": {
                   "scan": f"{scan.id}-{made.name}", "warnings": warnings_of(scan),
                   "before": reading.before, "after": reading.after,
                   "meaning": meaning_of(made), "synthetic": series.index(volumes.made),
                   "real": comparison_of(scan, made, volumes.real is not None, placed), "hu": made.unit == "HU",
                   "cycle": back_of(scan),
               },
               "screenshot": {
                   "name": f"{name}_synthetic.png", "words": f"{volumes.made.subject}  ·  {volumes.made.title}",
               },
           })  # fmt: skip


def _stepped(reading: Reading) -> None:
    """The reader asked by a key for the scan before or after; the component tells each wish once, with its time."""
    told: Any = st.session_state.get(VIEWER) or {}
    go = dict(told.get("state") or {}).get("go")
    if not isinstance(go, dict) or go.get("turn") == st.session_state.get(_TURN):
        return
    st.session_state[_TURN] = go.get("turn")
    if go.get("step") in (-1, 1):
        reading.step(int(go["step"]))
