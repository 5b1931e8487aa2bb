"""Where a store's file cannot be used: one sentence each, and what was acknowledged is there."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from label_stores import CLASSES, cohort_of, say, store_of

from medudl.errors import UserError
from medudl.labels import LabelStore, connection, create, filesystem
from medudl.labels.filesystem import kind_of, network_kind

MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 27 0:40 / /mnt/team rw,relatime shared:5 - nfs4 server:/x rw
29 28 254:1 / /mnt/team/local rw - xfs /dev/vdb rw
30 27 0:41 / /mnt/with\040space rw - fuse.sshfs me@host:/ rw
31 27 0:42 / /mnt/stick rw - fuseblk /dev/sdb1 rw
32 27 0:43 / /data rw - ext4 /dev/vdc rw
33 27 0:44 / /data rw - cifs //server/share rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/home/a/labels.sqlite", "ext4", False),
        ("/mnt/team/a/labels.sqlite", "nfs4", True),
        ("/mnt/team/local/labels.sqlite", "xfs", False),
        ("/mnt/teammate/labels.sqlite", "ext4", False),
        ("/mnt/with space/l", "fuse.sshfs", True),
        ("/mnt/stick/l", "fuseblk", False),
        ("/data/l", "cifs", True),  # mounted over the disk
    ],
)
def test_the_file_system_is_that_of_the_longest_mount_point(path: str, kind: str, network: bool) -> None:
    assert kind_of(Path(path), MOUNTS) == kind and network_kind(Path(path), MOUNTS) == (kind if network else "")


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse", "9p", "lustre", "gpfs", "afs", "ceph"]
)
def test_network_file_systems_are_known(kind: str) -> None:
    assert network_kind(Path("/a/b"), f"27 1 0:1 / / rw - {kind} x rw\n") == kind


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", "apfs", "vfat"])
def test_local_ones_are_let_through(kind: str) -> None:
    assert network_kind(Path("/a/b"), f"27 1 0:1 / / rw - {kind} x rw\n") == ""
    assert network_kind(Path("/a/b"), "") == "" and network_kind(Path("/a/b"), "nonsense - nfs\n\n") == ""


def test_a_store_on_a_network_file_system_is_neither_made_nor_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path)
    mounts = tmp_path / "mounts"
    mounts.write_text(f"27 1 0:1 / / rw - ext4 x rw\n28 27 0:2 / {tmp_path} rw - nfs4 s:/x rw\n")
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)
    with pytest.raises(UserError, match=r"network file system \(nfs4\)"):
        LabelStore.open(store.path)
    with pytest.raises(UserError, match=r"network file system \(nfs4\)"):
        LabelStore.create(tmp_path / "b.sqlite", cohort_of(tmp_path), CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.sqlite", "mounts"]
    mounts.unlink()  # as on macOS: not checked
    LabelStore.open(store.path)


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    def told(name: str) -> str:
        with pytest.raises(UserError) as caught:
            LabelStore.open(tmp_path / name)
        assert "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value)
        return str(caught.value)

    assert "no such label store" in told("absent.sqlite")
    (tmp_path / "text.sqlite").write_text("not a database " * 100)
    assert "not a label store" in told("text.sqlite")
    (tmp_path / "empty.sqlite").touch()
    assert "not a label store" in told("empty.sqlite")
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as other:
        other.execute("CREATE TABLE t (a)")
    assert "not a label store" in told("other.sqlite")
    store = store_of(tmp_path)
    with closing(sqlite3.connect(store.path)) as raw:
        raw.execute("PRAGMA user_version = 2")
    assert "version 2, this medudl reads version 1" in told("labels.sqlite")


def test_a_damaged_store_is_told(tmp_path: Path) -> None:
    store = store_of(tmp_path, 200)
    whole = store.path.read_bytes()
    for damage in (whole[: len(whole) // 2], whole[:8192] + b"\xff" * 8192 + whole[16384:], b"\0" * 100 + whole[100:]):
        store.path.write_bytes(damage)
        with pytest.raises(UserError, match="damaged|not a label store"):
            LabelStore.open(store.path)
        assert store.check() != "ok"


def test_a_store_that_goes_or_is_exchanged_meanwhile_takes_no_label(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    case = store.cases()[0].id
    store.path.unlink()
    with pytest.raises(UserError, match="no such label store"):
        say(store, "Ann", "label", case, "sick")
    other = store_of(tmp_path)
    with pytest.raises(UserError, match="another store lies there now"):
        say(store, "Ann", "label", case, "sick")
    assert other.events() == []
    shutil.rmtree(tmp_path)
    with pytest.raises(UserError, match="no such"):
        store.labels()


def test_a_full_disk_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path)
    case, plain = store.cases()[0].id, connection._connect
    kept = [say(store, "Ann", "label", case, "sick").id]

    def small(path: Path) -> sqlite3.Connection:
        database = plain(path)
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then answers as on a full disk
        return database

    with monkeypatch.context() as patch:
        patch.setattr(connection, "_connect", small)
        with pytest.raises(UserError, match="the disk is full; nothing was saved"):
            for _ in range(200):
                kept.append(say(store, "Ann", "note", case, "x" * 500).id)
    kept.append(say(store, "Ann", "label", case, "normal").id)
    assert [event.id for event in store.events()] == kept and store.check() == "ok"


FULL = """
import sys, uuid
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from label_stores import cohort_of, say, store_of, CLASSES
from medudl.errors import UserError
from medudl.labels import LabelStore
folder = Path(sys.argv[1])
try:
    LabelStore.create(folder / "big.sqlite", cohort_of(folder, 5000), CLASSES)
