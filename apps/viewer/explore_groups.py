"""Groups that the computer found, against what is known of the cases; and pictures that are there more than once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import streamlit as st

from apps.viewer.explore_columns import plain
from apps.viewer.explore_desk import Shown
from apps.viewer.explore_folder import Embedding
from apps.viewer.theme import quiet
from apps.viewer.words import count, sentence

_AGAINST = {"label": "Label", "modality": "Modality", "contrast": "Contrast", "scanner": "Scanner", "split": "Used for"}
_BASELINES = {"pixels": "from the raw pixels", "pixel_pca": "from a plain PCA of the pixels"}
_STYLE = """<style>.plain { border-collapse: collapse; font-size: .88rem; }
.plain td, .plain th { padding: .15rem .8rem .15rem 0; text-align: right; border-bottom: 1px solid #232a32; }
.plain td:first-child, .plain th:first-child { text-align: left; } .plain th { color: #9aa4b0; font-weight: 500; }
</style>"""
_MOST_COPIES = 50  # sets that are listed


def groups(shown: Shown, embedding: Embedding) -> None:
    """Draw the view."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        _clusters(embedding)
    with right:
        _copies(shown, embedding)


def _clusters(embedding: Embedding) -> None:
    st.subheader("Groups found without labels")
    told = embedding.meta.get("clusters")
    if "cluster" not in embedding.table or not isinstance(told, dict):
        st.write("No groups were looked for in these cases.")
        return
    rule = told.get("rule")
    st.write(f"The computer sorted the cases into {told.get('k', 'some')} groups by how alike they are to the model.")
    if isinstance(rule, str) and rule:
        quiet(sentence(rule))
    known = [name for name in _AGAINST if len({text for text in embedding.table.get(name, []) if text}) > 1]
    if not known:
        st.write("No label, modality or scanner that differs between cases is known, to compare the groups with.")
        return
    chosen = st.selectbox("Compare the groups with", known, format_func=lambda name: _AGAINST[name])
    _table(crossed(embedding, chosen))
    for line in agreement(told, chosen):
        st.write(line)


def _table(frame: pd.DataFrame) -> None:
    """A plain table: Streamlit's own would be fetched by the browser first."""
    st.html(_STYLE + frame.to_html(index=False, border=0, classes="plain", escape=True))


def crossed(embedding: Embedding, column: str) -> pd.DataFrame:
    """Cases by group and value of a column; one row a group."""
    groups_, values = map(plain, embedding.table["cluster"]), embedding.table[column]
    counts = Counter((group, value or "not known") for group, value in zip(groups_, values, strict=True))
    rows = sorted(
        {group for group, _ in counts}, key=lambda text: (not text.isdigit(), int(text) if text.isdigit() else 0)
    )
    names = [name for name, _ in Counter(value or "not known" for value in values).most_common()]
    return pd.DataFrame([{"Group": group or "none", **{name: counts[group, name] for name in names}} for group in rows])


def agreement(told: dict[str, Any], column: str) -> list[str]:
    """How well groups and a column agree, beside what pixels alone reach, in words."""
    against = told.get("against")
    found = against.get(column) if isinstance(against, dict) else None
    index = _number(found, "adjusted_rand")
    if index is None:
        return ["How well they agree was not measured."]
    low, high = _number(found, "low"), _number(found, "high")
    span = f", 95 % interval {low:.2f} to {high:.2f}" if low is not None and high is not None else ", no interval"
    n = _number(found, "n")
    cases = f" ({count(int(n), 'patient')})" if n is not None else ""
    lines = [f"**Agreement {index:.2f}**{span}{cases}, by the adjusted Rand index: 1 is a perfect match, 0 is"
             f" what chance gives. {_verdict(index, low)}"]  # fmt: skip
    baselines = told.get("baselines")
    for name, words in _BASELINES.items():
        base = baselines.get(name) if isinstance(baselines, dict) else None
        value = _number(base.get(column) if isinstance(base, dict) else None, "adjusted_rand")
        if value is None and isinstance(base, dict):
            value = _number(base, column)
        if value is not None:
            lines.append(f"Groups made {words} reach {value:.2f}.{_beside(value, low, high)}")
    return lines


def _verdict(index: float, low: float | None) -> str:
    if low is not None and low <= 0:
        return "That is not clearly more than chance."
    return "The groups follow it closely." if index > 0.6 else "The groups follow it in part." if index > 0.2 else (
        "The groups have little to do with it.")  # fmt: skip


def _beside(value: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return " The model adds to that." if value < low else " The model does worse than that." if value > high else (
        " The model is not clearly better or worse.")  # fmt: skip


def _copies(shown: Shown, embedding: Embedding) -> None:
    st.subheader("Near copies")
    found = copies(embedding)
    told = embedding.meta.get("duplicates")
    rule = told.get("rule") if isinstance(told, dict) else embedding.meta.get("duplicates_rule")
    if isinstance(rule, str) and rule:
        quiet(sentence(rule))
    if not found:
        st.write("None was found: no picture of this map is there twice.")
        return
    st.write(f"{len(found):,} pictures are there more than once. Copies of one patient in training and in test scans"
             " would flatter every result.")  # fmt: skip
    rows = []
    for group, members in list(found.items())[:_MOST_COPIES]:
        patients = dict.fromkeys(shown.faces.patient(embedding, row) for row in members)
        splits = dict.fromkeys(embedding.table["split"][row] for row in members) if "split" in embedding.table else {}
        rows.append({"Set": group, "Pictures": len(members), "Numbers": ", ".join(str(row + 1) for row in members[:8]),
                     "Patients": ", ".join(patients), "Used for": ", ".join(filter(None, splits)),
                     "Across": "yes" if len(list(filter(None, splits))) > 1 else ""})  # fmt: skip
    _table(pd.DataFrame(rows))


def copies(embedding: Embedding) -> dict[str, list[int]]:
    """Rows by group of near copies, the largest first."""
    found: dict[str, list[int]] = {}
    for row, group in enumerate(embedding.table.get("duplicate", [])):
        if group:
            found.setdefault(plain(group), []).append(row)
    return dict(sorted(found.items(), key=lambda pair: -len(pair[1])))


def _number(tree: Any, name: str) -> float | None:
    value = tree.get(name) if isinstance(tree, dict) else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value else None
