"""The floors of docs/architecture.md: a file imports from its own room and from lower floors, never upwards."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {
    "errors": 0, "batch": 0, "condition": 0, "config": 0, "registry": 0, "version": 0,
    "networks": 0, "losses": 0, "metrics": 0,
    "tricks": 1,
    "methods": 2, "data": 2,
    "run": 3, "state": 3,
    "training": 4, "tasks": 4, "labels": 4, "report": 4, "launch": 4,
    "bundle": 5, "api": 5, "demo": 5, "label_curve": 5, "cli": 6, "__init__": 6,
    "curves": 5, "labelling": 5, "label_cli": 6, "shipped": 3, "train_one": 5, "label_api": 5,
}  # fmt: skip
# Rooms on one floor that may be imported by a neighbour; all other siblings never meet.
COMMON = {"errors", "batch", "config", "registry", "version", "state"}
ALLOWED_SIBLINGS = {
    ("report", "tasks"), ("demo", "api"), ("api", "label_curve"), ("api", "bundle"),
    ("label_curve", "curves"), ("cli", "label_cli"), ("api", "train_one"), ("api", "label_api"),
    ("label_api", "train_one"), ("label_api", "labelling"),
}  # fmt: skip
FORBIDDEN_TO_METHODS = {"data", "training", "config", "run", "logging"}
FILES = sorted((ROOT / "medudl").rglob("*.py"))
APPS = sorted((ROOT / "apps").rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(ROOT / "medudl").parts[0].removesuffix(".py")


def _imports(source: str) -> list[str]:
    """Dotted names imported anywhere in a file, lazy imports inside functions included."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the floor"
            module = node.module or ""
            names += [f"{module}.{alias.name}" if module == "medudl" else module for alias in node.names]
    return names


def offences(room: str, source: str) -> list[str]:
    """What a file of `room` with this source imports against the rules."""
    found = []
    for name in _imports(source):
        top, *rest = name.split(".")
        if top in ("streamlit", "apps"):
            found.append(f"the library never imports {top}")
        if room == "methods" and top in FORBIDDEN_TO_METHODS:
            found.append(f"methods imports {name}")
        if top != "medudl":
            continue
        other = rest[0] if rest else "__init__"
        if other == "__version__":
            continue
        if other == "cli" and room != "cli":
            found.append("nothing imports cli")
        elif room == "methods" and other in FORBIDDEN_TO_METHODS:
            found.append(f"methods imports {name}")
        elif other not in FLOORS:
            found.append(f"{name} lies in no known room")
        elif FLOORS[other] > FLOORS[room]:
            found.append(f"{room} imports upwards: {name}")
        elif FLOORS[other] == FLOORS[room] and other != room:
            if other not in COMMON and (room, other) not in ALLOWED_SIBLINGS:
                found.append(f"the siblings {room} and {other} meet: {name}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    assert offences(_room(path), path.read_text()) == []


@pytest.mark.parametrize("path", APPS, ids=lambda p: str(p.relative_to(ROOT)))
def test_apps_import_the_library_but_not_its_command_line(path: Path) -> None:
    names = _imports(path.read_text())
    assert not [name for name in names if name.startswith("medudl.cli")]
    assert not [name for name in names if name.split(".")[0] == "tests"]


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("methods", "def f():\n    from medudl.data import cache"),
        ("networks", "import medudl.losses.reconstruction"),
        ("data", "from medudl.methods.method import Method"),
        ("tasks", "from medudl.training.loop import fit"),
        ("report", "from medudl import api"),
        ("api", "from medudl.cli import main"),
        ("tasks", "import streamlit"),
        ("launch", "from apps.viewer import serve"),
        ("methods", "import logging"),
        ("data", "from medudl.utils import x"),
    ],
)
def test_an_offence_is_seen(room: str, line: str) -> None:
    assert offences(room, line) != []


def test_every_room_has_a_floor() -> None:
    assert {_room(path) for path in FILES} <= FLOORS.keys()


def test_no_file_is_called_utils() -> None:
    assert not [path for path in (*FILES, *APPS) if "util" in path.stem or "helper" in path.stem]


def test_readers_and_index_do_without_torch() -> None:
    """Bad input has to be answered before torch (1.6 CPU-s) and MONAI (4.8) are loaded."""
    import subprocess
    import sys

    code = (
        "import sys, medudl.data.inputs, medudl.data.index, medudl.data.read, medudl.run, medudl.config, medudl.api\n"
    )
    code += "sys.exit(', '.join({'torch', 'monai', 'lightning_fabric'} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_viewer_listens_before_anything_heavy_is_imported() -> None:
    """The first page is to come within seconds: decoding lives in workers, which import what it needs."""
    import subprocess
    import sys

    code = "import sys, apps.viewer.__main__\n"
    code += "sys.exit(', '.join({'torch', 'monai', 'numpy', 'pandas', 'streamlit'} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
