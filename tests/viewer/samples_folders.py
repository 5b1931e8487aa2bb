"""Folders as `medudl sample` and `medudl evaluate` write them, made without a model; heads of random ellipses."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

RISKS = ("copy", "close", "own", "own", "own", "own", "own", "own")  # of samples 0, 1, ... in turn
HEAD = ["sample", "nearest_case", "nearest_slice", "similarity_pixels", "threshold_pixels", "distance_features",
        "threshold_features", "risk", "flagged"]  # fmt: skip
LATENT = 4


def heads(n: int, side: int, seed: int) -> np.ndarray:
    """(n, side, side) uint8: a bright rim, two dark ellipses and some noise, each a little different."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    made = []
    for _ in range(n):
        a, b, turn = random.uniform(0.6, 0.75), random.uniform(0.75, 0.92), random.normal(0, 0.06)
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        far = (u / a) ** 2 + (v / b) ** 2
        image = np.where(far < 1, 120.0, 0.0) + np.where(np.abs(far - 0.93) < 0.07, 100.0, 0.0)
        for sign in (-1, 1):
            size, low = random.uniform(0.08, 0.2), random.normal(0, 0.05)
            image -= 70 * ((((u - sign * 0.16) / size) ** 2 + ((v - low) / (2 * size)) ** 2) < 1)
        image += (far < 1) * random.normal(0, 9, image.shape)
        made.append(np.clip(image, 0, 255))
    return np.round(np.stack(made)).astype(np.uint8)


def write_samples(
    folder: Path, *, n: int = 24, side: int = 32, run: str = "../run", held_out: int = 20, codes: bool = True,
    checked: bool = True,
) -> Path:  # fmt: skip
    """n samples: sample 0 a copy of its nearest image, sample 1 close to it, all others of their own."""
    folder.mkdir(parents=True)
    pictures, nearest = heads(n, side, 0), heads(n, side, 1)
    pictures[0] = nearest[0]
    np.save(folder / "pictures.npy", pictures)
    np.save(folder / "samples.npy", (pictures[:, None] / 255).astype(np.float16))
    if checked:
        np.save(folder / "nearest.npy", nearest)
    if codes:
        np.save(folder / "codes.npy", np.random.default_rng(2).normal(size=(n, LATENT)).astype(np.float32))
    if held_out:
        np.save(folder / "held_out.npy", heads(held_out, side, 3))
        with (folder / "held_out.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([["case", "slice"], *([f"Miller^Anna{row}", row] for row in range(held_out))])
    with (folder / "samples.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEAD)
        for row in range(n):
            risk = RISKS[row % len(RISKS)] if row < len(RISKS) else "own"
            alike = {"copy": (0.99, 0.1), "close": (0.95, 0.6), "own": (0.7, 0.8)}[risk]
            writer.writerow([f"{row + 1:04d}", f"Miller^Anna{row % 5}/s1", row % 7, alike[0], 0.93, alike[1], 0.4,
                             risk if checked else "", str(risk == "copy").lower()])  # fmt: skip
    compared = {"training": {"scans": 12, "images": 480, "patients": 12}, "held_out": {"images": 80, "patients": 4}}
    about = {
        "format": 1, "kind": "samples", "medudl": "0", "run": run, "run_name": "run", "method": "gan", "n": n,
        "seed": 0, "shape": [1, side, side], "latent": LATENT if codes else None, "step": 1000,
        "view": "slices", "plane": "axial", "compared_with": compared if checked else None,
        "why": "The run's training scans are not at hand.",
        "features": "none", "threshold_pixels": 0.93, "threshold_features": 0.4, "alpha": 0.05, "condition": None,
        "notes": ["nearest.npy holds patients' images."],
    }  # fmt: skip
    (folder / "samples.json").write_text(json.dumps(about))
    Image.fromarray(pictures[0]).save(folder / "grid.png")
    (folder / "images").mkdir()
    Image.fromarray(pictures[0]).save(folder / "images" / "sample-0001.png")
    return folder


def write_report(folder: Path, run_name: str = "run") -> Path:
    """A report on a generator: one figure in full, one that could not be had, one that is damaged."""
    folder.mkdir(parents=True)
    figures = [
        {"name": "kid", "features": "lite0", "value": 0.12, "low": 0.1, "high": 0.15, "n": 200, "m": 80,
         "floor": {"value": 0.004, "low": -0.01, "high": 0.02, "n": 80}, "floor_why": None,
         "baseline": {"name": "Gaussian of the pixels", "value": 0.4, "low": 0.35, "high": 0.44}, "better": "lower",
         "definition": "Kernel distance between features of samples and of held-out images.", "why_not": None},
        {"name": "recall", "features": "lite0", "value": None, "low": None, "high": None, "n": 200, "m": 80,
         "floor": None, "floor_why": "too few patients", "baseline": None, "better": "higher",
         "definition": "Share of real images near a sample.", "why_not": "too few images <b>"},
        {"name": "fid", "value": "none"},
        "broken",
    ]  # fmt: skip
    report = {
        "kind": "generator", "run_name": run_name, "method": "gan", "split": "test", "n_samples": 200, "n_real": 80,
        "n_patients": 8, "features": ["lite0"], "figures": figures, "beats": True,
        "collapse": {"spread": 0.05, "alarm": True, "sentence": "The samples are nearly all the same."},
        "verdict": "Better than a Gaussian of the pixels; real images of other patients are far nearer.", "notes": [],
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def write_course(run: Path, steps: tuple[int, ...] = (100, 200, 400, 800), side: int = 32) -> None:
    """Pictures from fixed noise that become clear, and a log whose distance falls."""
    (run / "samples").mkdir(exist_ok=True)
    clear = heads(16, side, 5).reshape(4, 4, side, side).transpose(0, 2, 1, 3).reshape(4 * side, 4 * side)
    noise = np.random.default_rng(0).uniform(0, 255, clear.shape)
    lines = []
    for place, step in enumerate(steps):
        share = place / max(1, len(steps) - 1)
        image = (share * clear + (1 - share) * noise).astype(np.uint8)
        Image.fromarray(image).save(run / "samples" / f"step-{step:09d}.png")
        lines.append({"kind": "validation", "step": step, "kid": 1 / (1 + place), "loss": 2.0})
        lines.append({"kind": "picture", "step": step, "spread/input": 0.2, "spread/sample": 0.001})
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
