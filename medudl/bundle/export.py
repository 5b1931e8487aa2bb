"""`export`: a run as a MONAI bundle that others can check and run, with a model card and ONNX."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medudl.bundle.card import card_of, read_report
from medudl.bundle.facts import Facts
from medudl.bundle.graphs import Graphs, write_graphs
from medudl.bundle.inference import inference
from medudl.bundle.metadata import metadata
from medudl.bundle.network import Network
from medudl.bundle.papers import LICENCE, readme
from medudl.bundle.shipped import FILE, WEIGHTS, Shipped, left_out, shipped_settings
from medudl.errors import UserError
from medudl.methods.method import Method
from medudl.run import Run
from medudl.tasks.folds import one_run
from medudl.tasks.outputs import told


@dataclass(frozen=True)
class Exported:
    """What was written. onnx: files and their outputs, verbs left out and why; None with onnx=False."""

    path: Path
    onnx: Graphs | None


def export(
    run: str | Path, out: str | Path, *, onnx: bool = True, report: str | Path | None = None, authors: str = ""
) -> Exported:
    """Write the bundle folder `out`, in one move: nothing half-written is ever found there.

    report: what `medudl evaluate -o` wrote, for the model card. authors: for metadata.json; else it asks for them.
    Raises UserError: no finished run, `out` exists and is not empty, a method that keeps images of patients in its
    weights, onnx not installed, no report.
    """
    opened, out = one_run(run), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists already; give a new or an empty folder")
    method = opened.method()
    check_no_images(method, opened)
    facts = Facts(opened, method, read_report(report, opened), left_out(opened))
    building = out.parent / f".{out.name}.tmp"
    with told(out):
        try:
            shutil.rmtree(building, ignore_errors=True)  # of a process that was killed here
            graphs = _fill(building, opened, facts, onnx, authors)
            if out.exists():
                out.rmdir()
            building.rename(out)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return Exported(out, graphs)


def check_no_images(method: Method, run: Run) -> None:
    """Raise UserError where a buffer holds a stack of images of the run's shape: a pool, a reference batch.

    One image alone (a mean of all) is let through; parameters are learnt, and no images.
    """
    for name, buffer in method.named_buffers():
        stacked = buffer.ndim == len(method.shape) + 1 and tuple(buffer.shape[1:]) == method.shape
        if stacked and len(buffer):
            raise UserError(
                f"{run.path}: its method keeps {len(buffer)} images of patients ({name}) and cannot be given away"
            )


def _fill(folder: Path, run: Run, facts: Facts, onnx: bool, authors: str) -> Graphs | None:
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(parents=True)
    _json(folder / FILE, shipped_settings(run))
    network = Network(Shipped(folder))
    network.method.load_state_dict(facts.method.state_dict())
    torch.save({name: value.cpu() for name, value in network.state_dict().items()}, folder / WEIGHTS)
    graphs = write_graphs(network.method, folder / "models") if onnx else None
    _json(folder / "configs" / "inference.json", inference(translates=network.verb == "translate"))
    _json(folder / "configs" / "metadata.json", metadata(facts, network, authors))
    (folder / "docs" / "README.md").write_text(readme(facts, network, graphs), encoding="utf-8")
    (folder / "docs" / "model_card.md").write_text(card_of(facts), encoding="utf-8")
    (folder / "LICENSE").write_text(LICENCE, encoding="utf-8")
    return graphs


def _json(path: Path, tree: Any) -> None:
    path.write_text(json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
