"""What a folder of translations holds, in which order and words; what is compared with what, and on which grid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from translation_folders import AFFINE, SHAPE, WRONG, ct, disc, mr, save, write_scans, write_translations

from apps.viewer import house as shared
from apps.viewer.anomalies import Shelf
from apps.viewer.catalogue import Catalogue
from apps.viewer.decode import difference
from apps.viewer.house import Settings, open_house
from apps.viewer.lookup import look
from apps.viewer.translations import Translation, Volumes, translations_of, volumes_of
from apps.viewer.translations_find import translation_folders
from apps.viewer.translations_open import overlays_of, pairs_of, series_of
from apps.viewer.translations_table import frame
from apps.viewer.translations_words import comparison_of, figures_of, headline, meaning_of, warnings_of
from medudl.data.volume import Volume
from medudl.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scans(tmp_path / "viewed" / "scans")
    write_translations(tmp_path / "viewed" / "out")
    return tmp_path / "viewed"


def rows(folder: Path) -> list[Translation]:
    (found,) = translation_folders(Catalogue(folder))
    return translations_of(found)


def shown(folder: Path, subject: str) -> Volumes:
    (scan,) = (scan for scan in rows(folder) if scan.subject == subject)
    return volumes_of(Shelf(Catalogue(folder), None, True), scan, scan.made[0])


def test_the_worst_come_first_and_failures_last(folder: Path) -> None:
    assert [scan.subject for scan in rows(folder)] == ["s01", "s00", "s02"], "warnings weigh more than uncertainty"
    table = (folder / "out" / "translations.csv").read_text()
    (folder / "out" / "translations.csv").write_text(
        table.replace(",12.5,", ",1.5,").replace("is MR, trained on CT; ", "")
    )
    assert [scan.uncertainty for scan in rows(folder)] == [3.5, 1.5, None]


def test_a_row_is_read_whole(folder: Path) -> None:
    scan = rows(folder)[1]
    (made,) = scan.made
    assert (scan.uncertainty, scan.cycle_error, scan.cycle_unit, scan.unit) == (12.5, 5.0, "arbitrary", "HU")
    assert (made.name, made.unit) == ("CT", "HU") and made.path == folder / "out" / "sub-s00_synthetic-CT.nii.gz"
    assert made.beside("cycle-back") == folder / "out" / "sub-s00_cycle-back.nii.gz" and made.beside("other") is None
    assert rows(folder)[2].made == () and rows(folder)[2].problem == "truncated: copy it again"


def test_several_contrasts_of_one_scan_are_told_apart(folder: Path) -> None:
    table = (folder / "out" / "translations.csv").read_text()
    two = "sub-s00_synthetic-T2.nii.gz; sub-s00_synthetic-CT.nii.gz"
    table = table.replace("sub-s00_synthetic-CT.nii.gz", two).replace("CT,HU,12.5", "T2+CT,arbitrary; HU,12.5")
    (folder / "out" / "translations.csv").write_text(table)
    scan = next(scan for scan in rows(folder) if scan.subject == "s00")
    assert [(made.name, made.unit) for made in scan.made] == [("T2", "arbitrary"), ("CT", "HU")] and scan.unit == ""


@pytest.mark.parametrize(
    "name", ["../secret_synthetic-CT.nii.gz", "/etc/x_synthetic-CT.nii.gz", ".a_synthetic-CT.nii.gz", "a.nii"]
)
def test_a_name_that_leads_elsewhere_is_no_volume(folder: Path, name: str) -> None:
    path = folder / "out" / "translations.csv"
    path.write_text(path.read_text().replace("sub-s00_synthetic-CT.nii.gz", name))
    assert next(scan for scan in rows(folder) if scan.subject == "s00").made == ()


@pytest.mark.parametrize("text", ["", "subject,series\na,b\n", "\x00\xff"])
def test_a_damaged_table_is_told(folder: Path, text: str) -> None:
    (folder / "out" / "translations.csv").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match="damaged or still being written"):
        rows(folder)


def test_what_was_made_is_no_scan_of_the_folder(folder: Path) -> None:
    assert look(folder).scans == 4 and look(folder).translations == [folder / "out"]


def test_sentences(folder: Path) -> None:
    worst, best, failed = rows(folder)
    assert warnings_of(worst) == [
        "This scan is MR; the model was trained on CT.",
        "This scan has voxels of 1 x 1 x 3 mm; the model was trained on 0.5 x 0.5 x 1 mm.",
    ]
    assert figures_of(best)[0] == "Uncertainty on average ± 12.5 HU" and "5 arbitrary units" in figures_of(best)[1]
    assert figures_of(failed) == []
    meaning = meaning_of(best.made[0])
    assert "standard deviation over 3 runs; in HU" in meaning and meaning.count(". ") == 0, "one sentence"
    assert headline(rows(folder)) == "3 scans, 1 with warnings, 1 could not be translated"
    assert "No real CT" in comparison_of(worst, worst.made[0], real=False, placed=True)
    assert "1-99 %" not in comparison_of(best, best.made[0], real=True, placed=True), "HU need no scale"


def test_the_list_says_it_in_words(folder: Path) -> None:
    table = frame(rows(folder), Shelf(Catalogue(folder), None, True))
    assert list(table["Patient"]) == ["s01", "s00", "s02"] and list(table["Made"])[:2] == ["CT from T1"] * 2
    assert table["Warnings"][0].startswith("This scan is MR") and table["Warnings"][1] == "none"
    assert table["Warnings"][2] == "Could not be translated: Truncated: copy it again."
    assert list(table["Mean uncertainty (HU)"])[:2] == [3.5, 12.5]


def test_what_is_linked_with_what(folder: Path) -> None:
    volumes = shown(folder, "s00")
    assert [one.title for one in series_of(volumes)] == ["T1", "synthetic CT", "real CT", "T1 there and back"]
    assert [one.unit for one in series_of(volumes)] == ["arbitrary", "HU", "HU", "arbitrary"]
    assert pairs_of(volumes) == {"swipe": [(0, 1), (1, 2), (0, 3), (0, 2)], "difference": [(1, 2), (3, 0)]}
    laid = overlays_of(volumes, rows(folder)[1])
    assert [(one.source.role, one.on, one.threshold) for one in laid] == [
        ("uncertainty", 1, 12.5), ("difference", 1, None), ("cycle", 0, 5.0)]  # fmt: skip
    assert not any(one.visible for one in laid) and volumes.notes == ()


def test_without_the_real_one_nothing_is_subtracted_from_the_synthetic(folder: Path) -> None:
    volumes = shown(folder, "s01")
    assert volumes.real is None and volumes.difference is None
    assert pairs_of(volumes) == {"swipe": [(0, 1), (0, 2)], "difference": [(2, 0)]}


def test_of_two_that_may_be_the_real_one_none_is(folder: Path) -> None:
    path = folder / "scans" / "cohort.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[2].replace("series-s00_CT", "series-other")]) + "\n")
    volumes = shown(folder, "s00")
    assert volumes.real is None and "2 series that may be the real CT" in volumes.notes[0]


def test_without_the_scan_the_synthetic_is_shown_alone(folder: Path) -> None:
    (folder / "scans" / "s00_T1.nii.gz").unlink()
    volumes = shown(folder, "s00")
    assert volumes.scan is None and "its files are gone" in volumes.notes[0]
    assert [one.role for one in series_of(volumes)] == ["synthetic", "scan", "back"]
    (folder / "out" / "sub-s00_synthetic-CT.nii.gz").unlink()
    with pytest.raises(UserError, match="is gone"):
        shown(folder, "s00")


def volume(voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Volume:
    return Volume(np.asarray(voxels, np.float32), np.asarray(affine, np.float64))


def test_a_difference_is_of_the_same_place_in_mm() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=SHAPE).astype(np.float32)
    flipped = AFFINE @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    made = volume(truth + 3)
    assert difference(made, volume(truth[::-1], flipped), scaled=False).voxels == pytest.approx(3, abs=1e-5)
    half = difference(made, volume(truth[:8]), scaled=False).voxels
    assert half[:8] == pytest.approx(3, abs=1e-5) and not half[8:].any(), "where the real one has no voxel"


def test_a_difference_is_none_where_the_model_did_not_look() -> None:
    looked = np.zeros(SHAPE)
    looked[2:5, 3:7, 1:4] = 1
    looked[3, 4, 2] = 0  # as sure as can be: inside all the same
    apart = difference(volume(ct() + 7), volume(ct()), volume(looked), scaled=False).voxels
    inside = np.zeros(SHAPE, bool)
    inside[2:5, 3:7, 1:4] = True
    assert apart[inside] == pytest.approx(7, abs=1e-3) and not apart[~inside].any()


def test_series_without_a_common_unit_are_brought_to_one_scale() -> None:
    """Another gain and offset of the same picture is no difference; another picture is one."""
    picture = mr(0) + 50 * disc() * np.random.default_rng(1).random(SHAPE)
    same = difference(volume(picture), volume(0.25 * picture), scaled=True).voxels
    other = difference(volume(picture), volume(0.25 * picture[:, ::-1] ** 2), scaled=True).voxels
    span = np.ptp(picture[picture > 0])
    assert same.max() < 0.01 * span < 0.2 * span < other.max()


def test_the_store_makes_it_once_from_both_files(folder: Path) -> None:
    before = list(shared._open)
    house = open_house(Settings(folder))
    try:
        source = shown(folder, "s00").difference
        assert source is not None
        held = house.store.open(source)
        voxels = np.frombuffer(held.read(0, held.decoded.bytes), held.decoded.dtype).reshape(SHAPE, order="F")
        wanted = WRONG * disc() * (np.arange(SHAPE[0]) < 8)[:, None, None]
        wanted[:, :2] = 0
        assert voxels == pytest.approx(wanted, abs=1e-3)
        assert house.store.open(source) is held and house.store.decodings == 1
        assert house.store.open(replace(source, unit="arbitrary")).key != held.key, "on another scale: another one"
        save(folder / "scans" / "s00_CT.nii.gz", ct() - 30)
        assert house.store.open(source).key != held.key, "another real CT is another difference"
    finally:
        house.close()
        shared._open[:] = before


@pytest.fixture
def visited(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict]]:
    """The house of this folder, and what the component was last told."""
    from apps.viewer import component

    told: list[dict] = []
    monkeypatch.setattr(component, "_mount", lambda: lambda **arguments: told.append(arguments["data"]) or {})
    before = list(shared._open)
    house = open_house(Settings(folder))
    yield told
    house.close()
    shared._open[:] = before


def draw(**query: str):
    from streamlit.testing.v1 import AppTest

    def script() -> None:
        from apps.viewer.pages.translations import page

        page()

    app = AppTest.from_function(script, default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    return app


def words(app) -> str:
    told = []
    for block in app.main:
        value = getattr(block, "value", None)
        told.append(str(value) if value is not None else "")
        told.append(str(getattr(getattr(block, "proto", None), "body", "")))
    return "\n".join(told)


def test_the_page_lists_and_opens(folder: Path, visited: list[dict]) -> None:
    app = draw()
    assert "3 scans, 1 with warnings" in words(app) and visited == []
    next(button for button in app.button if button.label == "Open the first").click().run()
    assert not app.exception and app.query_params["scan"] == rows(folder)[0].id
    assert "Synthetic - not for diagnosis" in words(app) and "2 warnings" in words(app)
    data = visited[-1]
    assert data["extra"]["translation"]["warnings"] == warnings_of(rows(folder)[0])
    assert [one["role"] for one in data["series"]] == ["scan", "synthetic", "back"] and data["extra"]["translation"][
        "hu"
    ]
    told = json.dumps(data) + words(app)
    assert len(json.dumps(data)) < 10_000, "no voxels travel with it"
    for secret in (str(folder), ".nii", "cohort.csv"):
        assert secret not in told, secret


def test_a_scan_that_failed_and_one_that_is_gone_are_told(folder: Path, visited: list[dict]) -> None:
    failed = rows(folder)[2]
    app = draw(scan=failed.id)
    assert "could not be translated" in words(app) and visited == []
    before, after = (button for button in app.button if button.key in ("translations-left", "translations-right"))
    assert after.disabled and not before.disabled
    before.click().run()
    assert visited[-1]["extra"]["translation"]["before"] and not visited[-1]["extra"]["translation"]["after"]
    assert "not in this folder any more" in words(draw(scan="0" * 24))


def test_with_nothing_there_the_page_says_what_to_do(tmp_path: Path) -> None:
    before = list(shared._open)
    (tmp_path / "empty").mkdir()
    house = open_house(Settings(tmp_path / "empty"))
    try:
        told = words(draw())
        assert "No synthetic scans yet" in told and "medudl translate RUN cohort.csv -o OUT" in told
    finally:
        house.close()
        shared._open[:] = before
