"""What medudl writes beside a scan: NIfTI volumes on the scan's grid, with a BIDS-derivatives sidecar.

A file holds voxels, an affine and the software's name: no path, date or identity of the source.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from medudl.data.image_header import MARK
from medudl.version import VERSION

NOTICE = "synthetic, model output, not for diagnosis"
_COMPRESSION = 4  # level 9 takes five times as long for 2 % less
_MILLIMETRE, _SCANNER = 2, 1  # NIfTI codes: xyzt_units, sform_code


def write_nifti(path: Path, voxels: NDArray[Any], affine: NDArray[np.float64], description: str) -> None:
    """Write gzip-compressed NIfTI-1 to exactly `path`, whatever its suffix; equal input gives equal bytes.

    voxels: (X, Y, Z) float32, or bool (written as uint8); affine: voxel -> patient mm in RAS; description: for the
    header, ASCII, behind `MARK`, cut to its 79 characters. Raises OSError (disk full, no permission).
    """
    array = voxels.astype(np.uint8) if voxels.dtype == bool else voxels.astype(np.float32, copy=False)
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, _SCANNER)
    image.set_qform(affine, _SCANNER)
    image.header.set_xyzt_units(_MILLIMETRE)
    image.header["descrip"] = (MARK + description).encode("ascii", "replace")[:79]
    # The gzip header would hold a time and the temporary file's name.
    with open(path, "wb") as file, gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0) as stream:
        image.to_stream(stream)


def sidecar(
    kind: str, description: str, units: str, sources: Sequence[Mapping[str, str]], settings: Mapping[str, Any]
) -> str:
    """JSON text that belongs beside a derived NIfTI (BIDS derivatives).

    kind: "anomaly", "expected", "unusual"; sources: {"series": pseudonymous id, "sha256": ...} of each series that went
    in; settings: thresholds and whatever else explains the voxels.
    """
    return _json(
        {
            "Description": f"{description} ({NOTICE})",
            "Kind": kind,
            "Units": units,
            "Sources": [f"bids:cohort:{source['series']}" for source in sources],
            "SourceSHA256": {source["series"]: source["sha256"] for source in sources},
            "GeneratedBy": [{"Name": "medudl", "Version": VERSION}],
            **settings,
        }
    )


def dataset_description(name: str) -> str:
    """Text of the folder's dataset_description.json (BIDS derivatives)."""
    return _json(
        {
            "Name": name,
            "BIDSVersion": "1.9.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "medudl", "Version": VERSION}],
        }
    )


def _json(tree: Mapping[str, Any]) -> str:
    return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
