"""Maps of whole scans against the method called by hand."""

import numpy as np
import pytest
import torch

from medudl.batch import Batch
from medudl.config import Data
from medudl.errors import UserError
from medudl.methods.method import Method
from medudl.tasks.maps import gaussian_window, raw_map, windows


class Brightness(Method):
    """Expects half of what it sees; unusual is the sum over channels. One batch at most as large as allowed."""

    def __init__(self, shape):
        super().__init__(shape)
        self.largest = 0

    def players(self):
        return {}

    def step(self, batch: Batch):
        yield from ()

    def validate(self, batch: Batch):
        return {}

    def reconstruct(self, image):
        return image / 2

    def anomaly(self, image):
        self.largest = max(self.largest, image.numel())
        heat = image.sum(1, keepdim=True)
        return heat, heat.flatten(1).mean(1)


@pytest.fixture
def image():
    return np.random.default_rng(0).random((2, 7, 12, 10)).astype(np.float32)


def test_slices(image):
    made = raw_map(Brightness((2, 12, 10)), image, Data(), expected=True)
    assert np.allclose(made.heat, image.sum(0)) and np.allclose(made.expected, image / 2)
    assert raw_map(Brightness((2, 12, 10)), image, Data(), expected=False).expected is None


def test_slices_come_in_bounded_batches():
    image = np.zeros((1, 300, 64, 64), np.float32)
    method = Brightness((1, 64, 64))
    assert raw_map(method, image, Data(), expected=False).heat.shape == (300, 64, 64)
    assert method.largest <= 2**19


def test_slices_25d_keep_the_middle_slice(image):
    made = raw_map(Brightness((6, 12, 10)), image, Data(view="slices_25d", neighbours=1), expected=True)
    assert np.allclose(made.expected, image / 2)
    padded = np.concatenate([image[:, :1], image, image[:, -1:]], axis=1)
    assert np.allclose(made.heat, sum(padded[:, i : i + 7] for i in range(3)).sum(0), atol=1e-5)


def test_volume(image):
    made = raw_map(Brightness((2, 7, 12, 10)), image, Data(view="volume"), expected=True)
    assert np.allclose(made.heat, image.sum(0)) and np.allclose(made.expected, image / 2)


def test_patches_leave_no_seams(image):
    data = Data(view="patches", size=[4, 5, 4])
    made = raw_map(Brightness((2, 4, 5, 4)), image, data, expected=True)
    assert np.allclose(made.heat, image.sum(0), atol=1e-5) and np.allclose(made.expected, image / 2, atol=1e-5)


def test_windows_cover_everything_and_stay_inside():
    seen = np.zeros((7, 12, 10), int)
    for window in windows((7, 12, 10), (4, 5, 10)):
        assert seen[window].shape == (4, 5, 10)
        seen[window] += 1
    assert seen.min() >= 1


def test_weights_are_highest_in_the_middle_and_never_zero():
    weight = gaussian_window((9, 9))
    assert weight.argmax() == 40 and weight.min() > 0
    assert torch.equal(weight, weight.flip(0))


def test_other_size_is_told_in_one_line(image):
    with pytest.raises(UserError, match=r"2 x 12 x 10.*trained on 2 x 16 x 16.*data.size"):
        raw_map(Brightness((2, 16, 16)), image, Data(), expected=False)
