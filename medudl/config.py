"""YAML -> validated settings. An unknown key is an error that names the nearest one."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medudl.errors import UserError

SLICE_POSITION = "slice_position"  # of data.condition: where along the scan the slice lies, which is no column


class Settings(BaseModel):
    """Base of every section: unknown keys are refused, values are not changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Intensity(Settings):
    """How the voxels of one channel are mapped to a nominal [0, 1]; the map is stored with the run and inverted.

    percentile: `low` and `high` percentiles of the foreground -> 0 and 1 (MR).
    window:     `low` and `high` in the scan's own unit (HU for CT) -> 0 and 1.
    zscore:     foreground mean - `width` std -> 0, mean + `width` std -> 1.
    histogram:  landmarks of the foreground -> their mean over the training scans (Nyul & Udupa 1999).
    """

    kind: Literal["percentile", "window", "zscore", "histogram"] = "percentile"
    low: float = 0.5
    high: float = 99.5
    width: float = Field(3.0, gt=0)
    clip: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Intensity:
        if self.kind in ("percentile", "window", "histogram") and self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self


class Augment(Settings):
    """Random changes of a training item (MONAI transforms), seeded by (seed, epoch, index)."""

    flip: bool = False  # left-right only
    rotate: float = Field(0.0, ge=0, le=180)  # degrees, uniform in +-
    scale: float = Field(0.0, ge=0, lt=1)  # factor, uniform in 1 +-
    translate: float = Field(0.0, ge=0)  # voxels, uniform in +-
    gamma: float = Field(0.0, ge=0, lt=1)  # exponent, uniform in 1 +-
    brightness: float = Field(0.0, ge=0, lt=1)  # factor on the intensities, uniform in 1 +-

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return self != Augment()


