"""Play: a rolled-up sheet that an autoencoder learns to describe by two numbers, live, without any scan."""

from __future__ import annotations

import streamlit as st

from apps.viewer.explore_component import explore
from apps.viewer.explore_toybox import Toy
from apps.viewer.house import house
from apps.viewer.theme import quiet
from medudl.errors import UserError


def play() -> None:
    """Draw the view."""
    toy = Toy("roll", house().settings.folder)
    left, right = st.columns([2, 7], gap="medium")
    with left:
        st.subheader("The Swiss roll")
        st.write("A sheet of paper, rolled up in space. Every point needs three numbers, yet two say it all: where on"
                 " the sheet it lies. A flat shadow (PCA) lets points fall together that lie far apart. An autoencoder"
                 " must squeeze each point through two numbers and rebuild it: watch it learn.")  # fmt: skip
        turns = st.slider("Turns of the roll", 0.5, 2.5, 1.5, 0.25)
        noise = st.slider("Noise", 0.0, 1.5, 0.0, 0.25)
        controls(toy, {"turns": turns, "noise": noise, "seed": 0}, "Start")
        quiet("Takes about 15 seconds. It is what happens with scans too: a picture of 16,000 pixels goes through a few"
              " numbers, and what the model learns is how pictures differ.")  # fmt: skip
    with right:
        explore("play", {"kind": toy.kind, "began": toy.began}, key="explore-play", height="calc(100vh - 128px)")


def controls(toy: Toy, settings: dict[str, float], word: str) -> None:
    """Start, or again."""
    if st.button("Again" if toy.began else word, type="primary", icon=":material/play_arrow:"):
        try:
            if not toy.start(settings):
                toy.stop()
                quiet("It was still learning and has been stopped. Press again to begin anew.")
        except (UserError, OSError) as error:
            told = isinstance(error, UserError)
            st.error(str(error) if told else "The toy could not be started on this computer.")
