"""Synthetic series: in their source's place and study, and in every place a viewer looks told as synthetic."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydicom
import pytest
import SimpleITK
from index_scans import inline
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from synthetic_dicom import enhanced, series
from tiny_dicom import CANARY, write_series

from medudl.data.burned_words import WORDS, stencil
from medudl.data.contrast import Facts, contrast_of, parse_rules
from medudl.data.derived_dicom import write_dicom
from medudl.data.dicom import group_headers, read_header
from medudl.data.index import index_paths
from medudl.data.read import read_volume
from medudl.data.synthetic_dicom import Synthetic, synthetic_series
from medudl.data.volume import Volume
from medudl.errors import UserError

__all__ = ["inline"]
CT = Synthetic("CT", "CT", "HU", "pix2pix", 1)
MR = Synthetic("T2", "MR", "arbitrary", "pix2pix", 2)
# What a scanner says of itself and of its work.
SCANNER: dict[str, Any] = {
    "KVP": 120, "EchoTime": 90, "RepetitionTime": 4000, "StationName": "CANARY7", "ProtocolName": "HEAD CANARY",
    "ConvolutionKernel": "H30s", "Manufacturer": "SIEMENS", "ManufacturerModelName": "Skyra CANARY",
    "InstitutionName": "CANARY HOSPITAL", "MagneticFieldStrength": 3, "OperatorsName": CANARY,
    "ContrastBolusAgent": "Gd", "AcquisitionDate": "20200101", "DeviceSerialNumber": "C123", "FlipAngle": 90,
    "XRayTubeCurrent": 200, "SequenceName": "se2d", "RescaleSlope": 2, "WindowCenter": 7, "WindowWidth": 9,
}  # fmt: skip
needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is absent"
)


def write(
    folder: Path, sources: Sequence[Path], voxels: NDArray[np.float32], affine: NDArray[np.float64], about: Synthetic
) -> list[Path]:
    folder.mkdir(exist_ok=True)
    files = []
    for name, made in synthetic_series(sources, voxels, affine, about):
        write_dicom(folder / name, made)
        files.append(folder / name)
    return files


def hounsfield(shape: tuple[int, ...] = (10, 12, 5), seed: int = 0) -> NDArray[np.float32]:
    """Values with fractions, beyond what twelve bits hold."""
    voxels = np.random.default_rng(seed).uniform(-1024, 3071, shape).astype(np.float32)
    voxels[0, 0, 0], voxels[1, 1, 0] = -2000.4, 20000.4
    return voxels


def itk(files: Sequence[Path]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """SimpleITK's voxels (X, Y, Z) and RAS affine."""
    image = SimpleITK.ReadImage([str(file) for file in files])
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).T, np.diag([-1, -1, 1, 1]) @ affine


def errors_of(file: Path) -> list[str]:
    told = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False)
    return [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize(("about", "scale"), [(CT, 1.0), (MR, 1.0), (MR, 1e-4)])
def test_voxels_and_affine_read_back_in_medudl_and_simpleitk(tmp_path: Path, about: Synthetic, scale: float) -> None:
    sources, affine = write_series(tmp_path / "source")
    voxels = hounsfield() * np.float32(scale)
    files = write(tmp_path / "made", sources[::-1], voxels, affine, about)
    worst = 0.5 if scale == 1 else 0.5 * (voxels.max() - voxels.min()) / 65535 * 1.01
    back = read_volume(files[::-1], "dicom")
    assert back.unit == about.unit
    for array, place in ((back.voxels, back.affine), itk(files)):
        assert np.abs(array - voxels).max() <= worst
        assert np.abs(place - affine).max() < 1e-3
    # The MR Image IOD has no rescaling; it is there only where whole numbers would lose the picture.
    assert ("RescaleSlope" in pydicom.dcmread(files[0])) == (about is CT or scale < 1)


def test_whose_images_they_are_and_what_nobody_may_miss(tmp_path: Path) -> None:
    sources, affine = write_series(tmp_path / "source", BodyPartExamined="HEAD", PatientPosition="HFS")
    first = pydicom.dcmread(sources[0])
    made = [one for _, one in synthetic_series(sources, hounsfield(), affine, CT)]
    one = made[0]
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID", "PatientBirthDate", "StudyDate",
                 "AccessionNumber", "BodyPartExamined", "PatientPosition", "SliceThickness"):  # fmt: skip
        assert str(one[name].value).strip(chr(34)) == str(first[name].value), name
    assert one.SeriesInstanceUID != first.SeriesInstanceUID and len({m.SeriesInstanceUID for m in made}) == 1
    assert len({m.SOPInstanceUID for m in made}) == len({m.file_meta.MediaStorageSOPInstanceUID for m in made}) == 5
    assert [m.InstanceNumber for m in made] == [1, 2, 3, 4, 5] and one.SeriesNumber == 9001
    assert list(one.ImageType) == ["DERIVED", "SECONDARY", "AXIAL", "SYNTHETIC", "MODEL_OUTPUT"]
    assert one.SeriesDescription == "SYNTHETIC CT (model output, not for diagnosis)"
    assert "pix2pix" in one.DerivationDescription and "not for diagnosis" in one.DerivationDescription
    assert "not for diagnosis" in one.ImageComments and one.BurnedInAnnotation == "NO"
    assert one.Manufacturer == "medudl" and one.ManufacturerModelName == "pix2pix" and one.SoftwareVersions
    assert (one.Rows, one.Columns, one.RescaleType, one.SpacingBetweenSlices) == (12, 10, "HU", 4)
    assert (one.WindowCenter, one.WindowWidth) == (40, 400)


