"""docs/techniques.md is complete and true: every technique has a row, every file, key and test it names exists."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml

from medudl.methods import METHODS, build, method_class
from medudl.methods.method import Method
from medudl.tricks import TRICKS, build_tricks

ROOT = Path(__file__).parents[1]
DOC = ROOT / "docs" / "techniques.md"
COLUMNS = ["technique", "file", "config key", "proof", "figure last measured"]


@dataclass(frozen=True)
class Row:
    """One line of a table: quoted things by column."""

    technique: str
    files: list[str]
    keys: list[str]
    proofs: list[str]
    figure: str


def _rows() -> list[Row]:
    rows = []
    for line in DOC.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if set(cells[0]) <= {"-"} or cells == COLUMNS:
            continue
        assert len(cells) == len(COLUMNS), f"not {len(COLUMNS)} columns: {line}"
        file, key, proof = (re.findall(r"`([^`]+)`", cell) for cell in cells[1:4])
        rows.append(Row(cells[0], file, key, proof, cells[4]))
    return rows


ROWS = _rows()
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda r: r.technique)


def _public_functions(folder: str) -> set[str]:
    names = set()
    for path in (ROOT / "medudl" / folder).glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names |= {n.name for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")}
    return names


def _build(tree: dict[str, object]) -> None:
    """Build what a config key says, or raise."""
    assert set(tree) <= {"method", "tricks"} and tree
    if "tricks" in tree:
        assert isinstance(tree["tricks"], list)
        build_tricks(tree["tricks"])
    if "method" in tree:
        assert isinstance(tree["method"], dict)
        options = {k: v for k, v in tree["method"].items() if k != "name"}
        dims = method_class(tree["method"]["name"]).dims[0]
        with torch.device("meta"):
            assert isinstance(build(tree["method"]["name"], (1, *[32] * dims), options), Method)


def test_every_method_and_trick_has_a_row() -> None:
    trees = [yaml.safe_load(key) for row in ROWS for key in row.keys]
    assert {tree["method"]["name"] for tree in trees if "method" in tree} == set(METHODS)
    assert {entry["name"] for tree in trees for entry in tree.get("tricks", [])} == set(TRICKS)


def test_every_loss_and_trick_file_is_named() -> None:
    text = DOC.read_text(encoding="utf-8")
    missing = [name for name in _public_functions("losses") if f"`{name}`" not in text]
    named = {file for row in ROWS for file in row.files}
    contract = {"__init__.py", "trick.py"}
    missing += [p.name for p in (ROOT / "medudl/tricks").glob("*.py") if p.name not in contract | _names(named)]
    missing += [p.name for p in (ROOT / "medudl/losses").glob("*.py") if p.name not in contract | _names(named)]
    assert not missing


def _names(paths: set[str]) -> set[str]:
    return {Path(path).name for path in paths}


@every_row
def test_a_rows_files_exist(row: Row) -> None:
    assert row.files
    for file in row.files:
        assert (ROOT / file).is_file(), file


@every_row
def test_a_rows_keys_are_valid_settings(row: Row) -> None:
    for key in row.keys:
        _build(yaml.safe_load(key))


@every_row
def test_a_rows_proofs_exist(row: Row) -> None:
    assert row.proofs, "a technique without its proof is not done"
    for proof in row.proofs:
        file, _, name = proof.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name.partition("[")[0] in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, proof


@every_row
def test_a_row_gives_its_figure_with_n_and_seeds(row: Row) -> None:
    assert re.search(r"\d", row.figure), "no figure"
    assert "n = " in row.figure and "seed" in row.figure


def test_a_wrong_key_is_seen() -> None:
    with pytest.raises(Exception, match="unknown"):
        _build({"method": {"name": "autoencoder", "lattent": 3}})
