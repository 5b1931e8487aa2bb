"""What a translator's bundle says of its two sides: contrasts, units, what is warned of, and what it cannot promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medudl.data.cases import Case
from medudl.data.identity import safe_name
from medudl.data.sides import pair_cases, side_cases

if TYPE_CHECKING:
    from medudl.bundle.facts import Facts

FILE = "sides.json"
# What is shipped of a side; all of it is of many scans together, and nothing names one of them.
SHIPPED = ("name", "channels", "modality", "spacing", "extent", "quantiles")
PAPERS = {
    "pix2pix": "P. Isola, J.-Y. Zhu, T. Zhou, A. A. Efros: Image-to-Image Translation with Conditional Adversarial"
    " Networks. CVPR 2017, arXiv:1611.07004",
    "cyclegan": "J.-Y. Zhu, T. Park, P. Isola, A. A. Efros: Unpaired Image-to-Image Translation using Cycle-Consistent"
    " Adversarial Networks. ICCV 2017, arXiv:1703.10593",
}
SYNTHETIC = (
    "The images it makes are synthetic: for research, not for diagnosis. A lesion may be lost in them, and one that"
    " nobody has may be made up."
)


def shipped_sides(sides: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of sides.json what a bundle may hold."""
    return {side: {key: told[key] for key in SHIPPED} for side, told in sides.items()}


def cases_of_both(facts: Facts) -> list[Case]:
    """The pairs of a paired translation; else the scans of the source, then those of the target."""
    data, rows = facts.config.data, facts.run.cohort().select(facts.config.data.where)
    if facts.paired:
        return pair_cases(rows, data)[0]
    return [*side_cases(rows, data, "source")[0], *side_cases(rows, data, "target")[0]]


def ways(facts: Facts) -> str:
    """T1 to T2, and T2 to T1."""
    source, target = (_side(facts, side)["name"] for side in ("source", "target"))
    return f"{source} to {target}" + (f", and {target} to {source}" if "back" in facts.method.verbs() else "")


def units(facts: Facts) -> list[str]:
    """A sentence a channel that it can make: what its numbers are, and the span of the network's 0 to 1."""
    made = ["target", *(["source"] if "back" in facts.method.verbs() else [])]
    return [_unit(channel) for side in made for channel in _side(facts, side)["channels"]]


def trained_range(facts: Facts, side: str) -> str:
    """What the scans of a side were like, beyond which it warns: MR, voxels of ..., field of view of ..."""
    told = _side(facts, side)
    spacing, extent = _spans(told["spacing"]), _spans(told["extent"])
    return f"{told['modality'] or 'modality not stated'}, voxels of {spacing} mm, field of view of {extent} mm"


def modality(facts: Facts, side: str) -> str:
    """Of a side's scans; "n/a" where the files do not say."""
    return str(_side(facts, side)["modality"]) or "n/a"


def about_translation(facts: Facts) -> dict[str, str]:
    """Sentences by the keys of the checklists, in the place of those about maps and healthy scans."""
    source, target = (_side(facts, side)["name"] for side in ("source", "target"))
    name = str(facts.config.method["name"])
    back = (
        " The scan translated there and back, and its difference from the scan, lie beside it; a small difference is no"
        " proof of a true translation."
        if "back" in facts.method.verbs() else ""
    )  # fmt: skip
    return {
        "kind": f"deep learning, {'from registered pairs' if facts.paired else 'from sides without pairs'}: {name}"
        f" ({PAPERS[name]}); it makes synthetic images, {ways(facts)}",
        "task": f"what would a scan of {source} look like as {target}?",
        "use": f"for research; not a medical device. {SYNTHETIC}",
        "reference": f"the {target} scan of each pair, " + _alignment(facts) if facts.paired
        else f"none: scans of {source} and of {target} were learnt from without knowing which belong together",
        "output": f"synthetic {target} on the grid of the scan. {'; '.join(units(facts))}. Beside it the standard"
        f" deviation over mirrored and moved views, in the same unit, which does not show what is made up alike in"
        f" all of them.{back}",
        "refusal": "a scan of another contrast or size, or one that cannot be read, is named with the reason and gets"
        f" no result; one unlike those of {source} that were learnt from ({trained_range(facts, 'source')}), or with"
        " other intensities, is translated and gets a warning in words",
        "explained": "",
    }  # fmt: skip


def learnt(facts: Facts) -> str:
    """Which scans were learnt from."""
    data = facts.config.data
    kinds = f"{' and '.join([*data.channels, *data.target])}, sick ones among them where there are any"
    return f"pairs of {kinds}" if facts.paired else f"all scans of {kinds}"


def section(facts: Facts) -> list[str]:
    """Lines of docs/README.md."""
    both = "back" in facts.method.verbs()
    target, source = (_side(facts, side)["name"] for side in ("target", "source"))
    other = [f"`--to {source}` makes {source} of scans of {target} instead.", ""] if both else []
    return [
        *other,
        "## Synthetic images",
        "",
        SYNTHETIC,
        "",
        f"It makes {ways(facts)}. {'; '.join(units(facts))}.",
        "",
        "`translations.csv` warns of scans unlike those that were learnt from:",
        "",
        *(f"- {name}: {trained_range(facts, side)}" for side, name in (("source", source), ("target", target))
          if both or side == "source"),
        "",
        f"After {PAPERS[str(facts.config.method['name'])]}.",
        "",
    ]  # fmt: skip


def writes(facts: Facts) -> str:
    """The files of one scan."""
    names = [safe_name(channel["name"]) for channel in _side(facts, "target")["channels"]]
    made = " and ".join(f"`<scan>_synthetic-{name}.nii.gz`" for name in names)
    back = ", the scan there and back (`_cycle-back`), and how far that is from it (`_cycle-error`)"
    return (
        f"{made} on the scan's own grid, its uncertainty (`_uncertainty-...`)"
        f"{back if 'back' in facts.method.verbs() else ''}, and `translations.csv`; as `medudl translate` does"
    )


def _side(facts: Facts, side: str) -> dict[str, Any]:
    found: dict[str, Any] = facts.sides[side]
    return found


def _unit(channel: Mapping[str, Any]) -> str:
    span = f"the network's 0 to 1 stand for {channel['low']:.4g} to {channel['high']:.4g}"
    if channel["unit"] == "HU":
        return f"{channel['name']} comes in HU ({span})"
    return f"{channel['name']} comes in an arbitrary unit, the mean scale of the training scans ({span})"


def _alignment(facts: Facts) -> str:
    data = facts.config.data
    if data.register_to_grid:
        return "registered to the source's grid"
    return "found to lie on the source" if data.pairs == "check" else "taken to lie on the source, unchecked"


def _spans(ranges: Sequence[Sequence[float]]) -> str:
    return " x ".join(f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g}-{high:.3g}"
                      for low, high in ranges)  # fmt: skip
