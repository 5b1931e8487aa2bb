"""`python -m apps.viewer`: started by `medudl view`, which says what to serve in one line of JSON on standard input."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from apps.viewer.house import Settings
from apps.viewer.serve import Orders, serve


def main() -> None:
    """Read the line, serve, and end at once."""
    told = json.loads(_line())
    house, orders = told["settings"], told["orders"]
    also = tuple(map(Path, house["also"]))
    serve(
        Settings(**{**house, "folder": Path(house["folder"]), "also": also}),
        Orders(**{**orders, "hosts": tuple(orders["hosts"])}),
    )


def _line() -> bytes:
    # Unbuffered: what follows the line is read elsewhere.
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            sys.exit("medudl: start the viewer with `medudl view`")
        line += byte
    return line


if __name__ == "__main__":
    main()
