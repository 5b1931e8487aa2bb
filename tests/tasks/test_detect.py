"""Detect on a tiny run: files on the scan's grid, a table, nothing outside OUT, nothing of the patient."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from tiny_dicom import CANARY, write_series
from tiny_run import AFFINE, SHAPE, make_cohort, make_run, tiny_config

from medudl.errors import UserError
from medudl.run import Run
from medudl.tasks import outputs
from medudl.tasks.calibrate import calibrate
from medudl.tasks.detect import COLUMNS, detect


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("detect")
    made = make_run(folder / "run", make_cohort(folder / "scans"))
    calibrate(made)
    return made


@pytest.fixture
def cohort(run) -> Path:
    return run.path.parent / "scans" / "cohort.csv"


def test_files_lie_on_the_grid_of_the_scan(run, cohort, tmp_path):
    table = detect(run.path, cohort, tmp_path / "out", split="test", progress=False)
    assert len(table) == 9 and table["problem"].eq("").all()
    source = nibabel.load(cohort.parent / "s08.nii.gz")
    for kind, dtype in (("anomaly", np.float32), ("expected", np.float32), ("unusual", np.uint8)):
        made = nibabel.load(tmp_path / "out" / f"sub-s08_FLAIR_{kind}.nii.gz")
        assert made.shape == SHAPE and np.allclose(made.affine, AFFINE) and made.get_data_dtype() == dtype
        sidecar = json.loads((tmp_path / "out" / f"sub-s08_FLAIR_{kind}.json").read_text())
        assert sidecar["Sources"] == ["bids:cohort:series-s08"] and sidecar["GeneratedBy"][0]["Name"] == "medudl"
    heat = nibabel.load(tmp_path / "out" / "sub-s08_FLAIR_anomaly.nii.gz").get_fdata()
    unusual = nibabel.load(tmp_path / "out" / "sub-s08_FLAIR_unusual.nii.gz").get_fdata() > 0
    threshold = json.loads((run.path / "calibration.json").read_text())["voxel"]["threshold"]
    assert heat.max() > 0 and unusual.any() and heat[unusual].min() > threshold
    # Outside the foreground the model has nothing to say: the expected scan is the scan, to the last bit.
    expected = nibabel.load(tmp_path / "out" / "sub-s08_FLAIR_expected.nii.gz").get_fdata(dtype=np.float32)
    corner = (slice(0, 2), slice(0, 2))
    assert np.array_equal(expected[corner], source.get_fdata(dtype=np.float32)[corner])
    middle = expected[6:10, 6:10]
    assert not np.array_equal(middle, source.get_fdata(dtype=np.float32)[6:10, 6:10])
    assert 30 < np.median(middle) < 200  # in the unit of the scan, whose tissue is at 100, not in [0, 1]


def test_scores(run, cohort, tmp_path):
    detect(run.path, cohort, tmp_path / "out", progress=False)
    table = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert tuple(table.columns) == COLUMNS and len(table) == 17
    healthy = json.loads((run.path / "calibration.json").read_text())
    held_out = table[table["subject"].isin([s["subject"] for s in healthy["scans"]])]
    assert sorted(held_out["score"]) == pytest.approx(sorted(s["score"] for s in healthy["scans"]))
    assert not held_out["flagged"].any()  # five patients: the threshold is the highest of their own scores
    assert (table["flagged"] == (table["score"] > table["threshold"])).all()
    assert table["expected_false_alarms"].eq(healthy["scan"]["expected_false_alarms"]).all()
    assert (table["expected_false_alarms_low"] < table["expected_false_alarms_high"]).all()


def test_one_file_is_enough(run, cohort, tmp_path):
    table = detect(run.path, cohort.parent / "s09.nii.gz", tmp_path / "out", progress=False)
    assert len(table) == 1 and (tmp_path / "out" / table["map"][0]).is_file()


def test_a_broken_scan_keeps_its_row_and_the_others_go_on(run, cohort, tmp_path):
    scans = tmp_path / "scans"
    shutil.copytree(cohort.parent, scans)
    (scans / "s09.nii.gz").write_bytes(b"no NIfTI")
    table = detect(run.path, scans / "cohort.csv", tmp_path / "out", split="test", progress=False)
    broken = table[table["subject"] == "s09"].iloc[0]
    assert broken["problem"] and str(scans) not in broken["problem"] and pd.isna(broken["score"])
    assert table["score"].notna().sum() == 8
    assert not list((tmp_path / "out").glob("*s09*"))
    for scan in scans.glob("s*.nii.gz"):
        scan.write_bytes(b"no NIfTI")
    with pytest.raises(UserError):
        detect(run.path, scans / "cohort.csv", tmp_path / "none", split="test", progress=False)


def test_hostile_names_stay_inside(run, cohort, tmp_path):
    names = ["../../escape", "/etc/passwd", "a/b", "..", "nul\x00byte", "CON", "x" * 400, "a\nb", "~root", "*?<>|"]
    scans = tmp_path / "in" / "scans"
    shutil.copytree(cohort.parent, scans)
    table = pd.read_csv(scans / "cohort.csv", dtype=str, keep_default_na=False).head(len(names))
    table["subject"] = names[::-1]
    table["study"], table["contrast"] = names, names[3:] + names[:3]
    table.to_csv(scans / "cohort.csv", index=False)
    before = {p for p in tmp_path.rglob("*")}
    detect(run.path, scans / "cohort.csv", tmp_path / "in" / "out", progress=False)
    added = {p for p in tmp_path.rglob("*")} - before
    assert len([p for p in added if p.name.endswith("_anomaly.nii.gz")]) == len(names)
    assert {p.parent for p in added} == {tmp_path / "in", tmp_path / "in" / "out"}


def test_several_channels_belong_to_the_grid_series(tmp_path):
    cohort = make_cohort(tmp_path / "scans")
    table = pd.read_csv(cohort, dtype=str, keep_default_na=False)
    both = pd.concat([table.assign(study="d1"), table.assign(study="d1", contrast="T1", series=table["series"] + "t")])
    both.to_csv(cohort, index=False)
    run = make_run(tmp_path / "run", cohort, tiny_config(channels=["FLAIR", "T1"], grid="T1"), (2, 16, 16))
    calibrate(run)
    detect(run.path, cohort, tmp_path / "out", split="test", progress=False)
    sidecar = json.loads((tmp_path / "out" / "sub-s08_ses-d1_T1_anomaly.json").read_text())
    assert sidecar["Sources"] == ["bids:cohort:series-s08", "bids:cohort:series-s08t"]


def test_full_disk_is_one_line_and_leaves_no_part(run, cohort, tmp_path, monkeypatch):
    write, written = outputs.write_nifti, []

    def full(path, *rest):
        if len(written) < 4:
            written.append(path)
            return write(path, *rest)
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outputs, "write_nifti", full)
    with pytest.raises(UserError, match="the disk is full"):
        detect(run.path, cohort, tmp_path / "out", progress=False)
    left = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert len([name for name in left if name.endswith(".nii.gz")]) == 4
    assert "scores.csv" not in left and not [name for name in left if name.startswith(".")]


def test_bad_requests_are_told_in_one_line(run, cohort, tmp_path):
    (tmp_path / "file").write_text("")
    cases = [
        ((run.path, cohort, tmp_path / "file"), {}, "cannot be written"),
        ((run.path, tmp_path / "none", tmp_path / "out"), {}, "no such file"),
        ((tmp_path, cohort, tmp_path / "out"), {}, "not a run"),
        ((run.path, cohort, tmp_path / "out"), {"dicom": True}, "--dicom needs DICOM input, and this is nifti"),
        ((run.path, cohort, tmp_path / "out"), {"split": "holdout"}, "no scan of split holdout"),
    ]
    for arguments, options, words in cases:
        with pytest.raises(UserError, match=words) as caught:
            detect(*arguments, progress=False, **options)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_bad_input_is_answered_before_torch_is_loaded():
    code = "import sys, medudl.tasks.detect; assert 'torch' not in sys.modules and 'monai' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def dicom(tmp_path_factory):
    """A DICOM patient, detected with --dicom by a run that was trained elsewhere."""
    import pydicom

    folder = tmp_path_factory.mktemp("dicom")
    files, affine = write_series(folder / CANARY.replace("^", "_"), rows=18, columns=16, slices=6)
    random = np.random.default_rng(0)
    for number, file in enumerate(files):
        one = pydicom.dcmread(file)
        image = np.zeros((18, 16))
        image[3:15, 3:13] = 100 + 10 * random.normal(size=(12, 10))
        image[7:10, 6:9] += 300 * (number in (2, 3))
        one.PixelData = image.clip(0).astype(np.uint16).tobytes()
        one.save_as(file)
    run = make_run(folder / "run", make_cohort(folder / "scans"))
    calibrate(run)
    detect(run.path, files[0].parent, folder / "out", dicom=True, progress=False)
    return files, affine, folder


def test_dicom_in_dicom_out(dicom):
    import highdicom as hd
    import pydicom

    files, affine, folder = dicom
    (heat,), (seg,) = (list((folder / "out").glob(f"*_{kind}.dcm")) for kind in ("anomaly", "unusual"))
    source = pydicom.dcmread(files[0])
    nifti = nibabel.load(next((folder / "out").glob("*_anomaly.nii.gz")))
    assert np.allclose(np.abs(np.linalg.det(nifti.affine)), np.abs(np.linalg.det(affine)))
    back = hd.imread(heat)
    assert back.StudyInstanceUID == source.StudyInstanceUID and back.PatientName == CANARY
    assert np.sort(back.get_volume().array.ravel()) == pytest.approx(np.sort(nifti.get_fdata().ravel()), abs=1e-6)
    mask = nibabel.load(next((folder / "out").glob("*_unusual.nii.gz"))).get_fdata()
    assert hd.seg.segread(seg).get_volume(combine_segments=True).array.astype(bool).sum() == mask.sum()


def test_the_patient_is_in_the_derived_dicom_alone(dicom):
    _, _, folder = dicom
    for path in (folder / "out").iterdir():
        assert "CANARY" not in path.name
        found = b"CANARY" in path.read_bytes() if path.suffix in (".json", ".csv", ".dcm") else (
            b"CANARY" in nibabel.load(path).header.binaryblock)  # fmt: skip
        assert found == (path.suffix == ".dcm"), path.name


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is absent")
def test_dciodvfy_finds_no_error_in_what_detect_wrote(dicom):
    for path in (dicom[2] / "out").glob("*.dcm"):
        told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in told.stdout + told.stderr
