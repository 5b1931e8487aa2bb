"""Functions that misbehave, for the guard's workers to run."""

import os
import time

import numpy as np

from medudl.errors import UserError


def double(item):
    return 2 * item


def large(item):
    return np.full(item, 7, np.uint8)


def misbehave(item):
    path, how = item
    if how == "spin":
        while True:
            pass
    if how == "sleep":
        time.sleep(60)
    if how == "memory":
        return len(bytearray(10**9))
    if how == "die":
        os._exit(3)
    if how == "deep":
        return misbehave(item)
    if how == "refuse":
        raise UserError(f"{path}: no good; mend it")
    if how == "break":
        raise ValueError("the patient's name")
    if how == "print":
        print("noise on stdout")
    return path


def add(one, other):
    return one + other


def loaded(_):
    import sys

    return [name for name in ("torch", "monai") if name in sys.modules]


class _Calls:
    """What a reader that was taken over might answer: a value that calls something where it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def attack(item):
    name, how = item
    return _Calls(name) if how == "attack" else name
