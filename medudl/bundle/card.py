"""The model card: what the run knows for CLAIM 2024 and TRIPOD+AI, and what people must still write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medudl.bundle.checklists import CLAIM, TRIPOD, Item
from medudl.bundle.facts import Facts
from medudl.bundle.translations import SYNTHETIC
from medudl.errors import UserError
from medudl.run import Run

_SOURCES = {
    "CLAIM 2024": (CLAIM, "Tejani et al., Radiology: Artificial Intelligence 2024; 6(4): e240300"),
    "TRIPOD+AI": (TRIPOD, "Collins et al., BMJ 2024; 385: e078378"),
}
_SUMMARY = (
    ("kind", "What it is"), ("use", "Use"), ("sources", "Data"), ("partitions", "Splits"), ("model", "Model"),
    ("preprocessing", "Preprocessing"), ("training", "Training"), ("selection", "Chosen"), ("software", "Software"),
    ("calibration", "Healthy thresholds"), ("output", "Output"),
    ("refusal", "Refused or warned of"), ("results", "Evaluation"), ("limits", "Limits"),
)  # fmt: skip


def model_card(run: str | Path | Run, report: str | Path | None = None) -> str:
    """The card of a run, as Markdown. report: what `medudl evaluate -o` wrote (the folder, or its report.json).

    Every item of the checklists is answered from the run, or stands under "To be written"; most need both. It says
    nothing that the run does not know. Raises UserError: no run, or no report of that method.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    return card_of(Facts(run, run.method(), read_report(report, run)))


def read_report(report: str | Path | None, run: Run) -> dict[str, Any] | None:
    """The content of report.json. Raises UserError: absent, damaged, or of another method."""
    if report is None:
        return None
    path = Path(report) / "report.json" if Path(report).is_dir() else Path(report)
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: no report ({reason}); give the folder that `medudl evaluate -o` wrote") from None
    if not isinstance(tree, dict) or tree.get("method") != run.config.method["name"]:
        raise UserError(f"{path}: is no report of {run.config.method['name']}; evaluate this very run")
    return tree


def card_of(facts: Facts) -> str:
    """The card as Markdown."""
    told = facts.told
    lines = [
        f"# Model card: {facts.config.method['name']}",
        "",
        "For research; not a medical device. Not for diagnosis.",
        *(["", SYNTHETIC] if facts.sides else []),
        "",
        "## In short",
        "",
        *(f"- **{name}**: {told[key]}" for key, name in _SUMMARY if key in told),
    ]
    if facts.report is None:
        lines += ["- **Evaluation**: none was given to the export (`medudl export --report DIR`)"]
    for name, (items, source) in _SOURCES.items():
        lines += ["", f"## {name}", "", f"{source}. Items in our own words; theirs count.", ""]
        lines += ["| item | | what the run knows | state |", "|---|---|---|---|"]
        lines += [
            f"| {item.number} | {item.name} | {_cell(known(item, told))} | {state(item, told)} |" for item in items
        ]
    lines += ["", "## To be written", "", "What the software cannot know, or knows in part only."]
    for name, (items, _) in _SOURCES.items():
        lines += ["", f"### {name}", ""]
        lines += [f"- [ ] {item.number} {item.name}: {to_write(item, told)}" for item in items if to_write(item, told)]
    return "\n".join(lines) + "\n"


def known(item: Item, told: Mapping[str, str]) -> str:
    """What the run knows of an item; "" if nothing."""
    return ". ".join(told[key] for key in item.facts if key in told)


def to_write(item: Item, told: Mapping[str, str]) -> str:
    """What people must add; "" where the run's answer is whole."""
    if known(item, told):
        return item.write
    return "; ".join(filter(None, (item.otherwise, item.write))) or "not known to this run"


def state(item: Item, told: Mapping[str, str]) -> str:
    """known, known in part, or open."""
    if not known(item, told):
        return "open"
    return "known in part" if to_write(item, told) else "known"


def open_items(items: Sequence[Item], told: Mapping[str, str]) -> list[Item]:
    """Those that are open or known in part."""
    return [item for item in items if to_write(item, told)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
