"""An anomaly map on the disk as arrays: its unusual areas, and the same areas as a file."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from apps.viewer.anomalies import Scan
from apps.viewer.catalogue import read_json
from apps.viewer.house import house
from apps.viewer.source import Source
from apps.viewer.verdicts import number, part
from medudl.config import read_config
from medudl.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from apps.viewer.findings import Found

_KEPT = 64  # lists of areas; a list is a few kilobytes
_FLAT = ("CR", "DX", "MG", "RF", "US", "XA")  # their axes are a film's, not a patient's
_found: OrderedDict[tuple[Any, ...], Found] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True)
class Map:
    """source: the map. run: the folder of the run that made it, None where it is not at hand."""

    source: Source
    run: Path | None

    def found(self, threshold: float) -> Found:
        """Its unusual areas. Raises UserError: gone or damaged. A list made before is given again."""
        from apps.viewer.findings import find

        key, heat, affine = self._arrays()
        smallest = self._smallest(affine)
        wanted = (key, threshold, smallest, self.source.modality)
        with _lock:
            if wanted in _found:
                _found.move_to_end(wanted)
                return _found[wanted]
        made = find(heat, affine, threshold, smallest, placed=self.source.modality not in _FLAT)
        with _lock:
            _found[wanted] = made
            while len(_found) > _KEPT:
                _found.popitem(last=False)
        return made

    def file(self) -> bytes:
        """The map as it lies on the disk."""
        return self.source.files[0].read_bytes()

    def mask(self, threshold: float) -> bytes:
        """The unusual areas as a NIfTI file (gzip) on the grid of the map, 1 inside them."""
        import tempfile

        from apps.viewer.findings import mask
        from medudl.data.derived import write_nifti

        _, heat, affine = self._arrays()
        with tempfile.TemporaryDirectory(prefix="medudl-") as folder:
            path = Path(folder) / "mask.nii.gz"
            inside = mask(heat, threshold, self._smallest(affine))
            write_nifti(path, inside, affine, f"Unusual above {threshold:.6g}: model output, not for diagnosis")
            return path.read_bytes()

    def name(self, scan: Scan, ending: str) -> str:
        """What a saved file is called: the patient's name on the screen, made safe, and no path."""
        safe = "".join(c if c.isalnum() else "-" for c in self.source.subject).strip("-")
        return f"{safe or f'scan-{scan.number}'}_{ending}"

    def _arrays(self) -> tuple[str, NDArray[np.float32], NDArray[np.float64]]:
        """Hash of the file, (X, Y, Z) read-only, and voxel -> mm in RAS."""
        import numpy as np

        held = house().store.open(self.source)
        decoded = held.decoded
        flat = np.frombuffer(held.read(0, decoded.bytes), np.dtype(decoded.dtype).newbyteorder("<"))
        heat = flat.reshape(decoded.shape, order="F").astype(np.float32, copy=False)
        return held.key, heat, np.array(decoded.affine, np.float64)

    def _smallest(self, affine: NDArray[np.float64]) -> int:
        """The run's rule of small areas, in voxels of the map."""
        from apps.viewer.findings import smallest_area

        path = self.source.files[0]
        side = read_json(path.with_name(path.name.removesuffix(".nii.gz") + ".json"))
        least = int(number(part(side, "MinimumVoxels")) or 1)
        try:
            config = read_config(self.run / "config.yaml") if self.run is not None else None
        except (UserError, OSError):
            config = None  # of an older or damaged run: its maps stay readable
        return smallest_area(least, config.data.spacing if config else None, affine)
