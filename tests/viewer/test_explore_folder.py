"""An embedding folder that is whole, half-written, cut off, hostile or gone: rows come back, or a sentence does."""

import json
import shutil

import numpy as np
import pytest
from explore_folders import GROUPS, grey, write_embedding

from apps.viewer.catalogue import Catalogue
from apps.viewer.explore_columns import table_of
from apps.viewer.explore_faces import Faces, copies_of, uncertainty_of
from apps.viewer.explore_folder import Rows, read_embedding
from medudl.errors import UserError


@pytest.fixture
def folder(tmp_path):
    return write_embedding(tmp_path / "cases")


def changed(folder, **about):
    path = folder / "embedding.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **about}))


def test_rows_are_read_one_by_one(folder):
    rows = Rows(folder / "pictures.npy")
    assert rows.shape == (90, 32, 32)
    taken = rows.take([5, 0, 89])
    assert [int(picture[3, 3]) for picture in taken] == grey([5, 0, 89]).tolist()
    np.testing.assert_array_equal(Rows(folder / "embedding.npy").whole(), np.load(folder / "embedding.npy"))


def test_a_folder_is_read_once_until_it_changes(folder):
    first = read_embedding(folder)
    assert read_embedding(folder) is first and first.n == 90 and first.projections == ["pca", "umap"]
    changed(folder, order=[2, 1, 2, 99, "x"])
    again = read_embedding(folder)
    assert again.key != first.key and again.order == [2, 1]


@pytest.mark.parametrize("name", ["embedding.json", "embedding.csv", "embedding.npy", "pictures.npy", "neighbours.npy"])
def test_a_file_that_is_cut_off_is_told(folder, name):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="damaged or still being written"):
        read_embedding(folder)
    (folder / name).write_bytes(b"")
    with pytest.raises(UserError, match="damaged"):
        read_embedding(folder)


def test_pictures_that_are_cut_off_while_they_are_shown(folder):
    held = read_embedding(folder)
    data = (folder / "pictures.npy").read_bytes()
    (folder / "pictures.npy").write_bytes(data[:500])
    assert held.pictures is not None
    with pytest.raises(UserError, match="damaged"):
        held.pictures.take([80])
    (folder / "pictures.npy").unlink()
    with pytest.raises(UserError, match="gone"):
        held.pictures.take([0])


def test_a_folder_that_is_gone_or_of_another_time(folder):
    changed(folder, format=2)
    with pytest.raises(UserError, match="another version"):
        read_embedding(folder)
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="gone"):
        read_embedding(folder)


def test_arrays_that_do_not_belong_together(folder):
    np.save(folder / "neighbours.npy", np.full((90, 10), 90, np.int32))
    with pytest.raises(UserError, match="damaged"):
        read_embedding(folder)
    write_embedding(folder.parent / "other", n=40)
    shutil.copy(folder.parent / "other" / "pictures.npy", folder)
    with pytest.raises(UserError, match="damaged"):
        read_embedding(folder)


def test_pickles_are_never_opened(folder):
    np.save(folder / "pictures.npy", np.array([{"a": 1}] * 90, dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="damaged"):
        read_embedding(folder)


def test_codes_that_are_no_number_are_told(folder):
    code = np.load(folder / "embedding.npy")
    code[3, 1] = np.nan
    np.save(folder / "embedding.npy", code)
    with pytest.raises(UserError, match="training has failed"):
        read_embedding(folder)


def test_the_nearest_case_is_the_case_itself_and_silent_directions_do_not_count(folder):
    held = read_embedding(folder)
    rows, far = held.nearest(held.code[[7, 31]] + 1e-4)
    assert rows == [7, 31] and max(far) < 1e-3
    moved = held.code[7].copy()
    moved[5] += 100
    changed(folder, used=[0, 1, 2, 3, 4])
    assert read_embedding(folder).nearest(moved)[0] == [7] != held.nearest(moved)[0]


def test_the_browser_gets_points_and_colours_and_no_name(folder):
    table = table_of(read_embedding(folder))
    text = json.dumps(table, allow_nan=False)
    assert "Miller" not in text and "series-" not in text
    columns = {column["name"]: column for column in table["columns"]}
    assert table["columns"][0]["name"] == "contrast", "the first column is one that tells cases apart"
    assert set(columns["contrast"]["names"]) == set(GROUPS) and "label" not in columns
    assert columns["cluster"]["names"] == ["group 1", "group 2", "group 3"]
    assert columns["duplicate"]["values"][:3] == [0, 0, -1] and columns["score"]["kind"] == "number"
    assert [one["name"] for one in table["projections"]] == ["pca", "umap"]
    assert "keeps 75%" in table["projections"][0]["note"] and "91%" in table["projections"][0]["note"]
    assert table["walk"]["active"] == 5 and table["picture"] == [32, 32]


def test_a_case_says_who_it_is_only_where_it_may(folder):
    held = read_embedding(folder)
    private, open_ = (Faces(Catalogue(folder.parent), None, private) for private in (True, False))
    assert private.patient(held, 4) == "patient 2" and open_.patient(held, 4) == "Miller^Anna1"
    told = private.case(held, 4)
    assert "Miller" not in json.dumps(told) and told["link"] == ""
    assert told["neighbours"]["rows"][0] == 7 and told["neighbours"]["far"][0] == 0.1
    assert ["Contrast", "T2"] in told["facts"] and ["Used for", "test"] in told["facts"]


def test_copies_and_uncertainty_in_words(folder):
    held = read_embedding(folder)
    assert copies_of(held, 0) == [1] and copies_of(held, 5) == []
    told = uncertainty_of(held, 0)
    assert told is not None and "less sure of it than of" in told["sentence"] and len(told["bars"]) == 6
    bare = write_embedding(folder.parent / "bare", uncertainty=False)
    assert uncertainty_of(read_embedding(bare), 0) is None
