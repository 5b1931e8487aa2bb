"""The Anomalies page: a scan with its map, its score in words, its areas, its report, and what can be saved."""
# ruff: noqa: F811  (a fixture is imported, and a parameter has its name)

import csv
import json
import shutil

import nibabel
import numpy as np
import pytest
from anomaly_pages import draw, entered, folder, made, said, sent  # noqa: F401  (fixtures)
from streamlit.testing.v1 import AppTest
from tiny_run import make_cohort, make_run

from apps.viewer.anomalies import Shelf, scans_of
from apps.viewer.anomalies_map import Map
from apps.viewer.catalogue import Catalogue
from apps.viewer.house import house


def box(app: AppTest, label: str):
    return next(each for each in app.selectbox if each.label == label)


def test_the_most_unusual_scan_is_open_with_its_score_and_three_pictures(made, draw, sent):
    app = draw(made)
    words = said(app)
    assert "This scan: " in words and "; threshold " in words and "About 1 in 6 healthy scans" in words
    data = sent[-1]
    assert [series["role"] for series in data["series"]] == ["scan", "expected", "anomaly"]
    assert len({series["subject"] for series in data["series"]}) == 1
    scores = [scan.score for scan in scans_of(Catalogue(made).outputs()[0])]
    assert scores == sorted(scores, reverse=True) and box(app, "Scan").options[0].count(data["series"][0]["subject"])
    kinds = {(overlay["role"], overlay["visible"]) for overlay in data["overlays"]}
    assert ("anomaly", True) in kinds and kinds <= {("anomaly", True), ("mask", False)}


def test_the_browser_is_told_what_each_threshold_promises(made, draw, sent):
    draw(made)
    told, calibration = sent[-1]["extra"], json.loads((made / "run" / "calibration.json").read_text())
    assert told["threshold"]["own"] == calibration["voxel"]["threshold"] == sent[-1]["overlays"][0]["threshold"]
    points = calibration["curve"]["points"]
    assert [p["threshold"] for p in told["threshold"]["points"]] == [p["threshold"] for p in points]
    assert "5 held-out healthy patients" in told["threshold"]["text"]
    assert json.dumps(sent[-1]), "everything travels as JSON"


def test_findings_are_those_of_the_map_on_the_disk(made, draw, sent):
    draw(made)
    scan = scans_of(Catalogue(made).outputs()[0])[0]
    heat = nibabel.load(scan.map)
    told = sent[-1]["extra"]
    assert told["total"] >= 1
    first = told["findings"][0]
    assert heat.get_fdata()[tuple(first["voxel"])] == pytest.approx(first["peak"])
    assert heat.affine @ [*first["voxel"], 1] == pytest.approx([*first["mm"], 1], abs=0.006)
    assert first["volume_ml"] == pytest.approx(first["voxels"] * 3 / 1000)  # voxels of 1 x 1 x 3 mm
    assert sent[-1]["start"] == {"mm": list(first["mm"])}


def test_a_lesion_mask_is_there_but_hidden(made, draw, sent):
    output = Catalogue(made).outputs()[0]
    sick = next(scan for scan in scans_of(output) if scan.subject == "s12")
    draw(made, run=output.id, scan=sick.id)
    assert [(o["role"], o["visible"]) for o in sent[-1]["overlays"]] == [("anomaly", True), ("mask", False)]


def test_the_list_filters_and_a_link_opens_its_scan(made, draw, sent):
    output = Catalogue(made).outputs()[0]
    scans = scans_of(output)
    app = draw(made, run=output.id, scan=scans[3].id)
    assert sent[-1]["series"][0]["subject"] == scans[3].subject
    flagged = sum(scan.flagged is True for scan in scans)
    assert len(box(app, "Scan").options) == len(scans) == 9
    app.button_group[0].set_value("Flagged").run()
    assert len(box(app, "Scan").options) == (flagged or 9)
    app.button_group[0].set_value("Not flagged").run()
    assert len(box(app, "Scan").options) == 9 - flagged
    box(app, "Scan").select_index(1).run()
    assert app.query_params["scan"] != scans[3].id
    # The run's own address stands for its maps.
    draw(made, run=output.run)
    assert sent[-1]["series"][0]["subject"] == scans[0].subject


def test_a_slice_in_the_address_is_of_the_scan_that_was_asked_for(made, draw, sent):
    output = Catalogue(made).outputs()[0]
    scans = scans_of(output)
    draw(made, run=output.id, scan=scans[2].id, slice="3")
    assert sent[-1]["start"] is None, "the browser reads it from the address"
    app = draw(made, run=output.id, scan="0" * 24, slice="3")
    assert sent[-1]["start"] is not None and "slice" not in app.query_params


