"""What there is, as a radiologist would ask: patients, series by contrast, voxel sizes, labels, what is wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from medudl.data.cohort import NOTE, SPLITS, Cohort, Series
from medudl.data.index_draft import count

_EXAMPLES = 3  # files whose reading is shown
_SHOWN = 20  # problems printed one by one; all of them are in cohort.csv and cohort.json


def summary(cohort: Cohort) -> RenderableType:
    """Tables and sentences for a terminal."""
    rows = cohort.series()
    parts: list[RenderableType] = [_headline(rows), _contrasts(rows)]
    if any(row.label for row in rows) or any(row.split for row in rows):
        parts.append(_labels(rows))
    parts += _reading(cohort)
    parts += _examples(cohort)
    parts += _problems(cohort)
    return Group(*parts)


def print_summary(cohort: Cohort, console: Console | None = None) -> None:
    """Print the summary to standard output, or to `console`."""
    (console or Console()).print(summary(cohort))


def _headline(rows: Sequence[Series]) -> str:
    studies = len({(row.subject, row.study) for row in rows})
    text = f"{count(_patients(rows), 'patient')}, {count(studies, 'study', 'studies')}, "
    text += count(len(rows), "series", "series")
    masked = sum(bool(row.mask) for row in rows)
    return text + (f"; {masked:,} with a lesion mask" if masked else "")


def _contrasts(rows: Sequence[Series]) -> Table:
    table = Table("Modality", "Contrast", "Patients", "Series", "Voxels", "Voxel size (mm)", title="Series")
    groups: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for row in rows:
        groups[row.modality, row.contrast].append(row)
    for (modality, contrast), group in sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]))):
        table.add_row(
            modality or "unknown", escape(contrast) or "unnamed", f"{_patients(group):,}", f"{len(group):,}",
            _ranges([row.shape for row in group], "d"), _ranges([row.spacing for row in group], ".3g"),
        )  # fmt: skip
    return table


def _labels(rows: Sequence[Series]) -> Table:
    splits = [split for split in SPLITS if any(row.split == split for row in rows)]
    splits += [""] if any(not row.split for row in rows) else []
    table = Table("Label", *(split or "no split" for split in splits), title="Patients (series) by label and split")
    labels = sorted({row.label for row in rows})

    def cell(group: list[Series]) -> str:
        return f"{_patients(group):,} ({len(group):,})" if group else "-"

    for label in labels:
        own = [row for row in rows if row.label == label]
        table.add_row(escape(label) or "no label", *(cell([r for r in own if r.split == split]) for split in splits))
    if len(labels) > 1:
        table.add_section()
        table.add_row("all", *(cell([row for row in rows if row.split == split]) for split in splits))
    return table


def _reading(cohort: Cohort) -> Iterable[RenderableType]:
    """How patients were told apart and contrasts were named: guesses are to be seen."""
    for reading, number in cohort.meta.get("readings", {}).items():
        yield escape(f"Patients are told apart by {reading} ({count(number, 'series', 'series')}).")
    for reading, number in cohort.meta.get("visits", {}).items():
        yield escape(f"Visits are told apart by {reading} ({count(number, 'series', 'series')}).")
    unknown = sum(not row.modality for row in cohort.series())
    if unknown:
        yield (
            f"{count(unknown, 'series has', 'series have')} no modality: give it as {{modality}} in --pattern, "
            "as a column of --labels, or by a contrast that implies it (--contrast '.=XR')."
        )
    rules = cohort.meta.get("contrast_rules", {})
    chosen = Counter((row.contrast, str(rules[row.series])) for row in cohort.series() if row.series in rules)
    if chosen:
        table = Table("Contrast", "Series", "Named by", title="How contrasts were named")
        for (contrast, rule), number in sorted(chosen.items(), key=lambda item: (item[0][0], -item[1])):
            table.add_row(escape(contrast) or "unnamed", f"{number:,}", escape(rule))
        yield table


def _examples(cohort: Cohort) -> Iterable[RenderableType]:
    """How the paths of some patients were read, spread evenly, so that a wrong guess is seen; not where headers say."""
    first: dict[str, Series] = {}
    for row in cohort.series():
        if row.path and row.format not in ("", "dicom"):
            first.setdefault(row.subject, row)
    patients = list(first.values())
    if not patients:
        return
    last = len(patients) - 1
    rows = [patients[n] for n in sorted({last * k // (_EXAMPLES - 1) for k in range(_EXAMPLES)})]
    columns = {"Patient": "subject", "Visit": "study", "Modality": "modality", "Contrast": "contrast"}
    columns |= {"Label": "label", "Split": "split"}
    shown = {title: field for title, field in columns.items() if any(getattr(row, field) for row in patients)}
    table = Table("Path", *shown, title="How paths were read: some of them, to be checked")
    for row, place in zip(rows, cohort.places(rows), strict=True):
        table.add_row(escape(place), *(escape(getattr(row, field)) or "-" for field in shown.values()))
    yield table


def _problems(cohort: Cohort) -> Iterable[RenderableType]:
    rows = cohort.series()
    placed = list(zip(rows, cohort.places(rows), strict=True))
    blocked = [f"{place}: {row.problems}" for row, place in placed if not row.usable]
    noted = [f"{place}: {row.problems}" for row, place in placed if row.usable and row.problems]
    files = [str(problem) for problem in cohort.meta.get("problems", [])]
    notes = [str(note) for note in cohort.meta.get("notes", [])]
    if blocked:
        yield f"[bold]{count(len(blocked), 'series', 'series')} cannot be used as they are:[/]"
        yield from _listed(blocked, "in the column problems of the table")
    if files:
        yield "[bold]Other problems:[/]"
        yield from _listed(files, "in the .json beside the table")
    if noted or notes:
        yield "[bold]Worth knowing:[/]"
        worth_knowing = [text.replace(NOTE, "") for text in (*notes, *noted)]
        yield from _listed(worth_knowing, "in the column problems of the table, or in the .json beside it")
    if not blocked and not files:
        yield "No problems found."


def _listed(sentences: Sequence[str], rest: str) -> Iterable[str]:
    """The first sentences. rest: where all of them stand."""
    for sentence in sentences[:_SHOWN]:
        yield escape(f"  {sentence}")
    if len(sentences) > _SHOWN:
        yield f"  and {len(sentences) - _SHOWN:,} more, {rest}"


def _patients(rows: Iterable[Series]) -> int:
    return len({row.subject for row in rows})


def _ranges(vectors: Sequence[Sequence[float]], form: str) -> str:
    """Say "256 x 256 x 20-24": each axis as one value or as lowest-highest."""
    known = [vector for vector in vectors if vector]
    if not known:
        return "unknown"
    if len({len(vector) for vector in known}) > 1:
        return "various"
    axes = []
    for values in zip(*known, strict=True):
        low, high = format(min(values), form), format(max(values), form)
        axes.append(low if low == high else f"{low}-{high}")
    return " x ".join(axes)
