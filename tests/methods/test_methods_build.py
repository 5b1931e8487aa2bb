"""Methods by name, their options, and the configs that ship with medudl."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medudl.config import read_config
from medudl.errors import UserError
from medudl.methods import METHODS, build, option_names
from medudl.methods.method import Method

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


# What training fills in where a config leaves it open: a classifier has no defaults of its own.
COMPLETED = {"classifier": {"body": {"name": "autoencoder", "latent": 4}, "classes": ["healthy", "sick"]},
             "conditional_gan": {"classes": ["healthy", "sick"]},
             "label_spreading": {"classes": ["a", "b"]},
    "semi_supervised_gan": {"classes": ["healthy", "sick"]}}  # fmt: skip


def test_every_method_of_the_table_is_built_from_defaults() -> None:
    for name in METHODS:
        with torch.device("meta"):
            assert isinstance(build(name, (2, 32, 32), COMPLETED.get(name, {})), Method)


def test_option_names_are_those_of_the_signature() -> None:
    assert option_names("rbm") == ["hidden", "visible", "sigma", "chain", "k", "end", "particles", "gibbs"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("autoencodr", {}, "unknown method autoencodr; did you mean autoencoder?"),
        ("autoencoder", {"lattent": 3}, "unknown key method.lattent; did you mean latent?"),
        ("autoencoder", {"latent": 0}, "method.latent: .*greater than or equal to 1, got 0"),
        ("autoencoder", {"latent": 2.5}, r"method.latent: .*got 2.5"),
        ("autoencoder", {"latent": True}, "method.latent: true is not among its values"),
        ("autoencoder", {"latent": None}, "method.latent: .*got None"),
        ("autoencoder", {"latent": 512}, "method.latent: 512 is no bottleneck for images of 512 values"),
        ("autoencoder", {"loss": "l2"}, "method.loss: .*'squared_error'.*got 'l2'"),
        ("denoising_autoencoder", {"sigma": float("nan")}, "method.sigma: .*finite number"),
        ("denoising_autoencoder", {"sigma": -0.1}, "method.sigma: .*greater than 0"),
        ("denoising_autoencoder", {"noise": "corse"}, "method.noise: .*'coarse'.*got 'corse'"),
        ("denoising_autoencoder", {"share": 1}, "method.share: .*less than 1"),
    ],
)
def test_slips_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        build(name, (2, 16, 16), options)
    assert "\n" not in str(error.value)


def test_yamls_wordy_numbers_are_numbers() -> None:
    """YAML 1.1 reads 1e-1, without a dot, as a word."""
    method = build("denoising_autoencoder", (1, 8, 8), {"sigma": "1e-1", "width": 4})
    assert method.corrupt.keywords["sigma"] == 0.1  # type: ignore[union-attr, index]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_config_that_ships_is_valid_and_named_after_its_method(path: Path) -> None:
    config = read_config(path)
    name, *_ = (config.method["name"],)
    options = {**COMPLETED.get(name, {}), **{key: value for key, value in config.method.items() if key != "name"}}
    assert path.stem == name
    channels = max(1, len(config.data.channels))
    size = config.data.size or [64] * config.data.dims
    with torch.device("meta"):
        build(name, (channels, *size), options)


def test_every_method_has_its_config() -> None:
    assert {path.stem for path in CONFIGS} == set(METHODS)


def test_methods_come_without_monai() -> None:
    code = "import sys, medudl.methods as m; [m.option_names(n) for n in m.METHODS]; "
    code += "sys.exit(', '.join({'monai', 'lightning_fabric', 'pandas', 'scipy'} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