class Data(Settings):
    """From rows of cohort.csv to arrays."""

    where: dict[str, str | list[str]] = {}  # cohort column -> accepted value(s)
    channels: list[str] = []  # contrasts stacked as channels; empty: each series is a case of one channel
    grid: str | None = None  # the contrast whose grid the others are put on; default: the first channel
    target: list[str] = []  # translation: contrasts of the other side, or one modality; `channels` are the source's
    pairs: Literal["check", "trust"] = "check"  # registered pairs: those that lie apart are left out and named
    missing: Literal["skip", "zero"] = "skip"  # a study that lacks a channel: left out and named, or zeros + indicator
    register_to_grid: bool = False  # rigid registration of the other channels to the grid series (SimpleITK)
    repair: bool = False  # resample unevenly spaced or tilted stacks instead of refusing them
    plane: Literal["axial", "coronal", "sagittal"] = "axial"
    view: Literal["slices", "slices_25d", "patches", "volume"] = "slices"
    neighbours: int = Field(1, ge=1)  # slices_25d: slices on either side, as further channels
    spacing: list[float | None] | None = None  # mm along D, H, W after orientation; null keeps the scan's own
    size: list[int] | None = None  # crop/pad: H, W for slices; D, H, W for volume; patch size for patches
    crop_foreground: bool = False  # cut to the foreground's bounding box before crop/pad
    foreground: Literal["none", "body", "brain", "file"] = "body"
    foreground_file: str | None = None  # pattern below the cohort's root, as in `index --pattern`
    outside: Literal["keep", "zero"] = "keep"  # what lies outside the foreground; zero: as after skull-stripping
    n4: bool = False  # N4 bias field correction (SimpleITK)
    intensity: Intensity | dict[str, Intensity] = Intensity()  # one for all, or one a channel
    healthy_labels: list[str] = []  # labels that count as healthy; empty: every case without a lesion mask
    lesion_free_slices: bool = False  # train on slices of lesion patients that lie `lesion_margin` slices off the mask
    lesion_margin: int = Field(1, ge=0)
    min_foreground: float = Field(0.02, ge=0, le=1)  # a training slice or patch holds at least this share
    condition: list[str] = []  # cohort columns, and slice_position, that a conditional generator is told of each item
    augment: Augment = Augment()
    cache: str | None = None  # folder; default: .medudl_cache beside the run folder
    cache_workers: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        if self.foreground == "file" and not self.foreground_file:
            raise ValueError("foreground: file needs foreground_file, a pattern such as '{subject}/brain.nii.gz'")
        if self.grid is not None and self.grid not in self.channels:
            raise ValueError(f"grid: {self.grid} is not one of channels: {self.channels}")
        wanted = {"slices": 2, "slices_25d": 2, "patches": 3, "volume": 3}[self.view]
        if self.size is not None and (len(self.size) != wanted or min(self.size) < 1):
            raise ValueError(f"size needs {wanted} positive numbers for view: {self.view}, got {self.size}")
        if self.view == "patches" and self.size is None:
            raise ValueError("view: patches needs size, the patch's D, H, W")
        if self.spacing is not None and (len(self.spacing) != 3 or any(s is not None and s <= 0 for s in self.spacing)):
            raise ValueError(f"spacing needs three positive numbers or nulls (D, H, W in mm), got {self.spacing}")
        if SLICE_POSITION in self.condition and self.dims == 3:
            raise ValueError(f"condition: slice_position takes view: slices or slices_25d, not {self.view}")
        if len(set(self.condition)) < len(self.condition):
            raise ValueError(f"condition names a column twice: {', '.join(self.condition)}")
        if self.target:
            self._check_target()
        return self

    def _check_target(self) -> None:
        if not self.channels:
            raise ValueError(f"target: {self.target} needs channels, the contrasts that it is made from")
        if both := sorted(set(self.channels) & set(self.target)):
            raise ValueError(f"target and channels both name {', '.join(both)}; a contrast is on one side")
        if self.missing == "zero":
            raise ValueError("missing: zero does not go with target; a study that lacks a contrast is left out")
        if self.lesion_free_slices:
            raise ValueError("lesion_free_slices does not go with target; a translation learns from whole scans")

    def intensity_of(self, contrast: str) -> Intensity:
        """The intensity map of one channel."""
        if isinstance(self.intensity, Intensity):
            return self.intensity
        if contrast not in self.intensity:
            raise UserError(f"data.intensity: no entry for contrast {contrast}; add one, or give one map for all")
        return self.intensity[contrast]

    @property
    def dims(self) -> int:
        """2 for slices, 3 for patches and volumes."""
        return 2 if self.view in ("slices", "slices_25d") else 3


class Optimiser(Settings):
    """One player's optimiser, schedule and average."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)  # sgd: the first is its momentum
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine", "linear"] = "constant"  # cosine and linear fall to 0 at the last step
    warmup: int = Field(0, ge=0)  # steps from 0 to lr
    clip_norm: float | None = Field(None, gt=0)
    ema: float = Field(0.0, ge=0, lt=1)  # decay of the weights' moving average; 0 = none


class Train(Settings):
    """The one loop's settings."""

    steps: int = Field(10_000, ge=1)
    batch_size: int = Field(16, ge=1)
    optimiser: Optimiser = Optimiser()
    players: dict[str, dict[str, Any]] = {}  # overrides of `optimiser` for one player
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = False
    seed: int = 0
    labels: float = Field(1.0, gt=0, le=1)  # supervised: share of the labelled patients (of train and val) learnt from
    labels_per_class: int | None = Field(None, ge=1)  # or so many patients of each class, of train and of val
    workers: int = Field(0, ge=0)
    validate_every: int = Field(250, ge=1)
    validate_batches: int | None = Field(None, ge=1)  # at most this many batches a validation
    checkpoint_every: int = Field(250, ge=1)
    sample_every: int = Field(1000, ge=1)
    patience: int | None = Field(None, ge=1)  # validations without improvement before stopping early

    @model_validator(mode="after")
    def _labels_once(self) -> Train:
        if self.labels_per_class is not None and self.labels < 1:
            raise ValueError("labels and labels_per_class both say how many labels to learn from; keep one of them")
        return self

    def optimiser_of(self, player: str) -> Optimiser:
        """`optimiser` with this player's overrides; those of "discriminator" are also discriminator_source's."""
        family = self.players.get(player.partition("_")[0], {})
        return Optimiser.model_validate({**self.optimiser.model_dump(), **family, **self.players.get(player, {})})


