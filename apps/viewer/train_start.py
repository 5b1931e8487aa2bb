"""Beginning a training: which method, on which scans, with which settings, and the command that does it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from apps.viewer.catalogue import Catalogue, CohortFile
from apps.viewer.house import house
from apps.viewer.lookup import inside
from apps.viewer.process import Process
from apps.viewer.theme import quiet
from apps.viewer.train_words import safe
from apps.viewer.words import Names, count, sentence
from medudl.api import shipped
from medudl.config import Config, read_config
from medudl.data.identity import safe_name
from medudl.errors import UserError

_DEVICES = {"auto": "graphics card, if there is one", "cpu": "processor", "cuda": "graphics card"}
_DEPTH = 2  # the folder itself, and the folders in it


@dataclass(frozen=True)
class Order:
    """What is to be trained. config: as the command line takes it; cohort, out: relative to the opened folder."""

    config: str
    cohort: str
    out: str
    settings: tuple[str, ...] = ()
    leave_out: str = ""

    def arguments(self) -> list[str]:
        """The words behind `medudl`."""
        words = ["train", self.config, "--cohort", self.cohort, "-o", self.out]
        for setting in self.settings:
            words += ["--set", setting]
        return [*words, "--leave-out", self.leave_out] if self.leave_out else words


def resume_arguments(run: Path, folder: Path) -> list[str]:
    """The words behind `medudl` that let a run go on: its folder holds its settings and its scans."""
    place = os.path.relpath(run, folder)
    return ["train", f"{place}/config.yaml", "--cohort", f"{place}/cohort.csv", "-o", place, "--resume"]


def command(arguments: Sequence[str]) -> str:
    """The line to type in a terminal, in the opened folder."""
    return shlex.join(["medudl", *arguments])


def configs(folder: Path) -> dict[str, Path]:
    """Configs by the name that the command line takes: those that come with medudl, then YAML files of the folder."""
    own = shipped("configs")
    found = {p.relative_to(own).with_suffix("").as_posix(): p for p in sorted(own.rglob("*.yaml"))}
    for depth in range(_DEPTH):
        for path in sorted(folder.glob("*/" * depth + "*.y*ml")):
            below = path.relative_to(folder)
            hidden = any(part.startswith(".") for part in below.parts)
            if path.suffix in (".yaml", ".yml") and not hidden and inside(path, folder.resolve()) and _is_config(path):
                found[below.as_posix()] = path
    return found


def about(path: Path) -> str:
    """The first sentence of the comment that a config opens with; "" where there is none."""
    text = ""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""  # what is wrong with it is told when it is read as settings
    for line in lines:
        if not line.startswith("#"):
            break
        text += line.removeprefix("#").replace("`", "")
    return sentence(re.split(r"(?<=[.])\s+(?=[A-Z])", text.strip(), maxsplit=1)[0])


def start_form(catalogue: Catalogue, files: Sequence[CohortFile]) -> Path | None:
    """Draw the form; the folder of the run where one has just been started."""
    folder = catalogue.folder
    left, right = st.columns(2, gap="large")
    known = configs(folder)
    with left:
        config = st.selectbox("Method and settings", list(known), index=_usual(list(known)), key="train-config")
        quiet(about(known[config]))
        file = st.selectbox("Scans to learn from", files, format_func=lambda file: file.name, key="train-cohort")
    try:
        settings = read_config(known[config])
    except UserError as error:
        st.error(sentence(safe(str(error))))
        return None
    with left:
        contrasts = _contrasts(file, settings)
        leave_out = _left_out(file)
    with right:
        name = st.text_input("Name of the training", _free_name(file, config), key=f"train-name-{config}-{file.id}")
        changed = _settings(config, settings)
    order = Order(config, _relative(file.path, folder), _relative(file.path.parent / name, folder),
                  (*contrasts, *changed), leave_out)  # fmt: skip
    fault = _fault(name, file) or _plan(known[config], order, file)
    with right:
        pressed = st.button("Start the training", type="primary", icon=":material/play_arrow:", disabled=bool(fault))
    quiet("The same in a terminal, in the opened folder:")
    st.code(command(order.arguments()), language="bash", wrap_lines=True)
    return _start(file.path.parent / name, order.arguments(), folder) if pressed and not fault else None


def _start(run: Path, arguments: list[str], folder: Path) -> Path | None:
    try:
        Process(run).start(arguments, folder)
    except (UserError, OSError) as error:
        st.error(sentence(safe(str(error))) if isinstance(error, UserError) else "It could not be started.")
        return None
    return run


def _usual(names: list[str]) -> int:
    return names.index("denoising_autoencoder") if "denoising_autoencoder" in names else 0


def _contrasts(file: CohortFile, settings: Config) -> list[str]:
    """Which contrasts the method sees together; what the config says where the scans have them."""
    there = sorted({row.contrast for row in file.rows if row.contrast})
    if not there:
        return []
    usual = [name for name in settings.data.channels if name in there]
    chosen = st.multiselect(
        "Contrasts, seen together", there, usual, key=f"train-contrasts-{file.id}-{','.join(usual)}",
        placeholder="each series on its own", help="A patient who lacks one of them is left out.",
    )  # fmt: skip
    if list(chosen) == list(settings.data.channels):
        return []
    changed = [f"data.channels=[{', '.join(chosen)}]"]
    if settings.data.grid is not None and settings.data.grid not in chosen:
        changed.append(f"data.grid={chosen[-1] if chosen else 'null'}")
    return changed


def _left_out(file: CohortFile) -> str:
    """The patient to be held out for testing, "" where the table's own parts are to be used."""
    subjects = sorted({row.subject for row in file.rows if row.subject})
    if all(row.split for row in file.rows) or not house_shows_names(file):
        return ""
    chosen = st.selectbox("Hold out for testing", ["", *subjects], key=f"train-leave-{file.id}",
                          format_func=lambda name: name or "as the table says")  # fmt: skip
    return chosen or ""


