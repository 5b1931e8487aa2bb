"""The blind reader test: a reader's images in an order of his own, and his answers, never changed once written."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from apps.viewer.samples_auc import auc
from apps.viewer.samples_folder import Samples, read_samples
from medudl.errors import UserError
from medudl.metrics.intervals import Estimate
from medudl.state import write_text

PLACE = "reader_test"
FEWEST = 10
CHOICES = (20, 40, 60, 100, 200)
KINDS = ("real", "synthetic")
RATINGS = {1: ("real", 3), 2: ("real", 2), 3: ("real", 1), 4: ("synthetic", 1), 5: ("synthetic", 2),
           6: ("synthetic", 3)}  # fmt: skip
_NAME = re.compile(r"[\w .'-]{1,60}")
_READ_ONLY = "The folder of these samples is read-only, so that no answers can be kept. Make it writable."


@dataclass(frozen=True)
class Item:
    """One image of a test. kind: "real" (of held_out.npy) or "synthetic" (of pictures.npy); row: in that file."""

    kind: str
    row: int

    @property
    def id(self) -> str:
        """As it stands in the file of answers."""
        return f"{self.kind}-{self.row + 1:04d}"


class Reading:
    """The test of one reader on one folder of samples. order: the images; answers: ratings so far, in that order."""

    def __init__(self, samples: Samples, reader: str) -> None:
        """Raises UserError: no usable name, no held-out images, or samples that have changed since it began."""
        name = " ".join(reader.split())
        if not _NAME.fullmatch(name) or not re.search(r"\w", name):
            raise UserError("Give a name of letters and digits, so that the answers can be found again.")
        self.samples, self.reader = samples, name
        place = samples.path / PLACE
        self._plan, self._log = place / f"{slug(name)}.plan.json", place / f"{slug(name)}.jsonl"
        self.order = self._read_plan()
        self.answers: list[dict[str, Any]] = []
        self.read()

    @property
    def began(self) -> bool:
        """Whether there is an order already."""
        return bool(self.order)

    @property
    def done(self) -> bool:
        """Whether every image has an answer."""
        return self.began and len(self.answers) >= len(self.order)

    def begin(self, n: int) -> None:
        """Draw n images, half of each kind, and an order nobody knows; nothing where it has begun."""
        if self.began:
            return
        each = min(n // 2, most(self.samples) // 2)
        if each < FEWEST // 2:
            raise UserError(shortage(self.samples))
        order = drawn(self.samples, each)
        secrets.SystemRandom().shuffle(order)
        plan = {"format": 1, "reader": self.reader, "samples": digest(self.samples),
                "order": [[item.kind, item.row] for item in order]}  # fmt: skip
        try:
            self._plan.parent.mkdir(exist_ok=True)
            write_text(self._plan, json.dumps(plan))
        except OSError:
            raise UserError(_READ_ONLY) from None
        self.order = order

    def answer(self, place: int, rating: int, seconds: float) -> None:
        """Keep the rating (1 surely real ... 6 surely synthetic) of image number `place` (from 0) on the disk.

        Raises UserError where another window has gone on meanwhile.
        """
        with self._alone():
            if place != len(self.answers) or self.done:
                raise UserError("This image has been answered in another window. Load the page again.")
            item, (kind, confidence) = self.order[place], RATINGS[rating]
            self._append({"case": item.id, "place": place + 1, "truth": item.kind, "answer": kind,
                          "confidence": confidence, "seconds": round(seconds, 2), "time": _now()})  # fmt: skip

    def undo(self) -> None:
        """Take the last answer back, until the test is over: the line stays, and another one says so."""
        with self._alone():
            if self.answers and not self.done:
                self._append({"undo": self.answers[-1]["case"], "time": _now()})

    def read(self) -> None:
        """Read the answers that are on the disk."""
        self.answers = []
        try:
            lines = self._log.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            raise UserError("The answers of this reader cannot be read: their file is damaged.") from None
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # cut off by a power cut: that answer was never confirmed
            if isinstance(entry, dict):
                self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        if "undo" in entry and self.answers:
            self.answers.pop()
        elif len(self.answers) < len(self.order) and entry.get("case") == self.order[len(self.answers)].id:
            if (entry.get("answer"), entry.get("confidence")) in RATINGS.values():
                self.answers.append(entry)

    def figure(self) -> Estimate:
        """The area under the curve of the answers so far; to be told at the end only."""
        truth = [item.kind == "synthetic" for item in self.order[: len(self.answers)]]
        return auc(truth, self.ratings())

    def ratings(self) -> list[int]:
        """1 to 6, in the order of the test."""
        backwards = {told: rating for rating, told in RATINGS.items()}
        return [backwards[entry["answer"], entry["confidence"]] for entry in self.answers]

    def mistaken(self) -> list[Item]:
        """Images that were taken for the other kind."""
        pairs = zip(self.order, self.answers, strict=False)
        return [item for item, entry in pairs if entry["answer"] != item.kind]

    def _read_plan(self) -> list[Item]:
        try:
            plan = json.loads(self._plan.read_text(encoding="utf-8"))
            order = [Item(str(kind), int(row)) for kind, row in plan["order"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(
                "This reader's test cannot be read: its file is damaged. Begin under another name."
            ) from None
        if plan.get("samples") != digest(self.samples):
            raise UserError("The samples have changed since this reader began. Begin anew under another name.")
        return order

    def _append(self, entry: dict[str, Any]) -> None:
        """One line, on the disk before anything else happens. A line that was cut off stays a line of its own."""
        try:
            with self._log.open("ab+") as stream:
                if stream.tell():
                    stream.seek(-1, os.SEEK_END)
                    whole = stream.read(1) == b"\n"
                else:
                    whole = True
                stream.write((b"" if whole else b"\n") + json.dumps(entry).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            raise UserError(_READ_ONLY) from None
        self._take(entry)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two windows of a reader come one after the other; each sees what the other has written."""
        file = os.open(self._plan, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.read()
            yield
        finally:
            os.close(file)


def drawn(samples: Samples, each: int) -> list[Item]:
    """`each` images of either kind: the same for every reader, none chosen; fewer are the first ones of more."""
    random = np.random.default_rng(int(digest(samples)[:16], 16))
    assert samples.held_out is not None
    parts = ((KINDS[0], samples.held_out.shape[0]), (KINDS[1], samples.n))
    return [Item(kind, int(row)) for kind, many in parts for row in random.permutation(many)[:each]]


def digest(samples: Samples) -> str:
    """Of the two files that the images are read from."""
    return _digest(samples.path, samples.key)


@lru_cache(maxsize=8)
def _digest(path: Path, key: str) -> str:
    samples, found = read_samples(path), hashlib.sha256()
    for rows in (samples.pictures, samples.held_out):
        if rows is not None:
            found.update(rows.whole().tobytes() + b"|")
    return found.hexdigest()


def most(samples: Samples) -> int:
    """How many images a test can have, half of them real."""
    return 0 if samples.held_out is None else 2 * int(min(samples.n, samples.held_out.shape[0]))


def shortage(samples: Samples) -> str:
    """Why there is no test, "" where there can be one."""
    if samples.held_out is None:
        return ("There are no held-out patients' images beside these samples to mix them with. Make them again from a"
                " run that kept patients out of training.")  # fmt: skip
    if most(samples) < FEWEST:
        return f"A test needs {FEWEST // 2} images of each kind at least. Make more samples."
    return ""


def readers(samples: Samples) -> list[Reading]:
    """All who have begun, by name; damaged files and those of other samples are left out."""
    found = []
    for path in sorted((samples.path / PLACE).glob("*.plan.json")):
        try:
            found.append(Reading(samples, str(json.loads(path.read_text(encoding="utf-8"))["reader"])))
        except (OSError, ValueError, KeyError, TypeError, UserError):
            continue
    return found


def slug(name: str) -> str:
    """A file's name for a reader's: equal for equal names alone, whatever their case."""
    plain = name.casefold()
    if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", plain):
        return plain
    short = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40]
    return f"{short or 'reader'}_{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
