"""A folder without a table: say what lies there, and index it, with progress."""

from __future__ import annotations

import streamlit as st

from apps.viewer.catalogue import Catalogue
from apps.viewer.house import house
from apps.viewer.indexing import Indexing
from apps.viewer.lookup import Look
from apps.viewer.making import Status
from apps.viewer.theme import empty, quiet
from apps.viewer.words import count, faceless, sentence
from medudl.errors import UserError

_EVERY = 1.0  # seconds between two looks at the progress


def begin(catalogue: Catalogue) -> None:
    """Index a folder that has scans and no table; a folder without either says what to do."""
    found = catalogue.look()
    if not found.scans:
        _nothing(found)
        return
    try:
        job = Indexing(catalogue.folder)
        status = job.status()
        # Only what is sure to be a folder of scans is read without being asked: a home folder is large.
        if status.state == "idle" and found.whole:
            job.start()
            status = Status("running", "Looking for scans")
    except (UserError, OSError) as error:
        empty(f"About {count(found.scans, 'file')}, no table yet", _told(error))
        return
    if status.state == "running":
        _watch(job, found)
    else:
        _ask(job, status, found)


def _nothing(found: Look) -> None:
    if found.runs:
        empty("No scans in this folder", "It holds a trained model, but not the scans or their table.",
              "Open the folder that holds both the run and its cohort.csv with medudl view FOLDER.")  # fmt: skip
    else:
        empty("No scans in this folder", "There is neither a table of scans nor a DICOM, NIfTI, NRRD, MHA or PNG file.",
              "Stop the viewer and open a folder with scans: medudl view FOLDER. It may be a folder as it came from"
              " the scanner or the archive; the table is made here.")  # fmt: skip


@st.fragment(run_every=_EVERY)
def _watch(job: Indexing, found: Look) -> None:
    status = job.status()
    if status.state != "running":
        st.rerun()
    with st.container(key="beginning"):
        st.subheader(f"About {count(found.scans, 'file')}, no table yet: making one")
        share = status.done / status.total if status.total else 0.0
        st.progress(min(share, 1.0), text=_progress(status))
        quiet("Every file is opened once, to see what it is and what is wrong with it. You may close this page; the"
              " work goes on, and the table is there when you come back.")  # fmt: skip
        if st.button("Stop", icon=":material/stop_circle:"):
            job.cancel()


def _progress(status: Status) -> str:
    text = status.what
    if status.total:
        text += f", {status.done:,} of {status.total:,}"
    if status.left is not None and status.done < status.total:
        text += f", about {_time(status.left)} left in this step"
    return text


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else count(round(seconds / 60), "minute")


def _ask(job: Indexing, status: Status, found: Look) -> None:
    """It failed, was stopped, or the folder is too large to be read without being asked."""
    files = count(found.scans, "file")
    if status.state == "idle":
        title, told = f"At least {files}, no table yet", ["The folder is large or deep, so that this may take a while."]
    elif status.error:
        title = "The scans could not be indexed"
        told = [sentence(faceless(status.error) if house().settings.private else status.error),
                "Mend that and index again, or open another folder: medudl view FOLDER."]  # fmt: skip
    elif status.state == "done":
        title, told = "The table is gone", [f"About {files} are here, and the table that was made of them is not."]
    else:
        title, told = "Indexing was stopped", [f"About {files} wait to be looked at. Nothing was written."]
    empty(title, *told)
    with st.container(key="middle"):
        if st.button(
            "Index this folder" if status.state == "idle" else "Index it again",
            type="primary",
            icon=":material/play_arrow:",
        ):
            try:
                job.start()
            except (UserError, OSError) as error:
                st.error(_told(error))
                return
            st.rerun()


def _told(error: Exception) -> str:
    if isinstance(error, UserError):
        return sentence(str(error))
    return "The folder cannot be written to. Make it writable, or copy it, and reload the page."
