"""What a run knows of itself, in sentences, for metadata and model card. Counts and settings, never a patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from medudl.bundle import translations
from medudl.bundle.about import about_data, about_model
from medudl.bundle.cohort_words import VIEWS, count, intensities, people, scales
from medudl.bundle.results import figures, results
from medudl.config import Config
from medudl.data.cases import Case, cases_of, training_cases
from medudl.data.cohort import Series
from medudl.methods import method_class
from medudl.methods.method import Method
from medudl.run import Run


@dataclass
class Facts:
    """Everything is read from the run folder; report: the content of a report.json, or None."""

    run: Run
    method: Method
    report: Mapping[str, Any] | None = None
    left_out: list[str] = field(default_factory=list)  # columns of data.where that the bundle does not hold

    @property
    def config(self) -> Config:
        """The run's settings."""
        return self.run.config

    @property
    def supervised(self) -> bool:
        """Whether it learnt from labels."""
        return method_class(str(self.config.method["name"])).supervised_by(self.config.data.condition)

    @property
    def paired(self) -> bool:
        """Whether it learnt from registered pairs."""
        return bool(type(self.method).paired)

    @cached_property
    def sides(self) -> dict[str, Any]:
        """sides.json of a translation; empty without one."""
        return dict(self.run.read_json(translations.FILE)) if self.config.data.target else {}

    @property
    def word(self) -> str:
        """What a case is."""
        return "pair of scans" if self.paired else "scan"

    @cached_property
    def cases(self) -> list[Case]:
        """The scans that the settings ask for, of all splits."""
        data = self.config.data
        if data.target:
            return translations.cases_of_both(self)
        return cases_of(self.run.cohort().select(data.where), data)[0]

    @cached_property
    def trained(self) -> list[Case]:
        """Those that were learnt from."""
        mine = [case for case in self.cases if case.split == "train"]
        if self.config.data.target or type(self.method).semi_supervised:
            return mine
        return [case for case in mine if case.label] if self.supervised else training_cases(mine, self.config.data)[0]

    @cached_property
    def series(self) -> list[Series]:
        """The series of all of them."""
        return [series for case in self.cases for series in case.present]

    @property
    def reference(self) -> str:
        """The method and its paper, as its docstring begins."""
        name = str(self.config.method["name"])
        return translations.PAPERS.get(name) or (type(self.method).__doc__ or "").strip().partition("\n")[0]

    @property
    def modalities(self) -> list[str]:
        """MR, CT ...; empty where the files do not say."""
        return sorted({series.modality for series in self.series if series.modality})

    @property
    def formats(self) -> list[str]:
        """dicom, nifti ..."""
        return sorted({series.format for series in self.series if series.format})

    @property
    def trained_on(self) -> str:
        """How many patients and scans of which kind: 12 patients, 14 scans (MR FLAIR)."""
        kinds = " ".join(filter(None, [*self.modalities, *sorted({s.contrast for s in self.series if s.contrast})]))
        return f"{people(self.trained)}, {count(len(self.trained), self.word)}" + (f" ({kinds})" if kinds else "")

    @property
    def classes(self) -> list[str]:
        """The classes of a classifier, in the order of its logits."""
        return list(self.run.meta.get("classes") or self.config.options.get("classes") or [])

    @property
    def clipped(self) -> bool:
        """Whether no voxel can leave [0, 1]."""
        return all(one.clip for one in intensities(self.config.data))

    def channel_names(self, channels: int) -> list[str]:
        """What each input channel holds."""
        return self._named(list(self.config.data.channels) or ["image"], channels)

    def target_names(self, channels: int) -> list[str]:
        """What each channel of a translation holds."""
        return self._named(list(self.config.data.target), channels)

    def _named(self, names: list[str], channels: int) -> list[str]:
        data = self.config.data
        if data.channels and data.missing == "zero":
            names += [f"has {name}" for name in data.channels]
        if data.view == "slices_25d" and len(names) != channels:  # registered pairs: the target is the middle slice
            offsets = range(-data.neighbours, data.neighbours + 1)
            names = [f"{name}, slice {offset:+d}" for offset in offsets for name in names]
        return names if len(names) == channels else [f"channel {place}" for place in range(channels)]

    def eval_metrics(self) -> dict[str, float]:
        """Plain numbers of the report, for metadata.json; empty without one."""
        return {} if self.report is None else figures(self.report)

    @property
    def preprocessing(self) -> str:
        """Every step, in its order."""
        data = self.config.data
        spacing = [("own" if s is None else f"{s:g}") for s in data.spacing or []]
        steps = [
            f"turned to {data.plane} slices",
            "N4 bias field correction" if data.n4 else "",
            f"foreground: {data.foreground}" if data.foreground != "none" else "",
            f"resampled to {' x '.join(spacing)} mm (D, H, W)" if spacing else "voxels as scanned, not resampled",
            "cut to the foreground" if data.crop_foreground else "",
            f"cropped or padded to {' x '.join(map(str, data.size))}" if data.size else "",
            f"intensities: {'; '.join(scales(data))}",
            "voxels outside the foreground set to 0" if data.outside == "zero" else "",
            f"seen as {VIEWS[data.view]}",
        ]
        return ", ".join(step for step in steps if step)

    @cached_property
    def told(self) -> dict[str, str]:
        """Sentences by the keys that the checklists use. A key that is absent is not known."""
        found = {**about_data(self), **about_model(self), **results(self.report, self._calibration)}
        if self.config.data.target:
            found |= translations.about_translation(self)
        return {key: text for key, text in found.items() if text}

    @property
    def _calibration(self) -> Mapping[str, Any] | None:
        place = self.run.path / "calibration.json"
        return self.run.read_json(place.name) if place.is_file() else None
