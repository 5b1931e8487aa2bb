"""One case read and put on one grid: its channels, foreground and lesion mask as (X, Y, Z) arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medudl.config import Data
from medudl.data.cases import Case
from medudl.data.foreground import body, brain
from medudl.data.identity import safe_name
from medudl.data.masks import read_mask
from medudl.data.read import read_volume
from medudl.data.resample import overlap, resample
from medudl.data.volume import Volume
from medudl.errors import UserError

if TYPE_CHECKING:
    from medudl.data.cohort import Cohort, Series

Mask = NDArray[np.bool_]
_AIR = -200.0  # HU; below it there is air, or lung
_PADDING = -1100.0  # HU; below it scanners write what lies outside their circle
LEAST_OVERLAP = 0.5  # share of the grid's foreground that every channel has to cover


@dataclass
class Scan:
    """channels: (X, Y, Z) float32 each on the grid of `affine`, None where the study lacks one; units: one a channel.

    foreground, mask: (X, Y, Z); mask is None where nobody knows whether there are lesions.
    covered: (X, Y, Z), where every channel reaches.
    registered: {contrast: rigid motion (4, 4) from the grid to the series, RAS mm}.
    measured: (X, Y, Z) a channel, where its intensities are measured.
    share: of the foreground that a registered pair was found to cover, see `_as_pair`.
    """

    affine: NDArray[np.float64]
    channels: list[NDArray[np.float32] | None]
    units: list[str]
    foreground: Mask
    mask: Mask | None
    covered: Mask
    registered: dict[str, list[list[float]]] = field(default_factory=dict)
    measured: list[Mask] = field(default_factory=list)
    share: float = 1.0

    def shown(self, channel: NDArray[np.float32]) -> NDArray[np.float32]:
        """A channel (X, Y, Z) with its lowest value in `covered` wherever another channel does not reach."""
        return channel if self.covered.all() else np.where(self.covered, channel, channel[self.covered].min())


def read_series(cohort: Cohort, series: Series, repair: bool = False) -> Volume:
    """One series of the cohort. Raises UserError that names its path.

    A CT that was converted (NIfTI and the like have no unit) is in HU where it goes below -200: so does air in HU, and
    nothing in a picture or in a CT that was shifted to begin at 0.
    """
    volume = read_volume(cohort.files_of(series), series.format, fragment=series.fragment, repair=repair)
    if series.modality == "CT" and volume.unit != "HU" and float(volume.voxels.min()) < _AIR:
        return replace(volume, unit="HU")
    return volume


def read_scan(cohort: Cohort, case: Case, data: Data, sources: int | None = None) -> Scan:
    """Read a case, correct bias and register where `data` asks for it, put all on the grid series' grid.

    sources: of registered pairs, how many channels are the source's; see `_as_pair`.
    Raises UserError: unreadable, NaN voxels, channels that do not overlap, no foreground.
    """
    grid = read_series(cohort, case.grid, data.repair)
    _check_finite(grid, case, case.grid)
    foreground = None if data.foreground == "brain" else _foreground(cohort, case, grid, data)
    everywhere = np.ones(grid.voxels.shape, dtype=bool)
    scan = Scan(grid.affine, [], [], everywhere, _mask(cohort, case, grid, data), everywhere)
    for series, name in zip(case.channels, case.names, strict=True):
        if series is None:
            scan.channels.append(None)
            scan.units.append("none")
            continue
        volume = grid if series == case.grid else read_series(cohort, series, data.repair)
        _check_finite(volume, case, series)
        if data.n4:
            volume = _corrected(volume, series)
        if series != case.grid:
            volume = _on_grid(grid, volume, f"{case.id}, channel {name}", scan, name, data, foreground)
        scan.channels.append(volume.voxels)
        scan.units.append(volume.unit)
    scan.foreground = _brain(case, scan, sources) if foreground is None else foreground
    if not scan.foreground.any():
        raise UserError(
            f"{case.id}: no foreground was found; set data.foreground: none, or leave it out with data.where"
        )
    scan.measured = [scan.foreground] * len(scan.channels)
    if sources is not None:
        _as_pair(case, scan, sources)
    return scan


def files_read(cohort: Cohort, case: Case, data: Data) -> list[tuple[str, list[Path]]]:
    """(role, files) of everything that `read_scan` reads, for the cache's key."""
    read = [
        (f"{name}#{series.fragment}#{series == case.grid}", cohort.files_of(series))
        for name, series in zip(case.names, case.channels, strict=True)
        if series is not None
    ]
    lesion = lesion_path(cohort, case)
    read += [("mask", _files_below(lesion))] if lesion else []
    read += [("foreground", _files_below(_foreground_path(cohort, case, data)))] if data.foreground == "file" else []
    return read


def lesion_path(cohort: Cohort, case: Case) -> Path | None:
    """The lesion mask of the case: that of the grid series, else of the first other channel that has one."""
    return cohort.mask_path(case.masked[0]) if case.masked else None


def _files_below(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]


