"""Several readers at once, each with a patient of their own: nobody ever sees another's."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from addresses import series_address, volume_id
from conftest import SCREEN
from playwright.sync_api import Browser, Page
from scenes import grey, write_greys

READY = "() => window.medudlViewer?.[0]?.frame('axial') && window.medudlViewer[0].volumes.every((v) => v.complete)"
# Every picture of the page: whose it is and which greys it shows (the two voxels that span the window left out).
FRAMES = """() => window.medudlViewer.flatMap((viewer) => viewer.panes.filter((p) => p.drawn).map((pane) => {
  const data = pane.pictures[0].image.data, greys = new Map();
  for (let n = 0; n < data.length; n += 4) { greys.set(data[n], (greys.get(data[n]) ?? 0) + 1); }
  return { id: pane.drawn.seriesId, greys: [...greys].filter(([, count]) => count > 4).map(([value]) => value),
           title: pane.title.textContent };
}))"""
KEYS = ["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End", "x", "o", "r", "Tab", "C", "u"]


class Reader:
    """One browser session that belongs to one patient, and now and then reads a second one of its own."""

    def __init__(self, browser: Browser, addresses: list[str], volumes: list[str], patients: list[int]) -> None:
        self.context = browser.new_context(viewport=SCREEN)
        self.page: Page = self.context.new_page()
        self.addresses, self.volumes, self.patients, self.turn = addresses, volumes, patients, 0

    def open(self, turn: int) -> None:
        self.turn = turn
        self.page.goto(self.addresses[turn])
        self.page.wait_for_function(READY)
        self.page.keyboard.press("0")  # full range: 0 to 1000 for every patient

    def act(self, choice: random.Random) -> None:
        kind = choice.random()
        if kind < 0.02:
            self.open(1 - self.turn)
        elif kind < 0.04:
            self.page.reload()
            self.page.wait_for_function(READY)
            self.page.keyboard.press("0")
        elif kind < 0.5:
            self.page.keyboard.press(choice.choice(KEYS))
        else:
            self.page.mouse.move(choice.randint(100, 1200), choice.randint(200, 700))
            self.page.mouse.wheel(0, choice.choice([-120, 120]))

    def check(self) -> int:
        frames = self.page.evaluate(FRAMES)
        expected = grey(self.patients[self.turn]) * 255 / 1000
        for frame in frames:
            assert frame["id"] == self.volumes[self.turn]
            assert all(abs(value - expected) <= 1.5 for value in frame["greys"]), (frame, expected)
        return len(frames)


@pytest.mark.parametrize(
    ("readers", "actions"), [(3, 60), pytest.param(10, 1000, marks=pytest.mark.proof)], ids=["3x60", "10x1000"]
)
def test_nobody_sees_another_patient(
    chromium: Browser, view: Callable[..., str], tmp_path: Path, readers: int, actions: int
) -> None:
    folder = tmp_path / "scans"
    write_greys(folder, readers)
    address = view(folder)
    choice = random.Random(0)
    house = []
    for patient in range(readers):
        patients = [patient, (patient + 1) % readers]
        paths = [f"sub-{p:02d}_T1w.nii.gz" for p in patients]
        links = [series_address(address, folder, path) for path in paths]
        reader = Reader(chromium, links, [volume_id(folder, path) for path in paths], patients)
        reader.page.set_default_timeout(120_000)
        reader.page.goto(address)
        reader.open(0)
        house.append(reader)
    seen = 0
    for _ in range(actions):
        reader = choice.choice(house)
        reader.act(choice)
        seen += reader.check()
    for reader in house:
        reader.context.close()
    assert seen > 2 * actions  # three planes each, nearly always
