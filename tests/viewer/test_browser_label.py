"""The Label page in a real browser, by keyboard alone: nothing counts that was not seen, nothing is lost unsaid."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import SCREEN, running
from label_folders import CLASSES, add_ranking, save, truth_of, write_cases, write_store
from playwright.sync_api import Browser, BrowserContext, Page, Response

from medudl.data.cohort import Cohort
from medudl.labels.store import LabelStore

READY = "() => window.medudlLabel?.painted && performance.now() - window.medudlLabel.painted > 380"
NOW = "() => window.medudlLabel.now?.case"
TIMES = "() => window.medudlLabel.saving.times"
SAID = "() => window.medudlLabel.panel.state.innerText"
PROBLEM = "() => window.medudlLabel.panel.problem.innerText"
COUNT = "() => window.medudlLabel.panel.count.innerText"
IDLE = "() => window.medudlLabel?.reader && !window.medudlLabel.saving.busy"
# What `medudl label STORE train` would do, in two seconds: a run, and an order by a "model".
STAND_IN = """
import sys
if "label" in sys.orig_argv and "train" in sys.orig_argv:
    sys.path[:0] = {paths!r}
    import json, os, time
    from pathlib import Path
    from label_folders import add_ranking
    from medudl.labels.store import LabelStore
    words = sys.orig_argv[sys.orig_argv.index("label"):]
    run = Path(words[words.index("-o") + 1])
    run.mkdir()
    state = dict(method="stand_in", status="running", step=5, began=dict(step=0, time=time.time()))
    (run / "run.json").write_text(json.dumps(state))
    time.sleep(2)
    (run / "run.json").write_text(json.dumps({{**state, "status": "finished", "step": 10}}))
    store = LabelStore.open(words[1])
    add_ranking(store, labels=len(store.truth()), backwards=True)
    os._exit(0)
