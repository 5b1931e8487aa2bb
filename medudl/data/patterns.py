"""Where names stand in a path: patterns with placeholders, regular expressions with named groups, and BIDS names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from medudl.config import nearest
from medudl.errors import UserError

FIELDS = ("subject", "study", "series", "contrast", "modality", "label", "split")

# BIDS suffix -> contrast and modality. T1w becomes T1, the name that the same contrast has when it comes from DICOM.
_SUFFIXES = {
    "T1w": ("T1", "MR"), "T2w": ("T2", "MR"), "PDw": ("PD", "MR"), "FLAIR": ("FLAIR", "MR"), "T2star": ("T2star", "MR"),
    "T2starw": ("T2star", "MR"), "bold": ("bold", "MR"), "dwi": ("DWI", "MR"), "angio": ("angio", "MR"),
    "swi": ("SWI", "MR"), "ct": ("CT", "CT"), "CT": ("CT", "CT"), "pet": ("PT", "PT"), "xray": ("XR", "XR"),
}  # fmt: skip
_BIDS = re.compile(r"sub-(?P<subject>[A-Za-z0-9.+-]+)(?:_ses-(?P<study>[A-Za-z0-9.+-]+))?(?P<rest>(?:_[^_/]+)*)")
_MASKS = ("mask", "dseg", "roi", "probseg")
_LESIONS = re.compile(r"_(?:label|desc)-(?:[a-z0-9]*(?:lesion|tumou?r)[a-z0-9]*|L)_|_(?:lesion|roi)$", re.IGNORECASE)


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern. It is compared with the end of a path, whole folder names at a time."""

    text: str
    regex: re.Pattern[str]

    def match(self, path: str) -> dict[str, str] | None:
        """The placeholders' values where the end of `path` (forward slashes) has this form, else None."""
        found = self.regex.fullmatch(path)
        return None if found is None else {k: v for k, v in found.groupdict().items() if v}


def compile_pattern(text: str) -> Pattern:
    r"""A pattern from its text, one of two kinds.

    "{subject}/{study}/{contrast}.nii.gz": a placeholder is one or more characters other than "/", as few as fit; a
        repeated one must repeat its value; "{subject:person\d+}" gives its form; "*" is anything without "/".
    "(?P<subject>person\d+)_(?P<label>[a-z]+)_.*": a regular expression, known by its named groups.

    Raises UserError: unknown placeholder or group (the nearest is named), none at all, or no valid expression.
    """
    expression = text if "(?P<" in text else _translate(text)
    try:
        regex = re.compile(rf"(?:.*/)?(?:{expression})", re.DOTALL)
    except re.error as error:
        raise UserError(f"pattern {text}: not a valid regular expression ({error}); see docs/data.md") from None
    if not regex.groupindex:
        raise UserError(f"pattern {text}: has no placeholder, such as {{subject}}/{{contrast}}.nii.gz")
    for name in regex.groupindex:
        if name not in FIELDS:
            raise UserError(f"pattern {text}: unknown placeholder {name}; {nearest(name, FIELDS)}")
    return Pattern(text, regex)


def first_match(patterns: Sequence[Pattern], path: str) -> dict[str, str] | None:
    """The values of the first pattern that fits, or None."""
    return next((values for p in patterns if (values := p.match(path)) is not None), None)


def bids_values(stem: str) -> dict[str, str] | None:
    """subject, study, contrast, modality of a BIDS file name (without extension), or None if it is none.

    "sub-01_ses-2_ce-gd_T1w" -> 01, 2, T1c, MR. Suffixes that BIDS does not know stay as they are.
    """
    found = _BIDS.fullmatch(stem)
    if found is None:
        return None
    suffix = found["rest"].rpartition("_")[2]
    contrast, modality = _SUFFIXES.get(suffix, (suffix if "-" not in suffix else "", ""))
    if contrast == "T1" and "_ce-" in found["rest"]:
        contrast = "T1c"
    # Not of BIDS, but seen: the contrast after a hyphen, "sub-01-T1".
    subject = re.sub(r"[-.](?:T1|T2|PD|FLAIR|CT|MR)\w{0,2}$", "", found["subject"], flags=re.IGNORECASE)
    values = {"subject": subject, "study": found["study"] or "", "contrast": contrast, "modality": modality}
    return {name: value for name, value in values.items() if value}


def bids_folders(path: str) -> dict[str, str]:
    """Subject and study of folders named as in BIDS ("sub-01/ses-2/ct/IM1"), or {} without a sub- folder."""
    found = {kind: name for kind, mark, name in (part.partition("-") for part in path.split("/")[:-1]) if mark and name}
    if "sub" not in found:
        return {}
    return {"subject": found["sub"], **({"study": found["ses"]} if "ses" in found else {})}


def bids_mask(stem: str) -> str:
    """Return "lesion" for a lesion mask's name ("sub-01_label-lesion_mask"), "other" for another mask's, "" else."""
    found = _BIDS.fullmatch(stem)
    if found is None:
        return ""
    if _LESIONS.search(stem):
        return "lesion"
    return "other" if stem.rpartition("_")[2] in _MASKS else ""


def _translate(text: str) -> str:
    """The regular expression of a pattern with placeholders."""
    out, seen, i = [], set(), 0
    while i < len(text):
        if text[i] != "{":
            out.append("[^/]*" if text[i] == "*" else re.escape(text[i]))
            i += 1
            continue
        end = _closing(text, i)
        name, colon, form = text[i + 1 : end].partition(":")
        if not name.isidentifier():
            raise UserError(f"pattern {text}: {{{name}}} is no placeholder; known: {', '.join(FIELDS)}")
        out.append(f"(?P={name})" if name in seen else f"(?P<{name}>{form if colon else '[^/]+?'})")
        seen.add(name)
        i = end + 1
    return "".join(out)


def _closing(text: str, start: int) -> int:
    r"""Where the brace at `start` is closed; braces inside, as in {subject:\d{4}}, are counted."""
    depth = 0
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return i
    raise UserError(f"pattern {text}: a brace is not closed")
