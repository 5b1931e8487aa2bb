"""Parametric heads with known truth: CT in HU, T1, T2 and FLAIR, healthy or with a lesion, about a second each.

    python -m medudl.data.phantom OUT --healthy 2 --lesions 1 --seed 0

Physics, parameters and their sources: docs/phantom.md. Everything is drawn from PCG64 streams of the seed and computed
in float64 before it is rounded to whole stored units, so that a seed gives the same bytes wherever it is made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from medudl.data.phantom_cohort import make_cohort
from medudl.data.phantom_lesions import KINDS
from medudl.data.phantom_subject import CONTRASTS, SHAPE, SPACING, Subject, make_subject
from medudl.errors import UserError

__all__ = ["CONTRASTS", "KINDS", "SHAPE", "SPACING", "Subject", "make_cohort", "make_subject"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a cohort from the command line; returns the exit code (2: bad arguments, told in one line)."""
    parser = argparse.ArgumentParser(prog="python -m medudl.data.phantom", description=make_cohort.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("out", help="folder to write")
    parser.add_argument("--healthy", type=int, default=2, help="healthy subjects (default 2)")
    parser.add_argument("--lesions", type=int, default=1, help=f"subjects with each of {', '.join(KINDS)} (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1); the files stay the same")
    parser.add_argument("--ct", choices=("dicom", "nifti"), default="dicom", help="how CT is written")
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE, metavar=("X", "Y", "Z"), help="voxels")
    parser.add_argument("--spacing", type=float, nargs=3, default=SPACING, metavar=("X", "Y", "Z"), help="mm")
    a = parser.parse_args(arguments)
    try:
        path = make_cohort(a.out, healthy=a.healthy, lesions_per_kind=a.lesions, seed=a.seed, workers=a.workers,
                           ct_dicom=a.ct == "dicom", progress=_tell, grid=(a.shape, a.spacing))  # fmt: skip
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(path)
    return 0


def _tell(done: int, total: int) -> None:
    print(f"\r{done} of {total} subjects", end="\n" if done == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
