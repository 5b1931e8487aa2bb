"""A real browser and a real viewer, where the machine has a Chromium."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# No word to any other host, and drawing in software as on a machine without a graphics card.
FLAGS = (
    "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update"
    " --disable-sync --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
).split()
SCREEN = {"width": 1400, "height": 900}
START_SECONDS = 120


def chromium_path() -> str | None:
    """The Chromium or Chrome of this machine, None where there is none."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Headless Chromium, or a skip that says how to get one."""
    found = chromium_path()
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def running(folder: Path, *options: str) -> Iterator[str]:
    """`medudl view FOLDER` as a process; the address it prints, token and all."""
    command = [sys.executable, "-m", "medudl.cli", "view", str(folder), "--no-browser", *options]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as process:
        assert process.stdout is not None
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if found := re.search(r"http://\S+token=\S+", line):
                    yield found[0]
                    break
            else:
                raise AssertionError("the viewer said no address:\n" + "".join(said))
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def view() -> Iterator[Callable[..., str]]:
    """view(folder, *options) -> address of a viewer that ends with the test."""
    with ExitStack() as stack:
        yield lambda folder, *options: stack.enter_context(running(folder, *options))


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh browser session with a page of 1400 x 900."""
    context = chromium.new_context(viewport=SCREEN)
    context.set_default_timeout(START_SECONDS * 1000)
    yield context.new_page()
    context.close()
