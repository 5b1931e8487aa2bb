"""What comes with medudl is found and valid; the commands are functions of the same name."""

from pathlib import Path

import pytest

import medudl
from medudl import api
from medudl.config import read_config
from medudl.errors import UserError

CONFIGS = sorted(api.shipped("configs").rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_that_comes_with_medudl_is_valid(path: Path) -> None:
    api.check_method(read_config(path))


def test_a_config_is_found_by_its_name() -> None:
    assert api.config_path("demo/denoising_autoencoder").samefile(
        api.shipped("configs") / "demo/denoising_autoencoder.yaml"
    )
    with pytest.raises(UserError, match="denoising_autoencoder"):
        api.config_path("denoising")


def test_commands_are_functions_of_the_package() -> None:
    assert medudl.train is api.train and set(medudl.__all__) == {
        "__version__",
        "classify",
        "detect",
        "embed",
        "evaluate",
        "export",
        "index",
        "label_agreement",
        "label_export",
        "label_grow",
        "label_import",
        "label_queue",
        "label_start",
        "label_train",
        "sample",
        "train",
        "translate",
        "view",
    }
    with pytest.raises(AttributeError):
        medudl.trian  # noqa: B018


def test_folds_and_leave_out_exclude_each_other() -> None:
    with pytest.raises(UserError, match="exclude each other"):
        api.train("autoencoder", "cohort.csv", "run", folds=3, leave_out="A")
