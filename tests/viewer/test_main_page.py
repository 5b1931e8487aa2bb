"""The script: its pages, a sentence where one fails, and a first page that loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from apps.viewer import main
from apps.viewer.house import Settings, open_house
from apps.viewer.theme import ICON
from medudl.api import shipped

APPS = Path(shipped("apps"))
SCRIPT = APPS / "viewer" / "script" / "app.py"


def _body(app: AppTest) -> str:
    return "\n".join(str(getattr(block.proto, "body", "")) for block in app.main if block.type == "html")


def test_an_error_of_a_page_is_a_sentence_without_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError("Miller Anna 1950")

    monkeypatch.setattr(main, "studies", broken)
    open_house(Settings(folder=tmp_path))
    app = AppTest.from_file(SCRIPT).run()
    assert not app.exception and not app.error
    assert "could not be drawn" in _body(app) and "RuntimeError" in _body(app)
    assert "Miller" not in _body(app) + capsys.readouterr().err


def test_the_script_runs_again_after_a_change(tmp_path: Path) -> None:
    """A folder `pages` beside the script would turn it into an application of an older kind that runs once."""
    open_house(Settings(folder=tmp_path))
    app = AppTest.from_file(SCRIPT).run()
    assert "No scans in this folder" in _body(app)
    (tmp_path / "cohort.csv").write_text("subject,path\n1,a.nii\n")
    assert len(app.run().dataframe) == 1
    assert not (SCRIPT.parent / "pages").exists()


def test_the_first_page_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from streamlit.testing.v1 import AppTest\n"
        "from apps.viewer.house import Settings, open_house\n"
        f"open_house(Settings(folder=Path({str(tmp_path)!r})))\n"
        f"app = AppTest.from_file({str(SCRIPT)!r}, default_timeout=60).run(); assert not app.exception\n"
        "heavy = {'torch', 'monai', 'nibabel', 'pydicom', 'SimpleITK'} & sys.modules.keys()\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=APPS.parent)
    assert done.returncode == 0, done.stderr[-2000:]


def test_nothing_of_the_pages_comes_from_another_host() -> None:
    """Streamlit fetches a named page icon from a host of fonts; ours is drawn here."""
    assert ICON.startswith("<svg")
    for path in sorted((APPS / "viewer").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "page_icon":
                assert isinstance(node.value, ast.Name) and node.value.id == "ICON", path
