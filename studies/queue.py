"""A queue of runs that can be stopped and resumed: one JSON a run, with its settings, seed and the hash of the code."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

Job = Mapping[str, Any]  # the settings of one run, "seed" among them


def out_folder(doc: str | None) -> Path:
    """Where a study's results go: --out of its command line, whose help is its docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    return out


def code_hash() -> str:
    """SHA-256 over the package's sources: figures of other code are not mixed in."""
    package = Path(__file__).parents[1] / "medudl"
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def beside(out: Path, study: str, jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """Results of another study, which lie beside `out`. Without one of them one line, and exit code 2."""
    found = []
    for job in jobs:
        file = out.parent / study / f"{_name(job)}.json"
        if not file.is_file():
            print(f"{file}: not there; run `make study NAME={study}` first", file=sys.stderr)
            sys.exit(2)
        found.append({**json.loads(file.read_text()), **job})
    return found


def _name(job: Job) -> str:
    return "_".join(f"{key}-{value}" for key, value in job.items())


def run(jobs: Iterable[Job], work: Callable[[Job, Path], Mapping[str, Any]], out: Path) -> list[dict[str, Any]]:
    """Do every job that has no JSON yet; return all results in order.

    work(job, folder) -> figures. A job done by other code is kept, and its JSON tells the hash: remove the file to run
    it again.
    """
    out.mkdir(parents=True, exist_ok=True)
    results = []
    jobs = list(jobs)
    for number, job in enumerate(jobs, start=1):
        name = _name(job)
        file = out / f"{name}.json"
        if not file.exists():
            print(f"[{number}/{len(jobs)}] {name}", flush=True)
            begun = time.monotonic()
            figures = work(job, out / name)
            record = {**figures, "minutes": (time.monotonic() - begun) / 60, "code_hash": code_hash(), **job}
            part = file.with_suffix(".part")
            part.write_text(json.dumps(record, indent=1))
            os.replace(part, file)
        results.append({**json.loads(file.read_text()), **job})
    return results
