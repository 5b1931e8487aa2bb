"""Nearest codes of other cases; planted copies are found, look-alikes are not."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from medudl.tasks import neighbours
from medudl.tasks.neighbours import near_copies, nearest


def test_nearest_is_what_a_plain_loop_finds(monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", 200)  # several blocks
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(60, 5)).astype(np.float32)
    cases = [f"case {n // 4}" for n in range(60)]
    rows, distances = nearest(codes, cases)
    for row in range(60):
        far = np.linalg.norm(codes - codes[row], axis=1)
        order = [n for n in np.argsort(far) if cases[n] != cases[row]][:10]
        assert rows[row].tolist() == order
        assert distances[row] == pytest.approx(far[order], abs=1e-4)


def test_where_there_are_fewer_others_the_rest_is_empty():
    rows, distances = nearest(np.array([[0.0], [1.0], [3.0]], np.float32), ["a", "a", "b"])
    assert rows[:, 0].tolist() == [2, 2, 1] and (rows[:, 1:] == -1)[:2].all() and rows[2, :3].tolist() == [1, 0, -1]
    assert np.isnan(distances[0, 1:]).all() and distances[2, :2] == pytest.approx([2, 3])
    rows, _ = nearest(np.zeros((1, 2), np.float32), ["alone"])
    assert (rows == -1).all() and rows.shape == (1, 10)


def _films(count: int, seed: int, texture_of: float = 90) -> np.ndarray:
    """Pictures that share their shape (a bright ring) and differ in texture, as patients do."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96] - 47.5
    ring = np.exp(-((np.hypot(x, y) - 30) ** 2) / 150)
    texture = ndimage.gaussian_filter(rng.normal(size=(count, 96, 96)), (0, 1.2, 1.2))
    return (120 * ring + 60 + texture_of * texture * (0.3 + ring)).clip(0, 255).astype(np.uint8)


def _jpeg(picture: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=75)
    return np.asarray(Image.open(stream))


_NOISE = np.random.default_rng(9).normal(0, 5, (96, 96))
COPIES = {
    "equal": lambda p: p,
    "darker, less contrast": lambda p: (p * 0.7 + 20).astype(np.uint8),
    "gamma": lambda p: ((p / 255) ** 0.8 * 255).astype(np.uint8),
    "saved as JPEG": _jpeg,
    "noise of 2 %": lambda p: (p + _NOISE).clip(0, 255).astype(np.uint8),
}
OTHERS = {
    "mirrored": lambda p: p[:, ::-1],
    "upside down": lambda p: p[::-1],
    "negative": lambda p: 255 - p,
}


@pytest.mark.parametrize("change", COPIES)
def test_planted_copies_are_found(change):
    films = _films(30, seed=0)
    planted = [3, 11, 29]
    made = np.concatenate([films, [COPIES[change](films[n]) for n in planted]])
    names = [f"film {n}" for n in range(len(made))]
    numbers = near_copies(made, names, names)
    wanted = np.zeros(33, int)
    wanted[planted] = wanted[30:] = [1, 2, 3]
    assert numbers.tolist() == wanted.tolist()


@pytest.mark.parametrize("change", OTHERS)
def test_what_is_no_copy_is_not_called_one(change):
    films = _films(30, seed=1)
    made = np.concatenate([films, [OTHERS[change](films[n]) for n in (3, 11, 29)]])
    names = [f"film {n}" for n in range(len(made))]
    assert not near_copies(made, names, names).any()


def test_patients_that_share_a_shape_are_alike_at_first_sight_only():
    films = _films(2, seed=2)
    assert neighbours.whole_correlation(*films) > 0.5 > abs(neighbours.detail_correlation(*films))
    films = _films(2, seed=2, texture_of=20)  # so alike that only the texture tells two patients apart
    assert neighbours.whole_correlation(*films) > neighbours.WHOLE
    assert not near_copies(films, ["a", "b"], ["p", "q"]).any()


def test_several_copies_make_one_group_and_even_pictures_none():
    film = _films(1, seed=3)[0]
    made = np.stack([film, np.zeros_like(film), _jpeg(film), np.zeros_like(film), film])
    names = list("abcde")
    assert near_copies(made, names, names).tolist() == [1, 0, 1, 0, 1]


def test_slices_of_one_case_and_contrasts_of_one_patient_are_no_copies_unless_equal():
    film = _films(1, seed=4)[0]
    alike = COPIES["gamma"](film)
    assert near_copies(np.stack([film, film]), ["a", "a"], ["p", "p"]).tolist() == [0, 0]
    assert near_copies(np.stack([film, alike]), ["a", "b"], ["p", "p"]).tolist() == [0, 0]
    assert near_copies(np.stack([film, alike]), ["a", "b"], ["p", "q"]).tolist() == [1, 1]
    assert near_copies(np.stack([film, film]), ["a", "b"], ["p", "p"]).tolist() == [1, 1]


def test_the_known_copies_of_pneumoniamnist(real_data):
    """Eight images of val are exact copies of train images: all are found among 1,500 others."""
    with np.load(real_data / "pneumoniamnist_trainval.npz") as file:
        train, val = file["train_images"], file["val_images"]
    keys = {picture.tobytes(): n for n, picture in enumerate(train)}
    known = [n for n, picture in enumerate(val) if picture.tobytes() in keys]
    assert len(known) == 8
    others = [n for n in range(1000) if n not in {keys[val[v].tobytes()] for v in known}]
    made = np.concatenate([val, train[others], np.stack([train[keys[val[v].tobytes()]] for v in known])])
    names = [str(n) for n in range(len(made))]
    numbers = near_copies(made, names, names)
    assert all(numbers[v] > 0 and numbers[v] == numbers[len(made) - 8 + place] for place, v in enumerate(known))
    false = int((numbers > 0).sum()) - 16
    print(f"\ncopies found: 8 of 8; further images called copies: {false} of {len(made)}")
    assert false <= 0.01 * len(made)
