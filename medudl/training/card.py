"""What was trained, on what, with what: card.md for people, environment.json for machines."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from medudl.config import Train
from medudl.data.cases import Case
from medudl.methods import method_class
from medudl.run import Run
from medudl.state import write_text
from medudl.version import VERSION

PACKAGES = ("torch", "monai", "lightning-fabric", "numpy", "scipy", "SimpleITK", "nibabel", "pydicom", "safetensors")


def environment(fabric: Fabric, train: Train) -> dict[str, Any]:
    """Versions, device, threads, seed. The names of machine and user stay out."""
    device = f"CPU ({torch.backends.cpu.get_cpu_capability()})"
    if fabric.device.type == "cuda":
        device = torch.cuda.get_device_name(fabric.device)
    return {
        "medudl": VERSION,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in PACKAGES},
        "device": device,
        "precision": train.precision,
        "threads": torch.get_num_threads(),
        "processes": fabric.world_size,
        "seed": train.seed,
    }


def write_card(run: Run, train: Sequence[Case], val: Sequence[Case], counts: tuple[int, int], cache: Path) -> None:
    """card.md. counts: slices (or patches, volumes) trained and validated on; cache: where the prepared scans lie."""
    contrasts = Counter(name for case in train for name in case.names)
    named = ", ".join(f"{name or 'unnamed'} ({count})" for name, count in sorted(contrasts.items()))
    view = run.config.data.view.replace("_25d", " with neighbours")
    method = method_class(run.config.method["name"])
    kind = "labelled" if method.supervised_by(run.config.data.condition) else "healthy"
    taught = [case for case in train if case.label] if method.semi_supervised else []
    lines = [
        f"# {run.config.method['name']}, trained by medudl {VERSION}",
        "",
        "For research; not a medical device. Not for diagnosis.",
        "",
        "## Trained on",
        f"- {_people(train)}: {len(train)} scans, {counts[0]} {view}",
        *([f"- with their label: {_people(taught)}, {len(taught)} of these scans"] if taught else []),
        f"- chosen on {_people(val)}: {len(val)} {kind} scans, {counts[1]} {view}",
        *([f"- begun from the weights of {Path(run.config.init).name}"] if run.config.init else []),
        f"- series: {named}",
        f"- image shape (channels, then voxels): {tuple(run.shape)}",
        "- which scans exactly: cohort.csv; every setting: config.yaml",
        "",
        "## Where images of patients lie",
        "- samples/: pictures of validation scans, made while it trained",
        f"- {cache.name}/, beside the run unless data.cache says otherwise: the prepared scans",
        "- checkpoint/: some methods keep images in their state (an image pool, a reference batch)",
        "",
        "Leave these out when you give the run to others; weights.safetensors holds no images.",
    ]
    write_text(run.path / "card.md", "\n".join(lines) + "\n")


def _people(cases: Sequence[Case]) -> str:
    count = len({case.subject for case in cases})
    return f"{count} subject" + ("" if count == 1 else "s")
