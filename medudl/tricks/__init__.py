"""All tricks that a config's `tricks:` list can name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from medudl.errors import UserError
from medudl.registry import check_options, load_class
from medudl.tricks.trick import Trick

TRICKS: dict[str, str] = {
    "adaptive_augmentation": "medudl.tricks.adaptive_augmentation:AdaptiveAugmentation",
    "diff_augment": "medudl.tricks.diff_augment:DiffAugment",
    "feature_matching": "medudl.tricks.feature_matching:FeatureMatching",
    "gradient_penalty": "medudl.tricks.gradient_penalty:GradientPenalty",
    "historical_averaging": "medudl.tricks.historical_averaging:HistoricalAveraging",
    "image_replay": "medudl.tricks.experience_replay:ImageReplay",
    "instance_norm": "medudl.tricks.instance_norm:InstanceNorm",
    "minibatch_discrimination": "medudl.tricks.minibatch_discrimination:MinibatchDiscrimination",
    "one_sided_label_smoothing": "medudl.tricks.one_sided_label_smoothing:OneSidedLabelSmoothing",
    "perceptual": "medudl.tricks.perceptual:Perceptual",
    "player_replay": "medudl.tricks.experience_replay:PlayerReplay",
    "separate_batch_norm": "medudl.tricks.separate_batch_norm:SeparateBatchNorm",
    "spectral_norm": "medudl.tricks.spectral_norm:SpectralNorm",
    "unrolling": "medudl.tricks.unrolling:Unrolling",
    "virtual_batch_norm": "medudl.tricks.virtual_batch_norm:VirtualBatchNorm",
    "weight_clipping": "medudl.tricks.weight_clipping:WeightClipping",
}


def build_tricks(entries: Sequence[Mapping[str, Any]]) -> list[Trick]:
    """The tricks of a config, in its order; each entry is {name: ..., option: value, ...}.

    UserError: unknown trick or option (the nearest one is named), a value of the wrong kind or out of range.
    """
    return [_build(entry, f"tricks[{i}]") for i, entry in enumerate(entries)]


def _build(entry: Mapping[str, Any], where: str) -> Trick:
    name = entry.get("name")
    if not isinstance(name, str):
        raise UserError(f"{where}.name is missing: which trick? known: {', '.join(TRICKS)}")
    cls = load_class(TRICKS, name, "trick")
    options = {key: value for key, value in entry.items() if key != "name"}
    return cast("Trick", cls(**check_options(cls, options, where)))
