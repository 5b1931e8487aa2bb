"""docs/data.md names every column, every rule and every limit as they are in the code."""

from __future__ import annotations

from pathlib import Path

from medudl.data.cohort import COLUMNS, EXTRA
from medudl.data.contrast import NUMBER_RULES, TEXT_RULES
from medudl.data.index_passes import HEADER_MB, HEADER_SECONDS, PIXEL_MB, PIXEL_SECONDS
from medudl.data.patterns import FIELDS

TEXT = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def test_columns_placeholders_and_rules_are_documented() -> None:
    lines = TEXT.splitlines()
    assert all(any(line.startswith(f"| {column} |") for line in lines) for column in COLUMNS)
    assert f"| {', '.join(EXTRA)} |" in TEXT
    assert all(f"`{{{field}}}`" in TEXT for field in FIELDS)
    text = [f"| {name} | `{expression.replace('|', chr(92) + '|')}` |" for name, expression in TEXT_RULES]
    numbers = [f"| {rule.contrast} | {rule.told} |" for rule in NUMBER_RULES]
    for rules in (text, numbers):
        assert [line for line in lines if line in rules] == rules  # all of them, in order


def test_limits_are_documented() -> None:
    assert f"{HEADER_SECONDS:g} s of processor time and {HEADER_MB} MB" in TEXT
    assert f"{PIXEL_SECONDS:g} s and {PIXEL_MB // 1024} GB" in TEXT
