"""A classifier of few labels and many scans without one: K classes and one more, generated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.losses.semi_supervised import consistency_loss, labelled_loss
from medudl.methods.adversarial import Adversarial, signed, unsigned
from medudl.methods.discrete import refuse_discrete
from medudl.methods.method import Objective
from medudl.methods.refused_tricks import reason_against
from medudl.methods.supervised import Supervised, labels_of
from medudl.networks.dcgan import Generator
from medudl.networks.weight_normalised import NoisyDiscriminator
from medudl.tricks.adversarial import AdversarialTrick, Duel
from medudl.tricks.diff_augment import DiffAugment
from medudl.tricks.feature_matching import FeatureMatching
from medudl.tricks.trick import Trick

Unlabelled = Literal["gan", "pseudo_labels", "none"]


class SemiSupervisedGAN(Supervised, Adversarial):
    """Semi-supervised GAN of K + 1 classes (Salimans et al. 2016), with two baselines of the same network.

        D:  E w_y (S - l_y)  +  u (E softplus(-S(x)) + E softplus(S(G(z)))),   l = D(x) (K,),  S = logsumexp(l)
        G:  || E f(x) - E f(G(z)) ||^2,   f: D's last hidden layer, means over the batch, real side detached

    The first mean is over labelled images, the others over those without a label (over all of a batch in which each has
    one, and their labels are not looked at). w_c = 1, or n / (K n_c) where balanced. u: unlabelled_weight.

    unlabelled, what those images are for:
      gan            as above
      pseudo_labels  u r CE(l, the class that D itself, without noise, gives at least `threshold`) (Lee 2013);
                     r rises linearly from 0 to 1 over `warmup` updates. Images it is less sure of count as 0.
      none           nothing: the same network learns from the labelled images alone

    consistency, c: D's loss gains c E sum_k (p_k(x) - p'_k(x))^2 over the same images in each of the three, where p and
    p' are what D says of one image in two looks, each with noise, dropout and augmentation of its own (Laine & Aila
    2017; beside K + 1 classes Wei et al. 2018). With `none` it is the Pi-model. It costs two more looks a step.

    classes: K names. counts: labelled training scans of each. healthy: those of `classes` that mean healthy.
    latent: Z. width: channels of the finest level of either network. dropout, noise, input_noise: of D, see
    `NoisyDiscriminator`. Images are shown in [-1, 1], brighter voxels clipped; what is generated comes out in [0, 1].

    Monitor: brier, sum_k (p_k - 1[k = y])^2 of labelled validation images, weighed like the classes, of the averaged
    weights where there are any. Balanced accuracy takes few values on a handful of scans, and one of them wrong but
    sure outweighs all others in cross-entropy, which therefore rises while the classes are still being parted; brier is
    a proper score and costs 2 at most.
    """

    semi_supervised: ClassVar[bool] = True
    monitor: ClassVar[str] = "brier"

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: Annotated[list[str], Field(min_length=2)],
        counts: list[Annotated[int, Field(ge=1)]] | None = None,
        healthy: list[str] | None = None,
        balanced: bool = True,
        unlabelled: Unlabelled = "gan",
        unlabelled_weight: Annotated[float, Field(gt=0)] = 1.0,
        consistency: Annotated[float, Field(ge=0)] = 0.0,
        warmup: Annotated[int, Field(ge=0)] = 1000,
        threshold: Annotated[float, Field(ge=0, lt=1)] = 0.95,
        latent: Annotated[int, Field(ge=1)] = 100,
        width: Annotated[int, Field(ge=1)] = 32,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2,
        noise: Annotated[float, Field(ge=0)] = 0.1,
        input_noise: Annotated[float, Field(ge=0)] = 0.1,
    ) -> None:
        super().__init__(shape, "non_saturating")
        self.latent, self.unlabelled = latent, unlabelled
        self.unlabelled_weight, self.warmup, self.threshold = unlabelled_weight, warmup, threshold
        self.consistency = consistency
        self.discriminator = NoisyDiscriminator(shape, len(classes), width, dropout, noise, input_noise)
        self.generator = Generator(shape, latent, width, "batch", "resize") if unlabelled == "gan" else None
        self.know(classes, counts, healthy, balanced)
        self.join(())
        self.updates = 0  # of pseudo-labels so far, up to `warmup`
        self.looked = False  # whether a batch was found to be no label map

    @classmethod
    def check_tricks(cls, tricks: Sequence[Trick], options: Mapping[str, object]) -> None:
        """UserError: a trick that makes no sense beside K classes, or without a generator; two looks that are one."""
        chance = any(options.get(name, 1) for name in ("dropout", "noise", "input_noise"))  # above 0 where left out
        if options.get("consistency") and not (chance or any(isinstance(trick, DiffAugment) for trick in tricks)):
            raise UserError("method.consistency: without noise, dropout and diff_augment two looks are equal; set one")
        for trick in tricks:
            if reason := reason_against(trick, generator=options.get("unlabelled", "gan") == "gan"):
                raise UserError(f"tricks: {type(trick).__name__} {reason}")
            if isinstance(trick, AdversarialTrick):
                trick.check("non_saturating")

    def join(self, tricks: Sequence[Trick]) -> None:
        """Feature matching is the generator's loss, before all tricks of the config."""
        super().join([FeatureMatching(replaces=True), *tricks])

    def players(self) -> dict[str, nn.Module]:
        """The discriminator, which classifies; and the generator where there is one."""
        both = {"discriminator": self.discriminator, "generator": self.generator}
        return {name: network for name, network in both.items() if network is not None}

    def verbs(self) -> tuple[str, ...]:
        """Nothing is drawn without a generator. A code drawn for it is no code of an image: it does not decode."""
        return tuple(verb for verb in super().verbs() if verb != "sample" or self.generator is not None)

    def step(self, batch: Batch) -> Iterator[Objective]:
        """A turn of the discriminator, then one of the generator. Without a label there may be nothing to learn."""
        image, label = signed(batch["image"]), labels_of(batch)
        known = label >= 0
        taught, others = (image[known], label[known]), image if bool(known.all()) else image[~known]
        if self.unlabelled == "gan":
            yield self._game(taught, others, self._duel(others, self._fake(len(others), batch)))
            yield self._matched(self._duel(others, self.make(self.noise_codes(len(others)))))
            return
        duel = self._duel(others, others)
        if self.unlabelled == "pseudo_labels" or self.consistency or len(taught[0]):
            yield self._alone(taught, others, duel)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{brier, loss, accuracy, balanced_accuracy: (B,)}; balanced by the classes' shares. Unlabelled images: 0."""
        label = labels_of(batch)
        at = label.clamp(min=0)
        logits, weight = self.classify(batch["image"]), self.weight[at] * (label >= 0)
        truth = F.one_hot(at, len(self.classes))
        return {
            "brier": weight * (logits.softmax(1) - truth).square().sum(1),
            "loss": weight * labelled_loss(logits, at),
            **self.right(logits, label),
        }

    def encode(self, image: Tensor) -> Tensor:
        """f, what the logits are made of: (B, C, *S) -> (B, F)."""
        return self.discriminator.encode(signed(image)).float()

    def classify(self, image: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K) logits in the order of `classes`."""
        return self.discriminator.classify(signed(image)).float()

    def sample(self, count: int) -> Tensor:
        """Images of drawn codes: (count, C, *S). Ugly ones may make the better classifier (Dai 2017)."""
        return unsigned(self.make(self.noise_codes(count)))

    def noise_codes(self, count: int) -> Tensor:
        """(count, Z), N(0, I)."""
        return torch.randn(count, self.latent, device=self.share.device, dtype=self.share.dtype)

    def make(self, code: Tensor) -> Tensor:
        """What the generator makes, in [-1, 1], float32 at the least: (B, Z) -> (B, C, *S)."""
        if self.generator is None:
            raise UserError(f"method.unlabelled: {self.unlabelled} has no generator; train with unlabelled: gan")
        image: Tensor = self.generator(code)
        return image.to(self.share.dtype)

    def extra_state(self) -> dict[str, object]:
        """How far the pseudo-labels' weight has risen."""
        return {"updates": self.updates}

    def load_extra_state(self, state: dict[str, object]) -> None:
        """Restore what `extra_state` gave."""
        self.updates = int(str(state["updates"]))

    @torch.no_grad()
    def _fake(self, count: int, batch: Batch) -> Tensor:
        if not self.looked:
            refuse_discrete(batch["image"])
            self.looked = True
        return self.make(self.noise_codes(count))

    def _duel(self, real: Tensor, fake: Tensor) -> Duel:
        return self.duel("discriminator", "generator", self.discriminator, real, fake)

    def _game(self, taught: tuple[Tensor, Tensor], others: Tensor, duel: Duel) -> Objective:
        """D's turn of K + 1 classes: that of an ordinary discriminator on the logit S, and the labels."""
        turn = self.discriminator_turn(duel)
        assert turn.loss is not None
        known = self._cross_entropy(*taught, duel)
        loss, parts = self._agreeing(others, duel, known + self.unlabelled_weight * turn.loss)
        return Objective(turn.player, loss, {"cross_entropy": known.detach(), **turn.parts, **parts})

    def _matched(self, duel: Duel) -> Objective:
        """G's turn: feature matching, and what tricks add."""
        turn = self.generator_turn(duel)
        parts = {"feature_matching" if name == "adversarial" else name: part for name, part in turn.parts.items()}
        return Objective(turn.player, turn.loss, parts)

    def _alone(self, taught: tuple[Tensor, Tensor], others: Tensor, duel: Duel) -> Objective:
        """D's turn without a generator."""
        loss: Any = self._cross_entropy(*taught, duel)
        parts = {"cross_entropy": loss.detach()}
        if self.unlabelled == "pseudo_labels":
            guess, sure = self._guessed(others)
            rise = self._rise()
            own = (labelled_loss(self.discriminator.classify(self._shown(others, duel)), guess) * sure).mean()
            loss = loss + self.unlabelled_weight * rise * own
            parts |= {"pseudo_labels": own.detach(), "sure": sure.float().mean(), "rise": loss.new_tensor(rise)}
        loss, more = self._agreeing(others, duel, loss)
        return Objective(duel.name, loss, {**parts, **more})

    def _agreeing(self, others: Tensor, duel: Duel, loss: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """D's loss with what two looks at the same images disagree by, where that is asked for."""
        if not self.consistency:
            return loss, {}
        looks = [self.discriminator.classify(self._shown(others, duel)) for _ in range(2)]
        apart = consistency_loss(looks[0], looks[1]).mean()
        return loss + self.consistency * apart, {"consistency": apart.detach()}

    def _cross_entropy(self, image: Tensor, label: Tensor, duel: Duel) -> Tensor:
        """Mean over labelled images, each weighed by its class; 0 without any. image: in [-1, 1]."""
        if not len(label):
            return image.new_zeros(())
        losses = labelled_loss(self.discriminator.classify(self._shown(image, duel)), label)
        return (self.weight[label] * losses).mean()

    def _shown(self, image: Tensor, duel: Duel) -> Tensor:
        """What D is shown of a real image: augmented as in its game."""
        for trick in self.tricks:
            image = trick.shown(duel, image)
        return image

    @torch.no_grad()
    def _guessed(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """D's own class of each image, without noise and dropout, and whether it is sure enough: (B,) each."""
        self.discriminator.eval()
        chance, guess = self.discriminator.classify(image).float().softmax(1).max(dim=1)
        self.discriminator.train()
        return guess, chance >= self.threshold

    def _rise(self) -> float:
        """How much of their weight this update's pseudo-labels have, and one update on."""
        if self.updates == self.warmup:
            return 1.0
        self.updates += 1
        return (self.updates - 1) / self.warmup
