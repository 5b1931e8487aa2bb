"""Phantoms: physics against closed forms, anatomy that varies, files that overlay and can be made again bit by bit."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from scipy import ndimage

from medudl.data.phantom import KINDS, Subject, main, make_cohort, make_subject
from medudl.data.phantom_anatomy import to_standard
from medudl.data.phantom_fields import noise, smooth_field
from medudl.data.phantom_files import OFFSET, uid
from medudl.data.phantom_physics import Protocol, inversion_recovery, null_time, rician, spin_echo
from medudl.data.phantom_shapes import cover, ellipsoid, sheet, tube
from medudl.data.phantom_tissue import LESION_TISSUES, NAMES, TISSUES
from medudl.errors import UserError

SMALL = {"shape": (64, 64, 14), "spacing": (3.4, 3.4, 10.0)}
SAMPLES = Path(__file__).parents[2] / "sample_data"


@pytest.fixture(scope="module")
def head() -> Subject:
    return make_subject(1)


@pytest.fixture(scope="module")
def lesions() -> dict[str, Subject]:
    return {kind: make_subject(1, lesion=kind) for kind in KINDS}


def tissue_mean(subject: Subject, contrast: str, tissue: str) -> float:
    """Mean over the voxels that a tissue nearly fills."""
    pure = subject.fractions[NAMES.index(tissue)] > 0.9
    assert pure.sum() > 20, tissue
    return float(subject.contrasts[contrast].voxels[pure].mean())


# --- signal equations


def test_spin_echo_closed_form() -> None:
    assert spin_echo(0.8, 1000 / np.log(2), 100 / np.log(4), tr=1000, te=100) == pytest.approx(0.8 * 0.5 * 0.25)
    assert spin_echo(0.7, 800, 90, tr=1e9, te=0) == pytest.approx(0.7)


def test_inversion_recovery_closed_form() -> None:
    # TI = T1 ln 2 nulls the signal when TR is long; TI = 0 gives full inversion.
    assert inversion_recovery(1.0, 1000, 1e9, tr=1e9, te=0, ti=1000 * np.log(2)) == pytest.approx(0.0, abs=1e-12)
    assert inversion_recovery(0.9, 1000, 100 / np.log(2), tr=1e9, te=100, ti=0) == pytest.approx(-0.45)
    # Saturation recovery is what is left when TI = TR: 1 - 2e + e = 1 - e.
    assert inversion_recovery(1.0, 900, 80, tr=500, te=20, ti=500) == pytest.approx(spin_echo(1.0, 900, 80, 500, 20))


def test_null_time_gives_no_signal() -> None:
    ti = null_time(4300, 9000)
    assert inversion_recovery(1.0, 4300, 2000, 9000, 110, ti) == pytest.approx(0.0, abs=1e-12)
    assert ti < 4300 * np.log(2)


def test_inflowing_csf_escapes_inversion() -> None:
    flair = Protocol(9000, 110, null_time(TISSUES["csf"].t1[0], 9000))
    still, moving = (flair.signal(TISSUES[name], high_field=False) for name in ("csf", "csf_inflow"))
    assert abs(still) < 1e-9 < 0.05 < moving < 0.2


@pytest.mark.parametrize("high_field", [False, True])
def test_contrast_of_tissues_by_physics(high_field: bool) -> None:
    t1, t2 = Protocol(550, 12), Protocol(4500, 100)
    flair = Protocol(9000, 110, null_time(TISSUES["csf"].t1[high_field], 9000))

    def order(protocol: Protocol, *tissues: str) -> None:
        values = [abs(protocol.signal(TISSUES[name], high_field)) for name in tissues]
        assert values == sorted(values, reverse=True), dict(zip(tissues, values, strict=True))

    order(t1, "fat", "clot_early_subacute", "white", "grey", "csf", "bone", "air")
    order(t1, "white", "plaque", "csf")
    order(t2, "csf", "necrosis", "oedema", "grey", "white", "clot_acute", "bone")
    order(t2, "plaque", "grey", "pallidum")
    order(flair, "oedema", "grey", "white", "csf")
    order(flair, "plaque", "gliosis", "white", "clot_acute")
    order(flair, "tumour", "necrosis", "csf")


def test_ct_order() -> None:
    order = ("bone", "marrow", "calcium", "clot_acute", "grey", "white", "oedema", "csf", "fat", "air")
    values = [TISSUES[name].hu for name in order]
    assert values == sorted(values, reverse=True)


def test_rician_statistics() -> None:
    rng = np.random.default_rng(3)
    background = rician(rng, np.zeros(200_000), 2.0)  # Rayleigh
    assert background.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.01)
    assert background.std() == pytest.approx(2.0 * np.sqrt(2 - np.pi / 2), rel=0.01)
    signal = rician(rng, np.full(200_000, 5.0), 2.0)
    assert (signal**2).mean() == pytest.approx(5.0**2 + 2 * 2.0**2, rel=0.01)


# --- shapes and fields


def test_shapes_are_distances() -> None:
    p = np.array([[0.0, 3.0, 10.0, 0.0], [0.0, 4.0, 0.0, 0.0], [5.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(ellipsoid(p, (0, 0, 0), (5, 5, 5))[:3], [0, 0, 5], atol=1e-12)
    rod = tube(p, [(0, 0, 0, 1), (20, 0, 0, 3)])
    np.testing.assert_allclose(rod, [4.0, 4 - 1.3, -2.0, -1.0])


def test_share_of_a_voxel() -> None:
    np.testing.assert_allclose(cover(np.array([-2.0, 0.0, 0.5, 2.0]), 2.0), [1, 0.5, 0.25, 0])
    # A sheet of 1 mm in voxels of 2 mm fills half of those it crosses in the middle, and nothing at 0 mm.
    assert sheet(np.array([0.0]), 0.5, 2.0) == pytest.approx(0.5)
    assert sheet(np.array([0.0]), 0.0, 2.0) == 0.0
    x = np.arange(-10, 10, 0.01)
    assert sheet(x, 0.7, 2.0).sum() * 0.01 == pytest.approx(1.4, rel=1e-3)


def test_fields_have_unit_spread_and_distances_are_true() -> None:
    rng = np.random.default_rng(0)
    axis = np.linspace(0, 1, 20)
    spreads = [smooth_field(rng, (axis, axis, axis)).std() for _ in range(40)]
    assert np.mean(spreads) == pytest.approx(1.0, abs=0.2)
    folds = noise(rng, wavelength=20.0, bandwidth=0.1)
    p = rng.uniform(0, 100, (3, 20_000))
    distance = folds.sheets(p)
    assert np.abs(distance).max() <= 5.0 + 1e-9
    # A step of 0.5 mm changes a distance by at most about 0.5 mm.
    assert np.quantile(np.abs(folds.sheets(p + [[0.5], [0], [0]]) - distance), 0.9) < 0.55


# --- a head


def test_tissue_order_in_the_images(head: Subject) -> None:
    def order(contrast: str, *tissues: str) -> None:
        values = [tissue_mean(head, contrast, tissue) for tissue in tissues]
        assert values == sorted(values, reverse=True), dict(zip(tissues, values, strict=True))

    order("T1", "fat", "white", "grey", "csf", "air")
    order("T2", "csf", "grey", "white", "air")
    order("FLAIR", "grey", "white", "csf")
    order("CT", "bone", "grey", "white", "csf", "fat", "air")
    assert tissue_mean(head, "CT", "air") == pytest.approx(-1000, abs=1)
    assert tissue_mean(head, "CT", "white") == pytest.approx(28, abs=6)


def test_layers_of_the_head_from_outside(head: Subject) -> None:
    """From the right ear's side inwards: air, scalp, fat, bone, diploe, CSF, brain."""
    z, y = 16, 64
    line = [NAMES[i] for i in head.labels[:, y, z]]
    first = {name: line.index(name) for name in ("fat", "bone", "white")}
    assert line[0] == "air"
    assert first["fat"] < first["bone"] < first["white"]
    assert ("marrow" in line) or ("marrow" in [NAMES[i] for i in head.labels[64, :, z]])


