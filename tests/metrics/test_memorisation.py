"""Copies: training images in disguise are found and other patients' images are not, on made-up and on real scans.

Protocol of the proofs, fixed before they were first run. Bars: of each disguise at least 95 % flagged, of the images of
held-out patients at most 5 %. The threshold comes from one half of the held-out patients, the figures from the other
half. Seeds 0, 1, 2 draw halves, images and disguises. Only images of training patients were looked at before.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medudl.errors import UserError
from medudl.metrics.intervals import clopper_pearson
from medudl.metrics.likeness import FeatureLikeness, Matches, PictureLikeness
from medudl.metrics.memorisation import Copies, closeness, copies, threshold

Array = np.ndarray
Disguise = Callable[[Array, np.random.Generator], Array]
BAR, MOST = 0.95, 0.05


def _shift(image: Array, random: np.random.Generator) -> Array:
    """Up to a 16th of each side, the border repeated."""
    pads = [side // 16 for side in image.shape]
    starts = [int(random.integers(0, 2 * pad + 1)) for pad in pads]
    wide = np.pad(image, [(pad, pad) for pad in pads], mode="edge")
    return wide[tuple(slice(start, start + side) for start, side in zip(starts, image.shape, strict=True))]


def _gamma(image: Array, random: np.random.Generator) -> Array:
    return np.asarray(image ** np.exp(random.uniform(-0.6, 0.6)))


def _linear(image: Array, random: np.random.Generator) -> Array:
    return np.clip(image * random.uniform(0.7, 1.3) + random.uniform(-0.15, 0.15), 0, 1)


def _noise(image: Array, random: np.random.Generator, sigma: float = 0.05) -> Array:
    return np.asarray(np.clip(image + random.normal(0, sigma, image.shape), 0, 1))


def _flip(image: Array, random: np.random.Generator) -> Array:
    return [image[::-1], image[:, ::-1], image[::-1, ::-1]][random.integers(3)]


def _combined(image: Array, random: np.random.Generator) -> Array:
    for disguise in (_flip, _shift, _gamma, _linear, _noise):
        image = disguise(image, random)
    return image


DISGUISES: dict[str, Disguise] = {
    "none": lambda image, _: image,
    "flip": _flip,
    "shift": _shift,
    "noise .05": _noise,
    "noise .10": lambda image, random: _noise(image, random, 0.1),
    "gamma": _gamma,
    "scale and offset, clipped": _linear,
    "all together": _combined,
}


def _prove(training: Array, held_out: Array, patient: Array, count: int, seeds: int = 3) -> None:
    """Print the figures, then hold them to the bars."""
    near = PictureLikeness(training)
    other = near.nearest(held_out).stands_out
    missed, false, tested, right = dict.fromkeys(DISGUISES, 0), 0, 0, 0
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        half = np.isin(patient, random.permutation(np.unique(patient))[::2])
        limit, rule = threshold(other[half], patient[half], 0.02)
        false, tested = false + int((other[~half] > limit).sum()), tested + int((~half).sum())
        chosen = random.choice(len(training), count, replace=False)
        for name, disguise in DISGUISES.items():
            found = near.nearest(np.stack([disguise(training[i], random) for i in chosen]))
            missed[name] += int((found.stands_out <= limit).sum())
            right += int((found.index == chosen).sum())
    total = seeds * count
    print(f"\n{len(training)} training images of {training.shape[1:]}, threshold: {rule}, seeds 0 to {seeds - 1}")
    print(_line("held-out images flagged", false, tested))
    for name, number in missed.items():
        print(_line(f"disguise {name}: flagged", total - number, total))
    print(f"of the right training image: {right} of {total * len(DISGUISES)}")
    assert false / tested <= MOST
    assert max(missed.values()) / total <= 1 - BAR


def _line(name: str, k: int, n: int) -> str:
    """The interval takes the seeds' draws as one sample."""
    low, high = clopper_pearson(k, n)
    return f"  {name} {k} of {n}, {k / n:.3f} ({low:.3f} to {high:.3f})"


@pytest.mark.proof
def test_chest_films_in_disguise(real_data: Path) -> None:
    from PIL import Image

    table = real_data / "chest_xray_split.csv"
    if not table.is_file():
        pytest.skip(f"no chest films: {table}")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    folder = real_data / "chest_xray_224"
    films = []
    for row in rows:
        with Image.open(folder / row["path"]) as film:
            films.append(np.asarray(film.convert("L").resize((64, 64), Image.Resampling.BOX), np.float64) / 255)
    images = np.stack(films)
    train, patient = np.array([row["split"] == "train" for row in rows]), np.array([row["subject"] for row in rows])
    _prove(images[train], images[~train], patient[~train], 200)