@pytest.mark.parametrize("about", [CT, MR])
def test_nothing_of_the_sources_scanner_is_repeated(tmp_path: Path, about: Synthetic) -> None:
    sources, affine = write_series(tmp_path / "source", **SCANNER)
    for _, one in synthetic_series(sources, hounsfield(), affine, about):
        for name, value in SCANNER.items():
            assert str(one.get(name)) != str(value), name
        assert one.Modality == about.modality and ("KVP" in one) == (about is CT)
        assert "CANARY" not in str([each for each in one if each.keyword != "PatientName"])


def test_every_slice_names_the_image_it_comes_from(tmp_path: Path) -> None:
    sources, affine = write_series(tmp_path / "source")
    given = [pydicom.dcmread(file) for file in sources]
    for k, (name, one) in enumerate(synthetic_series(sources[::-1], hounsfield(), affine, MR)):
        assert name == f"{k + 1:05d}.dcm"
        (image,) = one.SourceImageSequence
        assert image.ReferencedSOPInstanceUID == given[k].SOPInstanceUID
        assert image.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        (listed,) = one.ReferencedSeriesSequence
        assert listed.SeriesInstanceUID == given[k].SeriesInstanceUID
        assert listed.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == given[k].SOPInstanceUID
        assert one.ImagePositionPatient == pytest.approx(given[k].ImagePositionPatient, abs=1e-3)
        assert one.ImageOrientationPatient == pytest.approx(given[k].ImageOrientationPatient, abs=1e-6)
        assert one.PixelSpacing == given[k].PixelSpacing


def test_slices_have_the_positions_of_their_images_not_of_an_even_stack(tmp_path: Path) -> None:
    sources, _ = write_series(tmp_path / "source", slices=4, tilt=0.0)
    for file, z in zip(sources, (0, 4.05, 8, 12), strict=True):
        moved = pydicom.dcmread(file)
        moved.ImagePositionPatient = [0, 0, z]
        moved.save_as(file)
    volume = read_volume(sources, "dicom")
    made = [one for _, one in synthetic_series(sources, volume.voxels, volume.affine, MR)]
    assert [one.ImagePositionPatient[2] for one in made] == [0, 4.05, 8, 12]
    assert "resampled" not in made[0].ImageComments


def test_slices_of_an_enhanced_file_name_its_frames(tmp_path: Path) -> None:
    pixels = np.arange(4 * 6 * 5, dtype=np.int16).reshape(4, 6, 5)
    source = enhanced(tmp_path / "source.dcm", pixels, [(0, 0, 3.0 * z) for z in (2, 0, 3, 1)])
    volume = read_volume([source], "dicom")
    made = [one for _, one in synthetic_series([source], volume.voxels, volume.affine, MR)]
    assert [one.SourceImageSequence[0].ReferencedFrameNumber for one in made] == [2, 4, 1, 3]
    assert [one.ImagePositionPatient[2] for one in made] == [0, 3, 6, 9]
    assert len({one.FrameOfReferenceUID for one in made}) == 1
    assert "no frame of reference: this one is new" in made[0].ImageComments


