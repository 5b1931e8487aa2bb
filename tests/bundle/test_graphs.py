"""ONNX says what torch says: over every method, at another batch size than the one exported with."""

import json
from pathlib import Path

import pytest
import torch

from medudl.bundle import graphs
from medudl.bundle.graphs import DECODER, MODEL, write_graphs
from medudl.bundle.network import main_verb
from medudl.errors import UserError
from medudl.methods import METHODS, build

SHAPES = {2: (1, 16, 16), 3: (1, 8, 16, 8)}
# Where a whole graph cannot be written, and why; an entry that is no longer true fails.
WITHOUT: dict[tuple[str, str], str] = {
    ("variational_autoencoder", "scores"): "its bound is sampled, with a random generator of its own",
}
WITHOUT_IMAGES = {"gan", "conditional_gan"}  # they draw images and look at none


def _cases():
    """The tiny forms of every method, as the contract test has them; the first of each in both dimensions."""
    place = Path(__file__).parents[1] / "methods" / "contract_cases.py"
    found: dict[str, object] = {"__name__": "contract_cases"}
    exec(compile(place.read_text(), str(place), "exec"), found)  # beside tests/methods, not in its path
    return [(name, options) for name, options in found["CASES"] if name in METHODS]


def test_an_autoencoder_of_one_graph(tmp_path) -> None:
    torch.manual_seed(0)
    method = build("autoencoder", SHAPES[2], {"latent": 6, "width": 4, "levels": 1})
    made = write_graphs(method, tmp_path)
    assert made.files[MODEL][:4] == ["anomaly", "score", "expected", "code"] and made.files[DECODER] == ["image"]
    assert made.left_out == {} and made.worst < 1e-5
    print(f"\nONNX against torch, autoencoder: {made.worst:.1e} of the largest value, n = 3 images, seed 0")
    for path in tmp_path.iterdir():  # the exporter notes where in the code each operation stood
        assert str(Path(graphs.__file__).parents[2]).encode() not in path.read_bytes()


def test_a_graph_with_other_numbers_is_left_out(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(graphs, "_export", lambda module, inputs, names, path: path.write_bytes(b"graph"))
    for worst, kept in ((0.9e-5, True), (1.1e-5, False), (float("inf"), False)):
        monkeypatch.setattr(graphs, "difference", lambda *_, worst=worst: worst)
        made = graphs.Graphs()
        assert graphs._attempt(made, torch.nn.Identity(), {}, ["x"], tmp_path / "x.onnx", "anomaly") is kept
        assert (tmp_path / "x.onnx").exists() is kept and bool(made.files) is kept
        assert kept or "differ from torch's" in made.left_out["anomaly"]


def test_a_verb_that_cannot_be_exported_is_named_with_the_reason(tmp_path, monkeypatch) -> None:
    """One verb is refused: the others make the graph without it."""

    def export(module, inputs, names, path) -> None:
        if "code" in names:
            raise RuntimeError("step 1 of 3 failed") from TypeError("no such operation")
        path.write_bytes(b"graph")

    monkeypatch.setattr(graphs, "_export", export)
    monkeypatch.setattr(graphs, "difference", lambda *_: 0.0)
    made = write_graphs(build("autoencoder", SHAPES[2], {"latent": 6, "width": 4, "levels": 1}), tmp_path)
    assert made.left_out == {"encode": "TypeError (no such operation)"}
    assert made.files[MODEL] == ["anomaly", "score", "expected", "latent_distance"]


def test_the_difference_is_seen(tmp_path) -> None:
    """Numbers of a graph and of a module that is not the one exported."""
    graphs._export(torch.nn.Linear(2, 2), {"x": torch.rand(3, 2)}, ["y"], tmp_path / "x.onnx")
    assert graphs.difference(torch.nn.Linear(2, 2), {"x": torch.rand(3, 2)}, tmp_path / "x.onnx") > 1e-3


def test_without_onnx_the_way_out_is_told(monkeypatch, tmp_path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match="--no-onnx"):
        write_graphs(build("autoencoder", SHAPES[2], {"latent": 6, "width": 4, "levels": 1}), tmp_path)


@pytest.mark.proof
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("name", "options"), _cases(), ids=lambda x: x if isinstance(x, str) else json.dumps(x)[:60])
def test_every_method_says_the_same_in_onnx(name, options, dims, tmp_path) -> None:
    torch.manual_seed(0)
    method = _built(name, options, dims)
    if name in WITHOUT_IMAGES:
        with pytest.raises(UserError, match="no verb that takes an image"):
            main_verb(method)
        return
    made = write_graphs(method, tmp_path)
    verbs = [v for v in graphs.OUTPUTS if v in method.verbs()]
    print(f"\nONNX against torch, {name} {dims}-D: {made.worst:.1e}, {made.files}, left out: {made.left_out}")
    assert made.worst <= 1e-5
    assert {verb for verb in made.left_out} == {verb for method_, verb in WITHOUT if method_ == name}
    if main_verb(method) not in made.left_out:
        assert len(made.files[MODEL]) >= len(set(verbs) - made.left_out.keys())


def _built(name, options, dims):
    from medudl.methods import method_class

    if dims not in method_class(name).dims:
        pytest.skip(f"{name} takes no {dims}-D images")
    method = build(name, SHAPES[dims], options)
    if name == "label_spreading":  # what is fitted at the end: before, a batch is taken by its own statistics
        label = torch.tensor([0, 1] * 4 + [-1] * 8)
        with torch.no_grad():
            method.eval().settle([{"image": torch.rand(len(label), *SHAPES[dims]), "label": label}])
    return method
