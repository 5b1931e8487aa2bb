"""The sentences about data and model that the checklists ask for, by their keys; "" is not known."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from medudl.bundle import translations
from medudl.bundle.cohort_words import (
    VIEWS,
    acquisition,
    count,
    counts,
    demography,
    disjoint,
    listed,
    people,
    reference,
    subsets,
    where,
)
from medudl.data.cases import is_healthy
from medudl.data.cohort import SPLITS
from medudl.state import load_state

if TYPE_CHECKING:
    from medudl.bundle.facts import Facts


def about_data(facts: Facts) -> dict[str, str]:
    """Where the scans come from, who is in them, how they were prepared and split."""
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
        "sources": f"{people(cases)}, {count(len(cases), facts.word)}; modality {listed(facts.modalities)}, contrast"
        f" {listed(sorted({s.contrast for s in facts.series if s.contrast}))}, files {listed(facts.formats)}",
        "eligibility": f"of {len(all_series)} indexed series {len(facts.series)} were of the kind asked for"
        f"{where(data, facts.left_out)} and readable; learnt from: {_learnt(facts)}",
        "preprocessing": facts.preprocessing,
        "subsets": subsets(data),
        "identity": "DICOM patient and study numbers became keyed hashes when indexed; of NIfTI and other files the"
        " names are used as they are. A bundle holds neither",
        "missing": {"skip": "a study that lacks a channel is left out",
                    "zero": "a missing channel is zeros, with an indicator channel"}[data.missing]
        if data.channels else "one channel, so none can be missing; a scan that cannot be read is left out and named",
        "acquisition": acquisition(facts.series),
        "reference": reference(labels, len(masked), len(healthy)),
        "partitions": shares,
        "disjoint": disjoint(all_series),
        "test_size": f"{people(splits['test'])}, {count(len(splits['test']), facts.word)}" if splits["test"] else "",
        "flow": f"{len(all_series)} series indexed, {len(facts.series)} used in {shares or 'no split'}",
        "demography": demography(facts.series),
        "imbalance": f"scans by label: {counts(labels)}" if labels else "",
        "predictors": "the voxels of the scan alone; none was chosen by hand",
        "measured": "nobody: they are voxels",
    }  # fmt: skip


def about_model(facts: Facts) -> dict[str, str]:
    """What was trained, how, with which software, and where its limits are."""
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
        f" {options or 'default options'}; gives {listed(list(method.verbs()))}",
        "software": f"medudl {told.get('medudl', '')}, Python {told.get('python', '')}, {packages}; trained on"
        f" {told.get('device', '')}, {told.get('precision', '')}" if told else "",
        "initial": f"weights of an earlier run; the rest random, seed {train.seed}" if config.init
        else f"random, seed {train.seed}",
        "training": f"{train.steps} steps at most, {train.batch_size} {VIEWS[config.data.view]} a batch; {how};"
        f" augmentation: {augment}; tricks: {listed([str(t.get('name')) for t in config.tricks], 'none')};"
        f" precision {train.precision}; seed {train.seed}",
        "selection": f"the weights of step {best['step']}, best {method.monitor}{value} on the validation split"
        if "step" in best else "the best weights on the validation split",
        "ensemble": "none: one network",
        "limits": f"one training, seed {train.seed}; {people(facts.trained)} learnt from."
        f" {notes}".rstrip(),
        "explained": "the answer itself is a map of the scan" if "anomaly" in method.verbs() else "",
        "protocol": "every setting stands in configs/medudl.json" + (
            f"; not among them: which {listed(facts.left_out)} were asked for" if facts.left_out else ""),
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
    kind = f"labelled {listed(data.healthy_labels)}" if data.healthy_labels else "without a lesion mask"
    return f"scans {kind}{free}"
