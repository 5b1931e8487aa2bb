"""The viewer's server: a large CT to its last byte, slices for ten readers while others decode, memory over 50 studies.

    python benchmarks/viewer_server.py [--slices 300] [--studies 50] [--limit-mb 2048]

Scans of noise are made in a temporary folder, the server runs in a process of its own as `medudl view` starts it
(gate included), and clients ask over loopback. No browser. `meta` is the time from asking for a series that nobody has
opened to knowing that it is decoded; `bytes` that for all its voxels; `slice` the time of one slice of 128 KB, while
two scans at a time are being decoded beside it. Memory is Pss of the server and its workers, and what the unnamed
files hold; the limit is that of --cache-gb. One line a figure, then one JSON line.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

ROOT = Path(__file__).parents[1]
READERS, REQUESTS = 10, 100
TOKEN = "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--limit-mb", type=int, default=2048)
    parser.add_argument("--serve", nargs=3, metavar=("FOLDER", "SOCKET", "LIMIT"), help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.serve:
        serve(Path(told.serve[0]), *map(int, told.serve[1:]))
        return
    with tempfile.TemporaryDirectory() as place:
        make_ct(Path(place, "ct"), told.slices)
        make_studies(Path(place), told.studies)
        measure(Path(place), told.limit_mb << 20)


def make_ct(folder: Path, slices: int) -> None:
    folder.mkdir()
    noise = np.random.default_rng(0)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(slices):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.Modality, dataset.InstanceNumber, dataset.PatientID = "CT", k + 1, "noise"
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, k], [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.SliceThickness = [0.7, 0.7], 1
        dataset.Rows = dataset.Columns = 512
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "HU"
        dataset.PixelData = noise.integers(-1000, 1500, (512, 512), dtype=np.int16).tobytes()
        pydicom.dcmwrite(folder / f"{k:04}.dcm", dataset, enforce_file_format=True)


def make_studies(folder: Path, studies: int) -> None:
    noise = np.random.default_rng(1)
    for n in range(studies):
        voxels = noise.integers(0, 4000, (256, 256, 400), dtype=np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / f"study-{n:02}.nii")


def sources(folder: Path) -> list:
    from apps.viewer.source import Source

    ct = Source(tuple(sorted((folder / "ct").iterdir())), "dicom", modality="CT")
    return [ct, *(Source((path,), "nifti") for path in sorted(folder.glob("*.nii")))]


def serve(folder: Path, number: int, limit: int) -> None:
    from apps.viewer import serve as server
    from apps.viewer.house import Settings, house

    port = socket.socket(fileno=os.dup(number)).getsockname()[1]
    hosts = ("127.0.0.1",)
    offer = server.build

    def build(gate):  # the sources are there once the house is
        house().sources.offer(sources(folder))
        return offer(gate)

    server.build = build
    server.serve(Settings(folder, port=port, cache_bytes=limit), server.Orders(number, hosts, TOKEN))


class Client:
    """One reader: a connection, and the cookie."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.headers: dict[str, str] = {}
        answer = self.get(f"/?token={TOKEN}")[1]
        self.headers = {"Cookie": answer.getheader("set-cookie").partition(";")[0], "Accept-Encoding": "gzip"}

    def get(self, path: str) -> tuple[bytes, http.client.HTTPResponse]:
        """The body, and the rest of the answer."""
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        return answer.read(), answer


def measure(folder: Path, limit: int) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    begun = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(folder), str(listening.fileno()), str(limit)],
        pass_fds=[listening.fileno()], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    listening.close()
    try:
        client = Client(port)
        figures = {"start_s": time.perf_counter() - begun}
        time.sleep(4)  # the workers start in the background
        figures["memory_base_mb"] = taken_by(server.pid) / 2**20
        ct, *studies = [source.id for source in sources(folder)]
        figures |= opening(client, ct)
        figures |= readers(port, studies)
        figures |= {"memory_limit_mb": limit / 2**20, **memory(Client(port), studies, server.pid)}
    finally:
        server.stdin.close()
        server.wait()
    for name, value in figures.items():
        print(f"{name:24} {value:10.3f}")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def opening(client: Client, ct: str) -> dict[str, float]:
    begun = time.perf_counter()
    client.get(f"/voxels/{ct}/meta")
    decoded = time.perf_counter()
    data = client.get(f"/voxels/{ct}")[0]
    done = time.perf_counter()
    client.get(f"/voxels/{ct}/meta")
    again = time.perf_counter() - done
    size = {"ct_megabytes": len(data) / 1e6}
    return {"ct_meta_s": decoded - begun, "ct_bytes_s": done - decoded, "ct_meta_again_s": again} | size


def readers(port: int, studies: list[str]) -> dict[str, float]:
    """Ten readers of ten scans, while another opens scan after scan that nobody has opened."""
    taken: list[float] = []
    mine, others = studies[:READERS], studies[READERS:]
    opener = Client(port)
    for id in mine:
        opener.get(f"/voxels/{id}/meta")
    stop = threading.Event()
    decoding = threading.Thread(target=lambda: [stop.is_set() or opener.get(f"/voxels/{id}/meta") for id in others])
    decoding.start()

    def read(id: str) -> None:
        client, chance = Client(port), random.Random(id)
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            client.get(f"/voxels/{id}/slice/{chance.randrange(200)}")
            taken.append(time.perf_counter() - begun)
            time.sleep(0.02)

    threads = [threading.Thread(target=read, args=[id]) for id in mine]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    decoding.join()
    median, high = np.percentile(taken, [50, 95]).tolist()
    return {"slice_median_ms": median * 1e3, "slice_p95_ms": high * 1e3, "slice_max_ms": max(taken) * 1e3}


def memory(client: Client, studies: list[str], pid: int) -> dict[str, float]:
    """The peak while every scan is opened in turn, whole: what it took with nothing open is memory_base_mb."""
    peak = 0.0
    for id in studies:
        client.get(f"/voxels/{id}/meta")
        peak = max(peak, taken_by(pid))
    return {"memory_peak_mb": peak / 2**20}


def taken_by(pid: int) -> float:
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    total = 0
    for process in (str(pid), *children):
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    files = Path(f"/proc/{pid}/fd").iterdir()
    # Mapped code aside, a file without a name is a volume.
    return total + sum(file.stat().st_size for file in files if os.readlink(file).endswith("(deleted)"))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
