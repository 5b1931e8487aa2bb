"""The Anomalies page where something is gone, cut, elsewhere or forged: a sentence, and no word of another place."""
# ruff: noqa: F811  (a fixture is imported, and a parameter has its name)

import shutil
from pathlib import Path

import pytest
from anomaly_pages import draw, entered, folder, made, said, sent  # noqa: F401  (fixtures)

from apps.viewer.anomalies import scans_of
from apps.viewer.catalogue import Catalogue


def gone(*paths: Path) -> None:
    for path in paths:
        path.unlink()


def cut(*paths: Path) -> None:
    for path in paths:
        path.write_bytes(path.read_bytes()[:150])


@pytest.mark.parametrize(
    ("harm", "pattern", "words"),
    [
        (gone, "maps/scores.csv", "Look for unusual areas with"),
        (cut, "maps/scores.csv", "cannot be read: the file is damaged or still being written"),
        (gone, "maps/*_anomaly.nii.gz", "The map of this scan is gone"),
        (cut, "maps/*_anomaly.nii.gz", "This scan cannot be shown"),
        (gone, "run/calibration.json", "This scan: "),
        (cut, "run/calibration.json", "This scan: "),
        (gone, "run/run.json", "This scan: "),
        (cut, "run/run.json", "This scan: "),
        (cut, "run/config.yaml", "This scan: "),
        (gone, "scans/*.nii.gz", "The scan itself cannot be shown"),
        (cut, "scans/cohort.csv", "This scan: "),
        (gone, "maps/*_expected.nii.gz", "This scan: "),
        (gone, "maps/*.json", "This scan: "),
        (cut, "maps/*.json", "This scan: "),
        (cut, "report/report.json", "A report in this folder cannot be read"),
    ],
)
def test_whatever_is_gone_or_cut_there_is_a_sentence(folder, draw, harm, pattern, words):
    harm(*folder.glob(pattern))
    found = said(draw(folder))
    assert words in found and "Traceback" not in found


def test_a_map_that_goes_while_the_page_is_open(folder, draw):
    app = draw(folder)
    shutil.rmtree(folder / "maps")
    app.run()
    words = said(app)
    assert "Look for unusual areas with" in words


def test_scans_that_lie_elsewhere_are_not_shown(folder, tmp_path, draw, sent):
    shutil.move(folder / "scans", tmp_path / "elsewhere")
    words = said(draw(folder))
    assert "stands in no table" in words or "cannot be shown" in words
    assert [series["role"] for series in sent[-1]["series"]] == ["expected", "anomaly"]


@pytest.mark.parametrize("way", ["../maps/", "x/../../maps/", "/"])
def test_a_table_cannot_lead_out_of_its_folder(folder, draw, sent, way):
    (folder / "maps" / "x").mkdir()
    scores = folder / "maps" / "scores.csv"
    name = next(folder.glob("maps/*_anomaly.nii.gz")).name
    scores.write_text(scores.read_text().replace(name, f"{way}{name}"))
    catalogue = Catalogue(folder)
    assert any(scan.map is None for scan in scans_of(catalogue.outputs()[0]))
    said(draw(folder))


def test_a_link_to_the_map_outside_is_refused(folder, tmp_path, draw):
    scan = scans_of(Catalogue(folder).outputs()[0])[0]
    shutil.copy(scan.map, tmp_path / "stolen.nii.gz")
    scan.map.unlink()
    scan.map.symlink_to(tmp_path / "stolen.nii.gz")
    words = said(draw(folder))
    assert "outside the folder" in words and str(tmp_path) not in words
