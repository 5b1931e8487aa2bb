"""Who and what a scan is by its path: patterns first, then BIDS, then a guess that is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from medudl.data.contrast import TEXT_RULES, Facts, Rule
from medudl.data.discover import Found, ending
from medudl.data.identity import safe_name
from medudl.data.index_draft import SYNTHETIC, Draft, series_name
from medudl.data.index_guess import who
from medudl.data.index_words import MODALITIES, shown_in
from medudl.data.patterns import Pattern, bids_folders, bids_values, first_match
from medudl.data.splits import split_name
from medudl.errors import UserError

_VISITS = "folders and parts of names that are called like visits, or folders in which a contrast occurs again"
_MR = {contrast for contrast, _ in TEXT_RULES}


@dataclass(frozen=True)
class Names:
    """The user's rules for paths, and how a patient was told from another and a visit from another, counted."""

    patterns: Sequence[Pattern]
    rules: Sequence[Rule]
    readings: Counter[str]
    visits: Counter[str]

    def of_pattern(self, found: Found) -> dict[str, str]:
        """What a pattern gives for a path, safe as file names; {} where none fits. Raises UserError: no such split."""
        for pattern in self.patterns:
            values = pattern.match(found.below)
            if values is not None:
                if "subject" in values:
                    self.readings[f"the {{subject}} of pattern {pattern.text}"] += 1
                return clean(values, f"{found.below}, by pattern {pattern.text}")
        return {}

    def of_folders(self, found: Found) -> dict[str, str]:
        """Subject and study of BIDS folders, safe as file names: what a DICOM file's own name does not say."""
        values = {name: safe_name(value) for name, value in bids_folders(found.below).items()}
        if values:
            self.readings["the sub- part of a BIDS name"] += 1
        return values

    def fits(self, found: Found) -> bool:
        """Whether a file is to be a series: all are without patterns; with them, those that fit one, and BIDS names."""
        matched = not self.patterns or first_match(self.patterns, found.below) is not None
        return matched or bids_values(found.stem) is not None


def clean(values: dict[str, str], where: str) -> dict[str, str]:
    """Values from a path, safe as file names; label as it is; split by its usual spellings."""
    out = {name: safe_name(value) for name, value in values.items() if name not in ("label", "split")}
    out.update({"label": " ".join(values["label"].split())} if "label" in values else {})
    if "split" in values:
        try:
            out["split"] = split_name(values["split"])
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    return out


def name_draft(draft: Draft, found: Found, names: Names) -> Draft:
    """The draft with subject, study, series, contrast, modality, label, split and rule.

    Without pattern and BIDS name the subject stays empty, for `name_rest`; contrast and modality are looked for in the
    names of the file and its folders (see `index_words.shown_in`).
    What a model made has the end of its file name for a contrast, "synthetic-T2", and is not learnt from.
    """
    values = names.of_pattern(found)
    source = "pattern"
    if not values:
        named = bids_values(found.stem) or (bids_folders(found.below) if found.format != "npz" else {})
        values = {k: safe_name(v) for k, v in named.items()}
        source = "BIDS name"
        if values:
            names.readings["the sub- part of a BIDS name"] += 1
    draft.values.update(values)
    draft.values.setdefault("series", series_name(found.below, found.stem, draft.fragment))
    contrast, draft.rule = _contrast(found, values, names.rules, source)
    modality = ""
    if not contrast and not (values and source == "pattern") and found.format != "npz":
        contrast, modality, where = shown_in(found.below.split("/")[:-1], found.stem)
        draft.rule = f"{where} (rule {contrast or modality})" if where else draft.rule
    if draft.model_output:
        kind = safe_name(found.stem.rpartition("_")[2]).removeprefix("synthetic-")
        contrast, draft.rule = f"synthetic-{kind}", "header says model output, and file name"
        draft.faults.append(SYNTHETIC)
    draft.values["contrast"] = contrast
    by_name = MODALITIES.get(contrast.lower(), "MR" if contrast in _MR else modality)
    draft.values.setdefault("modality", by_name)
    return draft


def name_rest(drafts: Sequence[Draft], names: Names) -> None:
    """Subjects, and studies, for files whose path says none by pattern or BIDS name: see `index_guess.who`."""
    nameless = [draft for draft in drafts if not draft.values.get("subject")]
    files = [draft for draft in nameless if not draft.fragment]
    for draft, guess in zip(files, who(files, [_stem(draft) for draft in files]), strict=True):
        draft.values["subject"] = guess.subject
        if guess.study:
            draft.values.setdefault("study", guess.study)
            names.visits[_VISITS] += 1
        names.readings[guess.reading] += 1
    for draft in nameless:
        if draft.fragment:
            draft.values["subject"] = safe_name(f"{_stem(draft)}-{draft.fragment.replace('/', '-')}")
            names.readings["the image: each counts as a patient of its own"] += 1


def _stem(draft: Draft) -> str:
    name = draft.files[0].name
    return name[: len(name) - len(ending(name))] or name


def _contrast(found: Found, values: dict[str, str], rules: Sequence[Rule], source: str) -> tuple[str, str]:
    for rule in rules:
        if rule.fits(Facts(description=found.below)):
            return rule.contrast, rule.told
    if values.get("contrast"):
        return values["contrast"], source
    if source == "pattern" and values:
        return "", "the pattern has no {contrast}"
    return "", "no rule fits the file name"
