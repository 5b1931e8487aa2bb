"""Bad input: one line that says what, where and what to do; exit code 2; no traceback; nothing half-written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from bad_inputs import BAD_SAMPLING, CANARY, FOLDERS, HOSTILE, ct_slice, plant_canary, save

MEMORY_MB = 400
HANG_S = (
    60  # not a speed claim (benchmarks/bad_input.py prints the seconds): a bomb that is parsed would run for minutes
)


@dataclass
class Outcome:
    code: int
    stderr: str
    stdout: str
    peak_mb: float


def medudl(*args: str | Path, cwd: Path | None = None) -> Outcome:
    """Run the command line in a process of its own; `peak_mb` is the largest of it and its workers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "medudl.cli", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, text=True, cwd=cwd, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=HANG_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Outcome(process.returncode, err, out, peak)


def refused(outcome: Outcome) -> str:
    """The one line, after checking that it is one."""
    assert outcome.code == 2, f"exit {outcome.code}\n{outcome.stdout}\n{outcome.stderr}"
    assert "Traceback" not in outcome.stderr + outcome.stdout
    lines = [line for line in outcome.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("medudl: "), outcome.stderr
    assert len(lines[0]) < 600
    return lines[0]


@pytest.mark.parametrize("name", FOLDERS)
def test_index_refuses(name: str, tmp_path: Path) -> None:
    folder = FOLDERS[name](tmp_path / "scans")
    outcome = medudl("index", folder, "-o", tmp_path / "out" / "cohort.csv")
    line = refused(outcome)
    assert "scans" in line
    assert not (tmp_path / "out" / "cohort.csv").exists()


def test_memory_of_a_refusal(tmp_path: Path) -> None:
    """The largest process over all bad folders, in a fresh parent so that no other test's child counts."""
    code = (
        "import resource, sys, pathlib; sys.path.insert(0, sys.argv[2]); import test_bad_input as t\n"
        "tmp = pathlib.Path(sys.argv[1])\n"
        "for i, make in enumerate(t.FOLDERS.values()):\n"
        "    t.refused(t.medudl('index', make(tmp / f'scans{i}'), '-o', tmp / 'out.csv'))\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)], capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert float(done.stdout) < MEMORY_MB


def test_a_run_is_needed(tmp_path: Path) -> None:
    save(ct_slice(0), tmp_path / "scans" / "a.dcm")
    (tmp_path / "run").mkdir()
    assert "run" in refused(medudl("detect", tmp_path / "run", tmp_path / "scans", "-o", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("method: {name: autoencoder}\ndata: {chanels: [T1]}", "channels"),
        ("method: {name: autoencoder, latnet: 3}", "latent"),
        ("method: {name: autoencodr}", "autoencoder"),
        ("method: {name: autoencoder}\ntrian: {}", "train"),
        ("method: {name: autoencoder}\ntrain: {optimiser: {rl: 1}}", "lr"),
    ],
)
def test_an_unknown_key_names_the_nearest(text: str, nearest: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "cohort.csv").write_text("subject,path,format\nA,a.nii.gz,nifti\n")
    outcome = medudl("train", tmp_path / "config.yaml", "--cohort", tmp_path / "cohort.csv", "-o", tmp_path / "run")
    assert f"did you mean {nearest}?" in refused(outcome)
    assert not (tmp_path / "run").exists()


def test_hostile_ids_stay_inside(tmp_path: Path) -> None:
    """30 hostile PatientIDs and UIDs: everything written lies in OUT, and no name is one that a system forbids."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of the invalid values that this test is about
        for number, hostile in enumerate(HOSTILE):
            for index in range(3):
                slice_ = ct_slice(index, patient=hostile, series=f"1.2.3.{number}", study=f"1.2.{number}")
                if number % 2:
                    slice_.StudyInstanceUID = (
                        hostile[:64].replace("\\", "/").encode("ascii", "ignore").decode() or "1.2"
                    )
                save(slice_, tmp_path / "scans" / str(number) / f"{index}.dcm")
    before = set(tmp_path.rglob("*"))
    outcome = medudl("index", tmp_path / "scans", "-o", tmp_path / "out" / "cohort.csv", cwd=tmp_path)
    assert outcome.code == 0, outcome.stderr
    written = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path / "out") for path in written)
    table = (tmp_path / "out" / "cohort.csv").read_text()
    assert "escape" not in table and "DROP" not in table and "pwned" not in table


def test_a_canary_name_goes_nowhere(tmp_path: Path) -> None:
    for index in range(3):
        slice_ = ct_slice(index, patient=CANARY)
        plant_canary(slice_)
        save(slice_, tmp_path / "scans" / f"{index}.dcm")
    outcome = medudl("index", tmp_path / "scans", "-o", tmp_path / "out" / "cohort.csv")
    assert outcome.code == 0, outcome.stderr
    assert "CANARY" not in outcome.stdout + outcome.stderr
    for path in (tmp_path / "out").rglob("*"):
        assert "CANARY" not in path.name
        assert path.is_dir() or b"CANARY" not in path.read_bytes()


@pytest.mark.parametrize("name", BAD_SAMPLING)
def test_sample_refuses(name: str, tmp_path: Path) -> None:
    """One line, exit 2, and OUT as it was before."""
    arguments, told = BAD_SAMPLING[name](tmp_path)
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    assert told in refused(medudl(*arguments, cwd=tmp_path))
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before
