"""The deterministic part: from a case's files to arrays for the network, and back to the scan's own grid and unit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medudl.config import Data
from medudl.data.cases import Case
from medudl.data.intensity import IntensityMap, intensity_map, landmarks, standard_landmarks
from medudl.data.parallel import in_processes
from medudl.data.resample import Mode
from medudl.data.scan import Scan, read_scan, read_series
from medudl.data.transforms import PLANES, Spatial, backward, check_upright
from medudl.errors import UserError

if TYPE_CHECKING:
    from medudl.data.cohort import Cohort
    from medudl.data.volume import Volume

VERSION = 4  # of what `prepare` computes; raised whenever its result changes, so that no old cache entry is served
# The settings that `prepare` depends on. `view` and `size` decide the crop; the others are the loader's business.
_PREPARED_BY = ("channels", "grid", "missing", "register_to_grid", "repair", "plane", "view", "spacing", "size",
                "crop_foreground", "foreground", "foreground_file", "outside", "n4", "intensity")  # fmt: skip


@dataclass
class Prepared:
    """One case, ready for the network.

    image: (C, D, H, W) float32, nominally in [0, 1]. foreground: (1, D, H, W) bool. mask: (1, D, H, W) bool, True in
    lesions; all False where the label says healthy; None where nobody knows.
    geometry: JSON values: shape, affine (of the prepared grid, RAS), source_shape, source_affine, channels,
    intensity (a map a channel, None for a channel that is absent or an indicator), units, registered,
    foreground_cut, the share of the foreground that crop/pad cut off, and covered, the share of the foreground that
    both sides of a registered pair show.
    """

    case_id: str
    image: NDArray[np.float32]
    foreground: NDArray[np.bool_]
    mask: NDArray[np.bool_] | None
    geometry: dict[str, Any]


class Pipeline:
    """`prepare` and its way back. `fitted` is what `fit` learnt, as `state` gave it."""

    sources: int | None = None  # of registered pairs, how many channels are the source's

    def __init__(self, data: Data, fitted: dict[str, Any] | None = None) -> None:
        self.data = data
        self.standard: dict[str, list[float]] = dict((fitted or {}).get("histogram", {}))

    def fit(self, cohort: Cohort, cases: Sequence[Case], progress: Callable[[int, int], None] | None = None) -> None:
        """Learn the landmarks of `histogram` maps from training cases, in parallel; nothing else is learnt.

        A case that cannot be read is passed over here, and named where it is prepared. Raises UserError if none can.
        """
        if not self._histogram_names(cases):
            return
        found: dict[str, list[list[float]]] = {}
        trouble: UserError | None = None
        jobs = in_processes(lambda case: self._landmarks(cohort, case), cases, self.data.cache_workers)
        for done, (_, result) in enumerate(jobs, start=1):
            if isinstance(result, UserError):
                trouble = result
            else:
                for name, marks in result.items():
                    found.setdefault(name, []).append(marks)
            if progress is not None:
                progress(done, len(cases))
        if trouble is not None and not found:
            raise trouble
        self.standard = {name: standard_landmarks(marks) for name, marks in found.items()}

    def state(self) -> dict[str, Any]:
        """What was learnt, as JSON values."""
        return {"version": VERSION, "histogram": self.standard}

    @property
    def key(self) -> str:
        """SHA-256 of every setting and learnt figure that `prepare` depends on."""
        settings = self.data.model_dump(mode="json", include=set(_PREPARED_BY))
        tree = {"version": VERSION, "settings": settings, "standard": self.standard}
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()

    def prepare(self, cohort: Cohort, case: Case) -> Prepared:
        """Read a case and bring it to the network's grid and scale. Raises UserError: unreadable or unfit, in words."""
        scan = read_scan(cohort, case, self.data, self.sources)
        maps = [
            None if channel is None else self._map(case, name, channel[where])
            for name, channel, where in zip(case.names, scan.channels, scan.measured, strict=True)
        ]
        steps = Spatial(self.data).around(scan.foreground, scan.affine)
        foreground = steps.forward(scan.foreground, scan.affine, "nearest", 0.0)
        check_upright(foreground.shape[1:], self.data.plane, case.id)
        seen = foreground.numpy() > 0.5
        if not seen.any():
            raise UserError(f"{case.id}: data.size cuts off all of its foreground; enlarge it, or set crop_foreground")
        image = np.zeros((len(maps), *seen.shape[1:]), dtype=np.float32)
        for out, channel, to_unit in zip(image, scan.channels, maps, strict=True):
            if channel is not None and to_unit is not None:
                shown = channel if self.sources is None else scan.shown(channel)
                placed = steps.forward(shown, scan.affine, "linear", float(shown.min()))
                out[:] = to_unit.forward(placed.numpy()[0])
        if self.data.outside == "zero":
            image *= seen
        mask = None if scan.mask is None else steps.forward(scan.mask, scan.affine, "nearest", 0.0).numpy() > 0.5
        geometry = self._geometry(case, scan, maps, np.asarray(foreground.affine), seen)
        return Prepared(case.id, self._with_indicators(image, maps), seen, mask, geometry)

    def invert(
        self, prepared: Prepared, array: NDArray[Any], *, mode: Mode = "linear", fill: float = 0.0
    ) -> NDArray[Any]:
        """(K, D, H, W) -> (K, X, Y, Z) on the grid series' own grid; `fill` where the prepared grid does not reach.

        Values are copied bit by bit where voxels coincide, so that without a change of spacing nothing is blurred.
        """
        shape = tuple(prepared.geometry["shape"])
        if array.ndim != 4 or tuple(array.shape[1:]) != shape:
            raise ValueError(f"expected (K, {', '.join(map(str, shape))}), got {tuple(array.shape)}")
        return backward(array, prepared.geometry, mode, fill)

    def to_intensity(self, prepared: Prepared, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """(C, D, H, W) nominal [0, 1] -> each channel's own unit (HU for CT); indicators and absent channels stay.

        With `clip` the cut is not undone; with `n4` the unit is that of the scan after bias correction.
        """
        maps = prepared.geometry["intensity"]
        channels = [
            channel if to_unit is None else IntensityMap.from_json(to_unit).inverse(channel)
            for channel, to_unit in zip(image, maps, strict=True)
        ]
        return np.stack(channels).astype(np.float32, copy=False)

    def source(self, cohort: Cohort, case: Case) -> Volume:
        """The grid series as it was read: what `invert` gives lies on its voxels."""
        return read_series(cohort, case.grid, self.data.repair)

    def source_affine(self, prepared: Prepared) -> NDArray[np.float64]:
        """(4, 4) voxel -> RAS mm of the grid series."""
        return np.asarray(prepared.geometry["source_affine"], dtype=np.float64)

    def source_shape(self, prepared: Prepared) -> tuple[int, int, int]:
        """(X, Y, Z) of the grid series."""
        x, y, z = prepared.geometry["source_shape"]
        return x, y, z

    def estimate(self, case: Case) -> int:
        """Bytes that the prepared case takes, from the cohort's table alone; an upper bound with crop_foreground."""
        series, data = case.grid, self.data
        letters = series.orientation if len(series.orientation) == 3 else "RAS"
        pairs = {letter: axis for axis, letter in enumerate(letters)} | {
            dict(zip("RLAPSI", "LRPAIS", strict=True))[letter]: axis for axis, letter in enumerate(letters)
        }
        order = [pairs[letter] for letter in PLANES[data.plane]]
        shape = [series.shape[axis] if len(series.shape) == 3 else 1 for axis in order]
        if data.spacing is not None and len(series.spacing) == 3:
            own = [series.spacing[axis] for axis in order]
            shape = [
                round(n * have / (wanted or have)) for n, have, wanted in zip(shape, own, data.spacing, strict=True)
            ]
        if data.size is not None:
            wanted = [shape[0], *data.size] if data.dims == 2 else list(data.size)
            shape = [max(pair) for pair in zip(shape, wanted, strict=True)] if data.view == "patches" else wanted
        channels = len(case.names) * (2 if data.missing == "zero" and data.channels else 1)
        return (4 * channels + 1 + int(bool(case.masked) or case.label in data.healthy_labels)) * prod(shape)

    def _histogram_names(self, cases: Sequence[Case]) -> set[str]:
        return {name for case in cases for name in case.names if self.data.intensity_of(name).kind == "histogram"}

    def _landmarks(self, cohort: Cohort, case: Case) -> dict[str, list[float]]:
        scan = read_scan(cohort, case, self.data, self.sources)
        return {
            name: landmarks(self.data.intensity_of(name), channel[where], f"{case.id}, channel {name}")
            for name, channel, where in zip(case.names, scan.channels, scan.measured, strict=True)
            if channel is not None and name in self._histogram_names([case])
        }

    def _map(self, case: Case, name: str, values: NDArray[np.float32]) -> IntensityMap:
        where = f"{case.id}, channel {name}"
        return intensity_map(self.data.intensity_of(name), values, where, self.standard.get(name))

    def _with_indicators(self, image: NDArray[np.float32], maps: Sequence[IntensityMap | None]) -> NDArray[np.float32]:
        """With `missing: zero`, behind the channels one more for each: 1 where it exists, 0 where it was missing."""
        if not self._indicators:
            return image
        present = np.asarray([to_unit is not None for to_unit in maps], dtype=np.float32)
        return np.concatenate([image, np.broadcast_to(present[:, None, None, None], image.shape)])

    @property
    def _indicators(self) -> bool:
        return bool(self.data.channels) and self.data.missing == "zero"

    def _geometry(
        self,
        case: Case,
        scan: Scan,
        maps: Sequence[IntensityMap | None],
        affine: NDArray[np.float64],
        foreground: NDArray[np.bool_],
    ) -> dict[str, Any]:
        names, trees = list(case.names), [None if m is None else m.to_json() for m in maps]
        if self._indicators:
            names, trees = [*names, *(f"has {name}" for name in names)], [*trees, *[None] * len(trees)]
        before = float(scan.foreground.sum() * abs(np.linalg.det(scan.affine[:3, :3])))
        after = float(foreground.sum() * abs(np.linalg.det(affine[:3, :3])))
        return {
            "shape": list(foreground.shape[1:]), "affine": affine.tolist(), "channels": names, "intensity": trees,
            "source_shape": list(scan.foreground.shape), "source_affine": np.asarray(scan.affine).tolist(),
            "units": scan.units, "registered": scan.registered, "foreground_cut": max(0.0, 1 - after / before),
            "covered": scan.share,
        }  # fmt: skip


def item_shape(prepared: Prepared, data: Data) -> tuple[int, ...]:
    """(C, *S) of one training item: what a method is built for."""
    channels, *shape = prepared.image.shape
    if data.view == "patches":
        assert data.size is not None
        return channels, *data.size
    if data.view == "volume":
        return channels, *shape
    return channels * (2 * data.neighbours + 1 if data.view == "slices_25d" else 1), *shape[1:]
