"""The viewer of the Studies page: a thin bar, and the series in the rest of the window."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from apps.viewer import links
from apps.viewer.catalogue import Catalogue
from apps.viewer.links import Opened
from apps.viewer.source import Source
from apps.viewer.studies_about import about
from apps.viewer.studies_table import ORDER
from apps.viewer.words import Names, sentence, size, spacing
from medudl.data.cohort import Series
from medudl.errors import UserError


def show(catalogue: Catalogue, opened: Opened, names: Names) -> None:
    """Draw the bar and the component for the series of the address."""
    _bar(catalogue, opened, names)
    sources, notes = _sources(catalogue, opened, names)
    masks = _masks(catalogue, opened, notes)
    for note in notes:
        st.warning(note, icon=":material/warning:")
    if not sources:
        return
    from apps.viewer.component import Overlay, viewer

    several = len(masks) > 1
    overlays = [
        Overlay(
            mask,
            on=n,
            colormap="red",
            opacity=0.45,
            title=f"lesion mask on {sources[n].title}" if several else "lesion mask",
        )
        for n, mask in masks
    ]
    layout = "side" if len(sources) > 1 else "planes"
    viewer(sources, overlays=overlays, key="studies", layout=layout, height="calc(100vh - 112px)")


def _bar(catalogue: Catalogue, opened: Opened, names: Names) -> None:
    file, first = opened.file, opened.rows[0]
    study = [row for row in file.rows if (row.subject, row.study) == (first.subject, first.study)]
    back, title, which, beside, step, facts = st.columns([1.25, 3, 1.8, 2.2, 1.1, 1.1], vertical_alignment="center")
    with back:
        if st.button("Back to the list", icon=":material/arrow_back:", width="stretch"):
            links.leave()
    with title, st.container(key="title"):
        st.markdown(f"**{_escaped(names.subject(first))}**  :gray[{_escaped(_summary(first))}]")
    with which:
        _switch(catalogue, opened, study, names)
    with beside:
        _beside(catalogue, opened, study, names)
    with step:
        _neighbours(catalogue, opened)
    with facts:
        wrong = names.problems(first)
        with st.popover("About" if not wrong else "About :material/warning:", width="stretch"):
            about(file, first, names)


def _switch(catalogue: Catalogue, opened: Opened, study: list[Series], names: Names) -> None:
    """Another series of the same study in place of the first one."""
    first = opened.rows[0]
    chosen = st.selectbox(
        "Series", range(len(study)), index=study.index(first), format_func=lambda n: names.title(study[n]),
        key=f"series-of-{catalogue.id_of_series(opened.file, first)}", label_visibility="collapsed",
    )  # fmt: skip
    if study[chosen] != first:
        others = [row for row in opened.rows[1:] if row != study[chosen]]
        links.go(catalogue, opened.file, [study[chosen], *others])


def _beside(catalogue: Catalogue, opened: Opened, study: list[Series], names: Names) -> None:
    """Up to two more series, side by side with the first."""
    first, *more = opened.rows
    options = [row for row in dict.fromkeys([*study, *more]) if row != first]

    def word(n: int) -> str:
        row = options[n]
        return names.title(row) if row in study else f"{names.subject(row)} {names.title(row)}"

    chosen = st.multiselect(
        "Compare with", range(len(options)), default=[options.index(row) for row in more], format_func=word,
        max_selections=links.MOST - 1, placeholder="Compare with ..." if options else "No other series here",
        key="beside-" + "-".join(catalogue.id_of_series(opened.file, row) for row in opened.rows),
        label_visibility="collapsed", disabled=not options,
    )  # fmt: skip
    rows = [options[n] for n in chosen]
    if rows != more:
        links.go(catalogue, opened.file, [first, *rows])


def _neighbours(catalogue: Catalogue, opened: Opened) -> None:
    """The previous and the next series of the table as it was last filtered."""
    known = {catalogue.id_of_series(opened.file, row): row for row in opened.file.rows}
    order = [id for id in st.session_state.get(ORDER, known) if id in known]
    at = catalogue.id_of_series(opened.file, opened.rows[0])
    here = order.index(at) if at in order else -1
    before = order[here - 1] if here > 0 else None
    after = order[here + 1] if 0 <= here < len(order) - 1 else None
    left, right = st.columns(2, gap="small")
    with left:
        if st.button(":material/chevron_left:", help="Previous in the list", disabled=before is None, key="before"):
            links.go(catalogue, opened.file, [known[str(before)]])
    with right:
        if st.button(":material/chevron_right:", help="Next in the list", disabled=after is None, key="after"):
            links.go(catalogue, opened.file, [known[str(after)]])


def _sources(catalogue: Catalogue, opened: Opened, names: Names) -> tuple[list[Source], list[str]]:
    """What can be shown, and sentences about what cannot."""
    sources, notes = [], []
    for row in opened.rows:
        try:
            source = catalogue.source_of(opened.file, row)
        except (UserError, OSError) as error:
            notes.append(f"{names.subject(row)}, {names.title(row)}: {_told(error, names)}")
            continue
        sources.append(replace(source, title=names.title(row), subject=names.subject(row)))
    return sources, notes


def _masks(catalogue: Catalogue, opened: Opened, notes: list[str]) -> list[tuple[int, Source]]:
    """Lesion masks with the place of their series among those shown."""
    if notes:  # a series is missing, so that places have shifted
        return []
    masks = []
    for n, row in enumerate(opened.rows):
        try:
            mask = catalogue.mask_of(opened.file, row)
        except (UserError, OSError):
            notes.append(
                "The lesion mask of this series cannot be shown: it is gone, or lies outside the opened folder."
            )
            continue
        if mask is not None:
            masks.append((n, mask))
    return masks


def _told(error: Exception, names: Names) -> str:
    if names.private or not isinstance(error, UserError):
        return "Its files are gone, or lie outside the opened folder. If they were moved, index the scans again."
    return sentence(str(error))


def _summary(row: Series) -> str:
    parts = [row.modality, size(row), spacing(row) and f"{spacing(row)} mm", row.label]
    return " \N{MIDDLE DOT} ".join(part for part in parts if part)


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|<>:$~" else c for c in text)
