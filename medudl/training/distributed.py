"""Devices, precision and ranks through Lightning Fabric, and what the ranks tell one another."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from medudl.config import Train
from medudl.errors import UserError

PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
# Rank 0 fills the cache while the others wait; a large cohort takes longer than torch's half hour.
PATIENCE = timedelta(days=1)


def launch(train: Train) -> Fabric:
    """Fabric on the device, precision and processes asked for; `torchrun` and SLURM say how many processes.

    Raises UserError: no such device, fp16 on a CPU (which Fabric would turn into bf16 without a word).
    """
    device = _device(train.device)
    if train.precision == "fp16" and device == "cpu":
        raise UserError("train.precision: fp16 needs a GPU; on a CPU set train.precision=bf16 or fp32")
    nodes, local = _processes()
    if device == "cuda" and local > torch.cuda.device_count():
        raise UserError(f"{local} processes on this machine but {torch.cuda.device_count()} GPUs; start fewer of them")
    strategy: Any = DDPStrategy(timeout=PATIENCE) if nodes * local > 1 else "auto"
    fabric = Fabric(
        accelerator=device, devices=local, num_nodes=nodes, strategy=strategy, precision=PRECISIONS[train.precision]
    )
    fabric.launch()
    return fabric


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device: cuda, but torch sees no GPU here; set train.device=cpu or auto")
    return wanted


def _processes() -> tuple[int, int]:
    """(machines, processes on each)."""
    if dist.is_available() and dist.is_torchelastic_launched():
        world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        return world // local, local
    if SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", 1))
        return nodes, int(os.environ["SLURM_NTASKS"]) // nodes
    return 1, 1


def same_everywhere(fabric: Fabric, module: nn.Module) -> None:
    """Give every rank the weights and buffers of rank 0."""
    if fabric.world_size > 1:
        for tensor in (*module.parameters(), *module.buffers()):
            dist.broadcast(tensor.data, 0)


def average_gradients(fabric: Fabric, parameters: Sequence[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the ranks, in one message.

    The list is fixed and the same on every rank; a rank without a gradient for a parameter sends zeros. A parameter
    that no rank has a gradient for keeps none, so that its momentum rests as it would in a single process.
    """
    if fabric.world_size == 1:
        return
    device = parameters[0].device
    present = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=device)
    flat = torch.cat([*(_flat(p) for p in parameters), present])
    dist.all_reduce(flat)
    start = 0
    for parameter, senders in zip(parameters, flat[-len(parameters) :].tolist(), strict=True):
        mean = flat[start : start + parameter.numel()] / fabric.world_size
        parameter.grad = mean.view_as(parameter).to(parameter.dtype) if senders else None
        start += parameter.numel()


def _flat(parameter: nn.Parameter) -> Tensor:
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros(parameter.numel(), device=parameter.device)
    return gradient.reshape(-1).float()


def largest(fabric: Fabric, number: int) -> int:
    """The largest of the ranks' numbers: how a flag raised on one rank becomes a decision of all."""
    if fabric.world_size == 1:
        return number
    tensor = torch.tensor(number, device=fabric.device)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return int(tensor)


def gather(fabric: Fabric, value: Any) -> list[Any]:
    """Every rank's value, in the order of the ranks. It travels between our own processes, never through a file."""
    if fabric.world_size == 1:
        return [value]
    values: list[Any] = [None] * fabric.world_size
    dist.all_gather_object(values, value)
    return values
