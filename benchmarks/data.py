"""Shuffled slices per second, and the memory they take: medudl's cache and loader beside MONAI's datasets.

    python benchmarks/data.py [--volumes 40] [--depth 48] [--side 160] [--batch 16] [--rounds 3] [--workers 0 2]

Synthetic volumes of three contrasts (NIfTI, int16) go through the same steps in each: read, turn to axial, stack the
contrasts, map percentiles 0.5 and 99.5 to 0 and 1. Then batches of shuffled slices are drawn, as in training:

medudl         Cache + Loader: each slice of the cohort once an epoch
persistent     monai.data.PersistentDataset + DataLoader: a random volume is loaded for each slice (RandSpatialCropd)
persistent x8  the same, but eight slices of each volume that was loaded: faster, and less shuffled
cache          monai.data.CacheDataset, everything in memory, as it is by default
cache, tuned   the same with copy_cache=False and plain tensors: the best that we found
cache, thread  "cache, tuned" behind monai.data.ThreadDataLoader

Each runs in a process of its own, warm, in turns (round by round), with one torch thread. `slices/s` is the median
over the rounds by the wall clock; `cpu ms` is the processor time of a slice, workers included. Memory is what grows
above the process after its imports, at the peak of one more round: `own MB` counts anonymous pages (Anonymous in
/proc/self/smaps_rollup; of worker processes what they do not share), which nobody can take away; `mapped MB` counts
pages of mapped files (Rss - Anonymous), which the system drops as soon as it needs room. A table, then one JSON line;
nothing else is written.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from memory import Memory, cpu_seconds  # beside this file

CONTRASTS = ("T1", "T2", "FLAIR")


def main() -> None:
    options = _options()
    if options.serve:
        serve(options)
        return
    with tempfile.TemporaryDirectory(prefix="medudl-bench-") as folder:
        write_volumes(Path(folder), options)
        results = measure(Path(folder), options)
    show(results)
    print(json.dumps({"settings": vars(options), "results": results}))


def write_volumes(folder: Path, options: argparse.Namespace) -> None:
    """Heads with noise, a file a contrast."""
    import nibabel as nib

    shape = (options.side, options.side, options.depth)
    grid = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in shape], indexing="ij")
    inside = sum((g / r) ** 2 for g, r in zip(grid, (0.7, 0.85, 0.95), strict=True)) < 1
    for number in range(options.volumes):
        random = np.random.default_rng(number)
        for contrast in CONTRASTS:
            tissue = inside * (
                500 + 200 * random.normal() * grid[0] + 50 * random.normal(size=shape).astype(np.float32)
            )
            path = folder / f"sub-{number:03}" / f"{contrast}.nii"
            path.parent.mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(tissue.astype(np.int16), np.diag([-1.0, -1.0, 3.0, 1.0])), path)


def variants(workers: list[int]) -> list[tuple[str, int]]:
    """(name, worker processes) of everything that is measured."""
    names = ("medudl", "persistent", "persistent x8", "cache", "cache, tuned")
    return [(name, count) for name in names for count in workers] + [("cache, thread", 0)]


def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Start every variant, then let each draw its slices in turn, `rounds` times after a warm-up."""
    servers = []
    for name, workers in variants(options.workers):
        command = [sys.executable, __file__, "--serve", name, "--folder", str(folder), "--workers", str(workers)]
        command += [f"--{key}={getattr(options, key)}" for key in ("volumes", "depth", "side", "batch")]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        servers.append((name, workers, server, ask(server)))  # its first word: ready
        print(f"{name}, {workers} workers: ready", file=sys.stderr)
    rounds: dict[int, list[dict[str, float]]] = {at: [] for at in range(len(servers))}
    for number in range(options.rounds + 1):
        for at, (_, _, server, _) in enumerate(servers):
            answer = ask(server, "draw")
            rounds[at] += [answer] if number else []
    results = []
    for at, (name, workers, server, ready) in enumerate(servers):
        memory = ask(server, "stop")
        server.wait()
        median = {key: statistics.median(r[key] for r in rounds[at]) for key in ("slices_per_second", "cpu_ms")}
        results.append({"name": name, "workers": workers, **median, **memory, "fill_seconds": ready["fill_seconds"]})
    return results


