"""One training: phases of steps, with validation, checkpoints and pictures in between."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from lightning_fabric import Fabric
from torch import nn

from medudl.batch import Batch, to_device
from medudl.config import Train
from medudl.errors import UserError
from medudl.methods.method import Method
from medudl.run import Run
from medudl.state import save_state
from medudl.training import random_state
from medudl.training.checkpoint import save_checkpoint
from medudl.training.collapse import CollapseWatch
from medudl.training.distributed import gather, largest, same_everywhere
from medudl.training.estimate import wait
from medudl.training.log import Log
from medudl.training.loop import train_step
from medudl.training.players import Player
from medudl.training.samples import fixed_images, write_samples
from medudl.training.screen import Screen
from medudl.training.stop import Stopped, StopSignals
from medudl.training.validation import looking, validate
from medudl.training.watch import Watch
from medudl.tricks.trick import Trick

LOOK_EVERY = 10  # steps between two looks at the losses, which make a GPU wait; also lines of the log


class Batches(Protocol):
    """What a trainer needs of data/loaders.py."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Batches of an epoch from number `start` on."""

    def __len__(self) -> int:
        """Batches an epoch."""


@dataclass
class Position:
    """Where a training stands; all of it goes into a checkpoint."""

    step: int = 0
    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done
    phase: int = 0
    phase_start: int = 0  # step at which the phase began
    best: float | None = None  # the monitored value's best of this phase
    best_step: int = 0
    waiting: int = 0  # validations since
    saved: int = 0  # step of the last checkpoint
    finished: bool = False


