"""Where two runs differ: only that, with words, and what one of them lacks."""

from typing import Any

from apps.viewer.config_diff import WORDS, difference
from medudl.config import Config


def test_only_what_differs() -> None:
    one = {"method": {"name": "a", "latent": 4}, "train": {"steps": 5, "compile": True}, "data": {"channels": []}}
    two = {"method": {"name": "b"}, "train": {"steps": 5, "compile": False}, "data": {"channels": ["T1", "T2"]}}
    assert difference(one, two) == [
        ("Method", "method.name", "a", "b"),
        ("Size of the summary of an image", "method.latent", "4", "not there"),
        ("", "train.compile", "yes", "no"),
        ("Contrasts", "data.channels", "all", "T1, T2"),
    ]
    assert difference(one, one) == []


def test_the_words_are_of_settings_that_exist() -> None:
    for name in WORDS:
        place: Any = Config.model_validate({"method": {"name": "a"}}).model_dump()
        if not name.startswith("method."):  # those belong to the method
            for part in name.split("."):
                place = place[part]