def ask(server: subprocess.Popen[str], word: str = "") -> dict[str, float]:
    assert server.stdin is not None and server.stdout is not None
    if word:
        print(word, file=server.stdin, flush=True)
    line = server.stdout.readline()
    if not line:
        raise SystemExit(f"a measured process ended early: {server.args}")
    answer: dict[str, float] = json.loads(line)
    return answer


def serve(options: argparse.Namespace) -> None:
    """One variant: answers each "draw" with its speed, and the end with its memory."""
    import torch

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # LoadImage tells of an absent nvImageCodec at every call
    torch.set_num_threads(1)
    folder, workers = Path(options.folder), options.workers[0]
    import monai.data  # noqa: F401  the baseline holds the imports of either side

    import medudl.data.loaders  # noqa: F401

    if options.serve != "cache" and not options.serve.startswith("cache,"):
        _fill_elsewhere(options.serve, folder, options)
    memory = Memory()
    begun = time.perf_counter()
    draw = MAKE[options.serve](folder, options.batch, workers)
    print(json.dumps({"fill_seconds": time.perf_counter() - begun}), flush=True)
    for number, line in enumerate(sys.stdin):
        if line.strip() == "stop":
            break
        print(json.dumps(timed(draw, number)), flush=True)
    print(json.dumps(memory.peak(lambda: timed(draw, 0))), flush=True)


def _fill_elsewhere(name: str, folder: Path, options: argparse.Namespace) -> None:
    """Fill a disk cache in a child, so that filling it leaves nothing in the memory that is measured."""
    child = os.fork()
    if child == 0:
        for _ in MAKE[name](folder, options.batch, 0)(0):
            pass
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit(f"{name}: its cache could not be filled")


def timed(draw: Callable[[int], Iterator[Any]], epoch: int) -> dict[str, float]:
    begun, spent, count, total = time.perf_counter(), cpu_seconds(), 0, 0.0
    for image in draw(epoch):
        count += len(image)
        total += float(image[0, 0, 0, 0])  # the batch has arrived
    seconds = time.perf_counter() - begun
    return {"slices_per_second": count / seconds, "cpu_ms": 1e3 * (cpu_seconds() - spent) / count}


def medudl(folder: Path, batch: int, workers: int) -> Callable[[int], Iterator[Any]]:
    from medudl.config import Data
    from medudl.data.cache import Cache
    from medudl.data.cases import cases_of
    from medudl.data.cohort import Cohort, Series
    from medudl.data.loaders import Loader
    from medudl.data.pipeline import Pipeline

    rows = [
        Series(subject=path.parent.name, series=path.parent.name + path.stem, contrast=path.stem, modality="MR",
               path=str(path.relative_to(folder)), format="nifti")
        for path in sorted(folder.glob("sub-*/*.nii"))
    ]  # fmt: skip
    cohort = Cohort.of(folder, rows)
    data = Data(channels=list(CONTRASTS), foreground="none")
    cache = Cache(folder / "medudl", Pipeline(data), cohort)
    ready, _ = cache.fill(cases_of(cohort, data)[0])
    loader = Loader([cache.get(case) for case in ready], data, batch_size=batch, shuffle=True, workers=workers)
    return lambda epoch: (b["image"] for b in loader.epoch(epoch))