class Trainer:
    """Trains `method` in `run`. `state` and `restore` are exact: nothing differs after a resume, on a CPU not a bit."""

    def __init__(
        self, fabric: Fabric, run: Run, method: Method, tricks: Sequence[Trick], train: Batches, val: Batches
    ) -> None:
        self.fabric, self.run, self.method, self.tricks = fabric, run, method, tricks
        self.settings: Train = run.config.train
        self.train, self.val = train, val
        self.at = Position()
        self.best_weights: dict[str, Any] = {}
        s = self.settings
        self._every = (LOOK_EVERY, s.validate_every, s.checkpoint_every, s.sample_every)
        self.watch, self.stop = Watch(fabric), StopSignals()
        for trick in tricks:
            trick.setup(method.players())
        method.check_tricks(tricks, run.config.options)
        method.join(tricks)
        random_state.seed(self.settings.seed + 100_003 * fabric.global_rank)
        self._enter_phase()
        if self.settings.compile:
            for player in method.players().values():
                # A method that is its own player, or a dict of networks, is never called itself: its parts are.
                whole = player is not method and type(player).forward is not nn.Module.forward
                for network in [player] if whole else player.children():
                    network.compile()
        method.train()

    def __call__(self, log: Log, screen: Screen, stop: StopSignals) -> None:
        """Train to the end. Raises Stopped when asked to stop, UserError on a NaN or an infinity."""
        self.log, self.screen, self.stop = log, screen, stop
        self.images, self.targets = fixed_images(random_state.started_unseen(self.val.epoch(0)), len(self.val))
        self.collapse = CollapseWatch(self.method, random_state.started_unseen(self.val.epoch(0)))
        screen.start(self.at.step, self.settings.steps)
        while not self.at.finished:
            end = self.at.phase_start + self.length
            batches = self.batches()
            while self.at.step < end and not self._out_of_patience():
                self.step(next(batches))
                self.after_step(end)
            self._leave_phase()

    def step(self, batch: Batch) -> None:
        """One step of the method, and one on in the epoch."""
        in_phase = self.at.step - self.at.phase_start
        for player in self.players.values():
            player.set_rate(in_phase, self.length)
        moved = to_device(batch, self.fabric.device)
        turns = train_step(self.fabric, self.method, self.players, self.tricks, moved, self._looks)
        self.at.step += 1
        self.at.batch += 1
        if self.at.batch == len(self.train):
            self.at.epoch, self.at.batch = self.at.epoch + 1, 0
        self.watch.add(self.at.step, batch["id"], turns)

    def batches(self) -> Iterator[Batch]:
        """Training batches from where the training stands, epoch after epoch."""
        while True:
            yield from random_state.started_unseen(self.train.epoch(self.at.epoch, self.at.batch))

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint; the same on every rank."""
        method = self.method
        own = {
            "random": random_state.random_state(self.fabric.device),
            "buffers": dict(method.named_buffers()) if self.fabric.world_size > 1 else {},  # else among the weights
            "method": method.extra_state(),
            "tricks": [trick.state() for trick in self.tricks],
        }
        return {
            "position": asdict(self.at),
            "weights": method.state_dict(),
            "best": self.best_weights,
            "players": {name: player.state() for name, player in self.players.items()},
            "precision": self.fabric.strategy.precision.state_dict(),
            "ranks": gather(self.fabric, own),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave. Raises UserError where the number of processes differs."""
        if len(state["ranks"]) != self.fabric.world_size:
            raise UserError(
                f"{self.run.path}: was trained by {len(state['ranks'])} processes, not {self.fabric.world_size};"
                " resume with as many as before"
            )
        own = state["ranks"][self.fabric.global_rank]
        self.at = Position(**state["position"])
        self.at.finished &= self.at.step == self.at.phase_start + self._length()  # not so where train.steps has grown
        self._enter_phase()
        self.method.load_state_dict(state["weights"])
        buffers = dict(self.method.named_buffers())
        for name, saved in own["buffers"].items():
            buffers[name].copy_(saved)
        self.best_weights = state["best"]
        for name, player in self.players.items():
            player.load_state(state["players"][name])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.method.load_extra_state(own["method"])
        for trick, tricked in zip(self.tricks, own["tricks"], strict=True):
            trick.load_state(tricked)
        random_state.set_random_state(own["random"], self.fabric.device)
        self.watch = Watch(self.fabric)

    def validation_seconds(self) -> float:
        """How long a validation takes, from its first batch, the second time (the first may compile)."""
        limit = min(len(self.val), self.settings.validate_batches or len(self.val))
        for _ in range(2):
            wait(self.fabric.device)
            start = time.perf_counter()
            with looking(self.method, self.players.values(), self.settings.seed):
                validate(self.fabric, self.method, random_state.started_unseen(self.val.epoch(0)), 1)
        return (time.perf_counter() - start) * limit

    def save(self) -> None:
        """Write a checkpoint."""
        self.at.saved = self.at.step
        state = self.state()
        if self.fabric.is_global_zero:
            save_checkpoint(self.run.path / "checkpoint", self.at.step, state)
            self.run.update(self.standing())

    def standing(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {"status": "finished" if self.at.finished else "training", "step": self.at.step}

    def after_step(self, end: int) -> None:
        """What is due after a step: a look at the losses, validation, a picture, a checkpoint, a stop."""
        at, settings = self.at, self.settings
        self.screen.step(at.step)
        if not (self._look_due(at.step, end) or (self._stops() and self.watch.measured)):
            return
        validation = at.step == end or at.step % settings.validate_every == 0
        checkpoint = at.step % settings.checkpoint_every == 0
        picture = at.step % settings.sample_every == 0
        self._note("train", self.watch.flush(at.saved))
        stop = largest(self.fabric, self.stop.number)
        if validation:
            self._validate()
        if picture:
            self._picture()
        if checkpoint or stop:
            self.log.flush()
            self.save()
        if stop:
            self._set_status("stopped")
            raise Stopped(stop, at.step)

    def _look_due(self, step: int, end: int) -> bool:
        """Whether something is due after step `step` of a phase that ends with step `end`."""
        return step == end or not all([step % count for count in self._every])

    def _stops(self) -> bool:
        """Several ranks can only stop where all of them look."""
        return bool(self.stop.number) and self.fabric.world_size == 1

    def _looks(self) -> bool:
        """Whether the step under way ends with a look, as far as one can know before it has ended."""
        return self._look_due(self.at.step + 1, self.at.phase_start + self.length) or self._stops()

    def _validate(self) -> None:
        with looking(self.method, self.players.values(), self.settings.seed):
            means = validate(self.fabric, self.method, self.val.epoch(0), self.settings.validate_batches)
            value = means[self.method.monitor]
            self.at.waiting += 1
            if self.at.best is None or value < self.at.best:
                self.at.best, self.at.best_step, self.at.waiting = value, self.at.step, 0
                self.best_weights = {k: v.detach().cpu().clone() for k, v in self.method.state_dict().items()}
                self._write_weights()
        self._note("validation", means)
        self.screen.step(self.at.step, f"{self.method.monitor} {value:.4g}, best {self.at.best:.4g}")

    def _write_weights(self) -> None:
        if self.fabric.is_global_zero:
            tree = {"weights": self.best_weights, "step": self.at.best_step, self.method.monitor: self.at.best}
            save_state(self.run.path / "weights.safetensors", tree)

    def _picture(self) -> None:
        if self.fabric.is_global_zero:
            with looking(self.method, self.players.values(), self.settings.seed), self.fabric.autocast():
                path = self.run.path / "samples" / f"step-{self.at.step:09d}.png"
                targets = None if self.targets is None else self.targets.to(self.fabric.device)
                spreads = write_samples(self.method, self.images.to(self.fabric.device), path, targets)
                collapsed, sentence = self.collapse()
            self._note("picture", {**spreads, **collapsed})
            if sentence:
                self.screen.tell(f"step {self.at.step}: {sentence}")

    def _enter_phase(self) -> None:
        self.method.enter_phase(self.method.phases()[self.at.phase])
        self.length = self._length()
        same_everywhere(self.fabric, self.method)
        self.players = {
            name: Player(self.fabric, name, module, self.settings.optimiser_of(name))
            for name, module in self.method.players().items()
        }

    def _leave_phase(self) -> None:
        """A phase ends with its best weights; the next begins with new optimisers, best and patience."""
        at = self.at
        if at.phase + 1 == len(self.method.phases()):
            at.finished = True
        else:
            self.method.load_state_dict(self.best_weights)
            at.phase, at.phase_start = at.phase + 1, at.step
            at.best, at.best_step, at.waiting = None, 0, 0
            self._enter_phase()
        self.save()

    def _length(self) -> int:
        """Steps of the present phase: its share of all, rounded so that the phases add up."""
        shares = [phase.share for phase in self.method.phases()]
        ends = [round(total / sum(shares) * self.settings.steps) for total in itertools.accumulate(shares)]
        return ends[self.at.phase] - (ends[self.at.phase - 1] if self.at.phase else 0)

    def _out_of_patience(self) -> bool:
        return self.settings.patience is not None and self.at.waiting >= self.settings.patience

    def _note(self, kind: str, values: dict[str, float]) -> None:
        if values:
            self.log.write(kind, self.at.step, {**values, "phase": self.at.phase})

    def _set_status(self, status: str) -> None:
        if self.fabric.is_global_zero:
            self.run.update({"status": status})