def test_a_resampled_volume_is_placed_by_its_affine_and_says_so(tmp_path: Path) -> None:
    tilted = np.diag([1.0, 2.0, 3.0, 1.0])
    tilted[1, 2] = 0.8
    sources = series(tmp_path / "source", np.random.default_rng(0).integers(0, 9, (6, 8, 5)).astype(np.int16), tilted)
    with pytest.raises(UserError, match="tilted"):
        read_volume(sources, "dicom")
    volume = read_volume(sources, "dicom", repair=True)
    assert volume.voxels.shape != (6, 8, 5)
    voxels = volume.voxels + np.float32(0.3)
    files = write(tmp_path / "made", sources, voxels, volume.affine, MR)
    back = read_volume(files, "dicom")
    assert np.abs(back.voxels - voxels).max() < 1e-3 and np.abs(back.affine - volume.affine).max() < 1e-3
    assert "resampled" in pydicom.dcmread(files[0]).ImageComments


def test_a_slice_between_two_images_names_both(tmp_path: Path) -> None:
    sources, _ = write_series(tmp_path / "source", slices=4, tilt=0.0)
    for file, z in zip(sources, (0, 4, 8, 20), strict=True):
        moved = pydicom.dcmread(file)
        moved.ImagePositionPatient = [0, 0, z]
        moved.save_as(file)
    volume = read_volume(sources, "dicom", repair=True)
    made = [one for _, one in synthetic_series(sources, volume.voxels, volume.affine, MR)]
    uids = [pydicom.dcmread(file).SOPInstanceUID for file in sources]
    named = [[uids.index(image.ReferencedSOPInstanceUID) for image in one.SourceImageSequence] for one in made]
    assert named == [[0], [1], [2], [2, 3], [2, 3], [3]]


@pytest.mark.parametrize("change", ["moved", "coarser", "turned", "longer"])
def test_a_volume_that_lies_elsewhere_is_refused(tmp_path: Path, change: str) -> None:
    sources, affine = write_series(tmp_path / "source", tilt=0.0)
    voxels = hounsfield()
    if change == "moved":
        affine[:3, 3] += 60
    elif change == "coarser":
        affine[:3, 0] *= 2
    elif change == "turned":
        affine[:3, :2] = affine[:3, 1::-1]
    else:
        affine[0, 2] += 1
    with pytest.raises(UserError, match="the synthetic volume .*bring it onto the source's grid"):
        synthetic_series(sources, voxels, affine, CT)


def test_what_cannot_be_stored_is_refused_before_the_first_slice(tmp_path: Path) -> None:
    sources, affine = write_series(tmp_path / "source")
    voxels = hounsfield()
    voxels[2, 2, 2] = np.nan
    with pytest.raises(UserError, match="no number"):
        synthetic_series(sources, voxels, affine, CT)
    voxels[2, 2, 2] = 40000
    with pytest.raises(UserError, match="which no CT holds"):
        synthetic_series(sources, voxels, affine, CT)
    with pytest.raises(UserError, match="10 x 12 pixels is too small for the words"):
        synthetic_series(sources, hounsfield(), affine, Synthetic("CT", "CT", "HU", "m", 1, burn_in=True))
    with pytest.raises(ValueError, match="only CT"):
        Synthetic("T2", "MR", "HU", "m", 1)


def test_a_film_and_no_files_are_refused(tmp_path: Path) -> None:
    sources, affine = write_series(tmp_path / "source", slices=1, ImagePositionPatient=None)
    with pytest.raises(UserError, match="no place in the patient"):
        synthetic_series(sources, hounsfield((10, 12, 1)), affine, CT)
    with pytest.raises(UserError, match="no files"):
        synthetic_series([], hounsfield(), affine, CT)


@pytest.mark.parametrize(("size", "about"), [(128, CT), (512, CT), (128, MR)])
def test_words_are_in_the_pixels_of_every_slice_and_nowhere_else(tmp_path: Path, size: int, about: Synthetic) -> None:
    sources, affine = write_series(tmp_path / "source", slices=3, rows=size, columns=size)
    burned = Synthetic(about.name, about.modality, about.unit, "m", 1, burn_in=True)
    voxels = np.random.default_rng(0).uniform(0, 100, (size, size, 3)).astype(np.float32)
    files = write(tmp_path / "made", sources, voxels, affine, burned)
    plain = read_volume(write(tmp_path / "plain", sources, voxels, affine, about), "dicom").voxels
    back, strip = read_volume(files, "dicom").voxels, stencil(size, size).T
    corner = (slice(0, strip.shape[0]), slice(0, strip.shape[1]))
    for k in range(3):
        image = back[..., k]
        assert image[corner][strip].min() >= 99.9 and image[corner][~strip].max() <= 0.1
        image[corner] = plain[..., k][corner]
    assert np.array_equal(back, plain)
    assert {pydicom.dcmread(file).BurnedInAnnotation for file in files} == {"YES"}


