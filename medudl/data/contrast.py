"""Which contrast a DICOM series has: rules in order, the first that fits decides, and the rule is told.

Names come from the rules alone: no text of a header is ever written, since people write names into descriptions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from medudl.data.identity import safe_name
from medudl.errors import UserError

MODEL_OUTPUT = "MODEL_OUTPUT"  # in the ImageType of what a model made


@dataclass(frozen=True)
class Facts:
    """What the rules look at. Times in ms, None where unknown. sequence: DICOM's ScanningSequence ("SE", "GR IR")."""

    description: str = ""
    protocol: str = ""
    modality: str = ""
    echo_time: float | None = None
    repetition_time: float | None = None
    inversion_time: float | None = None
    sequence: str = ""
    agent: bool = False
    acquisition: str = ""  # AcquisitionContrast of enhanced objects
    image_type: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """contrast: the name it gives. told: the rule in words. fits: whether it applies to these facts."""

    contrast: str
    told: str
    fits: Callable[[Facts], bool]


# (contrast, expression on the description), most specific first. Matched without regard to case.
TEXT_RULES = (
    ("localizer", r"\b(loc|local|localizer|localiser|scout|survey|3[- ]?pl)"),
    ("ADC", r"\badc\b|apparent diff"),
    ("DWI", r"dwi|diffusion|\bdti|\bep2d_diff|\btrace"),
    ("SWI", r"\bswi|suscept|\bswan"),
    ("TOF", r"\btof|\bmra\b"),
    ("perfusion", r"perf|\bdsc\b|\bdce\b|\basl\b"),
    ("T1c", r"t1.{0,24}(\+ ?c|\+ ?gd|post|gad|\bgd\b|\bkm\b|\bce\b|contrast|enh)"),
    ("T1c", r"(post|gad|\bgd\b|\bce[- ]).{0,24}t1|\bt1(c|ce|gd)\b"),
    ("T1", r"t1.{0,12}flair|flair.{0,12}t1"),
    ("FLAIR", r"flair|\bt2f\b|dark[-_ ]?fl|\btirm.{0,12}(dark|t2)"),
    ("STIR", r"\bstir\b"),
    ("T2star", r"t2[-_ ]?(\*|star)|\bgre.{0,8}t2|\bhemo"),
    ("T1", r"t1|mp2?rage|\bspgr|bravo|\bvibe\b|\bthrive\b"),
    ("T2", r"t2"),
    ("PD", r"\bpd|proton"),
)  # fmt: skip


# What says that there is no contrast agent, though it names one; and what came after an operation, not after an agent.
_NO_AGENT = re.compile(
    r"\b(?:pre|non?|without|w/?o)[-_ ]*(?:contrast|gad\w*|gd|enh\w*|km|ce)(?![a-z])|post[-_ ]?(?:op|proc|erior)\w*"
    r"|unenh\w*|w[ _]?o[ _]contrast",
    re.IGNORECASE,
)
# What a scan was registered to, at the end of its name: "FLAIR_to_T1" is a FLAIR.
_ONTO = re.compile(r"(?<=[ -])(?:reg(?:istered)?[ -]*)?(?:to|in|on)[ -]+(?:t1|t2|flair|ct|mr).*$", re.IGNORECASE)
# Words of file names that begin like a contrast and are none: "T101" and "PD001" are patients, "Swiss" a study.
_NO_CONTRAST = re.compile(
    r"(?<![a-z0-9])(?:t[12](?:\d|dm)\w*|(?!pd(?:w|fs)?\d?\b|swi\d?\b|swan\b|loc(?:al|ali[sz]er)?s?\b|scout\b|survey\b|tracew?\b"
    r"|hemo\b|perf(?:usion)?\b)(?:pd|swi|swan|loc|scout|survey|trace|hemo|perf)[a-z0-9]+)",
    re.IGNORECASE,
)


def _flair(f: Facts) -> bool:
    return (f.inversion_time or 0) >= 1200 and (f.repetition_time or 0) >= 4000 and (f.echo_time or 0) >= 70


def _stir(f: Facts) -> bool:
    return 80 <= (f.inversion_time or 0) <= 300 and (f.repetition_time or 0) >= 1500


def _prepared_gradient_echo(f: Facts) -> bool:
    return "GR" in f.sequence and 400 <= (f.inversion_time or 0) <= 1300 and _below(f.echo_time, 15)


def _t1(f: Facts) -> bool:
    spin = "SE" in f.sequence and _below(f.repetition_time, 1000) and _below(f.echo_time, 35)
    gradient = "GR" in f.sequence and _below(f.repetition_time, 500) and _below(f.echo_time, 10)
    return (spin or gradient or _prepared_gradient_echo(f)) and not f.agent


def _t1c(f: Facts) -> bool:
    return f.agent and _t1(Facts(**{**f.__dict__, "agent": False}))


def _t2star(f: Facts) -> bool:
    return "GR" in f.sequence and (f.echo_time or 0) >= 12


def _t2(f: Facts) -> bool:
    return "GR" not in f.sequence and (f.repetition_time or 0) >= 1800 and (f.echo_time or 0) >= 60


def _pd(f: Facts) -> bool:
    spin = "SE" in f.sequence and "IR" not in f.sequence
    return spin and (f.repetition_time or 0) >= 1500 and _below(f.echo_time, 40)


