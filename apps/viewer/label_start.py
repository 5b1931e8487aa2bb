"""Making a label store: which scans, which classes, one label a series or a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import streamlit as st

from apps.viewer.catalogue import CohortFile
from apps.viewer.label_find import free_place
from apps.viewer.label_routes import told
from apps.viewer.theme import quiet
from apps.viewer.words import count, sentence
from medudl.errors import UserError
from medudl.labels.cases import group_rows, natural_unit
from medudl.labels.create import class_names
from medudl.labels.store import LabelStore

Unit = Literal["series", "study"]
_UNITS: dict[Unit, str] = {"series": "each series", "study": "each study, all its series side by side"}


def start_form(files: Sequence[CohortFile]) -> bool:
    """Draw the form; True where a store has just been made."""
    _, middle, _ = st.columns([1, 2.2, 1])
    with middle:
        st.subheader("Label scans")
        quiet("One key a case, each label on the disk at once; then a model is trained on them, and says which cases"
              " are worth a label next.")  # fmt: skip
        file = st.selectbox("Scans", files, format_func=lambda one: one.name, key="label-cohort")
        with st.form("label-start", border=False):
            words = st.text_input("Classes, in the order of their keys", placeholder="normal, sick",
                                  help="2 to 9 names, parted by commas. The first one is key 1. One with a comma in it"
                                  " stands in double quotes.", key="label-classes")  # fmt: skip
            usual = natural_unit(file.rows)
            unit = st.radio("A label is for", list(_UNITS), index=list(_UNITS).index(usual),
                            format_func=lambda one: f"{_UNITS[one]} ({_cases(file, one)})",
                            key=f"label-unit-{file.id}")  # fmt: skip
            share = _share(file)
            pressed = st.form_submit_button("Begin", type="primary", icon=":material/label:")
        place = free_place(file)
        quiet(f"It writes {place.name} beside the table; the scans and the table stay as they are.")
        return bool(pressed) and _make(place, file, words, unit, share)


def _cases(file: CohortFile, unit: str) -> str:
    return count(len(group_rows(file.rows, unit)), "case")


def _share(file: CohortFile) -> float:
    """The share of patients for the test set, where the table does not draw the line itself."""
    if any(row.split for row in file.rows):
        quiet("The test set is the table's own: patients whose part is test.")
        return 0.2
    return st.slider("Patients kept for the test, drawn at random", 0, 50, 20, 5, format="%d %%", key="label-share",
                     help="Their cases come in between and are labelled too, but no model learns from them: only they"
                     " tell how good it is.") / 100  # fmt: skip


def _make(place: Path, file: CohortFile, words: str, unit: Unit, share: float) -> bool:
    classes = [name for name in class_names(words) if name]
    if len(classes) < 2:
        st.error("Name at least 2 classes, parted by commas: normal, sick.")
        return False
    try:
        LabelStore.create(place, file.cohort, classes, unit=unit, test_share=share)
    except UserError as error:
        st.error(told(error))
        return False
    except OSError as error:
        st.error(sentence(f"It could not be written ({error.strerror})"))
        return False
    return True