def test_the_report_speaks(made, draw):
    words = said(draw(made))
    report = json.loads((made / "report" / "report.json").read_text())
    assert report["verdict"][:30].replace("\\", "") in words.replace("\\", "")
    assert "Judged on 9 scans of 9 patients." in words


def test_without_a_report_the_way_to_one_is_told(folder, draw):
    shutil.rmtree(folder / "report")
    assert "no report of this run" in said(draw(folder))
    (folder / "report").mkdir()
    (folder / "report" / "report.json").write_text('{"verdict": "cut of')
    assert "A report in this folder cannot be read" in said(draw(folder))


def test_an_older_run_promises_nothing_between(folder, draw, sent):
    path = folder / "run" / "calibration.json"
    tree = json.loads(path.read_text())
    del tree["curve"]
    path.write_text(json.dumps(tree))
    draw(folder)
    told = sent[-1]["extra"]["threshold"]
    assert len(told["points"]) == 1 and "one threshold only" in told["text"]


def test_what_is_saved_lies_where_the_scan_lies(made, tmp_path, entered):
    entered(made)
    catalogue = Catalogue(made)
    output = catalogue.outputs()[0]
    shelf = Shelf(catalogue, made / "run", True)
    scan = scans_of(output)[0]
    volumes = shelf.volumes(scan)
    heat = Map(volumes.map, made / "run")
    threshold = json.loads((made / "run" / "calibration.json").read_text())["voxel"]["threshold"]
    (tmp_path / "mask.nii.gz").write_bytes(heat.mask(threshold))
    (tmp_path / "map.nii.gz").write_bytes(heat.file())
    source, saved = nibabel.load(volumes.scan.files[0]), nibabel.load(tmp_path / "mask.nii.gz")
    assert saved.shape == source.shape and np.array_equal(saved.affine, source.affine)
    written = nibabel.load(scan.beside("unusual")).get_fdata() > 0
    assert np.array_equal(saved.get_fdata() > 0, written), "at the run's threshold: what detect itself wrote"
    assert np.array_equal(nibabel.load(tmp_path / "map.nii.gz").get_fdata(), nibabel.load(scan.map).get_fdata())
    with (output.path / "scores.csv").open() as stream:
        counted = {row["map"]: int(float(row["unusual_areas"])) for row in csv.DictReader(stream)}
    assert heat.found(threshold).total == counted[scan.map.name]
    name = heat.name(scan, "anomaly.nii.gz")
    assert "/" not in name and name.endswith("_anomaly.nii.gz")


def test_no_path_and_no_file_name_on_the_page_or_in_the_browser(made, draw, sent):
    words = said(draw(made)) + json.dumps(sent[-1])
    for secret in (str(made), made.parent.name, ".nii", "cohort.csv"):
        assert secret not in words, secret


def test_a_scan_that_could_not_be_scored_says_why(folder, draw):
    scores = folder / "maps" / "scores.csv"
    lines = scores.read_text().splitlines()
    cells = lines[1].split(",")
    lines[1] = ",".join([*cells[:4], *[""] * 9, "truncated: copy it again"])
    scores.write_text("\n".join(lines) + "\n")
    scan = next(scan for scan in scans_of(Catalogue(folder).outputs()[0]) if scan.score is None)
    words = said(draw(folder, scan=scan.id))
    assert "This scan has no map" in words and "truncated: copy it again." in words


def test_nothing_to_see_and_what_to_do(tmp_path, draw):
    (tmp_path / "empty").mkdir()
    words = said(draw(tmp_path / "empty"))
    assert "No anomaly maps yet" in words and "Train page" in words
    make_run(tmp_path / "training" / "run", make_cohort(tmp_path / "training" / "scans"))
    assert "No model is ready yet" in said(draw(tmp_path / "training"))


def test_a_link_to_what_is_gone_is_told(made, draw):
    assert "not in this folder any more" in said(draw(made, run="0" * 24))


def test_the_house_offers_only_what_is_shown(made, draw, sent):
    draw(made)
    shown = {series["id"] for series in sent[-1]["series"]} | {over["id"] for over in sent[-1]["overlays"]}
    assert all(house().sources.find(id) for id in shown)
    other = Shelf(Catalogue(made), made / "run", True).volumes(scans_of(Catalogue(made).outputs()[0])[-1])
    assert house().sources.find(other.map.id) is None
