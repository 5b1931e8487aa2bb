"""Who stands behind a point: the patient as the screen may name him, facts, the scan's address, its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from apps.viewer.anomalies import tables_of_run
from apps.viewer.catalogue import Catalogue, CohortFile
from apps.viewer.explore_folder import Embedding
from apps.viewer.links import study_id
from apps.viewer.words import Names, split_word
from medudl.data.cohort import Series

_BARS = 8  # directions whose uncertainty is drawn
_FACTS = (("modality", "Modality"), ("contrast", "Contrast"), ("label", "Label"), ("scanner", "Scanner"),
          ("split", "Used for"), ("slice", "Slice"), ("cluster", "Group"), ("score", "How unusual"))  # fmt: skip


class Faces:
    """The cases of one map. The tables of the folder are looked through at the first question."""

    def __init__(self, catalogue: Catalogue, run: Any, private: bool) -> None:
        """run: the folder of the run that made the map, None where it is not at hand."""
        self._catalogue, self._run, self._private = catalogue, run, private
        self._rows: dict[tuple[str, str], tuple[CohortFile, Series]] | None = None
        self._names: dict[str, Names] = {}
        self._numbers: dict[str, dict[str, int]] = {}

    def case(self, embedding: Embedding, row: int) -> dict[str, Any]:
        """All that is told of one point, as JSON."""
        return {
            "row": row,
            "patient": self.patient(embedding, row),
            "facts": [[title, _fact(name, text)] for name, title in _FACTS if (text := _cell(embedding, name, row))],
            "link": self.link(embedding, row),
            "neighbours": _neighbours(embedding, row),
            "copies": copies_of(embedding, row),
            "uncertainty": uncertainty_of(embedding, row),
        }

    def patient(self, embedding: Embedding, row: int) -> str:
        """The name on the screen; a number where only a table could say whether it is a person's name."""
        subject = _cell(embedding, "subject", row)
        found = self._find(embedding, row)
        if found is not None:
            file, series = found
            if file.id not in self._names:
                self._names[file.id] = Names(file.cohort, self._private)
            return self._names[file.id].subject(series)
        if not self._private:
            return subject or "unknown"
        if embedding.key not in self._numbers:
            subjects = dict.fromkeys(embedding.table.get("subject", []))
            self._numbers = {embedding.key: {name: place for place, name in enumerate(subjects, start=1)}}
        return f"patient {self._numbers[embedding.key].get(subject, '?')}"

    def link(self, embedding: Embedding, row: int) -> str:
        """The address of the scan on the Studies page, "" where it lies in no table that is shown."""
        found = self._find(embedding, row)
        if found is None or not self._catalogue.shows(found[0]):
            return ""
        file, series = found
        return f"?study={study_id(file, series)}&series={self._catalogue.id_of_series(file, series)}"

    def _find(self, embedding: Embedding, row: int) -> tuple[CohortFile, Series] | None:
        if self._rows is None:
            rows: dict[tuple[str, str], tuple[CohortFile, Series]] = {}
            # The folder's own tables win over the copy that a run keeps.
            for file in (*tables_of_run(self._catalogue, self._run), *reversed(self._catalogue.cohorts())):
                rows.update({(each.subject, each.series): (file, each) for each in file.cohort.series()})
            self._rows = rows
        return self._rows.get((_cell(embedding, "subject", row), _cell(embedding, "series", row)))


def copies_of(embedding: Embedding, row: int) -> list[int]:
    """The other rows of a row's group of near copies."""
    groups = embedding.table.get("duplicate", [])
    return (
        []
        if not groups or not groups[row]
        else [n for n, group in enumerate(groups) if group == groups[row] != "" and n != row]
    )


def uncertainty_of(embedding: Embedding, row: int) -> dict[str, Any] | None:
    """How sure the model is of where a case lies: a sentence, and a bar for each of the most useful directions.

    A bar is the standard deviation of the case's code against that of all cases: 1 means the model knows nothing.
    """
    if embedding.uncertainty is None:
        return None
    own = embedding.uncertainty.take([row])[0]
    order = embedding.order[:_BARS]
    bars = [float(min(own[d] / embedding.sigma[d], 2.0)) if embedding.sigma[d] > 0 else 1.0 for d in order]
    every = embedding.numbers("uncertainty")
    here = every[row]
    known = every[np.isfinite(every)]
    rank = f" It is less sure of it than of {np.mean(known < here):.0%} of all cases." if np.isfinite(here) else ""
    level = next(word for limit, word in _LEVELS if np.median(bars) <= limit)
    return {"sentence": f"The model is {level} where this case belongs.{rank}", "bars": bars}


_LEVELS = ((0.25, "sure"), (0.6, "fairly sure"), (float("inf"), "unsure"))


def _neighbours(embedding: Embedding, row: int) -> dict[str, list[Any]]:
    if embedding.neighbours is None:
        return {"rows": [], "far": []}
    rows = [int(n) for n in embedding.neighbours[row] if n >= 0]
    far: list[float] = []
    if embedding.distances is not None and embedding.distances.shape == embedding.neighbours.shape:
        far = [float(f"{value:.3g}") for value in embedding.distances[row][: len(rows)]]
    return {"rows": rows, "far": far}


def _cell(embedding: Embedding, column: str, row: int) -> str:
    return embedding.table[column][row] if column in embedding.table else ""


def _fact(name: str, text: str) -> str:
    made: Callable[[str], str] = _WORDS.get(name, str)
    return made(text)


def _figure(text: str) -> str:
    try:
        return f"{float(text):.3g}"
    except ValueError:
        return text


_WORDS: dict[str, Callable[[str], str]] = {"split": split_word, "score": _figure, "slice": _figure}
