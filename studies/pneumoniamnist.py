"""Study `pneumoniamnist`: the question of `chest` at 28 x 28.

Protocol, fixed before the first run: that of `chest`, with these differences. Data: PneumoniaMNIST, train and val; the
films of val that are exact copies of a film of train are removed. There are no patients in it: intervals and the
choice go by image. The films are enlarged for features (sides 56, 112, 224); pixel methods see 28 x 28.
Goal: the chosen feature_autoencoder above minus the standard deviation (.807 on val before copies were removed), which
is computed here on the same films. CPU size = GPU size: about 20 minutes on one core.

    make study NAME=pneumoniamnist
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from studies import image_level, queue
from studies.scores import Films
from studies.where import real_data


def question(source: Path) -> image_level.Question:
    """The films without the copies."""
    with np.load(source / "pneumoniamnist_trainval.npz", allow_pickle=False) as stored:
        parts = {s: (stored[f"{s}_images"], stored[f"{s}_labels"][:, 0] == 1) for s in ("train", "val")}
    known = {film.tobytes() for film in parts["train"][0]}
    fresh = np.array([film.tobytes() not in known for film in parts["val"][0]])
    print(f"{int((~fresh).sum())} films of val are copies of films of train: removed", flush=True)
    train, val = _films("t", *parts["train"]), _films("v", parts["val"][0][fresh], parts["val"][1][fresh])
    goal = "the chosen feature_autoencoder above minus std on the same films"
    return image_level.Question(train, val, train, val, (56, 112, 224), 400, goal)


def _films(prefix: str, images: Any, sick: Any) -> Films:
    names = np.array([f"{prefix}{number}" for number in range(len(images))])
    return Films(torch.from_numpy(images)[:, None].float() / 255, sick, names)


def main() -> None:
    """Run what is missing and print the table."""
    out = queue.out_folder(__doc__)
    image_level.run(question(real_data()), out)


if __name__ == "__main__":
    main()