except UserError as error:
    assert "disk is full" in str(error) and not list(folder.iterdir()), error
store = store_of(folder)
ballast, case, kept, refused = folder / "ballast", store.cases()[0].id, [], 0
ballast.write_bytes(bytes(100_000))
while refused < 20:
    try:
        kept.append(say(store, "Ann", "note", case, "x" * 300).id)
    except UserError as error:
        assert "disk is full" in str(error), error
        refused += 1
ballast.unlink()
kept.append(say(store, "Ann", "label", case, "sick").id)
assert store.check() == "ok" and set(kept) <= {event.id for event in store.events()}
print(f"{len(kept)} acknowledged, 0 lost, {refused} refused")
"""


@pytest.mark.proof
def test_on_a_disk_that_is_really_full_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """A file system of 512 KiB in a name space of its own; skipped where mounting is not allowed."""
    here, root = Path(__file__).parent, Path(__file__).parents[2]
    mount = f"mount -t tmpfs -o size=512k tmpfs {tmp_path}"
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode
    ):
        pytest.skip("no small file system can be mounted here")
    way = f'{mount} && exec "$0" "$@"'
    command = ["unshare", "-m", "sh", "-c", way, sys.executable, "-c", FULL, str(tmp_path), str(root), str(here)]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stderr


@contextmanager
def _as_another_user(folder: Path) -> Iterator[Callable[[Callable[[], object]], str]]:
    """Runs a function without the rights of root, to whom nothing is read-only; gives its UserError."""

    def run(work: Callable[[], object]) -> str:
        end, start = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)
                work()
                os.write(start, b"done")
            except BaseException as error:
                os.write(start, f"{type(error).__name__}: {error}".encode())
            finally:
                os._exit(0)
        os.close(start)
        with os.fdopen(end, "rb") as stream:
            told = stream.read().decode()
        os.waitpid(child, 0)
        return told

    yield run
    folder.chmod(0o755)


def test_a_read_only_folder_is_told() -> None:
    folder = Path(tempfile.mkdtemp())  # not tmp_path, whose parents only its owner may enter
    try:
        store = store_of(folder)
        case = store.cases()[0].id
        folder.chmod(0o555)
        with _as_another_user(folder) as run:
            assert run(lambda: None) == "done"
            for work in (lambda: say(store, "Ann", "label", case, "sick"), lambda: LabelStore.open(store.path)):
                told = run(work)
                assert told.startswith("UserError") and "writable" in told and "\n" not in told, told
            made = run(lambda: LabelStore.create(folder / "b.sqlite", cohort_of(folder), CLASSES))
            assert made.startswith("UserError") and "writable" in made, made
            folder.chmod(0o000)
            told = run(lambda: LabelStore.open(store.path))
            assert told.startswith("UserError") and "writable" in told, told
            folder.chmod(0o555)
        assert [path.name for path in folder.iterdir()] == ["labels.sqlite"] and store.events() == []
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("by", ["folder", "file"])
def test_a_locked_store_is_told_after_a_while(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path)
    case = store.cases()[0].id
    monkeypatch.setattr(connection, "PATIENCE", 0.2)
    if by == "folder":
        handle = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    else:
        raw = sqlite3.connect(store.path, isolation_level=None)
        raw.execute("BEGIN IMMEDIATE")
    with pytest.raises(UserError, match="kept it locked"):
        say(store, "Ann", "label", case, "sick")
    assert store.labels() == []  # reading goes on
    if by == "folder":
        os.close(handle)
    else:
        raw.close()
    say(store, "Ann", "label", case, "sick")


def test_every_connection_is_durable(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    with connection.writing(store.path, store.id) as database:
        values = [
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert values == ["wal", 2, 1]


def test_creating_that_fails_in_the_midst_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(create, "write_cases", full)
    with pytest.raises(sqlite3.OperationalError):
        store_of(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(create.os, "link", none)
    store = store_of(tmp_path)
    assert store.check() == "ok" and [path.name for path in tmp_path.iterdir()] == ["labels.sqlite"]
    with pytest.raises(UserError, match="exists"):
        store_of(tmp_path)
