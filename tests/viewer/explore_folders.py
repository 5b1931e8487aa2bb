"""Folders as `medudl embed` writes them, made without a model; the picture of a row says which row it is."""

import csv
import json
from pathlib import Path

import numpy as np

GROUPS = ("T1", "T2", "FLAIR")
HEAD = ["item", "case", "subject", "study", "series", "contrast", "modality", "scanner", "label", "split",
        "slice", "position_mm", "score", "uncertainty", "pca_1", "pca_2", "umap_1", "umap_2", "cluster",
        "duplicate"]  # fmt: skip


def write_embedding(
    folder: Path, *, n: int = 90, latent: int = 6, side: int = 32, run: str = "../run", verbs: tuple[str, ...] = (),
    expected: bool = True, uncertainty: bool = True,
) -> Path:  # fmt: skip
    """n items in three clouds, by contrast. Row i's picture is grey(i) everywhere; rows 0 and 1 are near copies."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    group = np.arange(n) % len(GROUPS)
    middle = 4 * random.normal(size=(len(GROUPS), latent))
    code = (middle[group] + random.normal(size=(n, latent))).astype(np.float32)
    np.save(folder / "embedding.npy", code)
    pictures = np.broadcast_to(grey(np.arange(n))[:, None, None], (n, side, side)).astype(np.uint8)
    np.save(folder / "pictures.npy", pictures)
    if expected:
        np.save(folder / "expected.npy", 255 - pictures)
    if uncertainty:
        np.save(folder / "uncertainty.npy", np.full((n, latent), 0.5, np.float32))
    near = np.stack([(np.arange(n) + 3 * step) % n for step in range(1, 11)], axis=1).astype(np.int32)
    np.save(folder / "neighbours.npy", near)
    np.save(folder / "neighbours_distance.npy", np.tile(np.arange(1, 11) / 10, (n, 1)).astype(np.float32))
    _write_table(folder, code, group)
    about = {
        "format": 1, "medudl": "0", "run": run, "run_name": "run", "method": "autoencoder", "by": "slice", "n": n,
        "latent": latent, "mean": code.mean(axis=0).tolist(), "sigma": code.std(axis=0).tolist(),
        "order": list(range(latent)), "used": list(range(latent)), "active_units": latent - 1,
        "verbs": list(verbs or ("encode", "decode", "reconstruct", "anomaly")), "projections": ["pca", "umap"],
        "left_out": {"tsne": "too many items"}, "pca_explained": [0.5, 0.25], "trustworthiness": {"pca": 0.91},
        "clusters": {"k": 3, "rule": "the k of the best silhouette", "against": _agreement(0.92, 0.8, 0.97),
                     "baselines": {"pixels": _agreement(0.4, 0.3, 0.5), "pixel_pca": _agreement(0.9, 0.8, 0.95)}},
        "duplicates": {"groups": 1, "items": 2, "rule": "pictures that are all but equal"},
        "picture_shape": [side, side], "picture_aspect": 1.0, "skipped": [], "empty": 0, "seed": 0,
    }  # fmt: skip
    (folder / "embedding.json").write_text(json.dumps(about))
    return folder


def _agreement(value: float, low: float, high: float) -> dict[str, dict[str, float]]:
    return {"contrast": {"adjusted_rand": value, "low": low, "high": high, "n": 30}}


def grey(row):
    """The grey value of a row's picture."""
    return (17 + 7 * np.asarray(row)) % 239


def _write_table(folder: Path, code: np.ndarray, group: np.ndarray) -> None:
    random = np.random.default_rng(1)
    spread = random.uniform(0.1, 1, len(code))
    with (folder / "embedding.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEAD)
        for row in range(len(code)):
            person = f"Miller^Anna{row // 3}"
            copy = 1 if row < 2 else ""
            writer.writerow([
                f"{person}/{row}", person, person, "s1", f"series-{person}", GROUPS[group[row]], "MR", "Vendor A", "",
                "train" if row % 2 else "test", row % 3, 3.0 * (row % 3), f"{random.uniform():.6g}",
                f"{spread[row]:.4g}", *code[row, :2].round(4), *(code[row, 1:3].round(4)), group[row] + 1, copy,
            ])  # fmt: skip
