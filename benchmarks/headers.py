"""DICOM headers per second: medudl's header pass against a plain pydicom loop, on the same files, in one run.

    python benchmarks/headers.py [--files 4000] [--repeats 5] [--workers 2]

Ours includes starting its worker processes. Files: the DICOM folders below MEDUDL_REAL_DATA, linked over and over until
there are enough; without it, pydicom's own test files.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_files

from medudl.data.discover import Found, discover
from medudl.data.index_passes import Unreadable, header_pass
from medudl.data.index_progress import Progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        source = link_files(Path(folder), options.files)
        found, _ = discover([folder])
        seconds, processor = measure(found, options.repeats, options.workers)
    ours, plain = (statistics.median(seconds[name]) for name in ("medudl", "pydicom"))
    print(f"{len(found)} files ({source}), {options.workers} workers, {os.cpu_count()} cores")
    for name, way in (("medudl index, header pass", "medudl"), ("pydicom.dcmread loop", "pydicom")):
        median, cpu = statistics.median(seconds[way]), statistics.median(processor[way])
        print(
            f"  {name:28s} {len(found) / median:7.0f} headers/s (median of n={options.repeats}: {median:.2f} s), "
            f"{1000 * cpu / len(found):.2f} ms of processor time each"
        )
    ratios = sorted(b / a for a, b in zip(seconds["medudl"], seconds["pydicom"], strict=True))
    print(f"  ratio {plain / ours:.2f}x (each repeat: {ratios[0]:.2f}-{ratios[-1]:.2f}x); goal 1.8x")


def link_files(folder: Path, count: int) -> str:
    """Links to scans below `folder`, as many as asked for; returns where they come from."""
    real = Path(os.environ.get("MEDUDL_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    files = [f.path for f in discover([real])[0] if f.format == "dicom"] if real.is_dir() else []
    source = "real scans" if files else "pydicom's test files"
    files = files or [Path(name) for name in get_testdata_files("*.dcm") if readable(Path(name))]
    for number in range(count):
        place = folder / f"{number // len(files)}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.dcm").symlink_to(files[number % len(files)].absolute())
    return source


def readable(path: Path) -> bool:
    """Whether pydicom itself reads the header: its test files hold broken ones."""
    try:
        pydicom.dcmread(path, stop_before_pixels=True)
    except Exception:
        return False
    return True


def measure(found: list[Found], repeats: int, workers: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds and processor seconds of each way, taking turns, so that a busy machine slows both."""

    def ours() -> None:
        unreadable = [result for result in header_pass(found, Progress(), workers) if isinstance(result, Unreadable)]
        assert len(unreadable) < len(found) / 2, unreadable[0].told()

    def plain() -> None:
        for file in found:
            pydicom.dcmread(file.path, stop_before_pixels=True)

    ways: dict[str, Callable[[], None]] = {"medudl": ours, "pydicom": plain}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            begun, used = time.perf_counter(), processor_seconds()
            way()
            seconds[name].append(time.perf_counter() - begun)
            processor[name].append(processor_seconds() - used)
    return seconds, processor


def processor_seconds() -> float:
    """Of this process and of the workers that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
