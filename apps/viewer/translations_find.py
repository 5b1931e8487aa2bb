"""What the CT-MR page can open: folders that `medudl translate` wrote, and runs that translate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from apps.viewer.catalogue import Catalogue, RunFolder, read_json
from apps.viewer.lookup import inside
from apps.viewer.samples_find import methods_with
from medudl.data.sides import Side

INNER = "synthetic"  # where the translations of a run lie that is itself the opened folder


@dataclass(frozen=True)
class TranslationFolder:
    """A folder with a translations.csv. name: its path below the opened folder."""

    id: str
    name: str
    path: Path


def translation_folders(catalogue: Catalogue) -> list[TranslationFolder]:
    """Folders that `medudl translate` wrote, by depth and name."""
    found = catalogue.look()
    inner = sorted(file.parent for path in found.runs for file in path.glob(f"{INNER}*/translations.csv"))
    return [_folder(catalogue, path) for path in (*found.translations, *inner)]


def translation_runs(catalogue: Catalogue) -> list[RunFolder]:
    """Runs with weights whose method translates."""
    known = methods_with("translate")
    return [run for run in catalogue.runs() if run.method in known and (run.path / "weights.safetensors").is_file()]


def ways_of(run: RunFolder) -> dict[str, tuple[Side, str, str]]:
    """What a run makes: contrast -> (side of the scans, their contrast, itself); empty where sides.json is damaged."""
    sides = read_json(run.path / "sides.json")
    try:
        names = {side: str(sides[side]["name"]) for side in ("source", "target")}
    except (KeyError, TypeError):
        return {}
    ways: dict[str, tuple[Side, str, str]] = {names["target"]: ("source", names["source"], names["target"])}
    if run.method in methods_with("back"):
        ways[names["source"]] = ("target", names["target"], names["source"])
    return ways


def out_of(catalogue: Catalogue, run: RunFolder, to: str) -> Path:
    """Where the translations of a run go: beside it, or inside where what lies beside it is not in the opened folder.

    Never where translations lie already.
    """
    safe = "".join(c if c.isalnum() else "-" for c in to)
    beside = run.path.parent / f"{run.path.name}-{INNER}-{safe}"
    first = beside if inside(run.path.parent, catalogue.folder.resolve()) else run.path / f"{INNER}-{safe}"
    names = (first.with_name(f"{first.name}{number}") for number in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for path in names if not (path / "translations.csv").exists())


def id_of(catalogue: Catalogue, path: Path) -> str:
    """The name of a folder of translations in an address."""
    return catalogue.id_of("translations", path)


def _folder(catalogue: Catalogue, path: Path) -> TranslationFolder:
    below = path.relative_to(catalogue.folder).as_posix()
    name = below if below != "." else catalogue.folder.resolve().name
    return TranslationFolder(id_of(catalogue, path), name, path)
