"""`python -m apps.viewer.explore_worker`: holds one model and draws what it is asked for, until its input closes.

First line of the input: {"run": path}. Every further one: {"codes": [[Z numbers]]} or {"sample": count, "seed":
number}, and for volumes "plane" (0, 1, 2) and "slice". Each is answered by one line of JSON, {"shape": [n, h, w],
"about": {...}} or {"problem": sentence}, and n * h * w bytes after it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from apps.viewer.words import faceless, sentence
from medudl.errors import UserError

Answer = Callable[[dict[str, Any]], tuple[Any, dict[str, Any]]]


def serve(opened: Callable[[str], Answer]) -> None:
    """Open the run of the first line, then answer until the input ends. An answer: uint8 (n, h, w), and facts."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the bytes
    import torch

    torch.set_num_threads(1)
    answer: Answer | None = None
    for line in sys.stdin.buffer:
        question = json.loads(line)
        try:
            if answer is None:
                answer = opened(question["run"])
                _put(out, np.zeros((0, 1, 1), np.uint8), {})
                continue
            _put(out, *answer(question))
        except UserError as error:
            out.write(json.dumps({"problem": sentence(faceless(str(error)))}).encode() + b"\n")
            out.flush()


def walking(run: str) -> Answer:
    """Answers with pictures that the run's model draws."""
    from medudl.tasks.walk import Walker

    walker = Walker(run)
    # Of volumes the browser offers planes, and as many slices as there are.
    about = {"size": list(walker.run.shape[1:])} if walker.dims == 3 else {}

    def drawn(question: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        where = {name: int(question[name]) for name in ("plane", "slice") if name in question}
        if "sample" in question:
            return walker.sample(int(question["sample"]), int(question["seed"]), **where), about
        return walker.decode(np.asarray(question["codes"], np.float32), **where), about

    return drawn


def _put(out: IO[bytes], pictures: Any, about: dict[str, Any]) -> None:
    pictures = np.ascontiguousarray(pictures, np.uint8)
    out.write(json.dumps({"shape": list(pictures.shape), "about": about}).encode() + b"\n")
    out.write(pictures.tobytes())
    out.flush()


if __name__ == "__main__":
    serve(walking)
