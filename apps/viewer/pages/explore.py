"""Explore: all cases as a map, a walk through what the model has learnt, groups and copies, and things to play with."""

from __future__ import annotations

import streamlit as st

from apps.viewer.catalogue import Catalogue, EmbeddingFolder, RunFolder
from apps.viewer.choice import choice
from apps.viewer.explore_component import explore
from apps.viewer.explore_desk import Shown
from apps.viewer.explore_faces import Faces
from apps.viewer.explore_folder import Embedding
from apps.viewer.explore_groups import groups
from apps.viewer.explore_make import make
from apps.viewer.explore_play import play
from apps.viewer.explore_triples import triples
from apps.viewer.house import house
from apps.viewer.theme import empty
from medudl.errors import UserError

_VIEWS = {"cases": "Cases", "groups": "Groups and copies", "how": "How it works", "play": "Play"}
_VIEW = "explore-view"


def page() -> None:
    """Draw the page."""
    catalogue = Catalogue(*house().settings.places)
    found = catalogue.embeddings()
    runs = [run for run in catalogue.runs() if (run.path / "weights.safetensors").is_file()]
    options: dict[str, EmbeddingFolder | RunFolder] = {each.id: each for each in found} | {run.id: run for run in runs}
    left, right = st.columns([3, 4], vertical_alignment="center")
    with right:
        view = _view(bool(options))
    with left:
        gone = "The link names a map that is not in this folder any more. This is another one."
        wanted = options and view in ("cases", "groups")
        chosen = choice("Map", options, "map", gone, _word) if wanted else None
    if view == "play":
        play()
    elif view == "how":
        triples(catalogue, found)
    elif chosen is None:
        _nothing()
    elif isinstance(chosen, RunFolder):
        make(catalogue, chosen)
    else:
        _open(catalogue, chosen, view)


def _view(some: bool) -> str:
    """The part of the page; with nothing to see yet, what a newcomer can play with."""
    if st.session_state.get(_VIEW) is None:
        asked = st.query_params.get("view", "")
        st.session_state[_VIEW] = asked if asked in _VIEWS else "cases" if some else "play"
    chosen = st.segmented_control("Part", list(_VIEWS), key=_VIEW, format_func=lambda name: _VIEWS[name],
                                  label_visibility="collapsed")  # fmt: skip
    return str(chosen or "cases")


def _word(option: EmbeddingFolder | RunFolder) -> str:
    if isinstance(option, RunFolder):
        return f"Make a map with {option.name}"
    return f"{option.name} (as {option.run.name} sees them)" if option.run else option.name


def _nothing() -> None:
    empty("No cases to explore yet", "Here every picture becomes a point: those that look alike to a model lie close.",
          "First train a model: see the Train page. Then its cases can be mapped here with one button.",
          "Until then, 'Play' and 'How it works' above need no scans.")  # fmt: skip


def _open(catalogue: Catalogue, folder: EmbeddingFolder, view: str) -> None:
    if folder.trouble:
        empty("This map cannot be shown", folder.trouble, "Wait a moment, or make it again.")
        return
    run = folder.run.path if folder.run else None
    shown = Shown(folder.id, folder.path, run, Faces(catalogue, run, house().settings.private))
    try:
        embedding = shown.embedding()
    except UserError as error:
        empty("This map cannot be shown", str(error))
        return
    house().desk.offer(shown)
    if view == "groups":
        groups(shown, embedding)
        return
    explore("cases", {"id": shown.id, "key": embedding.key, "model": _model(embedding, shown)}, key="explore-cases")


def _model(embedding: Embedding, shown: Shown) -> str:
    """Why nothing can be drawn with this map's model; "" where it can."""
    if "decode" not in embedding.verbs:
        return ("This kind of model cannot draw a picture from a position on the map. Its neighbours can be looked at:"
                " open a case on the map.")  # fmt: skip
    if shown.run is None:
        return ("The model that made this map does not lie in the opened folder, so that nothing can be drawn with it."
                " Open the folder that holds both.")  # fmt: skip
    return ""
