"""How many processes there are, as torchrun and SLURM say it; what launch refuses."""

from __future__ import annotations

import pytest
import torch

from medudl.config import Train
from medudl.errors import UserError
from medudl.training.distributed import _processes, launch

TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"}
SLURM = {"SLURM_NTASKS": "6", "SLURM_NNODES": "3", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "0"}


@pytest.mark.parametrize(("variables", "expected"), [({}, (1, 1)), (TORCHRUN, (2, 4)), (SLURM, (3, 2))])
def test_machines_and_processes(
    variables: dict[str, str], expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*TORCHRUN, *SLURM):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert _processes() == expected


def test_a_gpu_that_is_absent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="torch sees no GPU here; set train.device=cpu or auto"):
        launch(Train(device="cuda"))
    assert launch(Train(device="auto")).device.type == "cpu"
