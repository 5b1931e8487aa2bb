"""The Samples page in a real browser: the gallery, the reader test by keyboard to its end, the course, walk and sum.

With MEDUDL_SCREENSHOTS=folder its pictures go there, else to a temporary folder.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Response
from samples_folders import LATENT, write_course, write_report, write_samples
from tiny_run import make_cohort, make_run

from medudl.config import validate_config
from medudl.networks.feature_files import PixelFeatures

SIDE = 64
VAE = {"method": {"name": "variational_autoencoder", "latent": LATENT, "network": "linear"},
       "data": {"size": [SIDE, SIDE]}}  # fmt: skip
GREY = """(canvas) => [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]
  .filter((_, n) => n % 4 === 0).join()"""
IDLE = "(n) => window.medudlReading.place === n && !window.medudlReading.busy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browser-samples") / "viewed"
    cohort = make_cohort(place / "scans", train=4, val=1, healthy=0, sick=0)
    make_run(place / "run", cohort, validate_config(VAE, "tiny"), (1, SIDE, SIDE))
    write_course(place / "run", side=SIDE)
    write_samples(place / "samples", n=40, side=SIDE, held_out=30)
    about = json.loads((place / "samples" / "samples.json").read_text())
    about |= {"features": PixelFeatures().name, "compared_with": {"training": {"images": 24, "patients": 12}}}
    (place / "samples" / "samples.json").write_text(json.dumps(about))
    write_report(place / "samples" / "report")
    return place


@pytest.fixture
def opened(folder: Path, page: Page, view: Callable[..., str]) -> Callable[[str], Page]:
    """opened(part) -> the page, at that part of it."""
    address = view(folder)
    page.goto(address)

    def go(part: str) -> Page:
        page.goto(address.split("?")[0] + f"samples?view={part}")
        return page

    return go


@pytest.fixture
def picture(page: Page, tmp_path: Path) -> Callable[[str], None]:
    place = Path(os.environ.get("MEDUDL_SCREENSHOTS", tmp_path))

    def save(name: str) -> None:
        page.wait_for_timeout(600)
        assert "Traceback" not in page.content()
        page.screenshot(path=place / f"viewer-samples-{name}.png")

    return save


def test_the_gallery_shows_risk_first_and_real_images_on_demand(opened, folder, picture):
    page = opened("gallery")
    page.wait_for_function("() => window.medudlSamples?.drawn?.length === 40")
    assert page.evaluate("() => window.medudlSamples.drawn.slice(0, 2)") == [0, 1], "the copy and the close one"
    assert page.locator(".sample canvas.real").count() == 0 and page.locator(".warning").first.is_hidden()
    picture("gallery")
    page.get_by_label("Show the nearest real image").check()
    page.wait_for_function("() => document.querySelectorAll('.sample').length === 0 || true")
    page.locator(".sample canvas.real").first.wait_for()
    page.get_by_text("real patients' images").first.wait_for()
    assert page.locator(".sample canvas.made").first.evaluate(GREY) == page.locator(
        ".sample canvas.real"
    ).first.evaluate(GREY)
    picture("nearest")
    page.get_by_role("button", name="■ Possible copy 1").click()
    page.wait_for_function("() => window.medudlSamples.drawn.length === 1")
    page.get_by_role("button", name="All 40").click()
    page.wait_for_function("() => window.medudlSamples.drawn.length === 40")
    page.locator(".sample").first.click()
    page.wait_for_function("() => window.medudlSamples.opened.shown === 0")
    words = page.locator(".opened").inner_text()
    assert "■ Possible copy" in words and "95 % of held-out patients' images" in words and "Miller" not in words
    picture("copy")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => window.medudlSamples.opened.shown === 1")
    assert "▲ Close" in page.locator(".opened").inner_text()
    page.keyboard.press("Escape")
    page.locator(".opened").wait_for(state="hidden")


def test_a_reader_goes_through_the_test_by_keyboard_and_nothing_tells_him_the_truth(opened, folder, picture):
    page = opened("reading")
    page.wait_for_function("() => window.medudlReading?.name")
    picture("before")
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer) if "/synthetic/" in answer.url else None)
    page.get_by_label("Your name").fill("Anna Test")
    page.get_by_label("Number of images").select_option("20")
    page.get_by_label("Your name").press("Enter")
    plan = folder / "samples" / "reader_test"
    seen, shapes = set(), set()
    for place in range(20):
        page.wait_for_function(IDLE, arg=place)
        if place == 0:
            picture("judged")
            order = json.loads(next(plan.glob("anna-test_*.plan.json")).read_text())["order"]
        body = page.locator(".reading").evaluate("(root) => root.outerHTML")
        seen.add(re.sub(r"Image \d+ of|value=\"\d+\"|\s*disabled=\"\"", "", re.sub(r"\s+", " ", body)))
        shapes.add(
            page.locator("canvas.judged").evaluate("(c) => [c.width, c.height, c.clientWidth, c.clientHeight].join()")
        )
        kind, row = order[place]
        file = "held_out.npy" if kind == "real" else "pictures.npy"
        assert page.locator("canvas.judged").evaluate(GREY) == ",".join(
            map(str, numbers(folder / "samples" / file, row))
        )
        if place == 1:  # a slip, taken back
            page.keyboard.press("6")
            page.wait_for_function(IDLE, arg=2)
            page.keyboard.press("u")
            page.wait_for_function(IDLE, arg=1)
        page.keyboard.press(("s" if kind == "synthetic" else "r") if place < 15 else "3")
    page.get_by_text("You could tell them apart better than chance").wait_for()
    picture("result")
    assert len(seen) == 1 and len(shapes) == 1, "the page is the same for both kinds"
    turns = [answer for answer in answers if "/reading" in answer.url]
    assert len(turns) == len(answers), "nothing else is asked while somebody reads"
    forms = {json.dumps([sorted(json.loads(one.headers["x-about"])), one.headers["content-length"],
                         sorted(set(one.headers) - {"date"})]) for one in turns[:-1]}  # fmt: skip
    assert len(forms) == 1 and len({one.url for one in turns}) == 1
    kept = [json.loads(line) for line in next(plan.glob("anna-test_*.jsonl")).read_text().splitlines()]
    assert len(kept) == 22 and sum("undo" in line for line in kept) == 1
    assert all(line["seconds"] > 0 for line in kept if "answer" in line)


def numbers(path: Path, row: int) -> list[int]:
    import numpy as np

    return [int(value) for value in np.load(path)[row].ravel()]


def test_a_test_that_was_left_goes_on_under_the_same_name(opened, folder):
    page = opened("reading")
    page.wait_for_function("() => window.medudlReading?.name")
    page.get_by_label("Your name").fill("bert")
    page.get_by_label("Number of images").select_option("20")
    page.get_by_role("button", name="Begin").click()
    for place in range(3):
        page.wait_for_function(IDLE, arg=place)
        page.keyboard.press("4")
    page.wait_for_function(IDLE, arg=3)
    page = opened("reading")
    page.get_by_role("button", name="bert: go on at image 4 of 20").click()
    page.wait_for_function(IDLE, arg=3)


def test_the_course_turns_clear_under_the_slider_without_a_word_to_the_page(opened, picture):
    page = opened("course")
    page.wait_for_function("() => window.medudlCourse?.shown === 800")
    assert "nearly all the same" in page.locator(".warning").first.inner_text()
    assert "KID; lower is better" in page.locator(".graph").inner_text()
    picture("course")
    last = page.locator("canvas.step").evaluate(GREY)
    page.get_by_label("Step", exact=True).focus()
    page.keyboard.press("Home")
    page.wait_for_function("() => window.medudlCourse.shown === 100")
    assert page.locator("canvas.step").evaluate(GREY) != last
    page.locator(".graph svg").click(position={"x": 400, "y": 100})
    page.wait_for_function("() => window.medudlCourse.shown === 800 || window.medudlCourse.shown === 400")


def test_scores_have_the_verdict_on_top(opened, picture):
    page = opened("scores")
    page.get_by_text("Better than a Gaussian").wait_for()
    page.locator(".scores summary").first.click()
    page.get_by_text("Kernel distance between features").wait_for()
    picture("scores")


def test_a_walk_between_two_samples_along_directions_and_a_sum_of_three_concepts(opened, picture):
    page = opened("walk")
    page.wait_for_function(
        "() => window.medudlWalking?.sheet?.children.length === 9 && window.medudlWalking.answered > 0"
    )
    before = page.locator("figure canvas.large").first.evaluate(GREY)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator(".shelf button").nth(5).click()
    page.locator(".shelf button").nth(9).click()
    page.wait_for_function("(old) => !window.medudlWalking.single.busy && !window.medudlWalking.strip.busy")
    page.wait_for_timeout(300)
    assert any("a=5&b=9" in url for url in asked)
    assert page.locator("figure canvas.large").first.evaluate(GREY) != before
    page.wait_for_function(
        "() => { const w = window.medudlWalking; return w.near.shown && w.risks && !w.near.comparing.busy; }"
    )
    told = page.locator(".nearest").inner_text()
    assert re.match("[■▲●] ", told) and "Pixel by pixel" in told and "real patients' images" in told
    assert "Nearest real image: " in page.locator("figcaption:visible").nth(1).inner_text()
    assert page.locator("canvas.real").evaluate(GREY).count("0") > 0 and page.locator(".lit .light").count() == 9
    picture("walk")
    page.get_by_role("tab", name="Along directions").click()
    page.get_by_label("Direction 1").focus()
    page.keyboard.press("End")
    page.wait_for_function("() => !window.medudlWalking.moved.busy")
    assert any("/along?" in url and "moves=0%3A3" in url for url in asked)
    page.wait_for_function(
        "(n) => window.medudlWalking.near.shown > n", arg=page.evaluate("() => window.medudlWalking.near.shown - 1")
    )
    picture("along")
    page.get_by_role("tab", name="Arithmetic").click()
    for row in range(9):
        page.locator(".shelf button").nth(row).click()
    page.wait_for_function("() => window.medudlWalking.sum.drawn === 1")
    assert any("a=0%2C1%2C2&b=3%2C4%2C5&c=6%2C7%2C8" in url for url in asked)
    page.wait_for_function("() => window.medudlWalking.sum.near.shown === 1")
    assert any("/alike?of=mix&a=0%2C1%2C2" in url for url in asked)
    picture("sum")


def test_while_training_images_are_read_the_walk_says_so_and_goes_on(opened, page):
    turns = iter(range(2))

    def answer(route):
        if next(turns, None) is None:
            route.continue_()
            return
        about = {"shape": [0, 1, 1], "building": "Reading the training images: 40 %."}
        route.fulfill(status=200, body=b"", headers={"x-about": json.dumps(about)})

    page.route("**/alike?**", answer)
    page = opened("walk")
    page.get_by_text("Reading the training images: 40 %.").wait_for()
    page.locator(".shelf button").nth(5).click()
    page.wait_for_function("() => window.medudlWalking.answered > 1")
    page.wait_for_function("() => window.medudlWalking.near.shown > 0")
    gone = {"x-about": json.dumps({"shape": [0, 1, 1], "why": "They are gone."})}
    page.route("**/alike?**", lambda route: route.fulfill(status=200, body=b"", headers=gone))
    page.locator(".shelf button").nth(7).click()
    page.get_by_text("They are gone.").wait_for()
    assert page.locator("canvas.real:visible").count() == 0 and page.locator(".warning:visible").count() == 0
