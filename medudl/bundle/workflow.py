"""What MONAI runs: scans of a folder -> prepared arrays -> the method's answer -> files on each scan's own grid.

Each class stands for one entry of configs/inference.json. The work itself is that of `medudl detect`, `translate`,
`embed` and `classify`, so that a bundle gives the same voxels and numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from monai.transforms import Transform
from numpy.typing import NDArray

from medudl.bundle.network import Network
from medudl.bundle.shipped import Shipped
from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort
from medudl.data.inputs import open_input
from medudl.data.pipeline import Prepared
from medudl.data.sides import side_cases, side_data
from medudl.errors import UserError
from medudl.metrics.classification import scan_log_probability
from medudl.tasks.codes import coded
from medudl.tasks.detect import COLUMNS, flag, left_out, row_of
from medudl.tasks.detector import Detector
from medudl.tasks.logits import item_logits
from medudl.tasks.maps import RawMap, raw_map
from medudl.tasks.outputs import Folder, WriteError, stems, without_paths
from medudl.tasks.products import Products
from medudl.tasks.translate import COLUMNS as TRANSLATED
from medudl.tasks.translate import Volumes
from medudl.tasks.translate import row_of as translated_row
from medudl.tasks.translator import Translated, TranslationRun


@dataclass(frozen=True)
class Item:
    """One scan on its way. problem: why it cannot be looked at, or "" while nothing is wrong."""

    cohort: Cohort
    case: Case
    stem: str
    number: int
    prepared: Prepared | None = None
    problem: str = ""


def scans(shipped: Shipped, dataset_dir: str) -> list[dict[str, Item]]:
    """The scans below a folder that the model looks at (NIfTI, DICOM ...; a cohort.csv or one file do too).

    After them those that it cannot look at (see `detect.left_out`), with their `problem`, so that each has its row.
    Raises UserError: nothing there, or nothing of the kind that the model was trained on.
    """
    cohort, data, side = open_input(dataset_dir), shipped.config.data, shipped.side
    cases, notes = cases_of(cohort, data) if side is None else side_cases(cohort.select(data.where), data, side)
    others = left_out(cohort, cases, data, side)
    if not cases:
        reasons = [f"{case.id}: {why}" for case, why in others] or notes
        why = f" ({reasons[0]})" if reasons else ""
        data = data if side is None else side_data(data, side)
        raise UserError(
            f"{dataset_dir}: holds no scan that this model looks at{why}; it takes"
            f" {', '.join(data.channels) or data.where or 'any series'}"
        )
    items = [Item(cohort, case, stem, n) for n, (case, stem) in enumerate(zip(cases, stems(cases), strict=True))]
    items += [Item(cohort, case, case.id, n, problem=why) for n, (case, why) in enumerate(others, start=len(items))]
    return [{"image": item} for item in items]


class Prepare(Transform):  # type: ignore[misc]
    """Preprocessing: reads a scan and brings it to the network's grid and scale, by the run's own pipeline."""

    def __init__(self, shipped: Shipped) -> None:
        self.pipeline = shipped.pipeline(shipped.side)

    def __call__(self, data: Mapping[str, Item]) -> dict[str, Item]:
        """{image: Item} with `prepared` filled, or `problem` where the scan cannot be read."""
        item = data["image"]
        if item.problem:
            return {"image": item}
        try:
            prepared, problem = self.pipeline.prepare(item.cohort, item.case), ""
        except UserError as error:
            prepared, problem = None, without_paths(str(error), item.cohort, item.case.present)
        return {"image": Item(item.cohort, item.case, item.stem, item.number, prepared, problem)}


class Inferer:
    """The network over a prepared volume: slice by slice, in overlapping patches, or as a whole, as in training."""

    def __init__(self, shipped: Shipped) -> None:
        self.shipped = shipped

    def __call__(self, inputs: Item, network: Network) -> RawMap | Translated | NDArray[np.float64]:
        """A prepared scan -> its map or translation; else (K,): class probabilities or code, the mean over items."""
        assert inputs.prepared is not None
        if network.verb == "anomaly":
            return raw_map(network.method, inputs.prepared.image, self.shipped.config.data, expected=True)
        if network.verb == "translate":
            return translator(self.shipped, network).translated_from(inputs.case, inputs.prepared)
        return numbers(network, inputs.prepared, self.shipped)


class Write:
    """Postprocessing: filter, score, bring back to the scan's own grid, write: as `detect`, `translate` ... do."""

    def __init__(self, shipped: Shipped, network: Network, output_dir: str) -> None:
        self.folder = Folder.create(output_dir, "medudl bundle")
        self.healthy = shipped.healthy or {"scan": None, "voxel": None}
        shipped.keep(network.method)
        self.detector = Detector(shipped, "cpu") if network.verb == "anomaly" else None
        self.translator = translator(shipped, network) if network.verb == "translate" else None
        self.classes = shipped.classes if network.verb == "classify" else []

    def __call__(self, item: Item, made: RawMap | Translated | NDArray[np.float64]) -> dict[str, Any]:
        """Write one scan's files; returns its row of the table."""
        assert item.prepared is not None
        if isinstance(made, RawMap):
            assert self.detector is not None
            scan = self.detector.judged(item.case, item.prepared, made)
            products = Products(self.detector, self.healthy, item.cohort, self.folder, dicom=False)
            put = products.put(scan, item.stem, item.number)
            return row_of(item.case, **put, **flag(put["score"], self.healthy))
        if isinstance(made, Translated):
            assert self.translator is not None
            volumes = Volumes(self.translator, item.cohort, self.folder, dicom=False, burn_in=False)
            return translated_row(item.case, **volumes.put(made, item.stem, item.number))
        if self.classes:
            chances = {f"probability {name}": chance for name, chance in zip(self.classes, made, strict=True)}
            return {**_who(item), "predicted": self.classes[int(made.argmax())], **chances, "problem": ""}
        return {**_who(item), **{f"z{place}": number for place, number in enumerate(made)}, "problem": ""}

    def table(self, rows: Sequence[dict[str, Any]]) -> None:
        """scores.csv of maps; translations.csv; predictions.csv of classes; embedding.csv of codes."""
        name, columns = self._kind
        table = pd.DataFrame(rows, columns=None if columns is None else list(columns))
        self.folder.text(name, table.to_csv(index=False, lineterminator="\n"))

    @property
    def _kind(self) -> tuple[str, Sequence[str] | None]:
        """The table's name, and its columns where they are always the same."""
        if self.detector is not None:
            return "scores.csv", COLUMNS
        if self.translator is not None:
            return "translations.csv", TRANSLATED
        return ("predictions.csv" if self.classes else "embedding.csv"), None


