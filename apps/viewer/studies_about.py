"""What is known of a series, in a reader's words."""

from __future__ import annotations

import streamlit as st

from apps.viewer.catalogue import CohortFile
from apps.viewer.words import Names, field_of_view, size, spacing, split_word
from medudl.data.cohort import Series

_SIDE = {"L": "left", "R": "right", "A": "anterior", "P": "posterior", "S": "superior", "I": "inferior"}


def about(file: CohortFile, row: Series, names: Names) -> None:
    """What is known of a series, without the patient's identity unless the viewer was told to show it."""
    facts = {
        "Patient": names.subject(row), "Study": names.study(row), "Modality": row.modality, "Contrast": row.contrast,
        "Contrast named by": str(file.cohort.meta.get("contrast_rules", {}).get(row.series, "")),
        "Voxels": size(row), "Voxel size": _mm(spacing(row)),
        "Field of view": _mm(field_of_view(row)),
        "Axes point to": ", ".join(_SIDE.get(letter, letter) for letter in row.orientation),
        "Format": row.format.upper() if row.format == "dicom" else row.format, "Scanner": row.scanner,
        "Age": row.age, "Sex": row.sex, "Label": row.label, "Split": split_word(row.split),
        "Lesion mask": "yes" if row.mask else "no", "File": "" if names.private else row.path,
    }  # fmt: skip
    st.table({name: value for name, value in facts.items() if value}, border="horizontal")
    for told in names.problems(row):
        st.warning(told, icon=":material/warning:")
    st.caption("Names, dates and accession numbers of DICOM files are never read.")


def _mm(text: str) -> str:
    return f"{text} mm" if text else ""
