"""Files that survive a power cut, and trees of tensors, numbers and words in one of them. Nothing is ever pickled."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medudl.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_TENSOR = "__tensor__"
_ITEMS = "__items__"


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file, push it to the disk, then put it at `path` in one move.

    Whoever reads `path` finds the old file or the new one, never a part of one, also after kill -9.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one move."""
    replace_file(path, lambda temporary: _write_plain(temporary, text))


def save_state(path: str | Path, tree: Any) -> None:
    """Write a tree of dicts, lists, tensors, numbers, words, booleans and None to one safetensors file.

    Tensors are the file's tensors, named by their place in the tree ("weights/encoder.0.weight"); the rest is JSON in
    its header, with a SHA-256 over both. Tuples come back as lists. Raises TypeError for anything else in the tree,
    OSError where the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    text = json.dumps(_pack(tree, "", tensors))
    metadata = {"tree": text, "sha256": _digest(text, tensors)}

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            code = errno.ENOSPC if f"os error {errno.ENOSPC}" in str(error) else errno.EIO
            raise OSError(code, str(error), str(path)) from None

    replace_file(Path(path), write)


def load_state(path: str | Path) -> Any:
    """Read what `save_state` wrote, tensors on the CPU. Raises UserError: no such file, damaged, not one of ours."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; is this a finished run?")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: damaged ({' '.join(str(error).split())}); restore it from a copy") from None
    if "tree" not in metadata or "sha256" not in metadata:
        raise UserError(f"{path}: not written by medudl; give a file of a run folder")
    if metadata["sha256"] != _digest(metadata["tree"], tensors):
        raise UserError(f"{path}: damaged (its content does not match its SHA-256); restore it from a copy")
    return _unpack(json.loads(metadata["tree"]), tensors)


def _write_plain(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _pack(node: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """The JSON side of a tree; its tensors are put into `tensors`."""
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    if isinstance(node, (list, tuple)):
        return [_pack(child, f"{place}{i}/", tensors) for i, child in enumerate(node)]
    if isinstance(node, dict):
        items = [(key, _pack(child, f"{place}{key}/", tensors)) for key, child in node.items()]
        if all(isinstance(key, str) and key not in (_TENSOR, _ITEMS) for key in node):
            return dict(items)
        return {_ITEMS: [[_pack(key, place, tensors), child] for key, child in items]}  # JSON has no other keys
    if hasattr(node, "detach"):
        name = place.rstrip("/") or "tensor"
        if name in tensors:
            raise TypeError(f"two tensors would be called {name}")
        # A copy: tensors that share memory (tied weights) are no valid file otherwise.
        tensors[name] = node.detach().cpu().clone().contiguous()
        return {_TENSOR: name}
    raise TypeError(f"{place or 'the tree'} is a {type(node).__name__}; a state holds tensors, numbers and words only")


def _unpack(node: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_unpack(child, tensors) for child in node]
    if not isinstance(node, dict):
        return node
    if _TENSOR in node:
        return tensors[node[_TENSOR]]
    if _ITEMS in node:
        return {_unpack(key, tensors): _unpack(child, tensors) for key, child in node[_ITEMS]}
    return {key: _unpack(child, tensors) for key, child in node.items()}


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    import torch

    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
