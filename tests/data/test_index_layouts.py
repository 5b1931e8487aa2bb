"""Layouts as public data sets and hospitals have them: whose scan is it, of which visit, and what does it show?"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from test_index_guess import read

MR = ("T1", "T2")
YEARS = [str(year) for year in range(2014, 2020)]


def files(patients: Iterable[str], inside: Iterable[str]) -> list[str]:
    return [f"{patient}/{name}.nii.gz" for patient in patients for name in inside]


def each(visits: Iterable[str]) -> list[str]:
    return [f"{visit}/{contrast}" for visit in visits for contrast in MR]


@pytest.mark.parametrize(
    "visits",
    [
        YEARS, ["m00", "m06", "m12", "m18", "m24"], [f"V0{n}" for n in range(1, 6)],
        [f"0{n}.02.2000" for n in range(1, 7)], [f"2000020{n}_120301" for n in range(1, 7)],
        [f"0{n}-01-2000-3017{n}" for n in range(1, 7)], [f"first look {n}" for n in range(5)],
    ],
    ids=lambda visits: visits[0],
)  # fmt: skip
def test_many_visits_are_no_patients(visits: list[str]) -> None:
    rows, _ = read(*files(("P1", "P2", "P3"), each(visits)))
    assert {row[0] for row in rows} == {"P1", "P2", "P3"} and len({row[:2] for row in rows}) == 3 * len(visits)


@pytest.mark.parametrize(
    ("paths", "patients", "pairs"),
    [
        pytest.param(
            files(("4711", "4712", "4713"), ("003_t1_mprage_sag/t1_{}_3", "004_t2_tse_tra/t2_{}_4")), 3, 3,
            id="a folder a series, as dcm2niix names them",
        ),
        pytest.param(
            files(("4711", "4712"), ("flair_{}_5", "t1_mprage_{}_3", "t1_mprage_km_{}_6", "t1_mprage_km_{}_7")), 2, 2,
            id="a series twice",
        ),
        pytest.param(
            files([f"training/{n}" for n in range(1, 4)], ("VSD.MR_T1.{}/VSD.MR_T1.{}", "VSD.MR_T2.{}/VSD.MR_T2.{}")),
            3, 3, id="ISLES 2015",
        ),
        pytest.param(
            files(("baseline", "followup"), [f"P{n}_{c}" for n in range(6) for c in MR]), 6, 12, id="visits on top",
        ),
        pytest.param(
            files(("baseline", "followup"), [f"P{n}/{c}" for n in range(3) for c in MR]), 3, 6,
            id="visits on top, folders",
        ),
        pytest.param(files(("20190501", "20190502"), ("P1/T1", "P1/T2")), 1, 2, id="a hospital's export by day"),
        pytest.param(files(("2019-05-01", "2020-06-01"), MR), 1, 2, id="the folder of one patient with visits"),
        pytest.param(
            [f"IXI-{c}/IXI{n}-Guys-{n}-{c}.nii.gz" for n in range(3) for c in ("T1", "T2", "PD", "MRA")], 3, 3,
            id="IXI",
        ),
        pytest.param(
            [f"UCSF-PDGM-{n:04}_nifti/UCSF-PDGM-{n:04}_{c}.nii.gz" for n in (4, 5)
             for c in ("T1", "T1c", "T2", "FLAIR", "SWI", "DWI", "ADC", "ASL", "T1_bias", "DTI_eddy_FA", "HARDI_FA")],
            2, 2, id="UCSF-PDGM",
        ),
        pytest.param(
            [f"P{n}_{c}.nii.gz" for n in range(3) for c in ("t1_mprage_sag", "t2_tse_tra", "t2_space_flair")], 3, 3,
            id="flat, with sequences",
        ),
        pytest.param(
            [f"{c}_brain/P00{n}.nii.gz" for c in ("T1w", "T2w", "FLAIR") for n in range(5)], 5, 5, id="T1w_brain",
        ),
        pytest.param(
            [f"P1_{day}_{c}.nii.gz" for day in ("20190501", "20200501") for c in MR], 1, 2, id="dates in names",
        ),
        pytest.param(files(("P1_20190501", "P1_20200501", "P2_20190501"), MR), 2, 3, id="dates in folders"),
        pytest.param(
            [f"OAS1_{n}/OAS1_{n}_T1.nii.gz" for n in ("0002_MR1", "0002_MR2", "0003_MR1")],
            2, 3, id="OASIS",
        ),
        pytest.param(
            [f"BraTS-GLI-{n}/BraTS-GLI-{n}-{c}.nii.gz" for n in ("00002-000", "00002-001", "00003-000")
             for c in ("t1n", "t1c", "t2w", "t2f")],
            2, 3, id="BraTS 2023",
        ),
        pytest.param(
            [f"patient{n}/slice_{n * 5 + k:05}.png" for n in range(3) for k in range(5)], 3, 3, id="numbered slices",
        ),
        pytest.param(["P1/20190101/T1.nii", "P1/20200301/T2.nii", "P2/20190101/T1.nii"], 2, 3, id="other dates"),
        pytest.param(["P1/P1_20190101_T1.nii", "P1/P1_20200301_T2.nii"], 1, 2, id="other dates in names"),
        pytest.param(["P1/T1/20190101/x.nii", "P1/T2/20200101/x.nii"], 1, 2, id="dates below contrasts"),
        pytest.param(
            [f"Task{task}/{part}/{task}{part[0]}A{n:03}/{what}.nii.gz" for task in (1, 2)
             for part in ("brain", "pelvis") for n in range(20) for what in ("ct", "mr")],
            80, 80, id="SynthRAD",
        ),
        pytest.param(
            [f"{grade}/BraTS19_{grade}_{n}/BraTS19_{grade}_{n}_{c}.nii" for grade in ("HGG", "LGG") for n in range(30)
             for c in ("t1", "t2")],
            60, 60, id="BraTS 2019",
        ),
        pytest.param(
            [f"ADNI/{who}/MPRAGE/{day}/I{k}/ADNI_{who}_MR_MPRAGE_I{k}.nii" for k, (who, day) in enumerate(
                (("002_S_0295", "2006-04-18"), ("002_S_0295", "2007-05-01"), ("003_S_0001", "2006-03-01")))],
            2, 3, id="ADNI, as downloaded",
        ),
        pytest.param(
            [f"Dataset001_BT/imagesTr/BT_{n}_000{channel}.nii.gz" for n in ("001", "002") for channel in (0, 1)], 2, 2,
            id="nnUNet_raw",
        ),
        pytest.param(
            ["SICK/person63_virus_3.png", "SICK/person63_virus_4.png", "SICK/person6_virus_5.png", "W/I-1.png"], 3, 3,
            id="films of Kermany 2018",
        ),
        pytest.param([f"patient{n}_frame{k}.nii" for n in (101, 102) for k in ("01", "12")], 2, 2, id="ACDC"),
        pytest.param(
            [*files(("4712", "4713"), ("3_t1_sag/3_t1_sag", "4_t2_tra/4_t2_tra")),
             *files(["4711"], ("3_t1_sag/3_t1_sag", "4_t2_tra/4_t2_tra", "5_t1_tra/5_t1_tra"))],
            3, 3, id="one patient with two series of a contrast",
        ),
        pytest.param(
            files(("4711/20190501", "4712/20190601"), ("3_t1_sag/x", "4_t2_tra/x", "5_t1_tra/x")), 2, 2,
            id="a date a patient, and two series of a contrast",
        ),
        pytest.param(
            [f"{who}/{c}/{day}/I{n}/ADNI_{who}_MR_br_raw_I{n}.nii" for who in ("002_S_0295", "003_S_0001")
             for n, (c, day) in enumerate(
                (("MP-RAGE", "2006-04-18"), ("MP-RAGE", "2007-04-18"), ("Axial_FLAIR", "2007-04-18")))],
            2, 4, id="ADNI, two contrasts",
        ),
        pytest.param(
            ["P1/20190501/1/T1.nii", "P1/20190501/2/T2.nii", "P1/20190501/3/T1.nii"], 1, 1, id="series by number",
        ),
        pytest.param(files(("20190501_P1", "20190502_P2"), MR), 2, 2, id="date and name"),
        pytest.param(files([f"TP00{n}" for n in range(1, 9)], MR), 8, 8, id="TP001"),
        *(
            pytest.param([f"{a}_{c}.nii" for a in visits for c in MR], 1, 2, id=visits[0])
            for visits in (
                ("20190501_P1", "20200501_P1"), ("P1_20190501101010", "P1_20200501101010"), ("P1_2019", "P1_2020"),
                ("P1_01.05.2019", "P1_01.05.2020"), ("P1_20190501_brain", "P1_20200501_brain"), ("P1_M0", "P1_M12"),
                ("P1_scan1", "P1_scan2"), ("baseline_P1", "followup_P1"),
            )
        ),
        pytest.param(["P1_pre/T2.nii", "P1_post/T2.nii"], 1, 2, id="P1_pre"),
        pytest.param([f"brain_MRI_{n:02}.nii" for n in range(1, 9)], 8, 8, id="no number but the last"),
        pytest.param([f"case_2019_{n:03}_{c}.nii" for n in (1, 2) for c in MR], 2, 2, id="a year in the number"),
        pytest.param([f"HC_m{age}_T1.nii" for age in (45, 50)], 2, 2, id="sex and age"),
        pytest.param(
            [f"{who}/{c}_{day}101010_{k}.nii" for k, c in enumerate(("t1_mprage", "t2_tse"))
             for day in ("20190501", "20200501") for who in ("4711", "4712")],
            2, 4, id="dcm2niix with a time",
        ),
        pytest.param(
            ["4711/003_t1_sag/a1.nii", "4711/004_t2_tra/a2.nii", "4712/003_t1_sag/b1.nii", "4712/004_t2_tra/b2.nii"],
            2, 2, id="contrast by a series' folder",
        ),
        pytest.param(
            ["UCSF-PDGM-0429_nifti/T1.nii", "UCSF-PDGM-0429_FU003d_nifti/T1.nii"], 1, 2, id="UCSF with a follow-up",
        ),
        pytest.param(["CT/P001.nii", "MR/p001.nii"], 1, 1, id="other cases"),
        pytest.param(["CT/M\u00fcller/a.nii", "MR/Mu\u0308ller/a.nii"], 1, 1, id="an umlaut of a Mac"),
        pytest.param(
            ["sub-01/anat/sub-01_T1w.nii.gz", "derivatives/sub-01/mri/T2.nii.gz"], 1, 1, id="beside BIDS names",
        ),
        pytest.param(["sub-01-T1.nii.gz", "sub-01-T2.nii.gz", "sub-02-T1.nii.gz"], 2, 2, id="BIDS with a hyphen"),
    ],
)  # fmt: skip
def test_patients_and_visits(paths: list[str], patients: int, pairs: int) -> None:
    numbered = [path.replace("{}", str(number)) for number, path in enumerate(paths)]
    rows, _ = read(*numbered)
    assert len({row[0] for row in rows}) == patients and len({row[:2] for row in rows}) == pairs, rows


def test_classes_of_single_films_stay_single() -> None:
    rows, _ = read(*(f"{kind}/{kind[0]}{n}.png" for kind in ("NORMAL", "SICK") for n in range(30)), "NORMAL/x.png",
                   "SICK/x.png")  # fmt: skip
    assert len({row[0] for row in rows}) == 61


@pytest.mark.parametrize("name", ["scan_v{:02}.nii", "scan_201905{:02}.nii", "H1_ses-{:02}.nii"])
def test_more_endings_than_visits_are_patients(name: str) -> None:
    rows, _ = read(*(name.format(n) for n in range(1, 30)))
    assert len({row[0] for row in rows}) == 29


@pytest.mark.parametrize(
    ("path", "contrast", "modality"),
    [
        ("CT/pt_01.nii", "CT", "CT"), ("MR/pt_01.nii", "", "MR"), ("a/T101_T2.nii", "T2", "MR"),
        ("a/T1DM_04_T2.nii", "T2", "MR"), ("a/T1_pre_contrast.nii", "T1", "MR"), ("a/T1_postop.nii", "T1", "MR"),
        ("a/T1_post.nii", "T1c", "MR"), ("a/PD001_scan.nii", "", ""), ("a/Swiss_01_T1.nii", "T1", "MR"),
        ("a/TRACERx_001_T1.nii", "T1", "MR"), ("a/Locarno_01_T1.nii", "T1", "MR"), ("a/x-t2f.nii", "FLAIR", "MR"),
        ("T2w_brain/x.nii", "T2", "MR"), ("P/FLAIR_to_T1.nii", "FLAIR", "MR"), ("P/FLAIR_reg_to_T1.nii", "FLAIR", "MR"),
        ("P/T1_posterior.nii", "T1", "MR"), ("P/T1_unenhanced.nii", "T1", "MR"), ("P/T1_w_o_contrast.nii", "T1", "MR"),
        ("003_t1_sag/a.nii", "T1", "MR"), ("MP-RAGE/a.nii", "T1", "MR"), ("Axial_T2_FLAIR/a.nii", "FLAIR", "MR"),
    ],
)  # fmt: skip
def test_words_that_only_look_like_a_contrast(path: str, contrast: str, modality: str) -> None:
    assert read(path)[0][0][2:] == (contrast, modality)
