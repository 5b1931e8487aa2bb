"""What a bundle holds of a run: settings, what the pipeline learnt, thresholds. No row, id or picture of a patient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medudl.bundle import translations
from medudl.config import validate_config
from medudl.errors import UserError
from medudl.run import Run
from medudl.version import VERSION

if TYPE_CHECKING:
    from medudl.data.cohort import Cohort
    from medudl.data.pipeline import Pipeline
    from medudl.data.sides import Side
    from medudl.methods.method import Method

FILE = "configs/medudl.json"
WEIGHTS = "models/model.pt"  # MONAI's name for it
CALIBRATION, CLASSIFICATION = "calibration.json", "classification.json"
FORMAT = 1
WHERE = ("contrast", "modality")  # columns that say what kind of scan; all others may name patients


def shipped_settings(run: Run) -> dict[str, Any]:
    """The content of configs/medudl.json. Left out: paths, cohort rows, what data.where says beside WHERE, scores."""
    config = run.config
    data = config.data.model_dump(mode="json")
    where = {column: value for column, value in data["where"].items() if column in WHERE}
    healthy = run.read_json(CALIBRATION) if (run.path / CALIBRATION).is_file() else None
    chances = run.read_json(CLASSIFICATION) if (run.path / CLASSIFICATION).is_file() else {}
    return {
        "format": FORMAT,
        "medudl": VERSION,
        "method": {key: value for key, value in config.method.items() if key != "init"},
        "tricks": config.tricks,  # some change the networks
        "shape": list(run.shape),
        "data": {**data, "where": where, "cache": None},
        "detect": config.detect.model_dump(mode="json"),
        "fitted": run.read_json("fitted.json"),
        "sides": translations.shipped_sides(run.read_json(translations.FILE)) if config.data.target else None,
        "calibration": None if healthy is None else {**healthy, "scans": []},
        "classes": list(run.meta.get("classes") or config.options.get("classes") or []),
        "temperature": chances.get("temperature", 1.0),
    }


def left_out(run: Run) -> list[str]:
    """Columns of the run's data.where that its bundle does not hold."""
    return sorted(column for column in run.config.data.where if column not in WHERE)


class Shipped(Run):
    """A bundle, as tasks see a run: the same pipeline, method and thresholds. There is no cohort in it.

    root: the bundle's folder. to: of a translation, which side is to be made; None: the target as trained. Raises
    UserError: no bundle of medudl, or damaged.
    """

    def __init__(self, root: str | Path, to: str | None = None) -> None:
        path = Path(root)
        try:
            tree = json.loads((path / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{path}: no bundle of medudl ({reason}); give a folder that `medudl export` wrote"
            ) from None
        if not isinstance(tree, dict) or tree.get("format") != FORMAT:
            raise UserError(f"{path}: of another bundle format; this medudl ({VERSION}) reads format {FORMAT}")
        sections = {name: tree[name] for name in ("method", "data", "detect")} | {"tricks": tree.get("tricks", [])}
        meta = {"method": tree["method"]["name"], "shape": tree["shape"]}
        super().__init__(path, validate_config(sections, where=str(path / FILE)), meta)
        self._fitted, self._calibration, self._sides = tree["fitted"], tree["calibration"], tree.get("sides")
        self.to = to
        self.classes: list[str] = tree["classes"]
        self.temperature: float = tree["temperature"]
        self._loaded: Method | None = None

    def untrained(self) -> Method:
        """The method, its weights not loaded yet."""
        from medudl.methods import build
        from medudl.tricks import build_tricks

        return build(str(self.config.method["name"]), self.shape, self.config.options, build_tricks(self.config.tricks))

    def method(self, device: str = "cpu") -> Method:
        """The method with the bundle's weights, in eval mode; the one given to `keep`, on its own device, if any."""
        from medudl.bundle.network import Network

        return self._loaded or Network(self).load(self.path / WEIGHTS).to(device).method

    def keep(self, method: Method) -> None:
        """Let this method, loaded already, be `method` from now on: big weights are not read twice."""
        self._loaded = method

    def pipeline(self, side: Side | None = None, *, fitted: dict[str, Any] | None = None) -> Pipeline:
        """The pipeline of the run, with what it learnt; see `Run.pipeline`."""
        from medudl.data.pairs import pipeline_of

        return pipeline_of(self.config.data, self._fitted if fitted is None else fitted, side)

    @property
    def side(self) -> Side | None:
        """Which side the scans are of; None where it translates nothing. Raises UserError: it cannot make `to`."""
        if self._sides is None:
            return None
        from medudl.methods import method_class
        from medudl.tasks.translator import source_side

        return source_side(self, self.to, hasattr(method_class(str(self.config.method["name"])), "back"))

    def read_json(self, name: str) -> Any:
        """What a translation asks of the run's files: sides.json. Raises UserError: a bundle holds no other."""
        if name == translations.FILE and self._sides is not None:
            return self._sides
        return super().read_json(name)

    def cohort(self) -> Cohort:
        """Raises UserError always: patients stay with the run."""
        raise UserError(f"{self.path}: a bundle holds no cohort; ask for this at the run that it was exported from")

    @property
    def healthy(self) -> dict[str, Any] | None:
        """The thresholds, without the scans they were measured on; None where the method has no map."""
        return None if self._calibration is None else dict(self._calibration)