class Evaluator:
    """One scan after another through the dataset, the inferer and the postprocessing; then the table."""

    def __init__(
        self, dataset: Iterable[Mapping[str, Item]], network: Network, inferer: Inferer, postprocessing: Write
    ) -> None:
        self.dataset, self.network, self.inferer, self.postprocessing = dataset, network, inferer, postprocessing

    def run(self) -> list[dict[str, Any]]:
        """Write every scan's files and return the rows. A scan that cannot be read keeps its row, with the reason.

        Raises UserError where not one scan could be looked at.
        """
        rows = []
        for data in self.dataset:
            item = data["image"]
            row = self._row(item)
            rows.append(row)
            print(f"medudl: {item.stem}: {row.get('problem') or 'written'}", file=sys.stderr)
        if all(row.get("problem") for row in rows):
            raise UserError(str(rows[0]["problem"]))
        self.postprocessing.table(rows)
        return rows

    def _row(self, item: Item) -> dict[str, Any]:
        problem = item.problem
        if item.prepared is not None:
            try:
                return self.postprocessing(item, self.inferer(item, self.network))
            except WriteError:
                raise
            except UserError as error:
                problem = without_paths(str(error), item.cohort, item.case.present)
        return {**_who(item), "problem": problem}


def translator(shipped: Shipped, network: Network) -> TranslationRun:
    """The bundle's translation by this very network. Raises UserError: it cannot make what `to` asks for."""
    shipped.keep(network.method)
    return TranslationRun(shipped, shipped.to, (), "cpu")  # where the method lies, it stays


def numbers(network: Network, prepared: Prepared, shipped: Shipped) -> NDArray[np.float64]:
    """(K,): calibrated class probabilities, or the code, of a scan: those of `medudl classify` and `medudl embed`.

    Raises UserError where the scan has no slice with enough foreground, or does not fit the network.
    """
    data = shipped.config.data
    if network.verb == "classify":
        logits = item_logits(network.method, prepared, data)
        return np.asarray(np.exp(scan_log_probability(logits, shipped.temperature)), np.float64)
    whole = coded(network.method, prepared, data).whole()
    if not len(whole.code):
        raise UserError("no slice of it holds data.min_foreground of foreground")
    return np.asarray(whole.code[0], np.float64)


def _who(item: Item) -> dict[str, Any]:
    case = item.case
    return {"subject": case.subject, "study": case.study, "series": case.grid.series, "contrast": case.grid.contrast}
