"""What the CT-MR page says: warnings and figures as sentences, and what an uncertainty is."""

from __future__ import annotations

from typing import Any

from apps.viewer.translations import Made, Translation
from apps.viewer.words import count, sentence

NOTICE = "Synthetic - not for diagnosis"
_UNITS = {"HU": "HU", "arbitrary": "arbitrary units", "": ""}


def unit_word(unit: str) -> str:
    """Say "arbitrary units" for arbitrary; MR is never in HU."""
    return _UNITS.get(unit, "arbitrary units")


def warnings_of(scan: Translation) -> list[str]:
    """Its warnings as sentences, "This scan is MR; the model was trained on CT." for one."""
    return [sentence(f"This scan {told.replace(', trained on ', '; the model was trained on ')}")
            for told in scan.warnings]  # fmt: skip


def figures_of(scan: Translation) -> list[str]:
    """Its uncertainty and cycle error in words; nothing for what is not known."""
    told = []
    if scan.uncertainty is not None:
        told.append(f"Uncertainty on average ± {scan.uncertainty:.3g} {unit_word(scan.unit)}".strip())
    if scan.cycle_error is not None:
        told.append(f"There and back it is off by {scan.cycle_error:.3g} {unit_word(scan.cycle_unit)} on average")
    return told


def meaning_of(made: Made) -> str:
    """What the uncertainty is, and what it is not, in one sentence."""
    measured = made.about.get("Uncertainty")
    how = measured if isinstance(measured, str) and measured else "standard deviation over several translations"
    return (f"Uncertainty is how far the values lie apart ({how}; in {unit_word(made.unit)}): where it is high the"
            " picture must not be trusted, and where it is low it can still be wrong.")  # fmt: skip


def comparison_of(scan: Translation, made: Made, real: bool, placed: bool) -> str:
    """What stands behind the difference, or why there is none."""
    if not real:
        return (f"No real {made.name} of this study lies in the folder: there is nothing to compare the synthetic one"
                " with.")  # fmt: skip
    scale = "" if made.unit == "HU" else ", after both were brought to the same scale by their own 1-99 %"
    where = "of the same place in mm" if placed else "of the same pixel"
    return (f"The difference is |synthetic - real {made.name}| {where}{scale}. It counts as error only where the two"
            " scans are registered. Beyond what the model looked at nothing is compared.")  # fmt: skip


def back_of(scan: Translation) -> str:
    """What the cycle error says, "" where there is none."""
    if scan.cycle_error is None:
        return ""
    return ("The cycle error is how far the scan, translated there and back, is from itself: a low one is no proof that"
            " the synthetic one is true.")  # fmt: skip


def method_of(made: Made) -> str:
    """The method that made it, "" where the sidecar is gone."""
    told: Any = made.about.get("Method")
    return told if isinstance(told, str) else ""


def headline(scans: list[Translation]) -> str:
    """Say "12 scans, 2 with warnings, 1 could not be translated"."""
    warned, failed = sum(bool(scan.warnings) for scan in scans), sum(not scan.made for scan in scans)
    parts = [count(len(scans), "scan"), *([f"{warned} with warnings"] if warned else ["none with warnings"])]
    return ", ".join([*parts, *([f"{failed} could not be translated"] if failed else [])])
