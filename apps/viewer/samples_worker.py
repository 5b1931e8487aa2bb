"""`python -m apps.viewer.samples_worker`: holds a run's training images and says which one a drawn image is most like.

Speaks as explore_worker does. A question: {"codes": [[Z numbers]], "limits": {...}}. The answer: the nearest training
image of each, with "rows", "images" and "lights" (`samples_nearest.Judged`). While the images are being read, no
picture and "building": a sentence; where they cannot be, "why".
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from apps.viewer.background import private_folder
from apps.viewer.explore_worker import Answer, serve
from apps.viewer.making import LINES, last_pass
from apps.viewer.source import identify
from apps.viewer.words import faceless, sentence
from medudl.data.index_progress import VARIABLE
from medudl.errors import UserError

_PATIENCE = 3.0  # seconds that a question waits for the images, before it is told how far they are
_AGAIN = 20.0  # seconds after which scans that were not there are looked for again
_NONE = np.zeros((0, 1, 1), np.uint8)


class _Search:
    """The training images of one run: read in a thread, so that whoever asks hears how far it is."""

    def __init__(self, run: str) -> None:
        from medudl.tasks.folds import one_run

        self._run = one_run(run)
        place = private_folder() / identify("comparing", str(Path(run).resolve()))
        place.mkdir(exist_ok=True)
        self._lines = place / LINES
        os.environ[VARIABLE] = str(self._lines)
        self._network: str | None = None
        self._thread: threading.Thread | None = None
        self._index: Any = None
        self._why, self._ended = "", 0.0

    def answer(self, question: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See above."""
        from apps.viewer.samples_nearest import Limits

        limits = Limits(**question["limits"])
        thread = self._reading(limits.network)
        thread.join(_PATIENCE)
        if thread.is_alive():
            return _NONE, {"building": self._progress()}
        if self._index is None:
            return _NONE, {"why": self._why}
        found = self._index.of(np.asarray(question["codes"], np.float32), limits)
        return found.nearest, {"rows": found.rows, "images": found.images, "lights": found.lights}

    def _reading(self, network: str) -> threading.Thread:
        thread = self._thread
        over = thread is not None and not thread.is_alive()
        failed = over and self._index is None and time.monotonic() - self._ended > _AGAIN
        if thread is None or failed or (over and network != self._network):
            self._network, self._index, self._why = network, None, ""
            self._lines.unlink(missing_ok=True)
            thread = self._thread = threading.Thread(target=self._read, args=(network,), daemon=True)
            thread.start()
        return thread

    def _read(self, network: str) -> None:
        from apps.viewer.samples_nearest import Index

        try:
            self._index = Index(self._run, network)
        except UserError as error:
            self._why = sentence(faceless(str(error)))
        except Exception:  # in a thread nobody else would hear of it
            self._why = "They could not be read: their files are damaged."
        self._ended = time.monotonic()

    def _progress(self) -> str:
        found = last_pass(self._lines)
        if found is None or not found.total:
            return "looking for the training images"
        return f"{found.what}: {100 * found.done // found.total} %"


def searching(run: str) -> Answer:
    """Answers with the training images that drawn ones are most like."""
    return _Search(run).answer


if __name__ == "__main__":
    serve(searching)
