"""How it works: what each of the two goals of a variational autoencoder does alone, and what both do together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from apps.viewer.catalogue import Catalogue, EmbeddingFolder, RunFolder
from apps.viewer.explore_component import explore
from apps.viewer.explore_desk import Shown
from apps.viewer.explore_faces import Faces
from apps.viewer.explore_play import controls
from apps.viewer.explore_toybox import Toy
from apps.viewer.house import house
from apps.viewer.theme import quiet
from medudl.config import read_config
from medudl.errors import UserError

GOALS = {"reconstruction": "Redraw only", "kl": "Order only", "elbo": "Both"}
_METHOD = "variational_autoencoder"


def triples(catalogue: Catalogue, found: Sequence[EmbeddingFolder]) -> None:
    """Draw the view: digits, or three runs of the folder that differ in their goal alone."""
    own = three(found)
    left, right = st.columns([2, 7], gap="medium")
    with left:
        st.subheader("Two goals, one model")
        st.write("A variational autoencoder has two goals. To redraw each picture, and to keep all pictures in order:"
                 " in one round cloud where any place makes a picture. Look at what each goal does alone.")  # fmt: skip
        which = "digits"
        if len(own) == len(GOALS):
            words = {"scans": "Three runs of this folder", "digits": "Handwritten digits"}
            which = st.radio("Shown with", list(words), format_func=lambda name: words[name])
        toy = Toy("pictures", house().settings.folder)
        if which == "digits":
            quiet(
                "Small handwritten digits, no patients. Colours are the digits from 0 to 9, which the model never sees."
            )
            controls(toy, {"seed": 0}, "Train three small models")
            quiet("Takes about 20 seconds.")
        _own(catalogue, own)
    with right:
        data = {"kind": toy.kind, "began": toy.began, "maps": _maps(catalogue, own) if which == "scans" else []}
        explore("triple", data, key="explore-triple", height="calc(100vh - 128px)")


def three(found: Sequence[EmbeddingFolder]) -> dict[str, EmbeddingFolder]:
    """Maps by goal, of runs whose settings differ in nothing else; the set that has most goals."""
    sets: dict[str, dict[str, EmbeddingFolder]] = {}
    for each in found:
        told = _settings(each.run) if each.run and not each.trouble else None
        if told is not None:
            goal, rest = told
            sets.setdefault(rest, {}).setdefault(goal, each)
    best = max(sets.values(), key=len, default={})
    return {goal: best[goal] for goal in GOALS if goal in best}


def _settings(run: RunFolder) -> tuple[str, str] | None:
    """The goal of a run, and all its other settings; None where it is no variational autoencoder."""
    if run.method != _METHOD:
        return None
    try:
        config = read_config(run.path / "config.yaml")
    except (UserError, OSError):
        return None
    method = dict(config.method)
    goal = str(method.pop("objective", "elbo"))
    return goal, json.dumps([method, config.data.model_dump(mode="json")], sort_keys=True, default=str)


def _own(catalogue: Catalogue, own: dict[str, EmbeddingFolder]) -> None:
    """How to see the same on one's own scans."""
    if len(own) == len(GOALS):
        return
    runs = [run for run in catalogue.runs() if run.method == _METHOD]
    with st.expander("The same with your own scans"):
        if not runs:
            st.write("Train a variational autoencoder on the Train page first.")
            return
        run = next((each.run for each in own.values() if each.run), runs[0])
        st.write("Train the same settings with the other goals, and make a map with each:")
        lines = []
        for goal in (goal for goal in GOALS if goal not in own):
            if goal != _goal(run):
                lines.append(f"medudl train {run.name}/config.yaml --cohort {run.name}/cohort.csv -o {run.name}-{goal}"
                             f" --set method.objective={goal}")  # fmt: skip
            made = run.name if goal == _goal(run) else f"{run.name}-{goal}"
            lines.append(f"medudl embed {made} {made}/cohort.csv -o {made}-cases")
        st.code("\n".join(lines), language=None, wrap_lines=True)


def _goal(run: RunFolder) -> str:
    told = _settings(run)
    return told[0] if told else ""


def _maps(catalogue: Catalogue, own: dict[str, EmbeddingFolder]) -> list[dict[str, Any]]:
    """The three maps as the browser may ask for them; one that cannot be read is told in a sentence."""
    told: list[dict[str, Any]] = []
    for goal, folder in own.items():
        run = folder.run.path if folder.run else None
        shown = Shown(folder.id, folder.path, run, Faces(catalogue, run, house().settings.private))
        try:
            embedding = shown.embedding()
        except UserError as error:
            told.append({"goal": goal, "problem": str(error)})
            continue
        house().desk.offer(shown)
        told.append({"goal": goal, "id": shown.id, "key": embedding.key, "problem": ""})
    return told
