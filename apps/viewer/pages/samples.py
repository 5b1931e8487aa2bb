"""Samples: what a generator makes up, beside the patients' images it may have copied, and a blind test of it."""

from __future__ import annotations

import streamlit as st

from apps.viewer.catalogue import Catalogue, RunFolder
from apps.viewer.choice import choice
from apps.viewer.house import house
from apps.viewer.samples_component import samples as component
from apps.viewer.samples_conditions import conditions_of
from apps.viewer.samples_conditions import offered as asked_for
from apps.viewer.samples_desk import Offered
from apps.viewer.samples_find import SamplesFolder, generator_runs, report_of, sample_folders
from apps.viewer.samples_folder import Samples
from apps.viewer.samples_make import make
from apps.viewer.samples_reading import CHOICES, most, readers, shortage
from apps.viewer.samples_scores import scores
from apps.viewer.theme import empty
from medudl.errors import UserError

_VIEWS = {"gallery": "Gallery", "course": "Course", "walk": "Walk and arithmetic", "scores": "Scores",
          "reading": "Can you tell them apart?"}  # fmt: skip
_VIEW = "samples-view"


def page() -> None:
    """Draw the page."""
    catalogue = Catalogue(*house().settings.places)
    found, runs = sample_folders(catalogue), generator_runs(catalogue)
    options: dict[str, SamplesFolder | RunFolder] = {each.id: each for each in found} | {run.id: run for run in runs}
    if not options:
        _nothing(catalogue)
        return
    left, right = st.columns([3, 5], vertical_alignment="center")
    with left:
        gone = "The link names samples that are not in this folder any more. These are others."
        chosen = choice("Samples", options, "of", gone, _word)
    made = isinstance(chosen, SamplesFolder)
    with right:
        view = _view(made)
    if isinstance(chosen, RunFolder):
        _run(catalogue, chosen, view)
    else:
        _open(catalogue, chosen, view)


def _nothing(catalogue: Catalogue) -> None:
    if catalogue.runs():
        empty("No model of this folder makes images", "Here images are shown that a model has made up, each beside the"
              " patient's image that is most like it.", "Train a generator: see the Train page.")  # fmt: skip
        return
    empty("No samples yet", "Here images are shown that a model has made up, each beside the patient's image that is"
          " most like it.", "First train a generator: see the Train page. Then its samples can be made here with one"
          " button.")  # fmt: skip


def _word(option: SamplesFolder | RunFolder) -> str:
    if isinstance(option, RunFolder):
        return f"Make samples with {option.name}"
    return f"{option.name} (by {option.run.name})" if option.run else option.name


def _view(made: bool) -> str:
    """The part of the page; of a run without samples there is its course alone."""
    views = list(_VIEWS) if made else ["make", "course", "scores"]
    key = _VIEW if made else f"{_VIEW}-run"
    if st.session_state.get(key) not in views:
        asked = st.query_params.get("view", "")
        st.session_state[key] = asked if asked in views else views[0]
    words = {"make": "Make samples", **_VIEWS}
    chosen = st.segmented_control("Part", views, key=key, format_func=lambda name: words[name],
                                  label_visibility="collapsed")  # fmt: skip
    return str(chosen or views[0])


def _run(catalogue: Catalogue, run: RunFolder, view: str) -> None:
    if view == "make":
        make(catalogue, run)
        return
    house().samples.offer(Offered(run.id, None, run.path, house().settings.private))
    if view == "scores":
        scores(report_of(catalogue, run.path.name, None), run.name)
        return
    component("course", {"id": run.id, "key": ""}, key=f"samples-course-{run.id}")


def _open(catalogue: Catalogue, folder: SamplesFolder, view: str) -> None:
    if folder.trouble:
        empty("These samples cannot be shown", folder.trouble)
        return
    run = folder.run.path if folder.run else None
    offered = Offered(folder.id, folder.path, run, house().settings.private)
    try:
        read = offered.samples()
    except UserError as error:
        empty("These samples cannot be shown", str(error))
        return
    house().samples.offer(offered)
    if view == "scores":
        name = str(read.meta.get("run_name") or "")
        scores(report_of(catalogue, name, folder.path), folder.run.name if folder.run else name)
        return
    data: dict[str, object] = {"id": folder.id, "key": read.key}
    if view == "walk":
        data |= {"model": _model(read, folder), "conditions": asked_for(conditions_of(run))}
    elif view == "reading":
        data |= _test(read)
    component(view, data, key=f"samples-{view}-{folder.id}")  # type: ignore[arg-type]


def _model(read: Samples, folder: SamplesFolder) -> str:
    """Why nothing can be drawn from these samples' codes; "" where it can."""
    if read.codes is None:
        return "This kind of model keeps no code of its samples, so that there is nothing to walk between."
    if folder.run is None:
        return ("The model that made these samples does not lie in the opened folder, so that nothing can be drawn with"
                " it. Open the folder that holds both.")  # fmt: skip
    return ""


def _test(read: Samples) -> dict[str, object]:
    """What the test is told before it begins: how long it may be, and who has begun. No figure of anybody."""
    longest = most(read)
    choices = [n for n in CHOICES if n <= longest] or [longest]
    begun = [{"name": one.reader, "done": len(one.answers), "of": len(one.order)} for one in readers(read)]
    return {"ratio": read.ratio, "trouble": shortage(read), "choices": choices, "readers": begun}
