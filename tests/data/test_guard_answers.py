"""What may be built from a worker's answer, and what may not."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from medudl.data.cohort import Series
from medudl.data.guard_answers import answer
from medudl.data.guard_process import Worker
from medudl.data.volume import Volume


@pytest.mark.parametrize(
    "value",
    [None, 1, 2.5, "x", b"x", (1, [2, {"a": {3}}]), frozenset({1}), bytearray(b"x"), Path("a/b"),
     Series("p0", path="x"), np.float32(1.5), np.dtype("<i2")],
)  # fmt: skip
@pytest.mark.parametrize("protocol", [4, 5])
def test_values_and_records_come_through(value, protocol):
    assert answer(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_through(order):
    volume = Volume(np.asarray(np.arange(24.0).reshape(2, 3, 4), np.float32, order=order), np.eye(4))
    found = answer(pickle.dumps(volume, 5))
    np.testing.assert_array_equal(found.voxels, volume.voxels)
    np.testing.assert_array_equal(found.affine, volume.affine)


class _Calls:
    def __init__(self, function, *args):
        self.how = function, args

    def __reduce__(self):
        return self.how


@pytest.mark.parametrize(
    "value",
    [_Calls(os.system, "true"), _Calls(eval, "1"), _Calls(Worker, 1.0, 1), _Calls(pickle.loads, b""), os.system, Worker,
     [{"deep": (os.getcwd,)}], _Calls(getattr, "x", "upper")],
    ids=["system", "eval", "worker", "loads", "function", "class", "deep", "getattr"],
)  # fmt: skip
def test_nothing_that_does_something_comes_through(value):
    with pytest.raises(pickle.UnpicklingError):
        answer(pickle.dumps(value))


def test_functions_of_our_own_and_names_inside_names_are_refused():
    for line in (b"cmedudl.api\ntrain\n.", b"cmedudl.data.volume\nVolume.__init__\n.", b"cmedudl.data.read\nVolume\n."):
        with pytest.raises(pickle.UnpicklingError):
            answer(line)


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x80\x05.", pickle.dumps([1, 2, 3])[:-3]])
def test_what_is_no_answer_is_told(data):
    with pytest.raises(pickle.UnpicklingError):
        answer(data)