@pytest.mark.proof
def test_mr_slices_in_disguise(real_data: Path) -> None:
    """Five slices, four apart, of T1 crops around the hippocampus: half of the patients trained on, half held out.

    The 24 patients of a half are too few for a quantile, so the normal rule is on trial, and slices of one patient
    resemble each other.
    """
    import nibabel

    files = sorted((real_data / "hippocampus_msd" / "images").glob("*.nii*"))
    if not files:
        pytest.skip("no hippocampus crops")
    slices, patient = [], []
    for number, file in enumerate(files):
        voxels = np.asarray(nibabel.load(file).dataobj, np.float64)
        voxels = np.clip(voxels / np.quantile(voxels, 0.995), 0, 1)
        top, left = (voxels.shape[0] - 32) // 2, (voxels.shape[1] - 44) // 2
        if min(top, left) < 0:
            continue
        for z in range(voxels.shape[2] // 2 - 8, voxels.shape[2] // 2 + 9, 4):
            slices.append(voxels[top : top + 32, left : left + 44, z])
            patient.append(number)
    images, ids = np.stack(slices), np.array(patient)
    train = np.isin(ids, np.random.default_rng(0).permutation(np.unique(ids))[::2])
    _prove(images[train], images[~train], ids[~train], 100)


def _phantoms(patients: int, each: int, seed: int, size: tuple[int, int] = (48, 40)) -> tuple[Array, Array]:
    """An anatomy that all share, a patient's own on it, and little that differs between his images."""
    shared = gaussian_filter(np.random.default_rng(99).normal(size=size), 6) * 30
    random = np.random.default_rng(seed)
    own = gaussian_filter(random.normal(size=(patients, *size)), (0, 1.5, 1.5)) * 5
    patient = np.repeat(np.arange(patients), each)
    images = shared + own[patient] + 0.1 * gaussian_filter(random.normal(size=(patients * each, *size)), (0, 1, 1))
    return 1 / (1 + np.exp(-images)), patient


@pytest.fixture(scope="module")
def found() -> Copies:
    random = np.random.default_rng(0)
    training, (held_out, patient) = _phantoms(60, 2, 1)[0], _phantoms(60, 2, 2)
    samples = [disguise(training[i], random) for i in range(0, 40, 2) for disguise in DISGUISES.values()]
    return copies(np.stack(samples + list(_phantoms(40, 1, 3)[0])), training, held_out, patient)


def test_disguises_are_flagged(found: Copies) -> None:
    disguised = 20 * len(DISGUISES)
    assert found.flag[:disguised].mean() > BAR
    source = np.repeat(np.arange(0, 40, 2), len(DISGUISES))
    assert (found.index[:disguised] // 2 == source // 2).mean() > BAR
    assert (
        found.risk[:disguised].min() > found.risk[disguised:].mean() and 0 <= found.risk.min() <= found.risk.max() < 1
    )
    assert found.flagged.value == pytest.approx(found.flag.mean()) and found.training == 120
    assert found.held_out_flagged.value <= MOST and found.held_out_flagged.n == 60
    assert found.rule == "quantile of 60 held-out patients"


def test_new_patients_are_not_flagged() -> None:
    near, passed = PictureLikeness(_phantoms(60, 2, 1, (24, 20))[0]), []
    for seed in range(10, 30):
        held_out, patient = _phantoms(60, 2, seed, (24, 20))
        fresh = near.nearest(_phantoms(60, 2, 100 + seed, (24, 20))[0])
        passed.append((fresh.stands_out > threshold(near.nearest(held_out).stands_out, patient, 0.02)[0]).mean())
    print(f"new patients' images flagged: {np.mean(passed):.4f}, promised .02; 20 draws of 60 and 60 patients")
    assert np.mean(passed) <= 0.02 + 3 * np.std(passed) / math.sqrt(len(passed))
    assert np.mean(passed) <= MOST


def test_the_share_of_close_samples_is_a_half_for_new_images() -> None:
    near = PictureLikeness(_phantoms(40, 1, 1)[0])
    held_out, fresh = (near.nearest(_phantoms(60, 1, seed)[0]) for seed in (2, 3))
    even = closeness(fresh, held_out)
    assert even.low < 0.5 < even.high and even.n == 60
    copied = closeness(near.nearest(_phantoms(40, 1, 1)[0]), held_out)
    assert copied.value == 1
    noise = near.nearest(np.random.default_rng(0).random((60, 48, 40)))
    assert closeness(noise, held_out).value < 0.1


def test_large_and_oblong_images_are_brought_down() -> None:
    random = np.random.default_rng(0)
    small = _phantoms(20, 1, 1, (60, 32))[0]
    large = np.kron(small, np.ones((3, 3)))
    near = PictureLikeness(large)
    assert near.training.shape == (20, 64, 33), "180 x 96 to 64 x 64"
    shifted = near.nearest(np.stack([_shift(image[::-1], random) for image in large]))
    assert (shifted.index == np.arange(20)).all()
    plain = PictureLikeness(small).nearest(3 * small - 7)
    assert plain.alike == pytest.approx(1) and (plain.index == np.arange(20)).all()


def test_features_find_a_copy_and_its_distance() -> None:
    random = np.random.default_rng(0)
    training, held_out = random.normal(size=(60, 10)) * 5 + 1e6, random.normal(size=(60, 10)) * 5 + 1e6
    near = FeatureLikeness(training).nearest(training[[3, 5]])
    assert near.alike == pytest.approx(0, abs=1e-12) and near.index.tolist() == [3, 5]
    one = FeatureLikeness(training).nearest(held_out[:1])
    away = np.linalg.norm((training - held_out[0]) / training.std(0), axis=1)
    assert one.alike[0] == pytest.approx(-away.min()) and one.index[0] == away.argmin()
    made = copies(training[:10] + 0.05 * random.normal(size=(10, 10)), training, held_out, likeness=FeatureLikeness)
    assert made.flag.all() and made.held_out_flagged.value <= MOST


def test_a_quantile_keeps_its_promise_for_any_distribution_by_patient() -> None:
    random, passed = np.random.default_rng(0), []
    for _ in range(400):
        patient = np.repeat(np.arange(40), 5)
        scores = random.standard_cauchy(41)[:, None] + 0.1 * random.normal(size=(41, 5))
        limit, rule = threshold(scores[:40].ravel(), patient, 0.05)
        passed.append((scores[40] > limit).mean())
    print(f"passed by new patients' images: {np.mean(passed):.3f}, promised at most .05; 40 patients, 400 draws")
    assert np.mean(passed) <= 0.05 + 3 * np.std(passed) / math.sqrt(len(passed)) and rule.startswith("quantile")
    assert np.mean(passed) > 0.01, "a threshold that nothing passes would keep any promise"


def test_few_patients_have_a_normal_tail_and_four_have_nothing() -> None:
    random, passed = np.random.default_rng(0), []
    for _ in range(3000):
        scores = random.normal(size=9)
        limit, rule = threshold(scores[:8], np.arange(8), 0.05)
        passed.append(scores[8] > limit)
    assert rule == "normal tail of 8 held-out patients (a quantile needs 19)"
    assert np.mean(passed) == pytest.approx(0.05, abs=0.012)
    with pytest.raises(UserError, match="4 held-out patients"):
        threshold(scores[:4], np.arange(4), 0.05)


def test_a_quantile_counts_equal_scores_together() -> None:
    limit, _ = threshold(np.ones(100), np.arange(100), 0.02)
    assert limit == 1
    limit, _ = threshold(np.arange(100.0), np.arange(100), 0.05)
    assert limit == 95, "four above, and a new patient: 5 of 101"


def test_what_cannot_be_compared_is_refused() -> None:
    images, patient = _phantoms(20, 1, 0)
    with pytest.raises(UserError, match="bring all to one size"):
        PictureLikeness(images).nearest(images[:, :-1])
    with pytest.raises(UserError, match="it needs 16"):
        copies(images, images[:10], images, patient)
    with pytest.raises(UserError, match="slices or channels one by one"):
        PictureLikeness(images[:, None])
    with pytest.raises(UserError, match="not finite"):
        PictureLikeness(images).nearest(np.full_like(images, np.nan))
    blank = PictureLikeness(images).nearest(np.zeros((2, 48, 40)))
    assert np.isfinite(blank.stands_out).all() and (blank.alike == 0).all()
    assert isinstance(blank, Matches)
