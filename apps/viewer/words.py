"""How the screen names patients, series and what is wrong with them, without giving away who they are."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from medudl.data.cohort import NOTE, Cohort, Series

_GUESSED = (
    "the file",
    "the image",
    "the top folder",
    "the folder",
)  # readings of `medudl index` that may hold a person's name
PSEUDONYM = re.compile(r"p[0-9a-f]{12}")
_PLACE = re.compile(r"\S*[/\\]\S*|\S+\.(?:nii|nii\.gz|nrrd|nhdr|mha|mhd|dcm|dicom|ima|png|jpe?g|npz|csv|tsv)\b", re.I)
_ENDS_IN_A_PLACE = re.compile(r"(the same voxels as|another mask fits too and is not used|images in)\b.*", re.S)
_SAID = ((r"(\d[\d,]* masks?) that no --masks pattern names: left out", r"\1 that may not be of lesions: left out"),)
_ADVICE = (
    (r"may not be of lesions: left out",
     "If they outline lesions, name them with medudl index --masks; without it these patients count as healthy."),
    (r": left out", "Nothing to do, unless you miss them."),
    (r"an incomplete copy", "The whole series is in the table too: leave this copy out."),
    (r"mask", "Check the mask: without it this patient would count as healthy."),
    (r"too few for a volume", "Export the whole series, or leave it out."),
    (r"hold \d+ volumes", "Export each of them as a series of its own."),
    (r"same position|different orientations|different pixel sizes|not a volume",
     "It is no stack of slices (a localiser, or several series in one). Leave it out, or export each series apart."),
    (r"tilted|unevenly|missing between|shifted sideways",
     "It can be shown. Training takes it with the setting data.repair, which resamples it to even slices."),
    (r"truncated|ends early|ends after|empty file|not a regular file", "Copy it again from its source."),
    (r"colour|a single voxel", "It is no scan of grey values. Leave it out."),
    (r"broken|cannot be|makes no sense|not an? |not supported|claims", "Export it again, or leave it out."),
    (r"every voxel has the same value", "It shows nothing. Leave it out."),
    (r"no number", "Replace those voxels, or leave it out."),
    (r"the same voxels as", "Keep one of the two; copies in different splits would flatter the results."),
    (r"has no PatientID", "Check that this study belongs to no other patient of the table."),
    (r"no split", "Give every patient a split, or none."),
)  # fmt: skip
_TIMES = " \N{MULTIPLICATION SIGN} "
_PICTURES = ("png", "npz")
_PARTS = {"train": "training", "val": "validation", "test": "test"}


class Names:
    """The names of one table's rows. private: no path, no file name, and no patient's name that was only guessed."""

    def __init__(self, cohort: Cohort, private: bool, rows: Sequence[Series] | None = None) -> None:
        """rows: of the cohort, where they have been read already."""
        self.private = private
        self.cohort = cohort
        rows = cohort.series() if rows is None else rows
        readings = [str(reading) for reading in cohort.meta.get("readings", {})]
        self.guessed = any(reading.startswith(_GUESSED) for reading in readings)
        self._numbers = {name: n for n, name in enumerate(dict.fromkeys(row.subject for row in rows), start=1)}
        self._visits: dict[str, list[str]] = defaultdict(list)  # of each patient, in the table's order
        for row in rows:
            if row.study not in self._visits[row.subject]:
                self._visits[row.subject].append(row.study)
        self._titles = _titles(rows)
        self._rows = {row.path: row for row in rows}

    def readings(self) -> list[str]:
        """How patients were told apart, where the table says so: a guess is to be seen."""
        known = {str(by): int(n) for by, n in self.cohort.meta.get("readings", {}).items()}
        told = [
            f"Patients are told apart by {_hidden(by) if self.private else by} ({count(n, 'series', 'series')})."
            for by, n in known.items()
        ]
        visits = {str(by): int(n) for by, n in self.cohort.meta.get("visits", {}).items()}
        told += [f"Visits are told apart by {by} ({count(n, 'series', 'series')})." for by, n in visits.items()]
        if self.guessed:
            told.append("If that is wrong, say where the patient stands in a path: medudl index --pattern.")
        if self.guessed and self.private:
            told.append("Names of files and folders may name a person: such patients are numbered here, unless the"
                        " viewer was started with --show-identity.")  # fmt: skip
        return told

    def subject(self, row: Series) -> str:
        """The patient: the table's pseudonym; "patient 3" where the table only guessed a name from files or folders."""
        known = not (self.guessed and self.private) or PSEUDONYM.fullmatch(row.subject)
        return (row.subject if known else f"patient {self._numbers[row.subject]}") or "unknown"

    def study(self, row: Series) -> str:
        """The visit, likewise: "visit 2" where the table only guessed it from a folder's name."""
        if row.study and self.private and self.cohort.meta.get("visits") and row.format != "dicom":
            return f"visit {self._visits[row.subject].index(row.study) + 1}"
        return row.study

    def title(self, row: Series) -> str:
        """The series among those of its study: "T1", "T1 (2)"."""
        return self._titles[row.series, row.path]

    def problems(self, row: Series) -> list[str]:
        """What is wrong with a row, and its notes, as sentences."""
        return [told for _, told in self.weighed(row)]

    def weighed(self, row: Series) -> list[tuple[bool, str]]:
        """As `problems`, each with whether it is a note only, which keeps the series in use."""
        return [(text.startswith(NOTE), self._problem(row, text)) for text in row.problems.split("; ") if text]

    def others(self) -> list[tuple[bool, str]]:
        """Sentences about files that became no row, problems first, each with whether it is a note only."""
        told = [(note, str(text)) for note, part in ((False, "problems"), (True, "notes"))
                for text in self.cohort.meta.get(part, [])]  # fmt: skip
        return [(note, _said(faceless(text) if self.private else text)) for note, text in told]

    def _problem(self, row: Series, text: str) -> str:
        text = text.removeprefix(NOTE)
        if self.private:
            text = self._without_files(row, text)
        return _said(text)

    def _without_files(self, row: Series, text: str) -> str:
        copy = text.removeprefix("the same voxels as ")
        if copy != text:
            twin = self._rows.get(copy)
            return "the same voxels as " + (f"{self.subject(twin)}, {self.title(twin)}" if twin else "another series")
        for name in self.cohort.meta.get("files", {}).get(row.series, []):
            own = str(name).rpartition("/")[2]
            text = text.replace(f"{own}: ", "one of its files: ") if own else text
        return _hidden(text)