"""


@pytest.fixture
def train_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a real training."""
    here, top = Path(__file__).parent, Path(__file__).parents[2]
    (tmp_path / "stand_in").mkdir()
    code = STAND_IN.format(paths=[str(here), str(top)])
    (tmp_path / "stand_in" / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stand_in"))


def begin(page: Page, address: str, name: str = "Anna") -> None:
    """Open the Label page of this viewer and say who reads."""
    page.goto(address)
    page.goto(re.sub(r"/\?.*", "/label", address))
    page.get_by_text("Who reads?").wait_for()
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    page.wait_for_function(READY)


def judge(page: Page, store: LabelStore) -> str:
    """Label the case on the screen as it is; returns it."""
    page.wait_for_function(READY)
    case = str(page.evaluate(NOW))
    before = len(page.evaluate(TIMES))
    page.keyboard.press("12"[truth_of(store, case) == "sick"])
    page.wait_for_function(f"() => window.medudlLabel.saving.times.length > {before}")
    return case


def test_no_crosshair_lies_over_a_film_unless_asked_for(page: Page, view: Callable[..., str], tmp_path: Path) -> None:
    shown = "() => window.medudlLabel.viewer.crosshairShown"
    for name, shape, expected in (("films", (32, 32, 1), False), ("volumes", (32, 32, 12), True)):
        cohort = Cohort.read(write_cases(tmp_path / name, 3, shape))
        LabelStore.create(tmp_path / name / "labels.sqlite", cohort, CLASSES)
        begin(page, view(tmp_path / name))
        assert page.evaluate(shown) is expected
        page.keyboard.press("x")
        assert page.evaluate(shown) is not expected


def test_from_the_first_key_to_a_new_order_without_a_click(
    page: Page, view: Callable[..., str], tmp_path: Path, train_fast: None
) -> None:
    store = write_store(tmp_path / "viewed", 9)
    begin(page, view(tmp_path / "viewed"))
    for _ in range(6):
        judge(page, store)
    page.wait_for_function(READY)
    assert page.evaluate(COUNT) == "6 labelled, 3 to go"
    page.keyboard.press("t")
    assert "Train now?" in page.evaluate(SAID)
    page.keyboard.press("Escape")
    assert page.evaluate(SAID) == "" and not (store.path.parent / "labels-model-1").exists()
    page.keyboard.press("t")
    page.keyboard.press("t")
    page.wait_for_function("() => window.medudlLabel.training.alive")
    page.wait_for_function("() => !window.medudlLabel.training.alive && window.medudlLabel.ranking")
    ranking = store.ranking()
    assert ranking is not None and page.evaluate("() => window.medudlLabel.ranking") == ranking.id
    open_case = str(page.evaluate(NOW))
    rest = [one.case for one in ranking.order if one.case not in {label.case for label in store.labels()}]
    judge(page, store)
    page.wait_for_function(READY)
    shown = str(page.evaluate(NOW))
    test = {case.id for case in store.cases() if case.test}
    assert shown in test or shown == next(case for case in rest if case != open_case), "the new order is taken up"
    assert all(label.value == truth_of(store, label.case) for label in store.labels())


def test_a_held_key_labels_one_case_and_a_double_press_no_unseen_one(
    page: Page, view: Callable[..., str], tmp_path: Path
) -> None:
    store = write_store(tmp_path / "viewed", 8)
    begin(page, view(tmp_path / "viewed"))
    for _ in range(30):
        page.keyboard.down("2")  # held: the first is a press, all others are repeats
    page.wait_for_function(READY)
    page.wait_for_timeout(300)
    assert len(store.events()) == 1
    for _ in range(5):
        page.keyboard.down("2")
    page.keyboard.up("2")
    page.wait_for_timeout(300)
    assert len(store.events()) == 1, "still held when the next case had come"
    case = page.evaluate(NOW)
    page.keyboard.press("1")
    page.keyboard.press("1", delay=20)
    page.wait_for_function(f"() => window.medudlLabel.painted && window.medudlLabel.now.case !== '{case}'")
    page.keyboard.press("1")
    page.wait_for_function(READY)
    assert [event.case for event in store.events()][1:] == [case]
    assert "Not yet" in page.evaluate(SAID)


def test_a_page_holds_its_cases_while_somebody_is_there(page: Page, view: Callable[..., str], tmp_path: Path) -> None:
    store = write_store(tmp_path / "viewed", 6)
    page.clock.install()
    begin(page, view(tmp_path / "viewed"))
    page.wait_for_function("() => window.medudlLabel.next?.next")
    held = set(store.leased())
    assert page.evaluate(NOW) in held and len(held) == 2
    for case in held:
        store.release(case, "Anna")  # as after five minutes
    with page.expect_response(lambda answer: answer.url.endswith("/hold")):
        page.clock.fast_forward(61_000)
    assert set(store.leased()) == held
    for case in held:
        store.release(case, "Anna")
    page.clock.fast_forward(1_900_000)
    page.clock.fast_forward(61_000)
    page.wait_for_timeout(500)
    assert store.leased() == {}, "the page was left"


def test_undo_history_skip_flag_and_keys_while_typing(page: Page, view: Callable[..., str], tmp_path: Path) -> None:
    store = write_store(tmp_path / "viewed", 8)
    begin(page, view(tmp_path / "viewed"), "u1 s2")  # these letters are keys, but not while a name is typed
    assert page.evaluate("() => window.medudlLabel.reader") == "u1 s2" and store.events() == []
    first = str(page.evaluate(NOW))
    page.keyboard.press("1")
    page.wait_for_function(f"() => window.medudlLabel.now?.case !== '{first}'")
    page.wait_for_function(READY)
    second = str(page.evaluate(NOW))
    page.keyboard.press("u")
    page.wait_for_function(f"() => window.medudlLabel.now?.case === '{first}'")
    page.wait_for_function(READY)
    assert store.labels() == [] and page.evaluate(SAID) == "Taken back."
    page.keyboard.press("2")
    page.wait_for_function(f"() => window.medudlLabel.now?.case === '{second}'")
    assert [(label.case, label.value) for label in store.labels()] == [(first, "sick")]
    page.wait_for_function(READY)
    page.keyboard.press("h")
    page.keyboard.press("1")
    assert len(store.labels()) == 1 and store.labels()[0].value == "sick", "the list is open, no case is meant"
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => window.medudlLabel.now?.case === '{first}'")
    page.wait_for_function(READY)
    page.keyboard.press("1")
    page.wait_for_function(f"() => window.medudlLabel.now?.case === '{second}'")
    assert [(label.value, label.why) for label in store.labels()] == [("normal", "history")]
    page.wait_for_function(READY)
    page.keyboard.press("f")
    page.keyboard.type("stu 12")
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.medudlLabel.panel.state.innerText.startsWith('Flagged')")
    assert store.flagged() == {second: ["stu 12"]} and len(store.labels()) == 1
    page.keyboard.press("s")
    page.wait_for_function(f"() => window.medudlLabel.now?.case !== '{second}'")
    assert store.events()[-1].kind == "skip"
    page.wait_for_function(READY)
    page.keyboard.press("5")
    assert page.evaluate(SAID) == "There is no class 5."
    page.keyboard.press("?")
    assert 'this case is "sick": saved at once' in page.evaluate(
        "() => window.medudlLabel.viewer.help.element.innerText"
    )
    assert "Soft" not in page.evaluate("() => window.medudlLabel.viewer.help.element.innerText")


def test_two_readers_are_blind_to_each_other_and_to_the_model(
    chromium: Browser, view: Callable[..., str], tmp_path: Path
) -> None:
    store = write_store(tmp_path / "viewed", 6)
    add_ranking(store, sure=0.8765)
    address = view(tmp_path / "viewed")
    answers: dict[str, list[tuple[str, str]]] = {"Anna": [], "Ben": []}
    with reading(chromium, address, "Anna", answers) as anna, reading(chromium, address, "Ben", answers) as ben:
        for page in (anna, ben):
            assert all("8765" not in text for kept in answers.values() for _, text in kept), "before any label"
            judge(page, store)
            page.wait_for_timeout(300)
            answers[page.evaluate("() => window.medudlLabel.reader")].clear()
        judge(anna, store)
    save(store, [case.id for case in store.cases()][0], "sick", "Cleo")
    for name, other in (("Anna", "Ben"), ("Ben", "Anna")):
        assert answers[name] or name == "Ben"
        for act, text in answers[name]:
            assert other not in text and "Cleo" not in text
            found = json.loads(text)
            assert act == "save" or "8765" not in text
            assert all(one["event"] in {e.id for e in store.events(reader=name)}
                       for one in found.get("state", found).get("history", []))  # fmt: skip


@contextmanager
def reading(chromium: Browser, address: str, name: str, answers: dict[str, list[tuple[str, str]]]) -> Iterator[Page]:
    """A reader in a browser of his own, with all that the page is answered."""
    context: BrowserContext = chromium.new_context(viewport=SCREEN)
    context.set_default_timeout(60_000)
    page = context.new_page()

    def kept(response: Response) -> None:
        if "/labels/" in response.url and response.ok:
            answers[name].append((response.url.rpartition("/")[2], response.text()))

    page.on("response", kept)
    begin(page, address, name)
    yield page
    context.close()


def test_a_label_is_never_lost_when_the_viewer_is_gone(page: Page, tmp_path: Path) -> None:
    store = write_store(tmp_path / "viewed", 6)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with running(tmp_path / "viewed", "--port", port) as address:
        begin(page, address)
        judge(page, store)
        page.wait_for_function(READY)
        case = str(page.evaluate(NOW))
    page.keyboard.press("2")
    page.wait_for_function("() => !window.medudlLabel.panel.problem.hidden")
    assert page.evaluate(PROBLEM).startswith('"sick" is NOT saved.') and len(store.labels()) == 1
    page.keyboard.press("1")
    page.wait_for_timeout(200)
    assert '"sick" is NOT saved yet' in page.evaluate(PROBLEM), "another key does not take its place"
    assert page.evaluate(NOW) == case, "the case stays"
    with running(tmp_path / "viewed", "--port", port) as address:
        other = page.context.new_page()
        other.goto(address)  # the new viewer's key opens the session for this browser
        page.bring_to_front()
        page.wait_for_function(IDLE)
        if page.evaluate("() => Boolean(window.medudlLabel.saving.pending)"):
            page.keyboard.press("2")
        page.wait_for_function("() => window.medudlLabel?.reader && !window.medudlLabel.saving.pending")
        page.wait_for_function(READY)
        mine = [(event.kind, event.value) for event in store.events(case=case)]
        assert mine == [("label", "sick")], "saved, and once"
        judge(page, store)
    assert len(store.labels()) == 3


def test_adjudication_is_asked_for_by_a_stated_key(page: Page, view: Callable[..., str], tmp_path: Path) -> None:
    store = write_store(tmp_path / "viewed", 6)
    contested = store.cases()[0].id
    for reader, value in (("Ben", "sick"), ("Cleo", "normal")):
        save(store, contested, value, reader)
    begin(page, view(tmp_path / "viewed"))
    open_case = page.evaluate(NOW)
    page.keyboard.press("j")
    assert "You will see what each reader said" in page.evaluate(SAID)
    page.keyboard.press("j")
    page.wait_for_function("() => window.medudlLabel.mode === 'adjudicating' && window.medudlLabel.now.said")
    assert page.evaluate(SAID) == "", "the question has been answered"
    assert page.evaluate("() => window.medudlLabel.panel.said.innerText").split() == ["Ben", "sick", "Cleo", "normal"]
    page.wait_for_function(READY)
    page.keyboard.press("1")
    page.wait_for_function("() => window.medudlLabel.mode === 'reading'")
    page.wait_for_function(f"() => window.medudlLabel.now?.case === '{open_case}'")
    assert store.truth()[contested] == "normal" and store.labels(reader="Anna") == []


@pytest.mark.proof
def test_fifty_labels_then_a_model_by_keyboard_alone(
    page: Page, view: Callable[..., str], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """50 labels, Train now with a real training, and its order, without a click or a terminal."""
    store = write_store(tmp_path / "viewed", 70)
    (tmp_path / "viewed" / "label.yaml").write_text(TINY)
    begin(page, view(tmp_path / "viewed"))
    for _ in range(50):
        judge(page, store)
    page.wait_for_function(READY)
    times = page.evaluate(TIMES)
    for name in ("saved", "painted"):
        found = np.array([one[name] for one in times if one[name] is not None])
        told = f"key to {name}: p50 {np.median(found):.0f} ms, p95 {np.percentile(found, 95):.0f} ms, n = {len(found)}"
        print(told, file=sys.stderr)
        record_property(name, told)
    assert len(store.labels()) == 50 and len({label.case for label in store.labels()}) == 50
    page.keyboard.press("t")
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.medudlLabel.training.alive")
    page.wait_for_function("() => window.medudlLabel.ranking", timeout=100_000)
    ranking = store.ranking()
    assert ranking is not None and len(ranking.order) > 0
    judge(page, store)
    judge(page, store)
    assert {label.why for label in store.labels()[-2:]} <= {"cold_start", "test", "uncertain", "diverse"}


TINY = """
method: {name: semi_supervised_gan, latent: 8, width: 8}
data:
  where: {contrast: T1}
  plane: axial
  size: [16, 16]
  spacing: [null, 3, 3]
  healthy_labels: []
train: {steps: 30, batch_size: 8, device: cpu, workers: 0, validate_every: 10, checkpoint_every: 30, sample_every: 30}
"""