class Detect(Settings):
    """From a method's map to a reported one. Fixed before any test scan is seen, and the same for every baseline."""

    median: int = Field(5, ge=0)  # median filter's width in voxels, in the slice (2-D) or volume (3-D); 0 = off
    erode: int = Field(2, ge=0)  # the foreground is eroded by this many voxels
    # Scan score: of the map over the eroded foreground (mean, top, max), or one of the method's own by its name
    # (latent_distance, elbo ...: docs/techniques.md), the mean over the scan's slices.
    score: str = "top"
    top_percent: float = Field(1.0, gt=0, le=100)  # score: top = mean of this share of the highest voxels
    alpha: float = Field(0.05, gt=0, lt=1)  # false-alarm rate aimed at, per healthy scan
    voxel_percentile: float = Field(99.5, gt=0, lt=100)  # of healthy voxels, for the mask of unusual areas
    min_voxels: int = Field(5, ge=1)  # smaller unusual areas are not reported


class Config(Settings):
    """A whole run. `method` holds `name` and that method's own options, checked when the method is built."""

    method: dict[str, Any]
    data: Data = Data()
    train: Train = Train()
    detect: Detect = Detect()
    tricks: list[dict[str, Any]] = []

    @model_validator(mode="after")
    def _named(self) -> Config:
        if not isinstance(self.method.get("name"), str):
            raise ValueError("method.name is missing: which method is to be trained?")
        if not isinstance(self.method.get("init", ""), (str, type(None))):
            raise ValueError("method.init is the folder of a run")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The method's own options: its section without `name` and `init`."""
        return {key: value for key, value in self.method.items() if key not in ("name", "init")}

    @property
    def init(self) -> str | None:
        """The folder of the run whose weights it begins from."""
        return self.method.get("init") or None


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file, apply `section.key=value` overrides (values are YAML), validate.

    Raises UserError: no such file, no YAML, an unknown key (the nearest one is named), a value of the wrong kind.
    """
    path = Path(path)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such config; `medudl train --help` names those that come with medudl") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not readable as YAML ({reason}); check that line") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: a config is a mapping with a `method:` section; see configs/")
    for override in overrides:
        _set(tree, override)
    return validate_config(tree, where=str(path))


def validate_config(tree: dict[str, Any], where: str) -> Config:
    """Validate a tree of settings; `where` names its source in errors."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(error)}") from None


def write_config(config: Config, path: str | Path) -> None:
    """Write every setting, defaults included, so that the file alone says what was run."""
    tree = config.model_dump(mode="json")
    Path(path).write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")


def nearest(key: str, known: Sequence[str], what: str = "known keys:") -> str:
    """'; did you mean ...?' for the known key closest to `key`, else the list of known keys, which are `what`."""
    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"{what} {', '.join(known)}"


def _set(tree: dict[str, Any], override: str) -> None:
    name, equals, value = override.partition("=")
    if not equals or not name:
        raise UserError(f"--set {override}: write section.key=value, for example --set method.noise=coarse")
    *parents, last = name.split(".")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, dict):
            raise UserError(f"--set {override}: {parent} is a value, not a section")
        tree = child
    try:
        tree[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--set {override}: {value!r} is not a YAML value; quote it") from None


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {place}; {nearest(str(first['loc'][-1]), _keys_beside(first['loc']))}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    section: Any = Config
    for part in location[:-1]:
        if not isinstance(part, str) or part == "Intensity":
            continue
        field = getattr(section, "model_fields", {}).get(part)
        if field is None:
            return list(Intensity.model_fields)
        kind = field.annotation
        section = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else Intensity
    return list(section.model_fields)
