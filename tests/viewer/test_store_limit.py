"""Volumes within a limit of bytes: what goes, what waits, what is refused."""

import gc
import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from volumes import MB, read, scan, values

from apps.viewer import store as kept
from apps.viewer.order import Decoded
from apps.viewer.store import Held, Store
from medudl.errors import UserError


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One store, for its workers take a second to start."""
    folder = tmp_path_factory.mktemp("folder")
    store = Store(8 * MB, [folder])
    yield store, folder
    store.close()


def test_a_scan_larger_than_all_is_refused(house):
    store, folder = house
    with pytest.raises(UserError, match=r"this scan takes .* GB, more than .* start `medudl view` with --cache-gb"):
        store.open(scan(folder / "large.nii", values((256, 256, 70))))


def test_a_header_that_claims_too_much_is_not_decoded(house):
    store, folder = house
    before = store.decodings
    with pytest.raises(UserError, match="more than the viewer may hold"):
        store.open(scan(folder / "claims.nii", values((512, 512, 40), np.uint8, 0, 255)))
    assert store.decodings == before


def test_what_was_asked_for_longest_ago_goes_first(house):
    store, folder = house
    sources = [scan(folder / f"turn-{n}.nii", values((128, 128, 64), seed=n)) for n in range(5)]  # 2 MB each
    for source in sources[:3]:
        store.open(source)
    store.open(sources[0])
    for source in sources[3:]:
        store.open(source)
    before = store.decodings
    store.open(sources[0])
    assert store.decodings == before
    store.open(sources[1])
    assert store.decodings == before + 1
    gc.collect()
    assert store.bytes <= store.limit


def test_what_is_still_being_sent_is_counted_and_stays_readable(house):
    store, folder = house
    first = store.open(scan(folder / "sent.nii", values((128, 128, 100), seed=11)))
    kept = read(first).copy()
    for n in range(6):
        store.open(scan(folder / f"other-{n}.nii", values((128, 128, 64), seed=20 + n)))
    held = sum(each.decoded.bytes for each in store._held.values())
    assert first.key not in store._held and store.bytes == held + first.decoded.bytes <= store.limit
    np.testing.assert_array_equal(read(first), kept)
    del first
    assert store.bytes == held


def made(count: int) -> Held:
    """A volume of count bytes, as a worker would have left it."""
    told = {"spacing": (1, 1, 1), "unit": "HU", "range": (0, 1), "extent": (0, 1), "repaired": ""}
    decoded = Decoded(shape=(count, 1, 1), dtype="uint8", affine=np.eye(4).tolist(), **told)
    return Held(str(count), decoded, tempfile.TemporaryFile())


def test_what_others_took_meanwhile_is_made_room_for(tmp_path):
    store = Store(100, [tmp_path])
    for count in (60, 30, 70):
        assert store._keep(made(count)).decoded.bytes == count
        gc.collect()
        assert store.bytes <= store.limit
    assert list(store._held) == ["30", "70"]
    store.close()


def test_when_all_is_being_sent_the_next_one_waits_and_then_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_WAIT_SECONDS", 0.05)
    store = Store(100, [tmp_path])
    sending = store._keep(made(80))
    with pytest.raises(UserError, match="busy with others"):
        store._keep(made(50))
    monkeypatch.setattr(kept, "_WAIT_SECONDS", 10)
    waiting = ThreadPoolExecutor(1).submit(store._keep, made(50))
    time.sleep(0.05)
    assert not waiting.done()
    del sending
    assert waiting.result(5).decoded.bytes == 50 and store.bytes == 50
    store.close()


def memory(pid: int) -> int:
    """Bytes that a process and its workers have for themselves."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    total = 0
    for process in (str(pid), *children):
        rollup = Path(f"/proc/{process}/smaps_rollup")
        if rollup.exists():  # pgrep itself is gone by now
            total += next(int(line.split()[1]) for line in rollup.read_text().splitlines() if line.startswith("Anon"))
    return 1024 * total


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells the memory of a process")
def test_fifty_studies_in_turn_stay_within_the_limit(tmp_path):
    limit = 64 * MB
    voxels = values((128, 128, 128))  # 4 MB each, 8 while decoded
    sources = []
    for n in range(50):
        voxels[0, 0, 0] = n
        sources.append(scan(tmp_path / f"{n}.nii", voxels))
    store = Store(limit, [tmp_path])
    try:
        store.warm()
        store.open(sources[0])
        before, most = memory(os.getpid()) + store.bytes, 0
        for n, source in enumerate(sources):
            store.open(source)
            if n % 5 == 4:  # looking costs more than decoding
                most = max(most, memory(os.getpid()) + store.bytes - before)
        assert store.decodings == 50 and len(store._held) > 10
        assert most <= 1.2 * limit
    finally:
        store.close()
