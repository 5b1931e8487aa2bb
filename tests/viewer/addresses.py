"""Addresses of a viewer's pages, as a link would hold them."""

from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, TimeoutError

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


def open_row(page: Page, row: int = 0) -> None:
    """Click on a row of the table, again where the table was not ready to be clicked on yet."""
    table = page.get_by_test_id("stDataFrame")
    for _ in range(10):
        table.click(position={"x": 200, "y": 52 + 30 * row})
        try:
            page.wait_for_function("() => window.medudlViewer?.length > 0", timeout=10_000)
            return
        except TimeoutError:
            continue
    raise AssertionError("no click on the table opens a series")
