"""Studies: the scans of the folder as a table, what is wrong with them, and the viewer."""

from __future__ import annotations

import streamlit as st

from apps.viewer import links
from apps.viewer.catalogue import Catalogue, CohortFile
from apps.viewer.house import house
from apps.viewer.studies_begin import begin
from apps.viewer.studies_open import show
from apps.viewer.studies_table import series_table
from apps.viewer.words import Names

_KEPT = "studies-"  # keys of widgets whose state outlives a visit to the viewer


def page() -> None:
    """Draw the page: nothing there yet, the table, or the series that the address names."""
    for key in [key for key in st.session_state if str(key).startswith(_KEPT)]:
        st.session_state[key] = st.session_state[key]
    catalogue = Catalogue(*house().settings.places)
    files = catalogue.cohorts()
    for trouble in catalogue.troubles():
        st.warning(trouble, icon=":material/warning:")
    if not files:
        begin(catalogue)
        return
    found = links.opened(catalogue, files)
    if found is not None:
        show(catalogue, found, _names(found.file))
        return
    if links.asked():
        st.info("The link names a series that is not in this folder any more. Choose one from the table.")
    file = _choose(files)
    series_table(catalogue, file, _names(file))


def _names(file: CohortFile) -> Names:
    return Names(file.cohort, house().settings.private, file.rows)


def _choose(files: list[CohortFile]) -> CohortFile:
    """The table to look at, asked only where there are several."""
    if len(files) == 1:
        return files[0]
    by_id = {file.id: file for file in files}
    chosen = st.selectbox(
        "Table", list(by_id), format_func=lambda id: by_id[id].name, key="studies-file", label_visibility="collapsed"
    )
    return by_id[chosen]