def monai_dataset(name: str, folder: Path) -> Any:
    from monai.data import CacheDataset, PersistentDataset
    from monai.transforms import (
        Compose,
        ConcatItemsd,
        EnsureTyped,
        LoadImaged,
        Orientationd,
        RandSpatialCropd,
        RandSpatialCropSamplesd,
        ScaleIntensityRangePercentilesd,
        SelectItemsd,
        SqueezeDimd,
    )

    files = [{c: str(path / f"{c}.nii") for c in CONTRASTS} for path in sorted(folder.glob("sub-*"))]
    pick: Any = RandSpatialCropd("image", roi_size=(1, -1, -1), random_size=False)
    if name == "persistent x8":
        pick = RandSpatialCropSamplesd("image", roi_size=(1, -1, -1), num_samples=8, random_size=False)
    steps = Compose([
        LoadImaged(CONTRASTS, ensure_channel_first=True, reader="NibabelReader"),
        Orientationd(CONTRASTS, axcodes="SPL", labels=(("L", "R"), ("P", "A"), ("I", "S"))),
        ConcatItemsd(CONTRASTS, name="image"), SelectItemsd("image"),
        ScaleIntensityRangePercentilesd("image", 0.5, 99.5, 0.0, 1.0, channel_wise=True),
        EnsureTyped("image", track_meta=name == "cache"),
        pick, SqueezeDimd("image", dim=1),
    ])  # fmt: skip
    if name.startswith("persistent"):
        return PersistentDataset(files, steps, cache_dir=folder / name.replace(" ", "-"))
    return CacheDataset(files, steps, copy_cache=name == "cache", progress=False, num_workers=1)


def monai(name: str) -> Callable[[Path, int, int], Callable[[int], Iterator[Any]]]:
    def make(folder: Path, batch: int, workers: int) -> Callable[[int], Iterator[Any]]:
        from monai.data import DataLoader, ThreadDataLoader
        from torch.utils.data import RandomSampler

        dataset = monai_dataset(name, folder)
        a_volume = 8 if name == "persistent x8" else 1
        kind = ThreadDataLoader if name == "cache, thread" else DataLoader
        first = next(iter(DataLoader(dataset, batch_size=1)))["image"]
        # As many slices as the cohort has, of volumes drawn at random; the slice is drawn by the crop.
        count = len(dataset) * _depth(folder) // a_volume
        del first
        sampler = RandomSampler(dataset, replacement=True, num_samples=count)
        loader = kind(dataset, batch_size=batch // a_volume, sampler=sampler, num_workers=workers)
        return lambda epoch: (b["image"] for b in loader)

    return make


def _depth(folder: Path) -> int:
    import nibabel as nib

    return int(nib.load(next(folder.glob("sub-*/*.nii"))).shape[2])


MAKE: dict[str, Callable[[Path, int, int], Callable[[int], Iterator[Any]]]] = {
    "medudl": medudl,
    **{name: monai(name) for name in ("persistent", "persistent x8", "cache", "cache, tuned", "cache, thread")},
}


def show(results: list[dict[str, Any]]) -> None:
    print(f"{'':15} {'workers':>7} {'slices/s':>9} {'cpu ms':>7} {'own MB':>8} {'mapped MB':>10}")
    for r in results:
        print(f"{r['name']:15} {r['workers']:7} {r['slices_per_second']:9.0f} {r['cpu_ms']:7.2f} {r['own_mb']:8.0f}"
              f" {r['mapped_mb']:10.0f}")  # fmt: skip
    ours = _best(results, "medudl")
    for kind, goal in (("persistent", "5 times"), ("persistent x8", ""), ("cache", "1 time, a tenth of the memory")):
        theirs = _best(results, kind)
        times = ours["slices_per_second"] / theirs["slices_per_second"]
        share = ours["own_mb"] / theirs["own_mb"]
        goal = f" (goal: {goal})" if goal else ""
        print(f"best of each: {times:.1f} times the slices of {kind}, at {share:.3f} of its memory{goal}")


def _best(results: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return max((r for r in results if r["name"].split(",")[0] == kind), key=lambda r: float(r["slices_per_second"]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=40)
    parser.add_argument("--depth", type=int, default=48)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
