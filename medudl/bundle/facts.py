"""What a run knows of itself, in sentences, for metadata and model card. Counts and settings, never a patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from medudl.bundle import translations
from medudl.bundle.results import figures, results
from medudl.config import Config, Data, Intensity
from medudl.data.cases import Case, cases_of, is_healthy, training_cases
from medudl.data.cohort import SPLITS, Series
from medudl.methods import method_class
from medudl.methods.method import Method
from medudl.run import Run
from medudl.state import load_state

FEWEST = 5  # patients: of fewer, age and sex would point to persons
_VIEWS = {
    "slices": "single slices", "slices_25d": "slices with their neighbours as channels",
    "patches": "overlapping 3-D patches", "volume": "whole volumes",
}  # fmt: skip


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
        return all(one.clip for one in _intensities(self.config.data))

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
            f"intensities: {'; '.join(_scales(data))}",
            "voxels outside the foreground set to 0" if data.outside == "zero" else "",
            f"seen as {_VIEWS[data.view]}",
        ]
        return ", ".join(step for step in steps if step)

    @cached_property
    def told(self) -> dict[str, str]:
        """Sentences by the keys that the checklists use. A key that is absent is not known."""
        found = {**_about_data(self), **_about_model(self), **results(self.report, self._calibration)}
        if self.config.data.target:
            found |= translations.about_translation(self)
        return {key: text for key, text in found.items() if text}

    @property
    def _calibration(self) -> Mapping[str, Any] | None:
        place = self.run.path / "calibration.json"
        return self.run.read_json(place.name) if place.is_file() else None


def people(cases: Sequence[Case]) -> str:
    """How many there are: 12 patients."""
    return count(len({case.subject for case in cases}), "patient")


def count(number: int, word: str) -> str:
    """A number with its word: 1 scan, 2 scans, 2 pairs of scans."""
    first, *rest = word.split(" ", 1)
    return " ".join([str(number), first + ("" if number == 1 else "s"), *rest])


def _about_data(facts: Facts) -> dict[str, str]:
    data, cases = facts.config.data, facts.cases
    splits = {split: [case for case in cases if case.split == split] for split in SPLITS}
    healthy = [case for case in cases if is_healthy(case, data)]
    shares = "; ".join(
        f"{split}: {people(part)}, {count(len(part), facts.word)}" for split, part in splits.items() if part
    )
    labels = Counter(case.label for case in cases if case.label)
    all_series = facts.run.cohort().series()
    masked = [case for case in cases if case.masked]
    return {
        "sources": f"{people(cases)}, {count(len(cases), facts.word)}; modality {_list(facts.modalities)}, contrast"
        f" {_list(sorted({s.contrast for s in facts.series if s.contrast}))}, files {_list(facts.formats)}",
        "eligibility": f"of {len(all_series)} indexed series {len(facts.series)} were of the kind asked for"
        f"{_where(data, facts.left_out)} and readable; learnt from: {_learnt(facts)}",
        "preprocessing": facts.preprocessing,
        "subsets": _subsets(data),
        "identity": "DICOM patient and study numbers became keyed hashes when indexed; of NIfTI and other files the"
        " names are used as they are. A bundle holds neither",
        "missing": {"skip": "a study that lacks a channel is left out",
                    "zero": "a missing channel is zeros, with an indicator channel"}[data.missing]
        if data.channels else "one channel, so none can be missing; a scan that cannot be read is left out and named",
        "acquisition": _acquisition(facts.series),
        "reference": _reference(labels, len(masked), len(healthy)),
        "partitions": shares,
        "disjoint": _disjoint(all_series),
        "test_size": f"{people(splits['test'])}, {count(len(splits['test']), facts.word)}" if splits["test"] else "",
        "flow": f"{len(all_series)} series indexed, {len(facts.series)} used in {shares or 'no split'}",
        "demography": _demography(facts.series),
        "imbalance": f"scans by label: {_counts(labels)}" if labels else "",
        "predictors": "the voxels of the scan alone; none was chosen by hand",
        "measured": "nobody: they are voxels",
    }  # fmt: skip


def _about_model(facts: Facts) -> dict[str, str]:
    config, run, method = facts.config, facts.run, facts.method
    train = config.train
    told = run.read_json("environment.json") if (run.path / "environment.json").is_file() else {}
    packages = ", ".join(f"{name} {version}" for name, version in told.get("packages", {}).items())
    best = load_state(run.path / "weights.safetensors")
    parameters = sum(p.numel() for p in method.parameters())
    options = ", ".join(f"{key} {value}" for key, value in config.options.items() if key not in ("body", "classes"))
    optimisers = {name: train.optimiser_of(name) for name in method.players()}
    how = "; ".join(f"{name}: {o.name}, lr {o.lr:g}, {o.schedule}" for name, o in optimisers.items())
    augment = {k: v for k, v in config.data.augment.model_dump().items() if v} or "none"
    name = str(config.method["name"])
    value = f" ({method.monitor} {best[method.monitor]:.6g})" if isinstance(best.get(method.monitor), float) else ""
    notes = " ".join(run.meta.get("notes") or [])
    return {
        "kind": f"deep learning, {'from labels' if facts.supervised else 'without labels'}: {name}",
        "task": "where does a scan differ from the healthy ones that were learnt from?"
        if "anomaly" in method.verbs() and not facts.supervised else "",
        "use": "for research; not a medical device; not for diagnosis",
        "model": f"{name} with {parameters:,} parameters; input {' x '.join(map(str, run.shape))} (channels, voxels);"
        f" {options or 'default options'}; gives {_list(list(method.verbs()))}",
        "software": f"medudl {told.get('medudl', '')}, Python {told.get('python', '')}, {packages}; trained on"
        f" {told.get('device', '')}, {told.get('precision', '')}" if told else "",
        "initial": f"weights of an earlier run; the rest random, seed {train.seed}" if config.init
        else f"random, seed {train.seed}",
        "training": f"{train.steps} steps at most, {train.batch_size} {_VIEWS[config.data.view]} a batch; {how};"
        f" augmentation: {augment}; tricks: {_list([str(t.get('name')) for t in config.tricks], 'none')};"
        f" precision {train.precision}; seed {train.seed}",
        "selection": f"the weights of step {best['step']}, best {method.monitor}{value} on the validation split"
        if "step" in best else "the best weights on the validation split",
        "ensemble": "none: one network",
        "limits": f"one training, seed {train.seed}; {people(facts.trained)} learnt from."
        f" {notes}".rstrip(),
        "explained": "the answer itself is a map of the scan" if "anomaly" in method.verbs() else "",
        "protocol": "every setting stands in configs/medudl.json" + (
            f"; not among them: which {_list(facts.left_out)} were asked for" if facts.left_out else ""),
        "availability": "weights (models/), settings (configs/) and how to run them (docs/README.md): the bundle; the"
        " software: medudl",
        "prediction": "python -m monai.bundle run, or models/model.onnx; see docs/README.md",
        "refusal": "a scan of another kind or size, or one that cannot be read, is named with the reason and gets no"
        " result; a scan of poor quality is not told from an unusual one",
        "interaction": "none: it runs over a folder of scans",
    }  # fmt: skip


def _learnt(facts: Facts) -> str:
    if type(facts.method).semi_supervised:
        return "scans of any kind, few of them with their label"
    if facts.supervised:
        return "scans that have a label"
    data = facts.config.data
    if data.target:
        return translations.learnt(facts)
    free = f"; of patients with a lesion, slices {data.lesion_margin} off its mask" if data.lesion_free_slices else ""
    kind = f"labelled {_list(data.healthy_labels)}" if data.healthy_labels else "without a lesion mask"
    return f"scans {kind}{free}"


def _where(data: Data, left_out: Sequence[str]) -> str:
    told = [f"{column} = {value}" for column, value in data.where.items() if column not in left_out]
    told += [f"some values of {column}" for column in left_out]
    return f" ({'; '.join(told)})" if told else ""


def _subsets(data: Data) -> str:
    if data.view == "volume":
        return "whole volumes"
    return f"{_VIEWS[data.view]} with at least {data.min_foreground:.0%} foreground"


def _disjoint(rows: Sequence[Series]) -> str:
    """What the rows show, whoever made the splits."""
    if not any(row.split for row in rows):
        return ""
    sides: dict[str, set[str]] = {}
    for row in rows:
        for name in (f"patient {row.subject}", f"file {row.sha256}" if row.sha256 else ""):
            sides.setdefault(name, set()).add(row.split)
    both = sum(1 for name, found in sides.items() if name and len(found - {""}) > 1)
    if both:
        return f"not disjoint: {both} patients or files lie in more than one split"
    return "by patient; no patient, and no file of equal content, lies in more than one split"


def _acquisition(series: Sequence[Series]) -> str:
    scanners = sorted({s.scanner for s in series if s.scanner})
    spacings = [s.spacing for s in series if s.spacing]
    told = f"scanners: {_list(scanners)}" if scanners else "scanners: not in the files"
    if not spacings:
        return told
    dims = min(len(s) for s in spacings)
    ranges = (f"{min(s[a] for s in spacings):.3g} to {max(s[a] for s in spacings):.3g}" for a in range(dims))
    return f"{told}; voxels (mm): {' x '.join(ranges)}"


def _reference(labels: Mapping[str, int], masked: int, healthy: int) -> str:
    told = [f"labels in the cohort: {_counts(labels)}"] if labels else []
    told += [f"lesion masks for {count(masked, 'scan')}"] if masked else []
    return "; ".join([*told, f"{count(healthy, 'scan')} taken for healthy"])


def _demography(series: Sequence[Series]) -> str:
    """Sex and median age over patients; nothing of a handful, whom it would point to."""
    by_patient = {s.subject: s for s in series if s.sex or s.age}
    if len(by_patient) < FEWEST:
        return ""
    sexes = Counter(s.sex for s in by_patient.values() if s.sex)
    ages = sorted(int(digits) for s in by_patient.values() if (digits := "".join(filter(str.isdigit, s.age))))
    told = [f"sex: {_counts(sexes)}"] if sexes else []
    told += [f"median age {ages[len(ages) // 2]} ({len(ages)} known)"] if len(ages) >= FEWEST else []
    return "; ".join(told)


def _intensities(data: Data) -> list[Intensity]:
    return [data.intensity] if isinstance(data.intensity, Intensity) else list(data.intensity.values())


def _scales(data: Data) -> list[str]:
    if isinstance(data.intensity, Intensity):
        return [_intensity(data.intensity)]
    return [f"{name}: {_intensity(one)}" for name, one in data.intensity.items()]


def _intensity(one: Intensity) -> str:
    clip = ", clipped" if one.clip else ", brighter voxels may exceed 1"
    if one.kind == "zscore":
        return f"zscore, {one.width:g} standard deviations to either side to [0, 1]{clip}"
    return f"{one.kind} {one.low:g} to {one.high:g} to [0, 1]{clip}"


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items()))


def _list(words: Sequence[str], otherwise: str = "not stated") -> str:
    return ", ".join(words) or otherwise