def _check_finite(volume: Volume, case: Case, series: Series) -> None:
    if not np.isfinite(volume.voxels).all():
        raise UserError(
            f"{case.id}, {series.path}: holds voxels that are no numbers (NaN or infinite); "
            "export it again, or leave it out with data.where"
        )


def _corrected(volume: Volume, series: Series) -> Volume:
    from medudl.data.registration import n4

    if volume.unit == "HU":
        raise UserError(f"{series.path}: is CT, which has no bias field; set data.n4: false")
    return Volume(n4(volume, body(volume, series.modality)), volume.affine, volume.unit)


def _on_grid(
    grid: Volume, volume: Volume, where: str, scan: Scan, name: str, data: Data, foreground: Mask | None
) -> Volume:
    rigid = np.eye(4)
    if data.register_to_grid:
        from medudl.data.registration import register

        rigid = register(grid, volume, where)
        scan.registered[name] = rigid.tolist()
    to_voxels = np.asarray(np.linalg.solve(volume.affine, rigid @ grid.affine), dtype=np.float64)
    seen = overlap(to_voxels, grid.voxels.shape, volume.voxels.shape)
    scan.covered = scan.covered & seen
    share = float(seen.mean() if foreground is None else seen[foreground].mean())
    if share < LEAST_OVERLAP:
        raise UserError(
            f"{where}: covers only {share:.0%} of the grid series' foreground; "
            "set data.register_to_grid: true, choose another data.grid, or leave the study out"
        )
    fill = float(volume.voxels.min())
    return Volume(resample(volume.voxels, to_voxels, grid.voxels.shape, "linear", fill), grid.affine, volume.unit)


def _foreground(cohort: Cohort, case: Case, grid: Volume, data: Data) -> Mask:
    if data.foreground == "body":
        return body(grid, case.grid.modality)
    if data.foreground == "file":
        return _mask_file(_foreground_path(cohort, case, data), grid, f"{case.id}: its foreground")
    return np.ones(grid.voxels.shape, dtype=bool)


def _as_pair(case: Case, scan: Scan, sources: int) -> None:
    """Cut foreground and lesions of a registered pair to the voxels that every channel covers.

    Else what fills up the shorter side would be learnt, and judged by, as truth. The padding around the circle of a
    scanner does not count as covered by a target in HU. A source's intensities are measured as without a target, in all
    of the foreground.
    """
    pairs = zip(scan.channels[sources:], scan.units[sources:], strict=True)
    for padded in (voxels for voxels, unit in pairs if voxels is not None and unit == "HU"):
        scan.covered = scan.covered & (padded >= _PADDING)
    inside = scan.foreground & scan.covered
    if not inside.any():
        raise UserError(
            f"{case.id}: its two sides show no part of its foreground in common; set data.register_to_grid: true, or"
            " leave the study out with data.where"
        )
    scan.share = float(inside.sum() / scan.foreground.sum())
    scan.measured[sources:] = [inside] * (len(scan.channels) - sources)
    scan.foreground = inside
    scan.mask = None if scan.mask is None else scan.mask & scan.covered


def _brain(case: Case, scan: Scan, sources: int | None) -> Mask:
    """By deepbet: on T1, which it was made for, else on FLAIR, which looks alike to it, else on the grid series.

    Of a registered pair, on the source's alone: the target is what is to be made, and not there when it is.
    """
    found = {name: v for name, v in zip(case.names[:sources], scan.channels[:sources], strict=True) if v is not None}
    grid = case.names[case.channels.index(case.grid)]
    voxels = next(found[name] for name in ("T1", "FLAIR", grid) if name in found)
    try:
        return brain(Volume(voxels, scan.affine))
    except UserError as error:
        raise UserError(f"{case.id}: {error}" if "deepbet" not in str(error) else str(error)) from None


def _foreground_path(cohort: Cohort, case: Case, data: Data) -> Path:
    assert data.foreground_file is not None
    names = {"subject": case.subject, "study": case.study, "contrast": case.grid.contrast}
    for name, value in names.items():
        if f"{{{name}}}" in data.foreground_file and value != safe_name(value):
            raise UserError(f"{case.id}: its {name} is not safe as a file name, so data.foreground_file cannot use it")
    try:
        return cohort.root / data.foreground_file.format(**names)
    except (KeyError, IndexError, ValueError):
        raise UserError(
            f"data.foreground_file: {data.foreground_file} may hold {{subject}}, {{study}} and {{contrast}} "
            "only, and no other braces"
        ) from None


def _mask(cohort: Cohort, case: Case, grid: Volume, data: Data) -> Mask | None:
    path = lesion_path(cohort, case)
    if path is not None:
        return _mask_file(path, grid, f"{case.id}: its lesion mask")
    return np.zeros(grid.voxels.shape, dtype=bool) if case.label in data.healthy_labels else None


def _mask_file(path: Path, grid: Volume, what: str) -> Mask:
    if not path.exists():
        raise UserError(f"{what} is absent: {path}; mend the path, or take it out")
    return read_mask(path, shape=grid.voxels.shape, affine=grid.affine)
