"""Mounting the pictures: what the browser is told, and what it is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from apps.viewer.component import Overlay, describe
from apps.viewer.house import Settings, house, open_house
from apps.viewer.source import Source

SECRET = "DOE^JANE"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / SECRET
    place.mkdir()
    open_house(Settings(place))
    return place


def mounted(app: AppTest) -> list[dict[str, Any]]:
    """What each component of the page hands to the browser."""
    protos = [node.proto for node in app.main if node.type == "bidi_component"]
    return [json.loads(proto.json or proto.mixed.json) for proto in protos]


def page(folder: str) -> None:
    from pathlib import Path

    import streamlit as st

    from apps.viewer.component import Overlay, viewer
    from apps.viewer.source import Source

    scan = Source((Path(folder) / "scan.nii.gz",), "nifti", title="FLAIR", subject="p1", modality="MR")
    anomaly = Source((Path(folder) / "map.nii.gz",), "nifti", role="anomaly", title="Map", unit="score")
    state = viewer(
        [scan], overlays=[Overlay(anomaly, threshold=0.3)], key="v", start={"slice": 4}, extra={"strip": True}
    )
    st.write(f"{state.threshold} {state.mm} {state.series}")


def test_mounting_offers_the_volumes_and_passes_ids_alone(folder: Path) -> None:
    app = AppTest.from_function(page, args=(str(folder),)).run()
    assert not app.exception
    (data,) = mounted(app)
    series, overlay = data["series"][0], data["overlays"][0]
    assert house().sources.find(series["id"]) and house().sources.find(overlay["id"])
    assert SECRET not in json.dumps(data)
    assert str(folder) not in json.dumps(data)
    assert (series["title"], series["subject"], series["placed"]) == ("FLAIR", "p1", True)
    assert (overlay["threshold"], overlay["colormap"], overlay["on"], overlay["title"]) == (0.3, "hot", 0, "Map")
    assert data["start"] == {"slice": 4}
    assert data["extra"] == {"strip": True}
    assert app.markdown[0].value == "None None ()"


def test_nothing_is_offered_before_a_page_shows_it(folder: Path) -> None:
    scan = Source((folder / "scan.nii.gz",), "nifti")
    assert house().sources.find(scan.id) is None


@pytest.mark.parametrize(
    ("format", "modality", "placed"), [("png", "", False), ("dicom", "DX", False), ("dicom", "CT", True)]
)
def test_a_picture_has_no_place_in_a_patient(format: str, modality: str, placed: bool) -> None:
    assert describe(Source((Path("a"),), format, modality=modality))["placed"] is placed


def test_an_overlay_keeps_its_own_title() -> None:
    assert Overlay(Source((Path("a"),), "nifti", title="x")).title == ""
