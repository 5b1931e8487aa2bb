"""Indexing from the page: one process a folder, its progress, its errors, its end."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from apps.viewer import background
from apps.viewer.indexing import Indexing
from apps.viewer.making import Status
from medudl.api import shipped
from medudl.data.cohort import Cohort
from medudl.data.index_progress import VARIABLE, Bar, Lines, shown
from medudl.errors import UserError


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background.tempfile, "gettempdir", lambda: str(tmp_path))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Some NIfTI scans that were never indexed."""
    folder = tmp_path / "scans"
    for name in ("sub-001", "sub-002"):
        shutil.copytree(shipped("sample_data") / name / "anat", folder / name / "anat")
    return folder


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of `medudl index` a process that lives until it is stopped."""
    monkeypatch.setattr(background, "command", lambda arguments, module: ["sleep", "60"])


def _until(job: Indexing, *, seconds: float = 60) -> Status:
    end = time.monotonic() + seconds
    while (status := job.status()).state == "running":
        assert time.monotonic() < end, "the process goes on and on"
        time.sleep(0.05)
    return status


def test_a_folder_is_indexed_into_itself(scans: Path) -> None:
    job = Indexing(scans)
    assert job.status() == Status("idle")
    assert job.start()
    assert _until(job) == Status("done")
    assert len(Cohort.read(scans / "cohort.csv")) == 6
    lines = (job._process.state / "progress.jsonl").read_text()
    assert '"what": "Reading headers"' in lines and '"what": "Comparing voxels", "done": 6, "total": 6' in lines


def test_its_error_is_told_in_its_own_words(scans: Path) -> None:
    for path in scans.rglob("*.nii.gz"):
        path.write_bytes(b"not a scan")
    job = Indexing(scans)
    job.start()
    status = _until(job)
    assert status.state == "failed" and status.error.startswith("no usable scan: ")
    assert not (scans / "cohort.csv").exists()


@pytest.mark.usefixtures("slow")
def test_two_at_once_start_one_process(scans: Path) -> None:
    jobs = [Indexing(scans) for _ in range(4)]
    gate, begun = threading.Barrier(4), []

    def start(job: Indexing) -> None:
        gate.wait()
        begun.append(job.start())

    threads = [threading.Thread(target=start, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(begun) == [False, False, False, True]
    jobs[0].cancel()
    _until(jobs[0])


@pytest.mark.usefixtures("slow")
def test_stopping_leaves_nothing_and_can_be_begun_again(scans: Path) -> None:
    job = Indexing(scans)
    job.start()
    assert job.status() == Status("running", "Looking for scans")
    Indexing(scans).cancel()  # another visitor may stop it too
    assert _until(job) == Status("failed")
    assert not (scans / "cohort.csv").exists()
    assert job.start()
    job.cancel()
    _until(job)


def test_stopping_what_has_ended_kills_nobody(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Indexing(scans)
    job.start()
    _until(job)
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("a process was signalled that is not ours any more"))
    job.cancel()


def test_a_folder_that_takes_no_table_is_told(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match="read-only"):
        Indexing(scans).start()
    monkeypatch.undo()
    assert Indexing(scans).status().state == "idle"


@pytest.mark.usefixtures("slow")
def test_a_half_written_line_is_passed_by(scans: Path) -> None:
    job = Indexing(scans)
    job.start()
    lines = '{"what": "Reading headers", "done": 3, "total": 6, "seconds": 1.5}\n{"what": "Rea'
    (job._process.state / "progress.jsonl").write_text(lines)
    status = job.status()
    assert (status.done, status.total, status.left) == (3, 6, 1.5)
    job.cancel()
    _until(job)


def test_state_in_a_folder_of_somebody_else_is_refused(tmp_path: Path, scans: Path) -> None:
    (tmp_path / f"medudl-{os.getuid()}").mkdir(mode=0o755)
    os.chmod(tmp_path / f"medudl-{os.getuid()}", 0o755)
    with pytest.raises(UserError, match="not yours alone"):
        Indexing(scans)


@pytest.mark.parametrize(
    ("status", "left"),
    [(Status("running", "a", 0, 9, 5.0), None), (Status("running", "a", 3, 9, 0.5), None),
     (Status("running", "a", 3, 9, 6.0), 12.0)],
)  # fmt: skip
def test_time_left(status: Status, left: float | None) -> None:
    assert status.left == left


def test_lines_only_where_the_environment_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert isinstance(shown(), Bar)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "lines"))
    progress = shown()
    assert isinstance(progress, Lines)
    assert list(progress.track(range(3), "Counting", 3)) == [0, 1, 2]
    assert '{"what": "Counting", "done": 3, "total": 3' in (tmp_path / "lines").read_text().splitlines()[-1]