@pytest.mark.parametrize("size", [64, 128, 256, 512, 1024])
def test_words_are_legible_and_leave_the_image_in_view(size: int) -> None:
    strip = stencil(size, size)
    dot = max(1, round(size / 256))
    assert strip.size <= (0.4 if size == 64 else 0.13) * size**2
    letter = strip[dot : 8 * dot : dot, dot : 6 * dot : dot]
    assert ["".join(".#"[int(x)] for x in row) for row in letter] == [
        ".####", "#....", "#....", ".###.", "....#", "....#", "####.",
    ]  # fmt: skip
    # Letters and lines are parted by dark dots: so many columns of a line are lit as its letters have.
    line = strip[: 9 * dot : dot, ::dot]
    assert not line[:, ::6].any() and not line[0].any() and not line[8].any()
    with pytest.raises(UserError, match="too small"):
        stencil(28, 64)
    assert WORDS == "SYNTHETIC - NOT FOR DIAGNOSIS"


def test_broken_and_lossy_sources_stay_what_they_are(tmp_path: Path) -> None:
    sources, affine = write_series(
        tmp_path / "source", LossyImageCompression="01", LossyImageCompressionRatio=10, PatientAge="0Y",
        LossyImageCompressionMethod="ISO_10918_1", PatientIdentityRemoved="YES", FrameOfReferenceUID=None,
    )  # fmt: skip
    made = [one for _, one in synthetic_series(sources, hounsfield(), affine, CT)]
    assert (made[0].LossyImageCompression, made[0].LossyImageCompressionRatio) == ("01", 10)
    assert "PatientAge" not in made[0] and made[0].PatientIdentityRemoved == "YES" and made[0].DeidentificationMethod
    assert len({one.FrameOfReferenceUID for one in made}) == 1 and "is new" in made[0].ImageComments


def test_a_ct_keeps_the_window_of_its_source(tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("CT_small.dcm")))
    sources, affine = write_series(tmp_path / "source", Modality="CT", WindowCenter=[35, 80], WindowWidth=[100, 250])
    made = next(iter(synthetic_series(sources, hounsfield(), affine, CT)))[1]
    assert (made.WindowCenter, made.WindowWidth) == (35, 100)
    volume = read_volume([source], "dicom")
    assert next(iter(synthetic_series([source], volume.voxels, volume.affine, CT)))[1].WindowWidth == 400


@pytest.mark.usefixtures("inline")
def test_the_index_does_not_take_them_for_scans(tmp_path: Path) -> None:
    sources, affine = write_series(tmp_path / "scan", SeriesDescription="T1 tra")
    write(tmp_path / "ct", sources, hounsfield(), affine, CT)
    write(tmp_path / "t2", sources, hounsfield(), affine, MR)
    rows = {row.contrast: row for row in index_paths([tmp_path]).series()}
    assert set(rows) == {"T1", "synthetic-CT", "synthetic-T2"}
    assert rows["T1"].usable
    for name in ("synthetic-CT", "synthetic-T2"):
        assert not rows[name].usable and "synthetic, model output: not learnt from" in rows[name].problems
        assert rows[name].subject == rows["T1"].subject and rows[name].study == rows["T1"].study


def test_no_rule_takes_a_synthetic_image_for_a_scan() -> None:
    kind = ("DERIVED", "SECONDARY", "OTHER", "SYNTHETIC", "MODEL_OUTPUT")
    rules = parse_rules(["t2=T2"])
    assert contrast_of(Facts("SYNTHETIC T2", modality="MR", image_type=kind), rules)[0] == "synthetic-T2"
    assert contrast_of(Facts(modality="MR", image_type=kind))[0] == "synthetic"
    assert contrast_of(Facts("SYNTHETIC T2", modality="MR", image_type=("ORIGINAL", *kind[1:])))[0] == "T2"
    # A phantom, or a contrast computed from a quantitative acquisition, is no model output.
    assert contrast_of(Facts("SYNTHETIC T2", modality="MR", image_type=kind[:4]))[0] == "T2"