def test_volumes_are_like_a_brain(head: Subject) -> None:
    litres = head.brain.sum() * 1.7 * 1.7 * 5 / 1e6
    assert 1.0 < litres < 2.0
    inside = head.fractions[:, head.brain].sum(1) * 1.7 * 1.7 * 5 / 1e6
    grey, white, csf = (inside[NAMES.index(name)] for name in ("grey", "white", "csf"))
    assert 0.35 < grey < 0.95
    assert 0.3 < white < 0.8
    assert 0.03 < csf < 0.5
    assert ndimage.label(head.brain)[0].max() < 12


def test_anatomy_varies() -> None:
    heads = [make_subject(seed, **SMALL) for seed in range(6)]
    volumes = [head.brain.sum() for head in heads]
    assert np.ptp(volumes) > 0.08 * np.mean(volumes)
    ventricles = [head.anatomy.ventricles for head in heads]
    assert np.ptp(ventricles) > 0.1
    first, second = heads[0].labels, heads[1].labels
    assert (first != second)[heads[0].brain].mean() > 0.15
    assert np.ptp([np.log(head.scanner.scale["T1"]) for head in heads]) > 0.5
    assert {head.scanner.field for head in heads} == {1.5, 3.0}


def test_the_halves_differ(head: Subject) -> None:
    """Without pose and shift, a point and its mirror image are still not mirror images in the standard head."""
    straight = replace(head.anatomy, angles=np.zeros(3), shift=np.zeros(3))
    axes = [np.linspace(-70, 70, 15)] * 3
    p = to_standard(np.random.default_rng(2), straight, axes)
    lopsided = p[0] + p[0][::-1]
    assert 1.0 < lopsided.std() < 8.0
    assert np.abs(p[1] - p[1][::-1]).max() > 2.0


