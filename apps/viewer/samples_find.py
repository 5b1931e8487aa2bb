"""What the Samples page can open: folders of samples, generators that have made none yet, and their reports."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from apps.viewer.catalogue import Catalogue, RunFolder, read_json
from apps.viewer.samples_folder import read_meta
from apps.viewer.source import identify
from medudl.errors import UserError

INNER = "made"  # where the samples of a run lie that is itself the opened folder


@dataclass(frozen=True)
class SamplesFolder:
    """A folder that `medudl sample` wrote. run: the run that made it, None where none in the opened folder did.

    trouble: why it cannot be shown, "" where its samples.json can be read.
    """

    id: str
    name: str
    path: Path
    run: RunFolder | None
    trouble: str = ""


def sample_folders(catalogue: Catalogue) -> list[SamplesFolder]:
    """Folders with a samples.json, each with the run that its file names."""
    runs = {run.path.resolve(): run for run in catalogue.runs()}
    found = catalogue.look()
    inner = sorted(file.parent for path in found.runs for file in path.glob(f"{INNER}*/samples.json"))
    return [_folder(catalogue, path, runs) for path in (*found.samples, *inner)]


def id_of(path: Path) -> str:
    """The name of a folder of samples in an address."""
    return identify("samples", str(path.resolve()))


def generator_runs(catalogue: Catalogue) -> list[RunFolder]:
    """Runs with weights whose method makes images of its own."""
    known = generators()
    return [run for run in catalogue.runs() if run.method in known and (run.path / "weights.safetensors").is_file()]


def report_of(catalogue: Catalogue, run_name: str, near: Path | None) -> Path | None:
    """The folder of the report (kind "generator") on a run: below its samples, else the nearest one that names it."""
    below = sorted(path.parent for path in near.glob("*/report.json")) if near else []
    places = [*below, *(report.path for report in catalogue.reports())]
    fitting = [path for path in places if _judges(read_json(path / "report.json"), run_name)]
    return min(fitting, key=lambda path: _steps(path, near)) if fitting else None


def generators() -> frozenset[str]:
    """Names of the methods that make images of their own."""
    return methods_with("sample")


@cache
def methods_with(verb: str) -> frozenset[str]:
    """Names of the methods with a verb ("sample"), as their sources say: to import them would load torch."""
    import medudl

    folder = Path(str(medudl.__file__)).parent / "methods"
    trees = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.py"))}
    classes = {node.name: node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    return frozenset(name for name, place in _methods(trees["__init__"]).items()
                     if _defines(place.rpartition(":")[2], verb, classes))  # fmt: skip


def _methods(tree: ast.Module) -> dict[str, str]:
    """The literal table METHODS."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "METHODS" and node.value is not None:
            return dict(ast.literal_eval(node.value))
    return {}


def _defines(name: str, verb: str, classes: dict[str, ast.ClassDef]) -> bool:
    """Whether a class, or one it is made from, has this method."""
    node = classes.get(name)
    if node is None:
        return False
    own = any(isinstance(part, ast.FunctionDef) and part.name == verb for part in node.body)
    return own or any(_defines(ast.unparse(base).rpartition(".")[2], verb, classes) for base in node.bases)


def _folder(catalogue: Catalogue, path: Path, runs: dict[Path, RunFolder]) -> SamplesFolder:
    below = path.relative_to(catalogue.folder).as_posix()
    name = below if below != "." else catalogue.folder.resolve().name
    id = id_of(path)
    try:
        meta = read_meta(path)
    except UserError as error:
        return SamplesFolder(id, name, path, None, str(error))
    told = meta.get("run")
    return SamplesFolder(id, name, path, runs.get((path / told).resolve()) if isinstance(told, str) else None)


def _judges(report: Any, run_name: str) -> bool:
    told = isinstance(report, dict) and report.get("kind") == "generator"
    return told and (not run_name or report.get("run_name") == run_name)


def _steps(path: Path, near: Path | None) -> tuple[int, str]:
    if near is None:
        return 0, str(path)
    shared = 0
    for one, two in zip(path.parts, near.parts, strict=False):
        if one != two:
            break
        shared += 1
    return len(path.parts) + len(near.parts) - 2 * shared, str(path)
