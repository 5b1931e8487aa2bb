"""What only a browser shows of the Studies page: a click opens a row, ticks compare two, both ways back lead back."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from addresses import open_row
from playwright.sync_api import Locator, Page, expect

from medudl import api

PATIENCE = 120_000  # ms, for a machine with other work
ROWS, FIRST, HIGH = "[data-testid=stDataFrame]", (300, 48), 30  # the middle of the first row, and the height of one


def _click(page: Page, row: int, x: int = FIRST[0]) -> None:
    page.locator(ROWS).click(position={"x": x, "y": FIRST[1] + row * HIGH})


def _see(what: Locator) -> None:
    expect(what).to_be_visible(timeout=PATIENCE)


def test_a_raw_folder_is_indexed_a_row_opened_and_two_compared(
    tmp_path: Path, view: Callable[..., str], page: Page
) -> None:
    for name in ("sub-001", "sub-003"):
        shutil.copytree(api.shipped("sample_data") / name, tmp_path / "scans" / name)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(view(tmp_path / "scans"))
    _see(page.locator(ROWS))
    _see(page.get_by_text("8 series, 2 patients"))

    open_row(page, 1)
    _see(page.get_by_text("Back to the list"))
    page.wait_for_function("() => window.medudlViewer?.length === 1 && window.medudlViewer[0].volumes.length === 1")
    assert re.fullmatch(r"\?study=[0-9a-f]{24}&series=[0-9a-f]{24}(&slice=\d+)?", re.sub(r"^[^?]*", "", page.url))
    page.go_back()
    _see(page.locator(ROWS))

    page.wait_for_timeout(1500)  # a table that was just drawn takes no click yet
    for row in (0, 1):
        _click(page, row, x=18)
    page.get_by_text("Compare these 2").click()
    page.wait_for_function("() => window.medudlViewer?.at(-1)?.volumes.length === 2")
    page.get_by_text("Back to the list").click()
    _see(page.locator(ROWS))
    _see(page.get_by_text("Click on a row to open it"))

    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight <= innerHeight")
    host = re.match(r"https?://[^/]+", page.url)
    assert host and all(url.startswith((host[0], "data:", "blob:")) for url in asked)