NUMBER_RULES = (
    Rule("FLAIR", "TI >= 1200, TR >= 4000, TE >= 70 ms", _flair),
    Rule("STIR", "TI 80-300, TR >= 1500 ms", _stir),
    Rule("T1c", "contrast agent, and the rule for T1", _t1c),
    Rule("T1", "spin echo with TR < 1000, TE < 35; or gradient echo with TR < 500, TE < 10, or TI 400-1300 ms", _t1),
    Rule("T2star", "gradient echo with TE >= 12 ms", _t2star),
    Rule("T2", "no gradient echo, TR >= 1800, TE >= 60 ms", _t2),
    Rule("PD", "spin echo with TR >= 1500, TE < 40 ms", _pd),
)
# What an enhanced object may say of itself.
_BY_ACQUISITION = {
    "T1": "T1", "T2": "T2", "T2_STAR": "T2star", "FLUID_ATTENUATED": "FLAIR", "PROTON_DENSITY": "PD", "STIR": "STIR",
    "DIFFUSION": "DWI", "PERFUSION": "perfusion", "TOF": "TOF",
}  # fmt: skip
# Modalities of one contrast. MR is left to the rules.
_BY_MODALITY = {"CT": "CT", "CR": "XR", "DX": "XR", "XR": "XR", "MG": "MG", "US": "US", "PT": "PT", "NM": "NM"}


def parse_rules(texts: Sequence[str]) -> tuple[Rule, ...]:
    """The user's rules, "regex=NAME" each; the regex is looked for in description and protocol, cases ignored.

    Raises UserError: no "=", no name, or no valid expression.
    """
    return tuple(_parse(text) for text in texts)


def contrast_of(facts: Facts, rules: Sequence[Rule] = ()) -> tuple[str, str]:
    """(contrast, the rule that chose it); ("", why none did) where no rule fits.

    Order: the user's rules, localizers and phase images, the modality (CT, XR, ...), the description, the protocol,
    AcquisitionContrast, the sequence's times. Synthetic images have the same contrasts with "synthetic-" before them,
    so that no rule takes a model's output for a scan.
    """
    if is_synthetic(facts.image_type):
        name, told = contrast_of(replace(facts, image_type=()), rules)
        return f"synthetic-{name}".rstrip("-"), f"image type says MODEL_OUTPUT, and {told}"
    for rule in rules:
        if rule.fits(facts):
            return rule.contrast, rule.told
    for contrast, words in (("localizer", {"LOCALIZER"}), ("phase", {"PHASE", "P", "PHASE MAP"})):
        if words & set(facts.image_type[2:]):
            return contrast, f"image type says {contrast}"
    if facts.modality in _BY_MODALITY:
        return _BY_MODALITY[facts.modality], f"modality {facts.modality}"
    for source, text in (("series description", facts.description), ("protocol name", facts.protocol)):
        contrast = contrast_of_text(text)
        # A T1 after contrast agent is often described as "T1" alone.
        if contrast == "T1" and facts.agent:
            return "T1c", f"{source} (rule T1), and a contrast agent"
        if contrast:
            return contrast, f"{source} (rule {contrast})"
    if facts.acquisition in _BY_ACQUISITION:
        contrast = _BY_ACQUISITION[facts.acquisition]
        return ("T1c" if contrast == "T1" and facts.agent else contrast), f"acquisition contrast {facts.acquisition}"
    for rule in NUMBER_RULES:
        if rule.fits(facts):
            return rule.contrast, rule.told
    return "", "no rule fits; name it with --contrast 'regex=NAME', or give it by --pattern or --labels"


def is_synthetic(image_type: tuple[str, ...]) -> bool:
    """Whether DICOM's ImageType says that a model made the image, as medudl marks its own.

    SYNTHETIC alone does not say so: phantoms have it, and contrasts computed from a quantitative acquisition.
    """
    return image_type[:1] == ("DERIVED",) and MODEL_OUTPUT in image_type


def contrast_of_text(text: str) -> str:
    """The contrast of the first text rule that is found in a description, "" if none is."""
    # An underscore counts as a letter in \b, but parts words in descriptions and file names.
    words = _NO_AGENT.sub(" ", text[:256].replace("_", " "))
    return next((name for name, expression in TEXT_RULES if re.search(expression, words, re.IGNORECASE)), "")


def contrast_of_name(stem: str) -> str:
    """As `contrast_of_text`, of a file name: a word must begin so ("test1" is no T1), and be no other ("T101")."""
    words = _NO_CONTRAST.sub(" ", _NO_AGENT.sub(" ", _ONTO.sub(" ", stem[:256].replace("_", " "))))
    anchored = ((name, rf"(?<![a-z])(?:{expression})") for name, expression in TEXT_RULES)
    return next((name for name, expression in anchored if re.search(expression, words, re.IGNORECASE)), "")


def _parse(text: str) -> Rule:
    expression, equals, name = text.rpartition("=")
    if not equals or not expression or not name.strip():
        raise UserError(f"--contrast {text}: write regex=NAME, for example 'post.*gad=T1c'")
    try:
        regex = re.compile(expression, re.IGNORECASE)
    except re.error as error:
        raise UserError(f"--contrast {text}: not a valid regular expression ({error})") from None

    def fits(facts: Facts) -> bool:
        return any(regex.search(source[:256]) for source in (facts.description, facts.protocol))

    return Rule(safe_name(name.strip()), f"--contrast {text}", fits)


def _below(value: float | None, limit: float) -> bool:
    return value is not None and 0 < value < limit
