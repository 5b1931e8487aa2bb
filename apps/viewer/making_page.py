"""How a page offers what a command makes: a button, its progress while the page is open, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from apps.viewer.house import house
from apps.viewer.making import Job, Status
from apps.viewer.theme import quiet
from apps.viewer.words import faceless, sentence
from medudl.errors import UserError

_EVERY = 2.0  # seconds between two looks at the progress


@contextmanager
def panel(title: str, above: str = "10vh") -> Iterator[None]:
    """The middle of the page, under a title."""
    _, middle, _ = st.columns([1, 3, 1])
    with middle:
        st.html(f'<div style="height:{above}"></div>')
        st.subheader(title)
        yield


def failure(status: Status, name: str = "It", stopped: str = "It was stopped. Nothing was written.") -> None:
    """Say how it ended, where it did not end well."""
    if status.state != "failed":
        return
    told = faceless(status.error) if house().settings.private else status.error
    st.error(f"{name} ended early: {sentence(told)}" if told else stopped)


def button(
    word: str, icon: str, begin: Callable[[], object], what: str, command: Sequence[str], told: str = ""
) -> None:
    """A button that begins `what`; below it what there is to be told, and the words to type in a terminal instead."""
    if st.button(word, type="primary", icon=f":material/{icon}:"):
        try:
            begin()
        except (UserError, OSError) as error:
            st.error(str(error) if isinstance(error, UserError) else f"{what} could not be started on this computer.")
        else:
            st.rerun()
    if told:
        quiet(told)
    quiet("Or in a terminal:")
    st.code(" ".join(command), language=None)


@st.fragment(run_every=_EVERY)
def watch(
    job: Job, title: str, progress: Callable[[Status], str], stays: str, done: Callable[[], None] = lambda: None
) -> None:
    """Show how far it is, with a button that stops it; draw the page anew at its end, after `done` where it is done.

    stays: what the page may be closed for: "the maps are here when you come back".
    """
    status = job.status()
    if status.state != "running":
        if status.state == "done":
            done()
        st.rerun()
    with panel(title, "14vh"):
        st.progress(min(status.done / status.total, 1.0) if status.total else 0.0, text=progress(status))
        quiet(f"You may close this page; {stays} when you come back.")
        if st.button("Stop", icon=":material/stop_circle:"):
            job.cancel()


def passing(items: str, before: str) -> Callable[[Status], str]:
    """Progress in words: the pass that runs (`items` where it has no name), or `before`, which goes on around it."""

    def told(status: Status) -> str:
        if status.total and status.done < status.total:
            return f"{sentence(status.what or items).rstrip('.')}: {status.done:,} of {status.total:,}"
        return f"{before} ({status.seconds:.0f} s so far)"

    return told
