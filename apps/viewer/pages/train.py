"""Train: start a training, watch it, stop it, let it go on. It is a process of its own and needs no open page."""

from __future__ import annotations

import streamlit as st

from apps.viewer.catalogue import Catalogue
from apps.viewer.house import house
from apps.viewer.theme import empty, quiet
from apps.viewer.train_start import start_form
from apps.viewer.train_watch import watch
from apps.viewer.trainings import Training, state_of, steps_of, trainings

_NEW = "new"
_SHORT = {
    "starting": "starting", "preparing": "preparing scans", "running": "running", "stopping": "stopping",
    "measuring": "learning what is normal", "elsewhere": "running elsewhere", "finished": "finished",
    "stopped": "stopped", "failed": "failed", "lost": "broke off",
}  # fmt: skip


def page() -> None:
    """Draw the page: the list of trainings, and the chosen one or the form for a new one."""
    catalogue = Catalogue(*house().settings.places)
    files = [file for file in catalogue.cohorts() if catalogue.shows(file)]
    known = trainings(catalogue, files)
    if not known and not files:
        empty("Nothing to learn from yet", "A training needs scans in a table, and this folder has no table.",
              "Open the Studies page: it makes the table, and shows what the scans are worth.")  # fmt: skip
        return
    side, main = st.columns([1, 3.6], gap="large")
    with side:
        chosen = _list(known, bool(files))
    with main:
        if chosen is not None:
            watch(catalogue, chosen, [one for one in known if one.id != chosen.id and one.method])
            return
        st.subheader("New training")
        run = start_form(catalogue, files)
        if run is not None:
            st.query_params.from_dict({"run": catalogue.id_of("run", run)})
            st.rerun()


def _list(known: list[Training], startable: bool) -> Training | None:
    """The trainings with a word on each; None where a new one is to be begun."""
    by_id = {one.id: one for one in known}
    ids = [*by_id, *([_NEW] if startable else [])]
    wanted = st.query_params.get("run", "")
    if wanted and wanted not in ids:
        st.info("The training of this link is not in this folder any more: deleted, moved or renamed.")
    now = wanted if wanted in ids else ids[0]
    if startable and st.button("New training", icon=":material/add:", disabled=now == _NEW, width="stretch"):
        _go(_NEW)
    if not known:
        quiet("No training yet.")
        return None
    picked = st.radio("Trainings", list(by_id), index=None if now == _NEW else list(by_id).index(now),
                      format_func=lambda id: by_id[id].name, captions=[_caption(one) for one in known],
                      key=f"train-list-{now}")  # fmt: skip
    if picked is not None and picked != now:
        _go(picked)
    return by_id.get(now)


def _caption(training: Training) -> str:
    state, steps = state_of(training.path), steps_of(training.path)
    method = training.method.replace("_", " ")
    return " · ".join(part for part in (_SHORT[state.kind], method, f"{steps:,} steps" if steps else "") if part)


def _go(id: str) -> None:
    st.query_params.from_dict({"run": id})
    st.rerun()
