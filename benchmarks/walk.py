"""How long the walker takes to draw one picture of a code: what a slider of the Explore page waits for.

    python benchmarks/walk.py [--repeats 200] [--out walk.json]

The network of configs/autoencoder.yaml and configs/variational_autoencoder.yaml at 128 x 128, with weights that were
never trained (which changes no time), and a small one in 3-D; one thread, one code a call, from the call to grey
values. Goal: 95 % of the 2-D calls below 100 ms.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medudl.api import shipped
from medudl.config import Config, read_config, validate_config
from medudl.data.cohort import Cohort, Series
from medudl.data.pipeline import Pipeline
from medudl.methods import build
from medudl.run import Run
from medudl.state import save_state
from medudl.tasks.walk import Walker

GOAL_MS = 100.0


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {name: measured(*case, arguments.repeats) for name, case in cases().items()}
    for name, row in results.items():
        print(f"{name}: median {row['median_ms']:.1f} ms, 95 % {row['p95_ms']:.1f} ms; CPU {row['cpu_p95_ms']:.1f} ms")
    flat = max(row["p95_ms"] for name, row in results.items() if "3-D" not in name)
    print(f"goal of {GOAL_MS:.0f} ms at 95 %: {'met' if flat < GOAL_MS else 'missed'}")
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")


def cases() -> dict[str, tuple[Config, tuple[int, ...]]]:
    """Config and image shape by name."""
    volume = {"method": {"name": "autoencoder", "latent": 32, "width": 8, "levels": 3}, "data": {"view": "volume"}}
    configs = shipped("configs")
    return {
        "autoencoder, 128 x 128": (read_config(configs / "autoencoder.yaml"), (1, 128, 128)),
        "variational_autoencoder, 128 x 128": (read_config(configs / "variational_autoencoder.yaml"), (1, 128, 128)),
        "autoencoder, 3-D, 48 x 64 x 64": (validate_config(volume, "walk"), (1, 48, 64, 64)),
    }


def measured(config: Config, shape: tuple[int, ...], repeats: int) -> dict[str, float]:
    """Milliseconds of one decode by the clock (median, 95 %), and of the processor (95 %)."""
    with tempfile.TemporaryDirectory() as folder:
        walker = Walker(untrained(Path(folder) / "run", config, shape))
        codes = np.random.default_rng(0).normal(size=(repeats, walker.latent)).astype(np.float32)
        took, cpu = [], []
        for code in codes:
            start, begun = time.perf_counter(), time.process_time()
            walker.decode(code)
            took.append(1000 * (time.perf_counter() - start))
            cpu.append(1000 * (time.process_time() - begun))
    return {"median_ms": float(np.median(took)), "p95_ms": float(np.quantile(took, 0.95)),
            "cpu_p95_ms": float(np.quantile(cpu, 0.95))}  # fmt: skip


def untrained(path: Path, config: Config, shape: tuple[int, ...]) -> Run:
    """A run folder with weights drawn from a seed."""
    run = Run.create(path, config, Cohort.of(path.parent, [Series("nobody", path="none.nii.gz")]))
    torch.manual_seed(0)
    options: dict[str, Any] = {key: value for key, value in config.method.items() if key != "name"}
    save_state(path / "weights.safetensors", {"weights": build(config.method["name"], shape, options).state_dict()})
    run.write_json("fitted.json", Pipeline(config.data).state())
    run.update({"shape": list(shape), "status": "finished"})
    return run


if __name__ == "__main__":
    main()
