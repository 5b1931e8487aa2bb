"""What the user says about the scans, checked before any file is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medudl.data.contrast import Rule, parse_rules
from medudl.data.index_labels import VALUES, Table, read_table
from medudl.data.patterns import Pattern, compile_pattern
from medudl.data.splits import parse_shares

_FROM = "from:"


@dataclass(frozen=True)
class Rules:
    """Compiled rules. tables: labels, then splits; shares: of train/val/test, {} where a split is given or none is.

    settings: the rules as the user wrote them, for cohort.json; of a table its name alone.
    """

    patterns: tuple[Pattern, ...] = ()
    masks: tuple[Pattern, ...] = ()
    contrasts: tuple[Rule, ...] = ()
    tables: tuple[Table, ...] = ()
    shares: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)


def rules_of(
    patterns: Sequence[str] = (), masks: Sequence[str] = (), contrasts: Sequence[str] = (),
    labels: str | Path | None = None, split: str | None = None, seed: int = 0,
) -> Rules:  # fmt: skip
    """Check and compile. split: shares "70/15/15", or "from:CSV". Raises UserError, for each as its own module says."""
    split = split or ""
    tables = [read_table(labels, VALUES)] if labels else []
    if split.startswith(_FROM):
        tables.append(read_table(split.removeprefix(_FROM), ("split",)))
    shares = parse_shares(split) if split and not split.startswith(_FROM) else {}
    settings = {
        "patterns": list(patterns), "masks": list(masks), "contrasts": list(contrasts),
        "labels": Path(labels).name if labels else "", "split": split, "seed": seed,
    }  # fmt: skip
    return Rules(
        tuple(map(compile_pattern, patterns)), tuple(map(compile_pattern, masks)), parse_rules(contrasts),
        tuple(tables), shares, seed, settings,
    )  # fmt: skip
