"""The run folder and the files in it: whole or not at all, refused when they are not ours."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medudl.config import Config, validate_config
from medudl.data.cohort import Cohort, Series
from medudl.errors import UserError
from medudl.run import FORMAT, Run, load_state, save_state
from medudl.state import replace_file

SHAPE = [1, 8, 8]
FULL = "Error while serializing: I/O error: No space left on device (os error 28)"


def config() -> Config:
    return validate_config({"method": {"name": "autoencoder", "latent": 2, "width": 4, "levels": 1}}, "test")


def new_run(path: Path) -> Run:
    return Run.create(path, config(), Cohort.of(path.parent, [Series("01", series="a", path="a.nii.gz")]))


def test_state_round_trip(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    half = torch.ones(2, dtype=torch.bfloat16)
    tree = {
        "tensors": [shared, shared.view(2, 3).T, torch.tensor(1.5), torch.zeros(0, 3), half],
        "optimiser": {0: {"step": torch.tensor(3.0)}, 1: {}},
        "numbers": [0.1, 1e-300, 7, True, None, float("inf")],
        "words": {"": "ü", "a/b": {"c": [[]]}},
        "bits": torch.get_rng_state(),
    }  # fmt: skip
    save_state(tmp_path / "s.safetensors", tree)
    back = load_state(tmp_path / "s.safetensors")
    assert back["numbers"] == tree["numbers"] and back["words"] == tree["words"]
    assert set(back["optimiser"]) == {0, 1} and back["optimiser"][1] == {}
    for saved, given in zip([*back["tensors"], back["bits"]], [*tree["tensors"], tree["bits"]], strict=True):  # type: ignore[misc]
        assert saved.dtype == given.dtype and torch.equal(saved, given)


def test_what_is_no_tensor_number_or_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"a/0/ is a set"):
        save_state(tmp_path / "s.safetensors", {"a": [{1, 2}]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", ["tensor", "tree", "length", "empty", "foreign"])
def test_damage_is_seen(where: str, tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    save_state(path, {"weights": torch.ones(1000), "step": 1234})
    content = bytearray(path.read_bytes())
    if where == "tensor":
        content[-2000] ^= 1
    elif where == "tree":
        content = bytearray(bytes(content).replace(b"1234", b"1235"))
    elif where == "length":
        content = content[:-100]
    elif where == "empty":
        content = bytearray()
    else:
        from safetensors.torch import save

        content = bytearray(save({"weights": torch.ones(3)}))
    path.write_bytes(content)
    with pytest.raises(UserError, match="not written by medudl" if where == "foreign" else "damaged"):
        load_state(path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        replace_file(path, fail)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch

    def full(*_: object) -> None:  # its words on a full tmpfs
        raise safetensors.SafetensorError(FULL)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="s.safetensors") as caught:
        save_state(tmp_path / "s.safetensors", {"weights": torch.ones(3)})
    assert caught.value.errno == errno.ENOSPC


def test_run_round_trip(tmp_path: Path) -> None:
    from medudl.methods import build

    run = new_run(tmp_path / "deep" / "run")
    with pytest.raises(UserError, match="never began"):
        Run.open(run.path).method()
    run.update({"shape": SHAPE})
    with pytest.raises(UserError, match="no weights yet"):
        Run.open(run.path).method()
    torch.manual_seed(0)
    method = build("autoencoder", SHAPE, {"latent": 2, "width": 4, "levels": 1})
    save_state(run.path / "weights.safetensors", {"weights": method.state_dict()})
    run.write_json("calibration.json", {"threshold": 0.5})

    again = Run.open(tmp_path / "deep" / "run")
    assert again.config == config() and again.shape == (1, 8, 8)
    assert [s.subject for s in again.cohort().series()] == ["01"]
    assert again.cohort().root.resolve() == (tmp_path / "deep").resolve()
    assert again.read_json("calibration.json") == {"threshold": 0.5}
    restored = again.method()
    assert not restored.training
    image = torch.rand(2, *SHAPE)
    assert torch.equal(restored.reconstruct(image), method.eval().reconstruct(image))  # type: ignore[attr-defined,operator]
    assert not [p for p in run.path.parent.iterdir() if p.name != "run"], "building left something behind"


def test_a_folder_in_use_is_not_touched(tmp_path: Path) -> None:
    new_run(tmp_path / "run")
    with pytest.raises(UserError, match="holds a run already.*--resume"):
        new_run(tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match="is not a run; give a new or an empty folder"):
        new_run(tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]
    (tmp_path / "empty").mkdir()
    assert new_run(tmp_path / "empty").path.is_dir()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"not a run \(no run.json\)"),
        (json.dumps({"format": FORMAT + 1, "medudl": "9.9"}), f"run format {FORMAT + 1}, written by medudl 9.9"),
        (json.dumps([1]), "run format None"),
        ("{", "run.json: damaged"),
    ],
)
def test_what_is_no_run_of_ours_is_refused(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=words):
        Run.open(tmp_path)
    with pytest.raises(UserError, match="no such run"):
        Run.open(tmp_path / "absent")


def test_opening_a_run_needs_no_torch(tmp_path: Path) -> None:
    path = new_run(tmp_path / "run").path
    code = f"import sys; from medudl.run import Run; Run.open({str(path)!r}).cohort(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
