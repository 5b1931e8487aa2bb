"""Voxels of translations by address: from our own page alone, and only what the page has offered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from asking import ask, gated, let_in
from starlette.applications import Starlette
from translation_folders import SHAPE, WRONG, write_scans, write_translations

from apps.viewer import house as shared
from apps.viewer.anomalies import Shelf
from apps.viewer.catalogue import Catalogue
from apps.viewer.gate import Gate, pages
from apps.viewer.house import Settings, open_house
from apps.viewer.routes import ROUTES
from apps.viewer.serve import HERE
from apps.viewer.source import Source
from apps.viewer.translations import translations_of, volumes_of
from apps.viewer.translations_find import translation_folders


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = list(shared._open)
    place = tmp_path_factory.mktemp("translated")
    write_scans(place / "scans")
    write_translations(place / "out")
    opened = open_house(Settings(place))
    yield place
    opened.close()
    shared._open[:] = before


@pytest.fixture
def difference(folder: Path) -> Source:
    catalogue = Catalogue(folder)
    scan = next(one for one in translations_of(translation_folders(catalogue)[0]) if one.subject == "s00")
    found = volumes_of(Shelf(catalogue, None, True), scan, scan.made[0]).difference
    assert found is not None
    return found


@pytest.fixture
def gate() -> Gate:
    return gated(Starlette(routes=ROUTES), pages=pages(HERE / "pages"))


def test_what_no_page_has_offered_does_not_exist(gate: Gate, difference: Source) -> None:
    assert ask(gate, f"/voxels/{difference.id}/meta", headers=let_in(gate)).status == 404


def test_the_difference_is_served_like_a_scan(gate: Gate, difference: Source) -> None:
    shared.house().sources.offer([difference])
    headers = let_in(gate)
    meta = json.loads(ask(gate, f"/voxels/{difference.id}/meta", headers=headers).body)
    assert (meta["shape"], meta["unit"], meta["title"]) == (list(SHAPE), "HU", "difference from the real CT")
    assert meta["extent"] == [0, WRONG]
    answer = ask(gate, f"/voxels/{difference.id}", headers=headers)
    voxels = np.frombuffer(answer.body, meta["dtype"]).reshape(SHAPE, order="F")
    assert set(np.unique(voxels)) == {0, WRONG} and not voxels[8:].any()
    assert shared.house().store.decodings == 1


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "http://evil.example"}])
@pytest.mark.parametrize("part", ["", "/meta", "/slice/0"])
def test_a_foreign_host_or_origin_gets_nothing(gate: Gate, difference: Source, headers: dict, part: str) -> None:
    shared.house().sources.offer([difference])
    answer = ask(gate, f"/voxels/{difference.id}{part}", headers={**let_in(gate), **headers})
    assert answer.status == 403 and b"shape" not in answer.body


def test_without_a_session_nothing(gate: Gate, difference: Source) -> None:
    shared.house().sources.offer([difference])
    assert ask(gate, f"/voxels/{difference.id}/meta").status == 403


def test_the_page_has_an_address_behind_the_gate(gate: Gate) -> None:
    assert "translations" in gate.rules.pages
    assert ask(gate, "/translations", headers={"host": "evil.example"}).status == 403
