"""The Explore page in a real browser: a lasso shows what it went around, a slider changes the picture at once."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from explore_folders import grey, write_embedding
from playwright.sync_api import Page, Route
from tiny_run import make_cohort, make_run

DRAWN = "() => window.medudlExplore?.map?.scatter.places"
WALKED = "(n) => window.medudlExplore.walk.answered > n"
PICTURE = """(kind) => { const c = window.medudlExplore.walk[kind].canvas;
  return [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data].filter((_, n) => n % 4 === 0); }"""
BESIDE = "Nearest real case: number {} (click"
SLIDE = """([n, value]) => { const i = document.querySelectorAll(".sliders input")[n] ??
    window.medudlExplore.walk.sliders.querySelectorAll("input")[n];
  i.value = value; i.dispatchEvent(new Event("input")); }"""
INSIDE = """(share) => { const s = window.medudlExplore.map.scatter, r = share * Math.min(s.width, s.height);
  const far = (n) => Math.hypot(s.places.x[n] - s.width / 2, s.places.y[n] - s.height / 2);
  return [...s.places.x.keys()].filter((n) => far(n) < r); }"""
THUMBS = """() => [...window.medudlExplore.map.side.sheet.children].map((one) => {
  const c = one.querySelector("canvas");
  return [Number(one.dataset.row), c.getContext("2d").getImageData(0, 0, 1, 1).data[0]]; })"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browser-explore") / "viewed"
    make_run(place / "run", make_cohort(place / "scans", train=1, val=1, healthy=0, sick=0))
    write_embedding(place / "cases", latent=4, n=300)
    return place


@pytest.fixture
def opened(folder: Path, page: Page, view: Callable[..., str]) -> Page:
    address = view(folder)
    page.goto(address)
    page.goto(address.split("?")[0] + "explore?view=cases")
    page.wait_for_function(DRAWN)
    return page


def lasso(page: Page, share: float) -> None:
    """Draw a circle about the middle of the map, over this share of its smaller side."""
    box = page.locator("canvas.above").bounding_box()
    assert box is not None
    x, y, r = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, share * min(box["width"], box["height"]) / 2
    page.mouse.move(x + r, y)
    page.mouse.down()
    for step in range(1, 41):
        page.mouse.move(x + r * math.cos(step * math.pi / 20), y + r * math.sin(step * math.pi / 20))
    page.mouse.up()


def test_a_lasso_shows_the_pictures_of_what_it_went_around_and_a_click_opens_one(opened):
    lasso(opened, 0.8)
    opened.wait_for_function("() => window.medudlExplore.map.side.drawn > 0")
    chosen = opened.evaluate("() => window.medudlExplore.map.side.rows")
    shown = opened.evaluate(THUMBS)
    assert 0 < len(chosen) < 300 and len(shown) == min(60, len(chosen))
    assert all(row in chosen and value == grey(row) for row, value in shown), "each thumbnail is that of its own row"
    # The rows are those whose points lie inside the circle, told from their places alone.
    inside = opened.evaluate(INSIDE, 0.97 * 0.8 / 2)
    assert set(inside) <= set(chosen)
    opened.locator(".chosen .thumb").first.click()
    opened.get_by_text("Most similar cases of other scans").wait_for()
    words = opened.locator("aside.side").inner_text()
    assert "patient" in words and "Miller" not in words and "null" not in words
    opened.keyboard.press("Escape")


def test_a_slider_changes_the_picture_while_it_moves_beside_the_nearest_case(opened):
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.get_by_role("tab", name="Walk").click()
    opened.wait_for_function(WALKED, arg=0)
    before = opened.evaluate(PICTURE, "drawn")
    held: list[Route] = []  # what is asked for while the slider moves, not answered until it rests
    opened.route("**/walk?*", lambda route: held.append(route))
    for step in range(1, 61):
        opened.evaluate(SLIDE, [0, step / 20])
    assert len(held) == 1, "steps that were overtaken are never asked for"
    opened.unroute("**/walk?*")  # which lets the held one go on
    opened.wait_for_function(
        "() => !window.medudlExplore.walk.asking.busy && !window.medudlExplore.walk.asking.waiting"
    )
    walks = [url for url in asked if "/walk?" in url]
    assert opened.evaluate(PICTURE, "drawn") != before
    assert "moves=0%3A0.05&" in walks[-2] and "moves=0%3A3&" in walks[-1], "the first step is asked for, and the last"
    nearest = opened.evaluate("() => window.medudlExplore.walk.nearest")
    opened.get_by_text(BESIDE.format(nearest + 1)).wait_for()
    assert opened.evaluate(PICTURE, "near")[0] == grey(nearest)
    assert "no patient" in opened.locator(".scene").inner_text()


def test_a_picture_of_the_nearest_case_that_comes_late_does_not_stay(opened):
    opened.get_by_role("tab", name="Walk").click()
    opened.get_by_text("Nearest real case: number").wait_for()
    held: list[Route] = []
    rows: list[int] = []
    opened.route("**/thumbnails?*", lambda route: held.append(route) if len(rows) < 2 else route.continue_())
    for value in (-3, 3):
        answered = opened.evaluate("() => window.medudlExplore.walk.answered")
        opened.evaluate(SLIDE, [0, value])
        opened.wait_for_function(WALKED, arg=answered)
        rows.append(opened.evaluate("() => window.medudlExplore.walk.nearest"))
    assert grey(rows[0]) != grey(rows[1])
    for late in reversed(held):  # the first question is answered last
        with opened.expect_response("**/thumbnails?*"):
            late.continue_()
    opened.get_by_text(BESIDE.format(rows[1] + 1)).wait_for()
    assert opened.evaluate(PICTURE, "near")[0] == grey(rows[1])


def test_between_two_cases_from_the_map(opened):
    for row, name in ((4, "A"), (9, "B")):
        opened.get_by_role("tab", name="Map of cases").click()
        opened.evaluate("(row) => window.medudlExplore.map.open(row)", row)
        opened.get_by_role("button", name=f"Use as case {name}").click()
    opened.wait_for_function("() => window.medudlExplore.walk.ways.sheet?.children.length === 9")
    opened.get_by_text("A: case 5").wait_for()
    opened.get_by_text("B: case 10").wait_for()
    opened.get_by_role("button", name="Two directions at once").click()
    opened.wait_for_function("() => window.medudlExplore.walk.ways.sheet?.children.length === 49")
