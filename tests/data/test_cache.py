import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from synthetic_cohort import cohort_of, head, write

from medudl.config import Data
from medudl.data import cache as cache_module
from medudl.data.cache import Cache
from medudl.data.cases import Case, cases_of
from medudl.data.cohort import Cohort
from medudl.data.entry import read_entry, remove_drafts, write_entry
from medudl.data.fingerprint import Fingerprints
from medudl.data.parallel import in_processes
from medudl.data.pipeline import Pipeline
from medudl.errors import UserError


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    scans = {(name, "T1"): head(seed=n) for n, name in enumerate("abc")}
    write(tmp_path / "scans" / "lesion.nii", (head() > 350).astype(np.uint8))
    return cohort_of(tmp_path / "scans", scans, facts={"b": {"mask": "lesion.nii"}})


def make(tmp_path: Path, cohort: Cohort, **settings) -> tuple[Cache, list[Case]]:
    data = Data(**{"cache_workers": 1, **settings})
    return Cache(tmp_path / "cache", Pipeline(data), cohort), cases_of(cohort, data)[0]


def files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_comes_out_is_what_the_pipeline_makes(tmp_path: Path, cohort: Cohort, workers: int) -> None:
    cache, cases = make(tmp_path, cohort, cache_workers=workers)
    told: list[tuple[int, int]] = []
    ready, notes = cache.fill(cases, lambda done, of: told.append((done, of)))
    assert ready == cases and notes == [] and told == [(1, 3), (2, 3), (3, 3)]
    for case in cases:
        stored, made = cache.get(case), cache.pipeline.prepare(cohort, case)
        np.testing.assert_array_equal(stored.image, made.image)
        np.testing.assert_array_equal(stored.foreground, made.foreground)
        assert stored.image.dtype == np.float32 and stored.foreground.dtype == bool
        assert stored.geometry == json.loads(json.dumps(made.geometry)) and stored.case_id == case.id
        assert (stored.mask is None) == (made.mask is None)
    np.testing.assert_array_equal(cache.get(cases[1]).mask, cache.pipeline.prepare(cohort, cases[1]).mask)


