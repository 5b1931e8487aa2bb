"""What the points of a map can be coloured by, and where they lie: the JSON that the browser draws from."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.viewer.explore_folder import Embedding
from apps.viewer.words import split_word

_CATEGORIES = {
    "label": "Label", "contrast": "Contrast", "modality": "Modality", "scanner": "Scanner",
    "split": "Used for", "cluster": "Group found by the computer",
}  # fmt: skip
_NUMBERS = {
    "score": "How unusual (map)", "uncertainty": "Uncertainty of the model", "position_mm": "Position (mm)",
    "slice": "Slice number",
}  # fmt: skip
_SCORES = {
    "latent_distance": "How unusual (distance)", "elbo": "How unusual (likelihood)",
    "free_energy": "How unusual (energy)", "kl": "How far from the average code",
}  # fmt: skip
_PROJECTIONS = {"pca": "Flat view (PCA)", "umap": "Neighbours (UMAP)", "tsne": "Neighbours (t-SNE)"}
_MOST_NAMES = 12  # further values of a column are "other": no eye tells more colours apart


def table_of(embedding: Embedding) -> dict[str, Any]:
    """Everything that the scatter needs: projections, columns, sizes. No name of a patient, no path."""
    return {
        "key": embedding.key,
        "n": embedding.n,
        "picture": list(embedding.pictures.shape[1:]) if embedding.pictures else None,
        "aspect": _aspect(embedding),
        "expected": embedding.expected is not None,
        "projections": [_projection(embedding, name) for name in embedding.projections],
        "columns": _telling([*_categories(embedding), *_numbers(embedding)]),
        "walk": {"order": embedding.order, "sample": "sample" in embedding.verbs, "active": _active(embedding)},
    }


def plain(text: str) -> str:
    """A whole number as a person writes it: a column with gaps is written as 3.0 by some."""
    return text.removesuffix(".0")


def _aspect(embedding: Embedding) -> float:
    """Height of a picture's pixel over its width."""
    told = embedding.meta.get("picture_aspect")
    return float(told) if isinstance(told, (int, float)) and 0.02 < told < 50 else 1.0


def _active(embedding: Embedding) -> int | None:
    told = embedding.meta.get("active_units")
    return told if isinstance(told, int) and not isinstance(told, bool) else None


def _projection(embedding: Embedding, name: str) -> dict[str, Any]:
    share = embedding.meta.get("pca_explained")
    trust = embedding.meta.get("trustworthiness")
    note = ""
    if name == "pca" and isinstance(share, list) and all(isinstance(v, (int, float)) for v in share):
        note = f"This flat view keeps {sum(share):.0%} of the differences between cases."
    if isinstance(trust, dict) and isinstance(trust.get(name), (int, float)):
        note += f" Of neighbours on this picture, {trust[name]:.0%} are trustworthy."
    return {"name": name, "title": _PROJECTIONS[name], "note": note.strip(),
            "x": _rounded(embedding.numbers(f"{name}_1")), "y": _rounded(embedding.numbers(f"{name}_2"))}  # fmt: skip


def _categories(embedding: Embedding) -> list[dict[str, Any]]:
    found = []
    for name, title in _CATEGORIES.items():
        texts = [plain(text) if name == "cluster" else text for text in embedding.table.get(name, [])]
        counts = Counter(text for text in texts if text)
        if not counts:
            continue
        names = [text for text, _ in counts.most_common(_MOST_NAMES)]
        names = sorted(names, key=_by_number) if name == "cluster" else names
        number = {text: place for place, text in enumerate(names)}
        other = len(names) if len(counts) > len(names) else -1
        values = [number.get(text, other) if text else -1 for text in texts]
        shown = [_word(name, text) for text in names] + (["other"] if other >= 0 else [])
        found.append({"name": name, "title": title, "kind": "category", "names": shown, "values": values})
    copies = embedding.table.get("duplicate", [])
    if any(copies):
        found.append({"name": "duplicate", "title": "Near copies", "kind": "category", "names": ["has a near copy"],
                      "values": [0 if text else -1 for text in copies]})  # fmt: skip
    return found


def _numbers(embedding: Embedding) -> list[dict[str, Any]]:
    found = []
    own = [name for name in _SCORES if name in embedding.table]
    for name in [*_NUMBERS, *own]:
        values = embedding.numbers(name)
        if np.isfinite(values).any():
            found.append({"name": name, "title": {**_NUMBERS, **_SCORES}[name], "kind": "number",
                          "values": _rounded(values)})  # fmt: skip
    return found


def _telling(columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Columns that tell cases apart first: the first one is what points are coloured by until the reader says so."""
    return sorted(columns, key=lambda column: len(column.get("names", "ab")) < 2)


def _word(column: str, text: str) -> str:
    return split_word(text) if column == "split" else f"group {text}" if column == "cluster" else text


def _by_number(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdigit() else (1 << 30, text)


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    """Six digits are more than a screen shows; None where there is no number."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]