def faceless(text: str) -> str:
    """A sentence of `medudl index` without the paths in it: they could hold a name.

    "a/b.dcm: truncated" -> "a file: truncated"; "3 masks fit no series: a, b" -> "3 masks fit no series".
    """
    if text.startswith("leak between"):
        return _hidden(re.sub(r" \(.*\)", "", text))
    head, mark, rest = text.partition(": ")
    if re.match(r"[\d,]+ ", text):
        return head + (": left out" if rest.startswith("left out") else "")
    if text.startswith("no usable scan: "):
        return head + mark + faceless(rest)
    return f"a file or folder: {_hidden(rest)}" if mark and _PLACE.search(head) else _hidden(text)


def _hidden(text: str) -> str:
    cut = _ENDS_IN_A_PLACE.sub(r"\1 another place", text)
    return _PLACE.sub("a file", cut)


def _said(text: str) -> str:
    """A sentence of the command line in the words of the screen."""
    for pattern, words in _SAID:
        text = re.sub(pattern, words, text)
    return sentence(text)


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""


def advice(problem: str) -> str:
    """What to do about a problem, "" where nothing general can be said."""
    return next((todo for pattern, todo in _ADVICE if re.search(pattern, problem, re.I)), "")


def split_word(split: str) -> str:
    """Say "training" for train."""
    return _PARTS.get(split, split)


def size(row: Series) -> str:
    """Voxels along the axes, "512 x 512 x 300" with a real multiplication sign; a picture has two."""
    return _TIMES.join(map(str, row.shape[:2] if row.shape[2:] == (1,) else row.shape))


def spacing(row: Series) -> str:
    """Millimetres of a voxel along its axes, three digits each; "" for a picture, which says nothing of mm."""
    return "" if row.format in _PICTURES else _TIMES.join(f"{mm:.3g}" for mm in row.spacing)


def field_of_view(row: Series) -> str:
    """Millimetres that the scan covers along its axes; "" for a picture."""
    covered = [f"{n * mm:.0f}" for n, mm in zip(row.shape, row.spacing, strict=False)]
    return "" if row.format in _PICTURES else _TIMES.join(covered)


def count(number: int, one: str, many: str = "") -> str:
    """Say "1 patient", "2 patients"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _titles(rows: Sequence[Series]) -> dict[tuple[str, str], str]:
    seen: Counter[tuple[str, str, str]] = Counter()
    titles = {}
    for row in rows:
        name = row.contrast or row.modality or "scan"
        seen[row.subject, row.study, name] += 1
        number = seen[row.subject, row.study, name]
        titles[row.series, row.path] = name if number == 1 else f"{name} ({number})"
    return titles
