"""The contract of a method: a step is a flow that says what to minimise and for whom; one loop does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from medudl.batch import Batch
from medudl.errors import UserError
from medudl.tricks.adversarial import AdversarialTrick
from medudl.tricks.trick import Trick

VERBS = (
    "encode", "decode", "uncertainty", "reconstruct", "sample", "translate", "back", "classify", "denoise", "anomaly",
)  # fmt: skip


@dataclass(frozen=True)
class Objective:
    """What one player is to minimise now.

    player: a key of `players()`.
    loss: scalar with a graph, or None where `gradients` are given.
    parts: its terms, for the log; detached scalars are enough.
    gradients: ready gradients by parameter name of the player, for updates written by hand (CD-k).
    """

    player: str
    loss: Tensor | None
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    gradients: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class Phase:
    """A stage of training. `share` is its part of all steps; schedule, best epoch and early stop belong to it."""

    name: str
    share: float = 1.0


class Method(nn.Module, ABC):
    """Base of all methods. A subclass gives `__init__(self, shape, *, options)`, `step`, `validate` and its verbs.

    shape: (C, *S) of one image. Verbs (those a method has decide which tasks it is offered):
    encode(image) -> (B, Z), with a gradient; decode(code) -> image;
    uncertainty(image) -> (B, Z), standard deviation of the code; reconstruct(image) -> image;
    denoise(image) -> image; sample(count) -> (count, C, *S); translate(image) -> target;
    back(target) -> image; classify(image) -> (B, K) logits;
    anomaly(image) -> map (B, 1, *S) >= 0, score (B,).

    `step` is called in training mode; `validate` and the verbs in evaluation mode, where they touch no buffer. Images
    and maps come out in float32 whatever the autocast. Options are checked against the annotations of `__init__`
    (ranges: `Annotated[int, Field(ge=1)]`), so that a slip in a config is told in one line.
    """

    dims: ClassVar[tuple[int, ...]] = (2, 3)
    monitor: ClassVar[str] = "loss"  # the name in `validate` whose mean chooses the best checkpoint; lower is better
    score_names: ClassVar[tuple[str, ...]] = ()  # the keys of `scores`; detect.score may name one of them
    may_collapse: ClassVar[bool] = False  # what it makes may become one and the same image: looked at while it trains
    paired: ClassVar[bool | None] = None  # translates: from registered pairs, or from sides that never met
    validation_batch: ClassVar[int] = 1  # images that `validate` sees at once, at least
    supervised: ClassVar[bool] = False  # learns from scans with a label, sick ones included, and not from healthy ones
    semi_supervised: ClassVar[bool] = False  # supervised, and learns from scans without a label too

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    @classmethod
    def supervised_by(cls, condition: Sequence[str]) -> bool:
        """`supervised`, where `data.condition` names these columns of the cohort."""
        return cls.supervised

    @abstractmethod
    def players(self) -> dict[str, nn.Module]:
        """The parts that are trained, each with an optimiser of its own. Every parameter belongs to one at most."""

    def phases(self) -> tuple[Phase, ...]:
        """The stages of training, in order; one for most methods."""
        return (Phase("train"),)

    def enter_phase(self, phase: Phase) -> None:
        """Called when a phase begins and again when a resumed run loads its state."""

    @abstractmethod
    def step(self, batch: Batch) -> Iterator[Objective]:
        """Yield objectives in the order of their updates. "After the update" is the next line.

        Never yield inside no_grad, autocast or fork_rng: the state would leak into the loop.
        """

    @abstractmethod
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """{name: (B,)} without side effects, `monitor` among the names; equal at every call for equal weights."""

    @classmethod
    def check_tricks(cls, tricks: Sequence[Trick], options: Mapping[str, object]) -> None:
        """UserError, with the reason: one of the tricks makes no sense with this method and these options."""
        for trick in tricks:
            if isinstance(trick, AdversarialTrick):
                raise UserError(
                    f"tricks: {type(trick).__name__} acts on a discriminator, and {cls.__name__} has none; leave it"
                    " out, or train a method of two players such as gan"
                )

    def join(self, tricks: Sequence[Trick]) -> None:
        """Meet the tricks that it is trained with, once they are checked."""

    def scores(self, image: Tensor) -> dict[str, Tensor]:
        """{name: (B,)} for each of `score_names`: how unusual each image is by other measures than its map.

        Higher is more unusual. Called like the verbs.
        """
        return {}

    def settle(self, batches: Iterable[Batch]) -> None:
        """Called once when training has ended, with the best weights, in eval mode and without gradients.

        For what is measured on the training images and not learnt by steps (the spread of codes): fill buffers that
        `__init__` made. batches: the training images once, in a fixed order, not augmented; on several ranks each
        sees all of them. They are kept nowhere.
        """

    def notes(self) -> list[str]:
        """What whoever trained this should be told in words, after `settle`: "7 of 64 code dimensions are in use"."""
        return []

    def take(self, other: Method) -> None:
        """Begin from what `other`, trained on images of the same shape, has learnt (`method.init`).

        Raises UserError where this method has no use for it.
        """
        raise UserError(f"method.init: {type(self).__name__} takes no pretrained weights; train classifier with it")

    def extra_state(self) -> dict[str, object]:
        """What a resume needs beside parameters and buffers: tensors and JSON values, nested in dicts and lists."""
        return {}

    def load_extra_state(self, state: dict[str, object]) -> None:
        """Restore what `extra_state` gave."""

    def verbs(self) -> tuple[str, ...]:
        """The verbs this method has."""
        return tuple(verb for verb in VERBS if callable(getattr(self, verb, None)))