def test_shares_sum_to_one_and_mix(head: Subject) -> None:
    np.testing.assert_allclose(head.fractions.sum(0), 1.0, atol=1e-9)
    assert head.fractions.min() > -1e-9
    grey = head.fractions[NAMES.index("grey")][head.brain]
    assert ((grey > 0.1) & (grey < 0.9)).mean() > 0.2  # partial volume
    csf, white = NAMES.index("csf"), NAMES.index("white")
    mixed = (head.fractions[csf] + head.fractions[white] > 0.98) & (np.abs(head.fractions[csf] - 0.5) < 0.15)
    if mixed.sum() > 10:
        hu = head.contrasts["CT"].voxels[mixed].mean()
        assert tissue_mean(head, "CT", "csf") < hu < tissue_mean(head, "CT", "white")


def test_thick_slices_blur_more() -> None:
    thick = make_subject(4, shape=(64, 64, 10), spacing=(3.4, 3.4, 12.0))
    thin = make_subject(4, shape=(64, 64, 40), spacing=(3.4, 3.4, 3.0))
    pure = [(subject.fractions.max(0)[subject.brain] > 0.95).mean() for subject in (thick, thin)]
    assert pure[0] < 0.85 * pure[1]


def test_noise_of_background_and_ct(head: Subject) -> None:
    corner = np.s_[:12, :12]
    for name in ("T1", "T2", "FLAIR"):
        air = head.contrasts[name].voxels[corner]
        assert air.mean() / air.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.15)  # Rayleigh: 1.91
    ct = head.contrasts["CT"].voxels[corner]
    assert ct.std() == pytest.approx(head.scanner.ct_noise, rel=0.15)
    assert head.contrasts["CT"].unit == "HU"
    assert head.contrasts["T1"].unit == "arbitrary"


def test_healthy_confounders() -> None:
    """Nothing that a threshold would take for a lesion is missing in the healthy."""
    old = next(h for h in (make_subject(s, **SMALL) for s in range(40)) if h.anatomy.age > 68)
    present = {name: old.fractions[NAMES.index(name)][old.brain].sum() for name in NAMES}
    for name in ("gliosis", "choroid", "calcium", "csf_inflow", "blood", "pallidum", "striatum", "thalamus", "dura"):
        assert present[name] > 0.5, name
    assert all(present[name] == 0 for name in LESION_TISSUES)


# --- lesions


def test_lesions_lie_in_the_brain(lesions: dict[str, Subject], head: Subject) -> None:
    assert not head.mask.any()
    for kind, subject in lesions.items():
        assert subject.kind == kind
        assert subject.mask.sum() > 20
        assert not (subject.mask & ~subject.brain).any()
        pathological = sum(subject.fractions[NAMES.index(name)] for name in LESION_TISSUES)
        assert pathological[subject.mask].mean() > 0.5
        assert pathological[~ndimage.binary_dilation(subject.mask, iterations=4)].max() < 0.5


