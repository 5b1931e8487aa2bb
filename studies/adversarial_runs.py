"""What studies of generators share: films and slices at 32 x 32, a training through the product's own loop, looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from medudl.batch import Batch
from medudl.config import validate_config
from medudl.methods import build
from medudl.methods.method import Method
from medudl.metrics.intervals import Estimate
from medudl.networks.feature_network import ImageNetFeatures
from medudl.training import random_state
from medudl.training.distributed import launch
from medudl.training.loop import train_step
from medudl.training.players import Player, averaged
from medudl.tricks import build_tricks
from studies.scores import stretched

SIDE = 32
SAMPLES = 1000
OPTIONS: Mapping[str, Any] = {"latent": 64, "width": 32}  # of gan, whatever else is not its default
TRAIN: Mapping[str, Any] = {
    "batch_size": 32, "device": "cpu", "optimiser": {"lr": 2e-4, "betas": [0.5, 0.999]},
    "players": {"generator": {"ema": 0.999}},
}  # fmt: skip


@dataclass(frozen=True)
class Pictures:
    """image: (N, C, 32, 32) in [0, 1]; subject: (N,) patients."""

    image: Tensor
    subject: NDArray[np.str_]

    def of(self, patients: Sequence[str]) -> Pictures:
        """Those of some patients."""
        chosen = np.isin(self.subject, patients)
        return Pictures(self.image[torch.from_numpy(chosen)], self.subject[chosen])

    def drawn(self, count: int, seed: int) -> Pictures:
        """Those of `count` patients drawn from a seed."""
        patients = np.unique(self.subject)
        return self.of(list(np.random.default_rng(seed).choice(patients, count, replace=False)))


def chest(source: Path, split: str) -> Pictures:
    """The NORMAL films of a split of chest_xray_split.csv, percentiles .5 and 99.5 -> 0 and 1."""
    rows = pd.read_csv(source / "chest_xray_split.csv")
    rows = rows[(rows["split"] == split) & (rows["label"] == "NORMAL")]
    films = [np.asarray(Image.open(source / "chest_xray_224" / str(path)).convert("L")) for path in rows["path"]]
    image = stretched(torch.from_numpy(np.stack(films))[:, None].float() / 255)
    return Pictures(F.interpolate(image, (SIDE, SIDE), mode="area").clamp(0, 1), rows["subject"].to_numpy(str))


def heads(source: Path) -> Pictures:
    """pgbm: axial slices that hold a tenth of head or more; T1, T2, FLAIR and T1c as four channels."""
    import nibabel

    images: list[Tensor] = []
    subjects: list[str] = []
    for study in sorted((source / "pgbm").glob("*/*/")):
        files = [study / f"{name}.nii.gz" for name in ("T1", "T2", "FLAIR", "T1c")]
        if not all(file.is_file() for file in files):
            continue
        volumes = [torch.from_numpy(nibabel.load(file).get_fdata(dtype=np.float32)).permute(2, 1, 0) for file in files]
        if len({volume.shape for volume in volumes}) > 1:
            continue
        channels = torch.stack([_scaled(volume) for volume in volumes], 1)  # (D, 4, H, W)
        kept = channels[(channels[:, 0] > 0.1).flatten(1).float().mean(1) > 0.1]
        images.append(F.interpolate(kept, (SIDE, SIDE), mode="area"))
        subjects += [study.parent.name] * len(kept)
    return Pictures(torch.cat(images).clamp(0, 1), np.array(subjects))


def _scaled(volume: Tensor) -> Tensor:
    low, high = np.percentile(volume.numpy(), [0.5, 99.5])
    return ((volume - low) / (high - low)).clamp(0, 1)


class _Endless:
    """Batches of a set, epoch after epoch, each a permutation drawn from the seed; smaller sets are repeated."""

    def __init__(self, images: Tensor, size: int, seed: int) -> None:
        self.images, self.size = images, size
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[Batch]:
        waiting = torch.empty(0, dtype=torch.long)
        while True:
            while len(waiting) < self.size:
                waiting = torch.cat([waiting, torch.randperm(len(self.images), generator=self.generator)])
            chosen, waiting = waiting[: self.size], waiting[self.size :]
            yield {"image": self.images[chosen], "id": [str(i) for i in chosen.tolist()]}


def trained(
    pictures: Pictures, looks: Sequence[int], seed: int, *, tricks: Sequence[Mapping[str, Any]] = (),
    options: Mapping[str, Any] | None = None, train: Mapping[str, Any] | None = None,
) -> Iterator[tuple[int, Method]]:  # fmt: skip
    """(step, method) at each of `looks`, the generator wearing its averaged weights; the last look ends the training.

    Through the product's own step, players and tricks. FloatingPointError: a loss that is no number.
    """
    section = {"name": "gan", **OPTIONS, **(options or {})}
    settings = {**TRAIN, **(train or {}), "steps": max(looks), "seed": seed}
    config = validate_config({"method": section, "train": settings, "tricks": list(tricks)}, "study")
    fabric = launch(config.train)
    random_state.seed(seed)
    acting = build_tricks(config.tricks)
    method = build("gan", tuple(pictures.image.shape[1:]), config.options, acting)
    method.check_tricks(acting, config.options)
    for trick in acting:
        trick.setup(method.players())
    method.join(acting)
    method.train()
    players = {
        name: Player(fabric, name, module, config.train.optimiser_of(name)) for name, module in method.players().items()
    }
    for step, batch in enumerate(_Endless(pictures.image, config.train.batch_size, seed), start=1):
        for player in players.values():
            player.set_rate(step - 1, config.train.steps)
        turns = train_step(fabric, method, players, acting, batch, lambda: False)
        if step % 50 == 0 and not all(turn.loss is None or turn.loss.isfinite() for turn in turns):
            raise FloatingPointError(f"step {step}: a loss is no number")
        if step in looks:
            with averaged(players.values()), torch.no_grad(), torch.random.fork_rng():
                torch.manual_seed(1_000_003)
                method.eval()
                yield step, method
                method.train()
        if step == max(looks):
            return


@torch.no_grad()
def samples_of(method: Method, count: int = SAMPLES) -> Tensor:
    """(count, C, 32, 32), clipped to [0, 1] as a picture is."""
    parts = [method.sample(100) for _ in range(-(-count // 100))]  # type: ignore[attr-defined]
    return torch.cat(parts)[:count].clamp(0, 1)


class Looker:
    """EfficientNet-Lite0 (ImageNet), pictures of 32 x 32 brought to 64 x 64, channels one by one: the mean over the
    picture of each channel of its last stage. (N, C, 32, 32) -> (N, 320 C).
    """

    def __init__(self, channels: int) -> None:
        self.network = ImageNetFeatures((channels, SIDE, SIDE), [7], 64)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> NDArray[np.float64]:
        """In passes of 64."""
        parts = [self.network(part)[0].flatten(2).mean(2).double().numpy() for part in torch.split(images, 64)]
        return np.concatenate(parts)


def line(name: str, value: Estimate, digits: int = 4) -> str:
    """'KID .0312 (.0250 to .0370), n = 180 patients'."""
    return f"{name} {value.text(digits)}, n = {value.n}"
