"""What `detect` leaves of one scan: map, expected scan, unusual areas, each on the scan's own grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medudl.data.cases import Case
from medudl.data.cohort import Cohort
from medudl.errors import UserError
from medudl.tasks.detector import Detector, Scored
from medudl.tasks.outputs import About, Folder, sources_of
from medudl.tasks.postprocess import unusual

_MAP_UNITS = "arbitrary: the method's error on the run's intensity scale, 1 = the width of its [0, 1] range"


@dataclass(frozen=True)
class Products:
    """Writes one scan's files below `folder`. healthy: the run's calibration.json."""

    detector: Detector
    healthy: dict[str, Any]
    cohort: Cohort
    folder: Folder
    dicom: bool

    def write(self, case: Case, stem: str, number: int) -> dict[str, Any]:
        """Map and write one scan, the `number`-th of its output; returns its columns of scores.csv.

        Raises UserError where it cannot be read or scored, WriteError where the folder cannot take it.
        """
        return self.put(self.detector.scored(self.cohort, case, expected=True), stem, number)

    def put(self, scan: Scored, stem: str, number: int) -> dict[str, Any]:
        """Write a scan that was scored already; otherwise as `write`."""
        case = scan.case
        if np.isnan(scan.score):
            raise UserError(f"{case.id}: nothing of its foreground is left after erosion; check data.foreground")
        affine = self.detector.pipeline.source_affine(scan.prepared)
        heat = self._on_source(scan, scan.smooth[None])
        areas, mask = self._unusual(scan)
        objects = (
            self._derived(case, number, heat, mask, affine) if self.dicom else []
        )  # may fail: before the first file
        name = self.folder.volume(stem, "anomaly", heat, affine, self._about(case, "Anomaly map", _MAP_UNITS))
        self._write_expected(scan, stem, affine)
        if mask is not None:
            self.folder.volume(stem, "unusual", mask, affine, self._about(case, "Unusual areas", "1 = unusual"))
        for kind, made in objects:
            self.folder.dicom(stem, kind, made)
        voxels = None if mask is None else int(mask.sum())
        return {"score": scan.score, "map": name, "unusual_areas": areas, "unusual_voxels": voxels}

    def _unusual(self, scan: Scored) -> tuple[int | None, NDArray[np.bool_] | None]:
        if self.healthy["voxel"] is None:
            return None, None
        labels, areas = unusual(scan.smooth, self.healthy["voxel"]["threshold"], self.detector.settings)
        return areas, self._on_source(scan, (labels > 0)[None], "nearest") > 0

    def _on_source(self, scan: Scored, array: NDArray[Any], mode: Literal["linear", "nearest"] = "linear") -> Any:
        """(1, D, H, W) -> (X, Y, Z) on the scan's own grid, 0 where the model did not look."""
        return self.detector.pipeline.invert(scan.prepared, array, mode=mode, fill=0)[0]

    def _write_expected(self, scan: Scored, stem: str, affine: NDArray[np.float64]) -> None:
        """The model's picture inside the foreground; the scan's own voxels where the model has nothing to say."""
        if scan.expected is None:
            return
        pipeline, case = self.detector.pipeline, scan.case
        channel = case.channels.index(case.grid)
        source = pipeline.source(self.cohort, case)
        picture = pipeline.to_intensity(scan.prepared, scan.expected)[channel : channel + 1]
        seen = self._on_source(scan, scan.prepared.foreground, "nearest") > 0
        expected = np.where(seen, self._on_source(scan, picture), source.voxels)
        unit = "HU (synthetic)" if source.unit == "HU" else "as in the source series (arbitrary)"
        words = "The scan as the model expects it, inside the foreground; outside, the scan itself"
        self.folder.volume(stem, "expected", expected, affine, self._about(case, words, unit))

    def _derived(self, case: Case, number: int, heat: Any, mask: Any, affine: Any) -> list[tuple[str, Any]]:
        """Parametric Map and Segmentation of a scan, each with its kind. UserError: the scan did not come as DICOM."""
        from medudl.data.derived_dicom import Product, parametric_map, references, segmentation

        sources = references(self.cohort.files_of(case.grid))
        product = Product(self.detector.name, "Anomaly map", "Anomaly score by an unsupervised model", 2 * number + 1)
        made = [("anomaly", parametric_map(sources, heat, affine, product))]
        if mask is not None:
            product = Product(self.detector.name, "Unusual areas", "Areas above the healthy threshold", 2 * number + 2)
            made.append(("unusual", segmentation(sources, mask, affine, product)))
        return made

    def _about(self, case: Case, description: str, units: str) -> About:
        settings, voxel = self.detector.settings, self.healthy["voxel"] or {}
        told = {
            "Method": self.detector.name,
            "Threshold": voxel.get("threshold"),
            "ThresholdPercentileOfHealthyVoxels": voxel.get("percentile"),
            "MinimumVoxels": settings.min_voxels,
            "MedianFilter": settings.median,
            "ForegroundErosion": settings.erode,
        }
        return About(description, units, sources_of(case), told)