@needs_dciodvfy
@pytest.mark.parametrize("part", ["HEAD", "KNEE", None])
@pytest.mark.parametrize("about", [CT, MR])
def test_dciodvfy_finds_no_error(tmp_path: Path, about: Synthetic, part: str | None) -> None:
    changes = {**SCANNER, "PatientSex": "0000", "PatientBirthDate": "00000000", "PatientAge": "0Y"}
    changes |= {"BodyPartExamined": part} if part else {}
    sources, affine = write_series(tmp_path / "source", **changes)
    for scale in (1.0, 1e-4) if about is MR else (1.0,):
        (file, *_) = write(tmp_path / "made", sources, hounsfield() * np.float32(scale), affine, about)
        assert not errors_of(file)


def as_modality(volume: Volume, modality: Literal["CT", "MR"]) -> NDArray[np.float32]:
    """Voxels such as a model might give for this modality, with fractions."""
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    voxels = volume.voxels
    if modality == "CT" and volume.unit != "HU":
        voxels = np.interp(voxels, [low, max(high, low + 1)], [-1024, 2000]).astype(np.float32)
    return voxels if modality == "CT" else (voxels - np.float32(low)) * np.float32(0.77)


@needs_dciodvfy
@pytest.mark.proof
def test_real_series_of_all_vendors_become_valid_series_in_their_place(real_data: Path, tmp_path: Path) -> None:
    roots = ("dicom_cases", "dicom_head_ct_ge_tilt", "dicom_brainix")
    found = [Path(d, f) for root in roots for d, _, names in os.walk(real_data / root) for f in names]
    headers = [read_header(f) for f in sorted(found) if f.name not in ("LICENSE", "README.md")]
    groups = [[header.path for header in group] for group in group_headers(headers)]
    groups += [[Path(str(get_testdata_file(name)))] for name in ("CT_small.dcm", "MR_small.dcm")]
    kinds: dict[str, int] = {}
    for number, sources in enumerate(groups):
        try:
            volume = read_volume(sources, "dicom", repair=True)
        except UserError:
            continue
        for about in (CT, MR):
            voxels, folder = as_modality(volume, about.modality), tmp_path / f"{number}{about.name}"
            files = write(folder, sources, voxels, volume.affine, about)
            wrong = [line for file in (files[0], files[-1]) for line in errors_of(file)]
            assert not wrong, (sources[0].parent, about.name, wrong)
            back = read_volume(files, "dicom")
            assert np.abs(back.voxels - voxels).max() <= 0.5 and np.abs(back.affine - volume.affine).max() < 1e-3
            if len(files) > 1:
                array, affine = itk(files)
                assert np.abs(array - voxels).max() <= 0.5 and np.abs(affine - volume.affine).max() < 1e-3
            kind = f"{'CT' if volume.unit == 'HU' else 'MR'} -> {about.modality}"
            kinds[kind] = kinds.get(kind, 0) + 1
    print(kinds)
    assert kinds.keys() == {"CT -> CT", "CT -> MR", "MR -> CT", "MR -> MR"} and sum(kinds.values()) >= 60


MEASURE = r"""
import re, sys
from pathlib import Path
import numpy as np
from medudl.data.derived_dicom import write_dicom
from medudl.data.synthetic_dicom import Synthetic, synthetic_series
def peak():  # ru_maxrss would begin with what the parent process held
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024

sources, out = sorted(Path(sys.argv[1]).iterdir()), Path(sys.argv[2])
affine = np.diag([-0.5, -0.5, 1.0, 1.0])
voxels = np.random.default_rng(0).random((512, 512, 139), dtype=np.float32)
voxels *= 900
before = peak()
for name, made in synthetic_series(sources, voxels, affine, Synthetic("T2", "MR", "arbitrary", "m", 1, burn_in=True)):
    write_dicom(out / name, made)
print(before, peak(), voxels.nbytes // 2**20, len(list(out.iterdir())))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc, which tells peak memory, is absent")
@pytest.mark.proof
def test_a_large_volume_needs_little_beside_itself(tmp_path: Path) -> None:
    pixels = np.zeros((512, 512, 139), np.int16)
    series(tmp_path / "source", pixels, np.diag([0.5, 0.5, 1.0, 1.0]), modality="CT")
    (tmp_path / "made").mkdir()
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "source"), str(tmp_path / "made")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    before, after, volume, files = (int(word) for word in told.stdout.split())
    print(f"{volume} MB of voxels; the process held {before} MB before, {after} MB at most while writing")
    assert files == 139
    assert after - before < 1536
    assert after - before < 200  # some slices, some headers, the percentiles of one voxel in 64
