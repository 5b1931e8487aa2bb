"""What a model thinks of the cases that nobody has labelled: opinions, and the order in which to label them."""

from __future__ import annotations

import os
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medudl.config import nearest
from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort
from medudl.data.seen import patients_seen
from medudl.errors import UserError
from medudl.labelling.measure import measure
from medudl.labelling.prepare import FILE
from medudl.labels.advice import advice
from medudl.labels.cases import case_id
from medudl.labels.events import Picked, Ranking
from medudl.labels.queue import rank
from medudl.labels.stopping import change
from medudl.labels.store import LabelStore
from medudl.metrics.classification import scan_log_probability
from medudl.run import Run
from medudl.tasks.classify import Classification
from medudl.tasks.detector import shown
from medudl.tasks.outputs import without_paths

__all__ = ["rank_pool", "ranked"]

MOST = 1000  # picks of one ranking; by then the model is an old one
Array = NDArray[np.float64]


def ranked(
    store: LabelStore, run: Run, cohort: Cohort, *, device: str = "auto", progress: bool = True
) -> tuple[Ranking, list[str]]:  # fmt: skip
    """Rank the pool by a run that `train` made, and write RUN/labels.json. Returns also what to say of it."""
    ranking, notes = rank_pool(store, run, cohort, device=device, progress=progress)
    rows = run.cohort()
    known = {case_id(one, store.unit): one for one in rows.series() if one.label and one.split in ("train", "val")}
    measured = measure(store, ranking.opinions)
    said = {
        "store": store.id, "ranking": ranking.id, "labels": ranking.labels, "classes": list(store.classes),
        "patients": len({one.subject for one in known.values()}), "changed": ranking.changed, "test": measured.tree(),
    }  # fmt: skip
    run.write_json(FILE, {**said, "text": measured.text()})
    told = f"Trained on {ranking.labels} labels of {said['patients']} patients: {run.path}"
    return ranking, [*notes, told, measured.text(), *advice(store)]


def rank_pool(
    store: LabelStore, run: Run, cohort: Cohort, *, device: str = "auto", progress: bool = True
) -> tuple[Ranking, list[str]]:  # fmt: skip
    """What the run thinks of the unlabelled cases, put into the store. Returns it, and sentences on what was left out.

    Opinions are of the cases without a label and of the test cases, save those of patients the run has learnt from; the
    order is of the former alone. Raises UserError: the run does not classify, or knows other classes than the store.
    """
    model = Classification(run, device)
    if unknown := [name for name in model.classes if name not in store.classes]:
        raise UserError(f"{run.path}: knows a class {unknown[0]}; {nearest(unknown[0], store.classes, 'the store:')}")
    cases = {case.id: case for case in store.cases()}
    read = {label.case for label in store.labels()}
    tested = {case.subject for case in cases.values() if case.test}
    told = _seen(run, cohort, tested)
    pool = [id for id, case in cases.items() if not case.test and id not in read]
    wanted = {id for id in pool} | {id for id, case in cases.items() if case.test and case.subject not in told}
    looked = _look(model, store, cohort, wanted, [id for id in read if not cases[id].test], progress)
    flagged = store.flagged()
    ids = [id for id in pool if id in looked.chance and id not in flagged]
    opinions = {id: _named(model.classes, looked.chance[id]) for id in sorted(wanted & looked.chance.keys())}
    ranking = Ranking(
        uuid.uuid4().hex, datetime.now(UTC).isoformat(timespec="seconds"), _name_of(run, store),
        _known_labels(store, run), _order(store, model.classes, ids, looked),
        opinions, _changed(store, opinions),
    )  # fmt: skip
    store.add_ranking(ranking)
    seen = [f"{len(told)} test patients are passed over: {run.path} was trained on images of theirs"] if told else []
    return ranking, [*seen, *looked.notes]


def _seen(run: Run, cohort: Cohort, tested: set[str]) -> set[str]:
    """The test patients of whom the run, or the one it began from, has learnt images."""
    found = patients_seen(run.cohort(), cohort, tested)
    init = run.config.init
    if init is not None and (Path(init) / "run.json").is_file():
        found |= _seen(Run.open(init), cohort, tested)
    return found


def _known_labels(store: LabelStore, run: Run) -> int:
    """Cases of the store with whose labels the run learnt or chose its weights."""
    ids = {case.id for case in store.cases()}
    rows = run.cohort().series()
    return len({case_id(one, store.unit) for one in rows if one.label and one.split in ("train", "val")} & ids)


@dataclass
class _Looked:
    """chance, code: by case of the store, means over its scans. notes: what was left out, and why."""

    chance: dict[str, Array] = field(default_factory=dict)
    code: dict[str, Array] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _look(
    model: Classification, store: LabelStore, cohort: Cohort, wanted: set[str], known: Iterable[str], progress: bool
) -> _Looked:
    """Calibrated probabilities of `wanted`; codes of these and of the `known` ones, where the method has any."""
    from medudl.tasks.logits import item_codes  # torch: bad input is answered before it is loaded

    temperature, encodes = model.temperature(), "encode" in model.method.verbs()
    chances: dict[str, list[Array]] = defaultdict(list)
    codes: dict[str, list[Array]] = defaultdict(list)
    looked, both = _Looked(), wanted | (set(known) if encodes else set())
    parts = [(case, ids) for case in cases_of(cohort, model.data)[0] if (ids := _owners(case, store) & both)]
    at = {case.id: ids for case, ids in parts}
    for case in shown([case for case, _ in parts], "looking at the cases", progress):
        try:
            prepared = model.prepared(cohort, case)
            chance = np.exp(scan_log_probability(model.logits(cohort, case), temperature))
            code = item_codes(model.method, prepared, model.data).mean(0) if encodes else None
        except UserError as error:
            looked.notes.append(without_paths(f"left out: {error}", cohort, case.present))
            continue
        for id in at[case.id]:
            if id in wanted:
                chances[id].append(chance)
            if code is not None:
                codes[id].append(code)
    looked.chance = {id: np.mean(each, axis=0) for id, each in chances.items()}
    looked.code = {id: np.mean(each, axis=0) for id, each in codes.items()}
    return looked


def _owners(case: Case, store: LabelStore) -> set[str]:
    return {case_id(series, store.unit) for series in case.present}


def _order(store: LabelStore, classes: Sequence[str], ids: Sequence[str], looked: _Looked) -> list[Picked]:
    if not ids:
        return []
    chance = np.array([looked.chance[id] for id in ids])
    codes = np.array([looked.code[id] for id in ids]) if all(id in looked.code for id in ids) else None
    tested = [case.id for case in store.cases() if case.test]
    known = [code for id, code in looked.code.items() if id not in {*looked.chance, *tested}]
    others = np.array(known) if codes is not None and known else None
    return rank(ids, chance, codes, others, n=MOST, seed=store.seed, classes=classes, test=tested)


def _named(classes: Sequence[str], chance: Array) -> dict[str, float]:
    return {name: round(float(p), 6) for name, p in zip(classes, chance, strict=True)}


def _changed(store: LabelStore, opinions: Mapping[str, Mapping[str, float]]) -> float | None:
    """Share of the pool's predictions that differ from the ranking before; None where nothing can be compared."""
    before = store.ranking()
    if before is None:
        return None
    pool = [case.id for case in store.cases() if not case.test]
    share = change(before.opinions, opinions, pool, 0).share
    return share.value if share.n else None


def _name_of(run: Run, store: LabelStore) -> str:
    """The run's folder, relative to that of the store."""
    return Path(os.path.relpath(run.path.resolve(), store.path.resolve().parent)).as_posix()
