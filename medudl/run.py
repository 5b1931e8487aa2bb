"""A run folder: what was trained, on what, and how to use it again.

config.yaml          every setting
cohort.csv, .json    the rows and splits that were used
run.json             format version, method, image shape, status
fitted.json          what the pipeline learnt from the training scans
scans.json           ids of the scans learnt from, of those that chose the best weights, and whose labels were seen
sides.json           of a translation: how the scans of either side looked
weights.safetensors  the best weights
checkpoint/          the last two states of the training, for `--resume`
log.jsonl, events/   the training's course
samples/             images of fixed scans while it trained
environment.json     versions, device, threads, seeds
card.md              what it was trained on, and where patients' images lie
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medudl.config import Config, read_config, write_config
from medudl.errors import UserError
from medudl.state import load_state, save_state, write_text
from medudl.version import VERSION

if TYPE_CHECKING:
    from medudl.data.cohort import Cohort
    from medudl.data.pipeline import Pipeline
    from medudl.data.sides import Side
    from medudl.methods.method import Method

__all__ = ["FORMAT", "Run", "load_state", "save_state"]

FORMAT = 1  # of the run folder; a folder of another format is refused, never guessed at


class Run:
    """A run folder that exists. `meta` is run.json: format, medudl, method, shape, status, step."""

    def __init__(self, path: Path, config: Config, meta: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self.meta = meta

    @classmethod
    def create(cls, path: str | Path, config: Config, cohort: Cohort) -> Run:
        """Make the folder with config.yaml, cohort.csv, cohort.json and run.json, in one move.

        Raises UserError where `path` is a run already, holds other files, or cannot be written.
        """
        path = Path(path)
        if (path / "run.json").is_file():
            raise UserError(f"{path}: holds a run already; give another folder, or go on with --resume")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path}: exists and is not a run; give a new or an empty folder")
        meta = {"format": FORMAT, "medudl": VERSION, "method": config.method["name"]}
        run = cls(path, config, {**meta, "shape": None, "status": "created", "step": 0})
        # A sibling, so that cohort.json's root relative to the folder stays right after the move.
        building = path.parent / f".{path.name}.tmp"
        try:
            shutil.rmtree(building, ignore_errors=True)  # of a process that was killed here
            building.mkdir(parents=True)
            write_config(config, building / "config.yaml")
            cohort.write(building / "cohort.csv")
            (building / "run.json").write_text(_json(run.meta), encoding="utf-8")
            os.replace(building, path)
        except PermissionError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror}); give a folder that is yours") from None
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return run

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a run folder. Raises UserError: not a run, damaged, or of another format version."""
        path = Path(path)
        if not path.exists():
            raise UserError(f"{path}: no such run; give the folder that `medudl train -o` wrote")
        if not (path / "run.json").is_file():
            raise UserError(f"{path}: not a run (no run.json); give the folder that `medudl train -o` wrote")
        meta = _read_json(path / "run.json")
        version = meta.get("format") if isinstance(meta, dict) else None
        if version != FORMAT:
            written = meta.get("medudl", "unknown") if isinstance(meta, dict) else "unknown"
            raise UserError(
                f"{path}: run format {version}, written by medudl {written}; this medudl ({VERSION}) reads"
                f" format {FORMAT}; use that version, or train again"
            )
        return cls(path, read_config(path / "config.yaml"), meta)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *S) of one image as the method gets it. Raises UserError before training has begun."""
        if self.meta["shape"] is None:
            raise UserError(f"{self.path}: its training never began; start it again with --resume")
        return tuple(self.meta["shape"])

    def cohort(self) -> Cohort:
        """The rows and splits that were used."""
        from medudl.data.cohort import Cohort

        return Cohort.read(self.path / "cohort.csv")

    def pipeline(self, side: Side | None = None, *, fitted: dict[str, Any] | None = None) -> Pipeline:
        """The pipeline of the run, with what it learnt from the training scans (or `fitted` in its place).

        side: of a translation, the pipeline of one side alone; without it, that of registered pairs.
        """
        from medudl.data.pairs import pipeline_of

        return pipeline_of(self.config.data, self.read_json("fitted.json") if fitted is None else fitted, side)

    def method(self, device: str = "cpu") -> Method:
        """The method with its best weights (their moving average where that is on), in eval mode."""
        from medudl.methods import build
        from medudl.tricks import build_tricks

        tricks = build_tricks(self.config.tricks)
        method = build(self.config.method["name"], self.shape, self.config.options, tricks)
        weights = self.path / "weights.safetensors"
        if not weights.is_file():
            raise UserError(f"{self.path}: no weights yet; its training has not come to its first validation")
        method.load_state_dict(load_state(weights)["weights"])
        return method.to(device).eval()

    def read_json(self, name: str) -> Any:
        """Read one of the folder's JSON files. Raises UserError: absent or damaged."""
        if not (self.path / name).is_file():
            raise UserError(f"{self.path / name}: absent; was the run stopped before it was written?")
        return _read_json(self.path / name)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file into the folder, in one move."""
        write_text(self.path / name, _json(value))

    def update(self, meta: dict[str, Any]) -> None:
        """Change entries of run.json."""
        self.meta = {**self.meta, **meta}
        self.write_json("run.json", self.meta)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: damaged ({' '.join(str(error).split())}); restore it from a copy") from None
