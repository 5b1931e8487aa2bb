"""ONNX: one graph of all that the method says of an image, one of its decoder or way back. Equal to torch to 1e-5."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from medudl.bundle.network import OUTPUTS, main_verb
from medudl.errors import UserError
from medudl.methods.method import Method

if TYPE_CHECKING:
    from collections.abc import Iterator

OPSET = 18
MODEL, DECODER, BACK = "model.onnx", "decoder.onnx", "back.onnx"
_TOLERANCE = 1e-5  # of the largest value of an output, at least of 1
_BATCH = 2  # the exporter takes a batch of 1 for a constant
_TRIED = 3  # another batch than the one exported with, so that the free axis is put to the test


@dataclass
class Graphs:
    """What came of it. files: {file: its outputs}; left_out: {verb: why}; worst: largest difference from torch."""

    files: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    worst: float = 0.0


class _Verbs(nn.Module):
    """(B, C, *S) -> the outputs of several verbs, as a tuple in the order of `names`."""

    def __init__(self, method: Method, verbs: Sequence[str], names: Sequence[str]) -> None:
        super().__init__()
        self.method, self.verbs, self.names = method, tuple(verbs), tuple(names)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found: dict[str, Tensor] = {}
        for verb in self.verbs:
            found |= _ALL[verb](self.method, image)
        return tuple(found[name] for name in self.names)


class _Decoder(nn.Module):
    """(B, Z) -> (B, C, *S)."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method: Any = method

    def forward(self, code: Tensor) -> Tensor:
        image: Tensor = self.method.decode(code)
        return image


class _Back(nn.Module):
    """(B, C', *S) -> (B, C, *S)."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method: Any = method

    def forward(self, target: Tensor) -> Tensor:
        image: Tensor = self.method.back(target)
        return image


_ALL: Mapping[str, Callable[[Any, Tensor], dict[str, Tensor]]] = {
    **OUTPUTS,
    "scores": lambda method, image: method.scores(image),
}


def write_graphs(method: Method, folder: Path) -> Graphs:
    """Write folder/model.onnx, of a method that decodes decoder.onnx, of one that translates both ways back.onnx.

    Each is compared with torch. A verb that cannot be exported, or whose numbers differ, is left out and its reason
    told; where the first one can not, there is no model.onnx. Raises UserError: onnx or onnxscript is not installed.
    """
    _check_installed()
    method = method.cpu().eval()
    made = Graphs()
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(_TRIED, *method.shape, generator=generator)
    first = main_verb(method)
    verbs = [first, *(verb for verb in OUTPUTS if verb in method.verbs() and verb != first)]
    verbs += ["scores"] if method.score_names else []
    with torch.no_grad():
        kept = _names(method, verbs, image)
        if not _try(made, method, verbs, kept, image, folder / MODEL):
            verbs = [verb for verb in verbs if _try(made, method, [verb], kept, image, folder / MODEL, keep=False)]
            made.files.pop(MODEL, None)
            if first in verbs and not _try(made, method, verbs, kept, image, folder / MODEL):
                raise UserError(f"{MODEL}: {made.left_out.pop(' + '.join(verbs))}; export with --no-onnx")
        if "decode" in method.verbs() and "encode" in method.verbs():
            code = OUTPUTS["encode"](method, image)["code"]
            _attempt(made, _Decoder(method), {"code": code}, ["image"], folder / DECODER, "decode")
        if "back" in method.verbs():
            target = OUTPUTS["translate"](method, image)["target"]
            _attempt(made, _Back(method), {"target": target}, ["image"], folder / BACK, "back")
    return made


def _names(method: Method, verbs: Sequence[str], image: Tensor) -> dict[str, list[str]]:
    """The outputs of each verb."""
    return {verb: list(_ALL[verb](method, image)) for verb in verbs}


def _try(
    made: Graphs, method: Method, verbs: Sequence[str], kept: Mapping[str, list[str]], image: Tensor, path: Path,
    keep: bool = True,
) -> bool:  # fmt: skip
    names = list(dict.fromkeys(name for verb in verbs for name in kept[verb]))
    ok = _attempt(made, _Verbs(method, verbs, names), {"image": image}, names, path, " + ".join(verbs))
    if ok and not keep:
        path.unlink()
    if len(verbs) > 1 and not ok:
        made.left_out.pop(" + ".join(verbs))  # told verb by verb instead
    return ok


def _attempt(
    made: Graphs, module: nn.Module, inputs: dict[str, Tensor], names: list[str], path: Path, verb: str
) -> bool:
    """Export, compare with torch on another batch size, keep the file or say why not."""
    module.eval()
    try:
        _export(module, inputs, names, path)
        worst = difference(module, inputs, path)
    except Exception as error:  # the exporter's ways to refuse an operation have no common kind
        path.unlink(missing_ok=True)
        made.left_out[verb] = _reason(error)
        return False
    if not worst <= _TOLERANCE:
        path.unlink()
        made.left_out[verb] = f"its numbers differ from torch's by {worst:.1e}"
        return False
    made.files[path.name], made.worst = names, max(made.worst, worst)
    return True


def _reason(error: BaseException) -> str:
    """What the exporter stumbled over, without its advice and colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__} ({' '.join(str(error).split())[:200]})"


def _export(module: nn.Module, inputs: dict[str, Tensor], names: list[str], path: Path) -> None:
    ((name, example),) = inputs.items()
    with _quiet():
        torch.onnx.export(
            module, (example[:_BATCH].clone(),), str(path), input_names=[name], output_names=names, opset_version=OPSET,
            dynamo=True, external_data=False, verbose=False,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )  # fmt: skip
    _forget_paths(path)


def _forget_paths(path: Path) -> None:
    """Take out the exporter's notes on where each operation stood in the code: they name this machine's folders."""
    import onnx

    model = onnx.load(str(path))
    graphs = [model.graph, *model.functions]
    for part in [model, model.graph, *(node for graph in graphs for node in graph.node), *model.functions]:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(model, str(path))


@torch.no_grad()
def difference(module: nn.Module, inputs: Mapping[str, Tensor], path: Path) -> float:
    """Largest difference between torch and ONNX Runtime over all outputs, each relative to its largest value or 1."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    told = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    expected = module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    worst = 0.0
    for mine, other in zip(expected, told, strict=True):
        away = (mine.double() - torch.as_tensor(other).double()).abs().max() / mine.double().abs().max().clamp(min=1)
        worst = max(worst, float("inf") if away.isnan() else float(away))
    return worst


def _check_installed() -> None:
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise UserError(
            f'ONNX needs {error.name}; run: pip install "medudl[export]", or export with --no-onnx'
        ) from None
    assert onnx and onnxruntime and onnxscript


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own workings and prints its progress."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                yield
    finally:
        logging.disable(before)
