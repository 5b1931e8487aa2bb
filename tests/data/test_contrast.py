"""Which contrast a series has, and by which rule."""

from __future__ import annotations

import pytest

from medudl.data.contrast import Facts, contrast_of, contrast_of_name, contrast_of_text, parse_rules
from medudl.errors import UserError


@pytest.mark.parametrize(
    ("text", "contrast"),
    [
        ("sT2W/FLAIR", "FLAIR"), ("T1/SE/extrp", "T1"), ("sT2/TSE/T", "T2"), ("Ax T1 FLAIR", "T1"),
        ("t1_mprage_sag_p2", "T1"),
        ("AX T1 POST GAD", "T1c"), ("t1_se_tra+KM", "T1c"), ("T1 +C", "T1c"), ("T1c", "T1c"), ("ep2d_diff_ADC", "ADC"),
        ("ep2d_diff_3scan_trace", "DWI"), ("3-pl loc", "localizer"), ("PD TSE", "PD"), ("t2_de3d_we*", "T2"),
        ("T2* GRE", "T2star"),
        ("SWI_Images", "SWI"), ("TOF_3D", "TOF"), ("t2_tirm_tra_dark-fluid", "FLAIR"), ("STIR sag", "STIR"),
        ("Unknown", ""),
    ],
)  # fmt: skip
def test_descriptions(text: str, contrast: str) -> None:
    assert contrast_of_text(text) == contrast
    assert contrast_of(Facts(description=text, modality="MR"))[0] == contrast


@pytest.mark.parametrize(
    ("facts", "contrast"),
    [
        (Facts(modality="MR", echo_time=100, repetition_time=9000, inversion_time=2500, sequence="IR"), "FLAIR"),
        (Facts(modality="MR", echo_time=10, repetition_time=450, sequence="SE"), "T1"),
        (Facts(modality="MR", echo_time=10, repetition_time=450, sequence="SE", agent=True), "T1c"),
        (Facts(modality="MR", echo_time=100, repetition_time=4452, sequence="SE"), "T2"),
        (Facts(modality="MR", echo_time=15, repetition_time=3000, sequence="SE"), "PD"),
        (Facts(modality="MR", echo_time=3.2, repetition_time=8.9, inversion_time=900, sequence="GR"), "T1"),
        (Facts(modality="MR", echo_time=20, repetition_time=600, sequence="GR"), "T2star"),
        (Facts(modality="MR", echo_time=30, repetition_time=4000, inversion_time=150, sequence="IR"), "STIR"),
        (Facts(modality="MR", acquisition="FLUID_ATTENUATED"), "FLAIR"),
        (Facts(modality="MR", description="T1 tra", agent=True), "T1c"),
        (Facts(modality="MR", description="T1", image_type=("ORIGINAL", "PRIMARY", "P")), "phase"),
        (Facts(modality="CT", description="T1 something"), "CT"),
        (Facts(modality="CT", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), "localizer"),
        (Facts(modality="DX"), "XR"),
        (Facts(modality="MR"), ""),
        (Facts(modality="MR", echo_time=0, repetition_time=0, sequence="SE"), ""),
    ],
)
def test_facts(facts: Facts, contrast: str) -> None:
    found, rule = contrast_of(facts)
    assert found == contrast and rule


def test_the_users_rule_comes_first_and_is_told() -> None:
    (rule,) = parse_rules(["ROI|marked=FLAIR-ROI"])
    assert contrast_of(Facts(description="flair_roi", modality="CT"), [rule]) == ("FLAIR-ROI", rule.told)
    assert contrast_of(Facts(protocol="MARKED"), [rule])[0] == "FLAIR-ROI"
    assert contrast_of(Facts(description="FLAIR"), [rule])[0] == "FLAIR"
    assert parse_rules(["TE=100=T2"])[0].contrast == "T2"


@pytest.mark.parametrize("text", ["T1", "=T1", "x=", "[=T1"])
def test_a_wrong_rule_is_told(text: str) -> None:
    with pytest.raises(UserError, match="--contrast"):
        parse_rules([text])


def test_file_names_need_a_word_that_begins_so() -> None:
    names = {"T1": "T1", "sub1_t2_brain": "T2", "P1-FLAIR": "FLAIR", "t1ce": "T1c", "test1": "", "part2": ""}
    assert {name: contrast_of_name(name) for name in names} == names
