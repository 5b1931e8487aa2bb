"""Label: one key a case, durable at once; then a model is trained on the labels and says which case comes next."""

from __future__ import annotations

import streamlit as st

from apps.viewer.catalogue import Catalogue
from apps.viewer.house import house
from apps.viewer.label_component import labelling
from apps.viewer.label_find import StoreFile, label_stores
from apps.viewer.label_routes import told
from apps.viewer.label_start import start_form
from apps.viewer.theme import empty
from medudl.errors import UserError

_NEW = "new"
# Streamlit's own notice of a lost connection takes the keyboard away; the page itself says what is not saved.
_QUIET = '<style>[data-testid="stDialog"]:has([role="dialog"]) { display: none; }</style>'


def page() -> None:
    """Draw the page: a form for a first store, or the cases of the one that the address names."""
    catalogue = Catalogue(*house().settings.places)
    stores = {one.id: one for one in label_stores(catalogue)}
    files = [file for file in catalogue.cohorts() if catalogue.shows(file)]
    wanted = st.query_params.get("store", "")
    if not stores and not files:
        empty("Nothing to label yet", "Labels are for the scans of a table, and this folder has no table.",
              "Open the Studies page: it makes the table, and shows what the scans are worth.")  # fmt: skip
        return
    if not stores or (wanted == _NEW and files):
        before = set(stores)
        if start_form(files):
            made = next(
                (one.id for one in label_stores(Catalogue(*house().settings.places)) if one.id not in before), ""
            )
            st.query_params.from_dict({"store": made} if made else {})
            st.rerun()
        return
    if wanted and wanted not in stores:
        st.info("The link names a label store that is not in this folder any more. This is another one.")
    _open(_pick(stores, wanted))


def _pick(stores: dict[str, StoreFile], wanted: str) -> StoreFile:
    """What the address names, else the first; a choice only where there is one."""
    ids = list(stores)
    now = wanted if wanted in stores else ids[0]
    if len(ids) > 1:
        picked = st.selectbox("Label store", ids, index=ids.index(now), format_func=lambda id: stores[id].name,
                              key=f"label-store-{now}", label_visibility="collapsed")  # fmt: skip
        if picked != now:
            st.query_params.from_dict({"store": picked})
            st.rerun()
    return stores[now]


def _open(one: StoreFile) -> None:
    try:
        pool = house().labels.pool(one.id)
    except UserError as error:
        empty("This label store cannot be opened", told(error), "Nothing was changed in it.")
        return
    if pool is None:
        empty("This label store is gone", "It was moved or deleted a moment ago.", "Load the page again.")
        return
    if pool.file is None:
        empty("The scans of these labels are not here", "No table of the opened folder holds any of the cases. The"
              " labels themselves are whole.",
              "Open the folder that holds the scans, or start the viewer with --also.")  # fmt: skip
        return
    st.html(_QUIET)
    data = {"id": one.id, "classes": pool.store.classes, "unit": pool.store.unit}
    labelling(data, key=f"label-{one.id}")
