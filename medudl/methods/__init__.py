"""All methods by name, and how one is built from the `method` section of a config."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, cast

from medudl.errors import UserError
from medudl.methods.method import Method
from medudl.registry import check_options, load_class, option_names_of
from medudl.tricks.trick import Trick

METHODS: dict[str, str] = {
    "rbm": "medudl.methods.rbm:RBM",
    "deep_belief_network": "medudl.methods.deep_belief_network:DeepBeliefNetwork",
    "autoencoder": "medudl.methods.autoencoder:Autoencoder",
    "denoising_autoencoder": "medudl.methods.denoising_autoencoder:DenoisingAutoencoder",
    "sparse_autoencoder": "medudl.methods.sparse_autoencoder:SparseAutoencoder",
    "stacked_autoencoder": "medudl.methods.stacked_autoencoder:StackedAutoencoder",
    "variational_autoencoder": "medudl.methods.variational_autoencoder:VariationalAutoencoder",
    "classifier": "medudl.methods.classifier:Classifier",
    "gan": "medudl.methods.gan:GAN",
    "conditional_gan": "medudl.methods.conditional_gan:ConditionalGAN",
    "semi_supervised_gan": "medudl.methods.semi_supervised_gan:SemiSupervisedGAN",
    "label_spreading": "medudl.methods.label_spreading:LabelSpreading",
    "pix2pix": "medudl.methods.pix2pix:Pix2Pix",
    "cyclegan": "medudl.methods.cyclegan:CycleGAN",
    "feature_autoencoder": "medudl.methods.feature_autoencoder:FeatureAutoencoder",
}


def method_class(name: str) -> type[Method]:
    """The class of a method; only its own file is imported. UserError: unknown name, the nearest one is told."""
    return cast("type[Method]", load_class(METHODS, name, "method"))


def option_names(name: str) -> list[str]:
    """The options that `method:` takes beside `name`."""
    return option_names_of(method_class(name))


def required_names(name: str) -> list[str]:
    """Those of `option_names` without a default."""
    parameters = inspect.signature(method_class(name)).parameters
    return [n for n in option_names(name) if parameters[n].default is inspect.Parameter.empty]


def build(name: str, shape: Sequence[int], options: Mapping[str, Any], tricks: Sequence[Trick] = ()) -> Method:
    """The method `name` for images of `shape` (C, *S), untrained.

    options: the `method` section without `name`. tricks: those that change its architecture do so. UserError: unknown
    method or option (the nearest one is named), a value of the wrong kind or out of range, an image of a number of
    dimensions that the method does not take.
    """
    cls = method_class(name)
    dims = len(shape) - 1
    if dims not in cls.dims:
        takes = " or ".join(f"{d}-D" for d in cls.dims)
        raise UserError(f"method {name} takes {takes} images, these are {dims}-D {tuple(shape)}; see data.view")
    method = cls(tuple(shape), **check_options(cls, options, "method"))
    for trick in tricks:
        trick.build(method.players())
    return method
