"""The study `label_queue` at a tiny size, on codes that are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from studies import label_queue_after, label_queue_copies
from studies.label_queue import ASKED, ORDERS, QUESTIONS, STEP, Films, predictions


@pytest.fixture(scope="module")
def drawn() -> Films:
    """90 films of 45 patients, the class in the first two numbers of the code; every third patient is of the test."""
    random = np.random.default_rng(0)
    kind = random.integers(0, 3, 90)
    code = random.normal(size=(90, 6))
    code[:, :2] += 3 * np.array([[0, 0], [1, 0], [0, 1]])[kind]
    subject = [f"p{at // 2}" for at in range(90)]
    return Films(code, [("NORMAL", "BACTERIA", "VIRUS")[k] for k in kind], subject, np.arange(90) // 2 % 3 > 0)


def test_all_orders_begin_with_the_same_patients_and_label_nothing_twice(drawn: Films) -> None:
    question = QUESTIONS["three classes"]
    found = {order: predictions(drawn, question, pick, 3, 40) for order, pick in ORDERS.items()}
    assert all(made.shape == (4, 30) for made in found.values())
    assert all((made[0] == found["random"][0]).all() for made in found.values())
    again = predictions(drawn, question, ORDERS["queue"], 3, 40)
    assert (again == found["queue"]).all() and (found["queue"] != found["random"]).any()


def test_orders_pick_ten_of_what_is_left(drawn: Films) -> None:
    left = np.flatnonzero(drawn.pool).tolist()
    chance = np.random.default_rng(1).dirichlet([1, 1, 1], 90)
    for pick in ORDERS.values():
        picked = pick(drawn, left[5:], left[:5], chance, 0)
        assert len(set(picked)) == STEP and set(picked) <= set(left[5:])
    with pytest.raises(ValueError, match="random test set"):
        ORDERS["queue"](drawn, list(range(90)), left[:5], chance, 0)


def test_the_table_tells_of_met_and_missed(drawn: Films) -> None:
    results = [
        {
            "question": name, "order": order, "seed": seed,
            "predicted": predictions(drawn, question, pick, seed, 30).tolist(),
        }
        for name, question in QUESTIONS.items() for order, pick in ORDERS.items() for seed in (0, 1)
    ]  # fmt: skip
    told = ASKED.table(results, drawn)
    assert "two classes: 30 test images of 15 patients, 2 seeds; error after n labels" in told
    assert told.count("goal (interval below 0)") == 2 and "queue - random, mean over n: " in told
    # The same order twice: no difference, and that is no gain
    same = [{**one, "order": order} for one in results if one["order"] == "random" for order in ORDERS]
    assert "queue - random, mean over n: +0.0000 (+0.0000 to +0.0000)" in ASKED.table(same, drawn)
    assert "missed" in ASKED.table(same, drawn) and "met" not in ASKED.table(same, drawn)


@pytest.mark.parametrize(("study", "judged"), [(label_queue_after, "near"), (label_queue_copies, "copies")])
def test_the_studies_after_it_judge_a_shorter_reach(drawn: Films, study: Any, judged: str) -> None:
    films = Films(drawn.code, [str(at % 10) for at in range(90)], drawn.subject, drawn.pool)
    results = [{**study.ASKED.work(job, films, 30), **job} for job in study.ASKED.jobs() if job["seed"] < 2]
    told = study.ASKED.table(results, films)
    assert f"{judged} - random, mean over n: " in told and told.count("goal (interval below 0)") == 2
    chance = np.random.default_rng(1).dirichlet([1, 1, 1], 90)
    pool = np.flatnonzero(films.pool).tolist()
    shorter, shipped = (study.ORDERS[name](films, pool[5:], pool[:5], chance, 0) for name in (judged, "queue"))
    assert shorter != shipped
