"""Addresses of a viewer's pages, as a link would hold them."""

from pathlib import Path
from urllib.parse import urlsplit

from apps.viewer.catalogue import Catalogue
from apps.viewer.links import study_id


def series_address(address: str, folder: Path, *paths: str) -> str:
    """The address that opens the series of these paths (as in cohort.csv) in the viewer at `address`."""
    catalogue = Catalogue(folder)
    (file,) = catalogue.cohorts()
    rows = {row.path: row for row in file.cohort.series()}
    ids = [catalogue.id_of_series(file, rows[path]) for path in paths]
    base = urlsplit(address)
    return f"{base.scheme}://{base.netloc}/?study={study_id(file, rows[paths[0]])}&series={','.join(ids)}"


def volume_id(folder: Path, path: str) -> str:
    """The id under which the voxels of this path are served."""
    catalogue = Catalogue(folder)
    (file,) = catalogue.cohorts()
    (row,) = (row for row in file.cohort.series() if row.path == path)
    return catalogue.source_of(file, row).id