def test_filled_once_and_never_again(tmp_path: Path, cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, cases = make(tmp_path, cohort)
    assert cache.estimate(cases) > 0
    cache.fill(cases)
    again, _ = make(tmp_path, cohort)
    monkeypatch.setattr(again.pipeline, "prepare", lambda *_: pytest.fail("computed again"))
    assert again.estimate(cases) == 0
    assert again.fill(cases)[0] == cases
    again.get(cases[0])


def test_the_estimate_is_what_lands_on_the_disk(tmp_path: Path, cohort: Cohort) -> None:
    cache, cases = make(tmp_path, cohort)
    expected = cache.estimate(cases)
    cache.fill(cases)
    taken = sum(path.stat().st_size for path in files(tmp_path / "cache") if path.suffix == ".npy")
    assert taken == pytest.approx(expected, rel=0.03)


def test_a_changed_pipeline_or_file_or_mask_or_label_is_computed_anew(tmp_path: Path, cohort: Cohort) -> None:
    cache, cases = make(tmp_path, cohort)
    first = cache.folder(cases[0])
    assert make(tmp_path, cohort, size=[8, 8])[0].folder(cases[0]) != first
    assert make(tmp_path, cohort, min_foreground=0.5)[0].folder(cases[0]) == first
    masked = cache.folder(cases[1])
    write(tmp_path / "scans" / "lesion.nii", (head() > 300).astype(np.uint8))
    assert make(tmp_path, cohort)[0].folder(cases[1]) != masked
    assert make(tmp_path, cohort, healthy_labels=[""])[0].folder(cases[0]) != first


def test_a_file_swapped_for_one_of_equal_size_and_date_is_noticed(tmp_path: Path, cohort: Cohort) -> None:
    cache, cases = make(tmp_path, cohort)
    cache.fill(cases)
    path = tmp_path / "scans" / "a" / "T1.nii"
    old, dates = cache.get(cases[0]).image.copy(), path.stat()
    write(path, head(seed=9))
    os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    assert path.stat().st_size == dates.st_size
    new = make(tmp_path, cohort)[0].get(cases[0]).image
    assert not np.array_equal(new, old)
    np.testing.assert_array_equal(new, cache.pipeline.prepare(cohort, cases[0]).image)


def test_arrays_are_mapped_without_keeping_files_open_and_writes_do_not_reach_the_disk(
    tmp_path: Path, cohort: Cohort
) -> None:
    cache, cases = make(tmp_path, cohort)
    cache.fill(cases)
    before = len(os.listdir("/proc/self/fd"))
    kept = [cache.get(case) for case in cases]
    assert len(os.listdir("/proc/self/fd")) == before
    assert str(tmp_path / "cache") in Path("/proc/self/maps").read_text()
    kept[0].image[:] = 7
    assert not (cache.get(cases[0]).image == 7).any()


def test_a_case_that_cannot_be_read_is_named_and_the_others_go_on(tmp_path: Path, cohort: Cohort) -> None:
    cache, cases = make(tmp_path, cohort)
    (tmp_path / "scans" / "a" / "T1.nii").write_bytes(b"no scan")
    (tmp_path / "scans" / "b" / "T1.nii").unlink()
    ready, notes = cache.fill(cases)
    assert [case.subject for case in ready] == ["c"]
    assert [note.split(":")[0] for note in notes] == ["sub-a_ses-1_T1 is left out", "sub-b_ses-1_T1 is left out"]
    (tmp_path / "scans" / "c" / "T1.nii").write_bytes(b"no scan")
    with pytest.raises(UserError, match="not one of 3 scans can be used"):
        make(tmp_path, cohort)[0].fill(cases)


@pytest.mark.parametrize("hurt", ["image.npy", "planes.npy", "entry.json"])
def test_a_half_written_entry_is_never_served(tmp_path: Path, cohort: Cohort, hurt: str) -> None:
    cache, cases = make(tmp_path, cohort)
    cache.fill(cases)
    folder = cache.folder(cases[0])
    os.truncate(folder / hurt, (folder / hurt).stat().st_size // 2)
    assert read_entry(folder) is None
    made = cache.get(cases[0])
    np.testing.assert_array_equal(made.image, cache.pipeline.prepare(cohort, cases[0]).image)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 4 kB: the system refuses to write, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    tmp_path: Path, cohort: Cohort, small_files: None, workers: int
) -> None:
    cache, cases = make(tmp_path, cohort, cache_workers=workers)
    with pytest.raises(UserError, match="cache: the disk is full; make room, or set data.cache"):
        cache.fill(cases)
    with pytest.raises(UserError, match="the disk is full"):
        cache.get(cases[0])
    assert files(tmp_path / "cache") == set()


def test_want_of_room_is_told_before_anything_is_computed(
    tmp_path: Path, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, cases = make(tmp_path, cohort)
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    monkeypatch.setattr(cache.pipeline, "prepare", lambda *_: pytest.fail("computed"))
    with pytest.raises(UserError, match=r"the prepared scans need 0.0 GB, 0.0 GB are free; make room"):
        cache.fill(cases)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, cohort: Cohort) -> None:
    (tmp_path / "cache").write_text("a file")
    cache, cases = make(tmp_path, cohort)
    with pytest.raises(UserError, match="cache: cannot be written"):
        cache.fill(cases)


def test_an_entry_another_process_has_just_written_is_left_as_it_is(tmp_path: Path, cohort: Cohort) -> None:
    cache, cases = make(tmp_path, cohort)
    folder, made = tmp_path / "x" / "entry", cache.pipeline.prepare(cohort, cases[0])
    write_entry(made, folder)
    before = (folder / "image.npy").stat().st_ino
    write_entry(made, folder)
    assert (folder / "image.npy").stat().st_ino == before and list(folder.parent.iterdir()) == [folder]


def test_drafts_of_killed_processes_are_removed_and_those_of_living_ones_kept(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    dead, alive = tmp_path / "ab" / f"ab.{child.pid}.tmp", tmp_path / "ab" / f"ab.{os.getpid()}.tmp"
    dead.mkdir(parents=True)
    alive.mkdir()
    memory = tmp_path / f"files.json.{child.pid}.tmp"
    memory.touch()
    remove_drafts(tmp_path)
    assert not dead.exists() and not memory.exists() and alive.exists()


def test_hashes_are_remembered_and_a_broken_memory_only_costs_time(tmp_path: Path) -> None:
    path, memory = tmp_path / "scan", tmp_path / "files.json"
    path.write_bytes(b"voxels")
    first = Fingerprints(memory)
    digest = first.of(path)
    assert digest == hashlib.sha256(b"voxels").hexdigest()
    first.save()
    assert list(json.loads(memory.read_text()).values()) == [digest] and str(path) not in memory.read_text()
    memory.write_text("{broken")
    assert Fingerprints(memory).of(path) == digest


def test_workers_hand_over_user_errors_and_raise_others() -> None:
    def job(n: int) -> int:
        if n == 1:
            raise UserError("one is wrong")
        return n * 10

    results = [result for _, result in in_processes(job, [0, 1, 2], 2)]
    assert results[0] == 0 and results[2] == 20 and str(results[1]) == "one is wrong"
    with pytest.raises(ZeroDivisionError):
        list(in_processes(lambda n: 1 // n, [1, 0], 2))


def test_a_killed_worker_is_told_in_words() -> None:
    with pytest.raises(UserError, match="a worker was killed while it prepared scans"):
        list(in_processes(lambda _: os.kill(os.getpid(), signal.SIGKILL), [0, 1], 2))


def test_a_crop_that_cuts_off_foreground_is_told(tmp_path: Path, cohort: Cohort) -> None:
    cache, cases = make(tmp_path, cohort, size=[12, 12])
    ready, notes = cache.fill(cases)
    assert len(ready) == len(notes) == 3
    whole = Pipeline(Data()).prepare(cohort, cases[0]).foreground
    lost = 1 - whole[:, :, 6:18, 4:16].sum() / whole.sum()
    assert notes[0] == f"sub-a_ses-1_T1: crop and pad cut off {lost:.0%} of its foreground; enlarge data.size"
