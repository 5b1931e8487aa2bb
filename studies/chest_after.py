"""What study `chest` was followed by, because it missed its goal: three other scores, on the features it kept.

Fixed before it ran, but after the table of `chest` was known: val is looked at a second time, and these figures are
post hoc. Ways: (1) nearest neighbours in the stages that were chosen; (2) the mean of the chosen linear score and (1),
each divided by its median over the films looked at; (3) the chosen features' score and the map of the denoising
autoencoder (seed 0), ranks averaged. Run `make study NAME=chest` first; this takes seconds.

    make study NAME=chest_after
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from studies import chest, image_level, scores
from studies.scores import Array
from studies.where import real_data

SIDE = 224


def ways(fitted: list[Array], looked: list[Array], stages: list[int]) -> dict[str, Array]:
    """The first two scores of films, from the features of the healthy ones and their own."""
    found = scores.scorers(scores.joined(fitted, stages))
    linear, nearest = (found[name](scores.joined(looked, stages)) for name in ("linear 4", "nearest"))
    return {"nearest": nearest, "linear and nearest": linear / np.median(linear) + nearest / np.median(nearest)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    done = parser.parse_args().out.parent / "chest"
    if not (done / "part-features_draw-0.json").exists():
        sys.exit(f"{done}: study chest has not been run there; run `make study NAME=chest` first")
    question = chest.question(real_data())
    stages = [int(s) for s in image_level.chosen_setting(done)["best"].split(" / ")[1].split("+")]
    healthy = question.train[~question.train.sick]
    fitted = scores.features(healthy, SIDE, "none", done / "cache" / "healthy")
    found = ways(fitted, scores.features(question.val, SIDE, "none", done / "cache" / "val"), stages)
    chosen = _scores(done / "part-features_draw-0.json")["best"]
    pixels = _scores(done / "part-pixel_method-denoising autoencoder_seed-0.json")["map mean"]
    found["with the denoising autoencoder"] = rankdata(chosen) + rankdata(pixels)
    for name, score in found.items():
        made = scores.auroc(question.val, [score])
        print(f"val, {name}: {made.value:.3f} ({made.low:.3f} to {made.high:.3f})")


def _scores(file: Path) -> Any:
    return {name: np.asarray(values) for name, values in json.loads(file.read_text())["scores"].items()}


if __name__ == "__main__":
    main()