def test_lesions_have_their_contrast(lesions: dict[str, Subject], head: Subject) -> None:
    def ratio(kind: str, contrast: str, where: np.ndarray | None = None) -> float:
        chosen = lesions[kind].mask if where is None else where
        mean = lesions[kind].contrasts[contrast].voxels[chosen].mean()
        return float(mean / tissue_mean(lesions[kind], contrast, "white"))

    assert ratio("tumour", "FLAIR") > 1.15
    assert ratio("tumour", "T2") > 1.3
    assert ratio("tumour", "T1") < 0.95
    assert ratio("plaques", "FLAIR") > 1.15
    assert ratio("plaques", "T2") > 1.15
    assert ratio("plaques", "T1") < 0.97
    clots = [NAMES.index(name) for name in NAMES if name.startswith("clot")]
    clot = lesions["haemorrhage"].fractions[clots].sum(0) > 0.9
    assert lesions["haemorrhage"].contrasts["CT"].voxels[clot].mean() > tissue_mean(head, "CT", "grey") + 5


def test_haemorrhages_are_darker_or_brighter_on_t2() -> None:
    ratios = []
    for seed in range(5):
        subject = make_subject(seed, lesion="haemorrhage", **SMALL)
        clot = subject.fractions[[NAMES.index(n) for n in NAMES if n.startswith("clot")]].sum(0) > 0.8
        white = subject.fractions[NAMES.index("white")] > 0.9
        t2 = subject.contrasts["T2"].voxels
        ratios.append(t2[clot].mean() / t2[white].mean())
    assert min(ratios) < 0.8
    assert max(ratios) > 1.3


def test_plaques_are_several_and_small(lesions: dict[str, Subject]) -> None:
    labelled, count = ndimage.label(lesions["plaques"].mask)
    sizes = np.bincount(labelled.ravel())[1:] * 1.7 * 1.7 * 5 / 1000
    assert count >= 4
    assert np.median(sizes) < 1.5
    assert sizes.sum() < 0.25 * lesions["tumour"].mask.sum() * 1.7 * 1.7 * 5 / 1000 + 12


def test_a_lesion_is_added_to_the_same_head(lesions: dict[str, Subject], head: Subject) -> None:
    tumour = lesions["tumour"]
    assert tumour.anatomy.age == head.anatomy.age
    assert (tumour.brain == head.brain).all()
    same = tumour.contrasts["FLAIR"].voxels == head.contrasts["FLAIR"].voxels
    assert same[head.fractions[NAMES.index("air")] > 0.999].all()
    skull = head.fractions[[NAMES.index(name) for name in ("bone", "marrow", "fat", "muscle")]].sum(0) > 0.999
    assert same[skull].mean() > 0.99
    moved = np.abs(tumour.fractions - head.fractions).max(0) > 0.3
    assert moved[head.brain & ~tumour.mask].sum() > 20  # mass effect


def test_bad_arguments() -> None:
    with pytest.raises(UserError, match="none of tumour, haemorrhage, plaques"):
        make_subject(0, lesion="stroke")
    with pytest.raises(UserError, match="three positive"):
        make_subject(0, shape=(0, 8, 8))


# --- files


def test_nifti_and_dicom_overlay(tmp_path: Path) -> None:
    make_cohort(tmp_path, healthy=1, lesions_per_kind=0, seed=5, grid=((48, 40, 8), (4.0, 4.5, 16.0)))
    subject = make_subject(np.random.SeedSequence(5, spawn_key=(0, 0)), shape=(48, 40, 8), spacing=(4.0, 4.5, 16.0))
    image = nibabel.load(tmp_path / "sub-001/anat/sub-001_T1w.nii.gz")
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    np.testing.assert_allclose(image.affine, subject.contrasts["T1"].affine)
    np.testing.assert_allclose(image.affine, image.header.get_qform(), atol=1e-5)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), subject.contrasts["T1"].voxels)
    for index in (0, 5):
        slice_ = pydicom.dcmread(tmp_path / f"sub-001/ct/slice-{index + 1:03d}.dcm")
        hu = slice_.pixel_array * float(slice_.RescaleSlope) + float(slice_.RescaleIntercept)
        np.testing.assert_array_equal(hu.T, subject.contrasts["CT"].voxels[:, :, index])
        column, row = np.reshape([float(x) for x in slice_.ImageOrientationPatient], (2, 3))
        spacing = [float(x) for x in slice_.PixelSpacing]
        i, j = 11, 29
        lps = np.array([float(x) for x in slice_.ImagePositionPatient]) + column * spacing[1] * i + row * spacing[0] * j
        np.testing.assert_allclose(lps * (-1, -1, 1), (image.affine @ (i, j, index, 1))[:3], atol=1e-6)
    nose = subject.fractions[NAMES.index("air")] < 0.5
    ys = (image.affine @ np.array([*np.nonzero(nose), np.ones(nose.sum())], dtype=object).astype(float))[1]
    assert ys.max() > 70 and ys.min() < -70  # the head lies in the middle of the scanner


