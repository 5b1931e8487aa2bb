"""What our own addresses answer."""

import json

import numpy as np
import pytest
import tiny_dicom
from asking import ask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from volumes import AFFINE, scan, values

from apps.viewer import house as shared
from apps.viewer import routes
from apps.viewer.house import Settings, open_house
from apps.viewer.source import Source

VOXELS = values((20, 12, 3))
GZIP = {"accept-encoding": "gzip"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    before = list(shared._open)
    house = open_house(Settings(tmp_path_factory.mktemp("folder"), cache_bytes=8 << 20))
    yield house.settings.folder
    house.store.close()
    shared._open[:] = before  # other tests may hold a house of their own


@pytest.fixture(scope="module")
def source(folder):
    found = scan(folder / "Doe^Jane.nii", VOXELS, title="FLAIR", subject="sub-1", modality="MR", contrast="FLAIR")
    shared.house().sources.offer([found])
    return found


@pytest.fixture(scope="module")
def app():
    # Streamlit compresses whatever passes.
    return Starlette(routes=routes.ROUTES, middleware=[Middleware(GZipMiddleware, minimum_size=1)])


def offered(path, **told):
    found = scan(path, **told)
    shared.house().sources.offer([found])
    return found


def test_meta_says_what_the_browser_needs(app, source):
    answer = ask(app, f"/voxels/{source.id}/meta")
    meta = json.loads(answer.body)
    low, high = meta.pop("range")
    assert low < high and len(meta.pop("key")) == 64
    assert meta == {
        "id": source.id, "shape": [20, 12, 3], "dtype": "int16", "affine": AFFINE.tolist(), "spacing": [2.0, 1.5, 3.0],
        "unit": "arbitrary", "modality": "MR", "contrast": "FLAIR", "title": "FLAIR", "subject": "sub-1",
        "extent": [float(VOXELS.min()), float(VOXELS.max())], "repaired": "",
    }  # fmt: skip
    assert b"Doe" not in answer.body


def test_all_bytes_x_fastest_and_never_compressed(app, source):
    answer = ask(app, f"/voxels/{source.id}", headers=GZIP)
    assert answer.status == 200 and answer.body == VOXELS.tobytes(order="F")
    assert answer.header("content-encoding") == "identity" and answer.header("content-length") == str(VOXELS.nbytes)


def test_a_volume_comes_in_pieces(app, folder, monkeypatch):
    monkeypatch.setattr(routes, "_CHUNK", 100)
    voxels = values(seed=5)
    found = offered(folder / "pieces.nii", voxels=voxels)
    answer = ask(app, f"/voxels/{found.id}")
    assert answer.body == voxels.tobytes(order="F") and answer.pieces > 1


@pytest.mark.parametrize("k", [0, 2])
def test_one_slice(app, source, k):
    answer = ask(app, f"/voxels/{source.id}/slice/{k}", headers=GZIP)
    np.testing.assert_array_equal(np.frombuffer(answer.body, "<i2").reshape(12, 20), VOXELS[:, :, k].T)
    assert answer.header("content-encoding") == "identity"


def test_head_tells_the_size_alone(app, source):
    answer = ask(app, f"/voxels/{source.id}", method="HEAD")
    assert answer.body == b"" and answer.header("content-length") == str(VOXELS.nbytes)


def test_what_was_never_offered_is_not_found(app, folder, source):
    hidden = scan(folder / "hidden.nii")
    for id in (hidden.id, "0" * 24, "Doe^Jane.nii", source.id.upper(), source.id + "0"):
        for rest in ("", "/meta", "/slice/0"):
            assert ask(app, f"/voxels/{id}{rest}").status == 404, (id, rest)
    for path in (f"/voxels/{source.id}/slice/3", f"/voxels/{source.id}/slice/-1", f"/voxels/{source.id}/x", "/voxels/"):
        assert ask(app, path).status == 404, path


@pytest.mark.parametrize("rest", ["", "/meta", "/slice/0"])
def test_a_file_that_went_is_told_in_a_sentence(app, folder, rest):
    found = offered(folder / f"gone{len(rest)}.nii")
    found.files[0].unlink()
    answer = ask(app, f"/voxels/{found.id}{rest}")
    assert answer.status == 422 and "no longer where it was" in json.loads(answer.body)["problem"]
    assert str(folder).encode() not in answer.body


def test_a_page_of_an_older_file_gets_no_slice_of_the_new_one(app, folder):
    found = offered(folder / "changing.nii")
    key = json.loads(ask(app, f"/voxels/{found.id}/meta").body)["key"]
    assert ask(app, f"/voxels/{found.id}/slice/0?key={key}").status == 200
    scan(folder / "changing.nii", values(seed=9))
    for rest in ("", "/slice/0", "/meta"):
        assert ask(app, f"/voxels/{found.id}{rest}?key={key}").status == 409


@pytest.mark.parametrize("told", ["HU", "score", "arbitrary"])
def test_the_unit_of_a_nifti_is_what_the_table_knows(app, folder, told):
    found = offered(folder / f"unit-{told}.nii", unit=told)
    assert json.loads(ask(app, f"/voxels/{found.id}/meta").body)["unit"] == told


def test_a_dicom_ct_says_itself_whether_it_is_in_hounsfield_units(app, folder):
    files, _ = tiny_dicom.write_series(folder / "mr")
    found = Source(tuple(files), "dicom", unit="HU")
    shared.house().sources.offer([found])
    assert json.loads(ask(app, f"/voxels/{found.id}/meta").body)["unit"] == "arbitrary"


@pytest.fixture
def static(tmp_path, monkeypatch):
    monkeypatch.setattr(routes, "STATIC", tmp_path / "static")
    (tmp_path / "static" / "vendor").mkdir(parents=True)
    (tmp_path / "secret.js").write_text("secret")
    for name in ("main.js", "style.css", "vendor/niivue.js", "notes.txt", "vendor/niivue.LICENSE", ".hidden.js"):
        (tmp_path / "static" / name).write_text(f"// {name}")
    return tmp_path / "static"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("main.js", "text/javascript"), ("style.css", "text/css"), ("vendor/niivue.js", "text/javascript")],
)
def test_files_of_the_component(app, static, name, kind):
    answer = ask(app, f"/asset/{name}")
    assert (
        answer.status == 200 and answer.body == f"// {name}".encode() and answer.header("content-type").startswith(kind)
    )
    again = ask(app, f"/asset/{name}", headers={"if-none-match": answer.header("etag")})
    assert again.status == 304 and again.body == b""
    (static / name).write_text("changed, and of another size")
    changed = ask(app, f"/asset/{name}", headers={"if-none-match": answer.header("etag")})
    assert changed.status == 200 and changed.body.startswith(b"changed")


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "vendor/niivue.LICENSE", ".hidden.js", "absent.js", "../secret.js", "%2e%2e/secret.js", "vendor",
     "..%2fsecret.js", "vendor/../../secret.js", "/etc/passwd", "main.js/", "MAIN.js", ""],
)  # fmt: skip
def test_nothing_else_of_the_disk_is_an_asset(app, static, name):
    assert ask(app, f"/asset/{name}").status == 404