def house_shows_names(file: CohortFile) -> bool:
    """Whether patients of this table may be named on the screen: not where names were guessed from files."""
    private = house().settings.private
    return not (private and Names(file.cohort, private, file.rows).guessed)


def _settings(config: str, settings: Config) -> list[str]:
    """Steps, batch size and device, as overrides where they differ from the config."""
    train = settings.train
    cells = st.columns(3)
    steps = cells[0].number_input("Steps", 1, 10_000_000, train.steps, key=f"train-steps-{config}",
                                  help="More steps learn more, and take longer.")  # fmt: skip
    batch = cells[1].number_input("Images a step", 1, 4096, train.batch_size, key=f"train-batch-{config}",
                                  help="Fewer need less memory.")  # fmt: skip
    device = cells[2].selectbox("Computed on", list(_DEVICES), list(_DEVICES).index(train.device),
                                format_func=_DEVICES.__getitem__, key=f"train-device-{config}")  # fmt: skip
    pairs: list[tuple[str, Any, Any]] = [("steps", steps, train.steps), ("batch_size", batch, train.batch_size),
                                         ("device", device, train.device)]  # fmt: skip
    if steps != train.steps:  # a short training is to be seen too: four validations and pictures at least
        often = max(1, int(steps) // 4)
        pairs += [
            (name, min(often, usual), usual)
            for name, usual in (("validate_every", train.validate_every), ("sample_every", train.sample_every))
        ]
    return [f"train.{name}={now}" for name, now, usual in pairs if now != usual]


def _fault(name: str, file: CohortFile) -> str:
    """What keeps this name from being used; said on the screen."""
    told = ""
    if not name or safe_name(name) != name:
        told = f"Use letters, digits, dots, hyphens and underscores for the name, such as {safe_name(name or 'run-1')}."
    elif (file.path.parent / name).exists():
        told = "There is a folder of this name already; choose another name."
    elif Process(file.path.parent / name).alive():
        told = "A training of this name is being started already."
    if told:
        st.error(told)
    return told


def _plan(path: Path, order: Order, file: CohortFile) -> str:
    """Say what it would learn from, or why it cannot; the reason is returned."""
    try:
        told = _scans(path, path.stat().st_mtime_ns, order, file.path, file.path.stat().st_mtime_ns)
    except (UserError, OSError) as error:
        fault = sentence(safe(str(error))) if isinstance(error, UserError) else "Its files cannot be read any more."
        st.error(fault)
        return fault
    quiet(told)
    return ""


@lru_cache(maxsize=32)
def _scans(config: Path, changed: int, order: Order, cohort: Path, written: int) -> str:
    from medudl.data.cohort import Cohort
    from medudl.methods import method_class
    from medudl.training.folds import leave_out
    from medudl.training.resolve import complete

    rows = Cohort.read(cohort)
    if order.leave_out:
        rows = leave_out(rows, order.leave_out)
    asked, plan = complete(read_config(config, order.settings), rows)
    method = method_class(asked.method["name"])
    kind = "scan" if method.semi_supervised else "labelled scan" if method.supervised else "healthy scan"
    told = (f"It will learn from {count(len(plan.train), kind)} and choose the best weights on"
            f" {len(plan.val):,} held-out ones.")  # fmt: skip
    return told + (
        f" {count(len(plan.notes), 'note')} on scans left out will stand under Output." if plan.notes else ""
    )


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _free_name(file: CohortFile, config: str) -> str:
    stem = safe_name(Path(config).stem)
    taken = (f"{stem}-{n}" for n in range(1, 10_000))
    return next(name for name in taken if not (file.path.parent / name).exists())


def _is_config(path: Path) -> bool:
    """By its first lines: a mapping with `method:`. A run's own config.yaml is one too."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return any(line.startswith("method:") for line in stream)
    except OSError:
        return False