def test_cohort_layout_and_labels(tmp_path: Path) -> None:
    grid = ((40, 40, 8), (5.2, 5.2, 17.0))
    told: list[tuple[int, int]] = []
    table = make_cohort(tmp_path, healthy=1, lesions_per_kind=1, progress=lambda a, b: told.append((a, b)),
                        ct_dicom=False, grid=grid)  # fmt: skip
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    rows = [line.split(",") for line in table.read_text().splitlines()]
    assert rows[0] == ["subject", "label", "age", "sex", "scanner"]
    assert [row[:2] for row in rows[1:]] == [["001", "healthy"], ["002", "tumour"], ["003", "haemorrhage"],
                                             ["004", "plaques"]]  # fmt: skip
    assert not (tmp_path / "sub-001/anat/sub-001_desc-lesion_mask.nii.gz").exists()
    for row in rows[1:]:
        anat = tmp_path / f"sub-{row[0]}/anat"
        assert {"T1w", "T2w", "FLAIR"} <= {f.name.split("_")[1].split(".")[0] for f in anat.glob("*.nii.gz")}
        assert (tmp_path / f"sub-{row[0]}/ct/sub-{row[0]}_ct.nii.gz").exists()
    with pytest.raises(UserError, match="holds sub-002"):
        make_cohort(tmp_path, healthy=1, lesions_per_kind=0, grid=grid)
    with pytest.raises(UserError, match="at least one subject"):
        make_cohort(tmp_path, healthy=0, lesions_per_kind=0)


def test_workers_do_not_change_a_byte(tmp_path: Path) -> None:
    grid = ((40, 40, 6), (5.2, 5.2, 22.0))
    for name, workers in (("one", 1), ("two", 2)):
        make_cohort(tmp_path / name, healthy=1, lesions_per_kind=1, seed=9, workers=workers, grid=grid)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) > 40
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_uids_are_valid_and_differ() -> None:
    assert uid("a", 1) == uid("a", 1) != uid("a", 2)
    assert pydicom.uid.UID(uid("a", 1)).is_valid and uid("a").startswith("2.25.")
    assert OFFSET == 1024


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is absent")
def test_dciodvfy_finds_no_error() -> None:
    for path in sorted(SAMPLES.glob("sub-*/ct/slice-0[01]1.dcm")):
        told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
        assert "Error" not in told, told


def test_nobody_takes_it_for_a_scan() -> None:
    slice_ = pydicom.dcmread(next(SAMPLES.glob("sub-*/ct/slice-001.dcm")), stop_before_pixels=True)
    assert "SYNTHETIC" in slice_.ImageType and slice_.ImageType[0] == "DERIVED"
    assert "synthetic" in slice_.SeriesDescription and str(slice_.PatientName).startswith("Phantom^")
    image = nibabel.load(next(SAMPLES.glob("sub-*/anat/*_T1w.nii.gz")))
    assert b"synthetic" in bytes(image.header["descrip"])


def test_samples_can_be_made_again(tmp_path: Path) -> None:
    """The command of sample_data/README.md gives the committed files again."""
    arguments = ["--healthy", "2", "--lesions", "1", "--seed", "4"]
    grid = [*("--shape", "108", "108", "24"), *("--spacing", "2", "2", "5.8")]
    assert f"OUT {' '.join(arguments + grid)}" in (SAMPLES / "README.md").read_text()
    assert main([str(tmp_path), *arguments, *grid]) == 0
    made = {p.relative_to(tmp_path): p for p in tmp_path.rglob("*") if p.is_file()}
    committed = {p.relative_to(SAMPLES) for p in SAMPLES.rglob("*") if p.is_file()}
    assert set(made) == {p for p in committed if p.name != "README.md" and not p.parts[0].startswith(".")}
    for name, path in made.items():
        assert _content(path) == _content(SAMPLES / name), name
    assert sum((SAMPLES / p).stat().st_size for p in committed) < 8e6


def _content(path: Path) -> bytes:
    # Other builds of zlib pack the same bytes differently.
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_command_line_tells_errors_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--healthy", "-1"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "healthy -1" in told
