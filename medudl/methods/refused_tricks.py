"""Which tricks make no sense with a discriminator of K classes, and why."""

from __future__ import annotations

from collections.abc import Mapping

from medudl.tricks.adversarial import AdversarialTrick
from medudl.tricks.diff_augment import DiffAugment
from medudl.tricks.experience_replay import PlayerReplay
from medudl.tricks.feature_matching import FeatureMatching
from medudl.tricks.minibatch_discrimination import MinibatchDiscrimination
from medudl.tricks.separate_batch_norm import SeparateBatchNorm
from medudl.tricks.spectral_norm import SpectralNorm
from medudl.tricks.trick import Trick
from medudl.tricks.weight_clipping import WeightClipping

_NEVER: Mapping[type[Trick], str] = {
    FeatureMatching: "is the generator's loss here already; leave it out",
    MinibatchDiscrimination: "lets an image's class depend on the other images of its batch; leave it out",
    SeparateBatchNorm: "is for a discriminator with batch norm, and this one has none; leave it out",
    PlayerReplay: "plays against past weights, and the generator matches features of the present ones; leave it out",
}


def reason_against(trick: Trick, generator: bool) -> str:
    """Why a semi-supervised GAN refuses this trick and what to do; "" where it takes it.

    generator: whether there is one.
    """
    if type(trick) in _NEVER:
        return _NEVER[type(trick)]
    if isinstance(trick, SpectralNorm) and "discriminator" in trick.players:
        return "divides weights that the discriminator normalises already; set its players to [generator]"
    if isinstance(trick, WeightClipping) and trick.player == "discriminator":
        return "is for a Wasserstein critic, which knows no classes; leave it out"
    if isinstance(trick, AdversarialTrick) and trick.replaces:
        return "replaces the generator's loss, which is feature matching here; leave it out, or set replaces: false"
    if isinstance(trick, AdversarialTrick) and not generator and not isinstance(trick, DiffAugment):
        return "takes a game with generated images; set method.unlabelled: gan, or leave it out"
    return ""
