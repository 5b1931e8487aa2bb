"""What the phantom's tissues are made of: HU, proton density, T1 and T2. Sources: docs/phantom.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Tissue:
    """Properties of one tissue.

    hu: CT number. pd: proton density, water = 1. t1, t2: ms at 1.5 T and 3 T.
    spread: relative subject-to-subject standard deviation of T1 and T2 (half of it for PD); hu_spread in HU.
    void: share of the signal that flow takes away in a spin echo. uninverted: share of spins that flowed in after the
    inversion pulse.
    """

    hu: float
    pd: float
    t1: tuple[float, float]
    t2: tuple[float, float]
    spread: float = 0.03
    hu_spread: float = 1.0
    void: float = 0.0
    uninverted: float = 0.0


TISSUES: Mapping[str, Tissue] = {
    "air": Tissue(-1000, 0.0, (1000, 1000), (1, 1), spread=0.0, hu_spread=0.0),
    "muscle": Tissue(50, 0.90, (1008, 1412), (44, 50)),
    "fat": Tissue(-95, 1.0, (343, 382), (85, 90), hu_spread=5.0),
    "bone": Tissue(1150, 0.05, (300, 300), (0.5, 0.5), hu_spread=80.0),
    "marrow": Tissue(400, 0.6, (549, 586), (49, 49), spread=0.06, hu_spread=60.0),
    "dura": Tissue(52, 0.75, (1008, 1412), (44, 50), hu_spread=3.0),
    "blood": Tissue(52, 0.85, (1441, 1932), (290, 275), hu_spread=4.0, void=0.85),
    "csf": Tissue(7, 1.0, (4300, 4300), (2000, 1900), spread=0.02, hu_spread=1.5),
    "csf_inflow": Tissue(7, 1.0, (4300, 4300), (2000, 1900), spread=0.02, void=0.12, uninverted=0.12),
    "grey": Tissue(37, 0.82, (1197, 1607), (95, 99)),
    "white": Tissue(28, 0.70, (646, 838), (72, 69)),
    "striatum": Tissue(38, 0.81, (1097, 1364), (84, 78)),
    "pallidum": Tissue(40, 0.76, (860, 1080), (58, 48), hu_spread=1.5),
    "thalamus": Tissue(35, 0.79, (960, 1220), (84, 80)),
    "choroid": Tissue(42, 0.90, (1300, 1700), (140, 130), spread=0.08),
    "calcium": Tissue(220, 0.30, (800, 900), (40, 40), hu_spread=40.0),
    "gliosis": Tissue(25, 0.78, (860, 1120), (100, 97), spread=0.05),
    "tumour": Tissue(35, 0.87, (1350, 1750), (130, 125), spread=0.14, hu_spread=3.0),
    "necrosis": Tissue(14, 0.97, (2300, 2700), (330, 310), spread=0.18, hu_spread=3.0),
    "oedema": Tissue(20, 0.84, (1130, 1450), (140, 135), spread=0.10, hu_spread=2.0),
    "clot_acute": Tissue(68, 0.85, (1250, 1650), (42, 34), spread=0.10, hu_spread=5.0),
    "clot_early_subacute": Tissue(58, 0.85, (480, 560), (46, 38), spread=0.10, hu_spread=5.0),
    "clot_late_subacute": Tissue(45, 0.90, (430, 500), (190, 170), spread=0.10, hu_spread=4.0),
    "plaque": Tissue(24, 0.81, (1050, 1350), (130, 125), spread=0.10, hu_spread=1.0),
}
NAMES = tuple(TISSUES)
LESION_TISSUES = NAMES[NAMES.index("tumour") :]


def vary(rng: np.random.Generator) -> dict[str, Tissue]:
    """One subject's tissues: T1, T2 and PD times exp(spread * N(0, 1)), HU plus hu_spread * N(0, 1).

    T1 moves alike at both fields. Draws are the same number whatever the tissue, so that subjects stay comparable.
    """
    subject = {}
    for name, tissue in TISSUES.items():
        a, b, c, d = (float(x) for x in rng.standard_normal(4).clip(-2.5, 2.5))
        t1, t2 = (float(np.exp(tissue.spread * x)) for x in (a, b))
        subject[name] = replace(
            tissue,
            hu=tissue.hu + tissue.hu_spread * d,
            pd=min(tissue.pd * float(np.exp(0.5 * tissue.spread * c)), 1.0),
            t1=(tissue.t1[0] * t1, tissue.t1[1] * t1),
            t2=(tissue.t2[0] * t2, tissue.t2[1] * t2),
        )
    return subject
