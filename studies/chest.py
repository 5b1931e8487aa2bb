"""Study `chest`: which films are pneumonia, told by what has seen healthy chests alone?

Protocol, fixed before the first run.
Data: chest_xray_split.csv; NORMAL of train to learn from, val to test on, looked at once. For models, each film's
percentiles .5 and 99.5 are mapped to 0 and 1 and clipped, as the product's pipeline does; 224 x 224 for features,
64 x 64 for pixels. Trivial scores see the film's own grey values.
Features: EfficientNet-Lite0 (ImageNet), mean and standard deviation over the film of each channel, standardised;
scores of feature_autoencoder: residual of a linear autoencoder with 4, 16 or 64 components, and the mean distance to
the 3 nearest training films. Stage (each of 7, 3+4+5, 5+6+7, all), picture side (112, 160, 224) and score are CHOSEN
by the best worst AUROC over six conditions (none, gamma .7, gamma 1.4, crop to 85 %, noise of .05, blur of 1.5 pixels,
each on healthy and sick alike) on held-out films of train: fitted on three quarters of the NORMAL patients, looked at
the other quarter against 300 films of BACTERIA and VIRUS of train. Val is easier than other films of that source, so
it chooses nothing. Told for val: the best setting, the best linear one, and the best linear one of a single stage.
They have no seed: five draws of the training patients stand for it.
Pixels: autoencoder, coarse-noise denoising autoencoder, sparse and variational autoencoder, RBM: the settings of
studies/image_level.py, 400 steps of 32 films, Adam 1e-3, seeds 0 to 4, a bare loop over the method's step without
augmentation, the last weights. Scores: mean of the map, and each score of the method's own. Trivial: minus the
standard deviation of the film, |x - mean| / std against the training films' pixels.
Measure: AUROC, 95 % interval by bootstrap over patients (2,000), of the mean over seeds.
Goal: feature_autoencoder at least .95. CPU size = GPU size: about 25 minutes on one core.

    make study NAME=chest
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.nn import functional as F

from studies import image_level, queue
from studies.scores import Films
from studies.where import real_data

SMALL = 64


def question(source: Path) -> image_level.Question:
    """The films, at both sizes."""
    rows = pd.read_csv(source / "chest_xray_split.csv")
    films = {split: _films(source / "chest_xray_224", rows[rows["split"] == split]) for split in ("train", "val")}
    small = {split: _small(part) for split, part in films.items()}
    return image_level.Question(
        films["train"], films["val"], small["train"], small["val"], (112, 160, 224), 400,
        "feature_autoencoder at least .95 on val",
    )  # fmt: skip


def _films(folder: Path, rows: pd.DataFrame) -> Films:
    images = [np.asarray(Image.open(folder / str(path)).convert("L")) for path in rows["path"]]
    image = torch.from_numpy(np.stack(images))[:, None].float() / 255
    return Films(image, (rows["label"] != "NORMAL").to_numpy(), rows["subject"].to_numpy(str))


def _small(films: Films) -> Films:
    image = F.interpolate(films.image, (SMALL, SMALL), mode="area")
    return Films(image, films.sick, films.subject)


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    image_level.run(question(real_data()), out)


if __name__ == "__main__":
    main()
