"""Where the real scans lie."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def real_data() -> Path:
    """MEDUDL_REAL_DATA, by default ../shared/data beside the project; without it one line, and exit code 2."""
    given = os.environ.get("MEDUDL_REAL_DATA")
    place = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    if not place.is_dir():
        print(f"{place}: no real scans there; set MEDUDL_REAL_DATA to the folder that holds them", file=sys.stderr)
        sys.exit(2)
    return place
