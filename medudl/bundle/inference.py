"""configs/inference.json: what `python -m monai.bundle run` builds and calls."""

from __future__ import annotations

from typing import Any

from medudl.bundle.shipped import WEIGHTS

_HERE = "medudl.bundle"


def inference(*, translates: bool = False) -> dict[str, Any]:
    """The content of configs/inference.json. Nothing of a run stands in it: settings lie in configs/medudl.json.

    translates: there is `to` too, which side is to be made; null is the target as trained.

    So no word of a user's config (a label such as "$x") is ever evaluated by MONAI's parser.
    """
    to = {"to": "@to"} if translates else {}
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/scans'",
        "output_dir": "$@bundle_root + '/eval'",
        "ckpt_path": f"$@bundle_root + '/{WEIGHTS}'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        **dict.fromkeys(to),
        "shipped": {"_target_": f"{_HERE}.shipped.Shipped", "root": "@bundle_root", **to},
        "network_def": {"_target_": f"{_HERE}.network.Network", "shipped": "@shipped"},
        "network": "$@network_def.load(@ckpt_path).to(@device)",
        "preprocessing": {"_target_": f"{_HERE}.workflow.Prepare", "shipped": "@shipped"},
        "dataset": {
            "_target_": "monai.data.Dataset",
            "data": {"_target_": f"{_HERE}.workflow.scans", "shipped": "@shipped", "dataset_dir": "@dataset_dir"},
            "transform": "@preprocessing",
        },
        "inferer": {"_target_": f"{_HERE}.workflow.Inferer", "shipped": "@shipped"},
        "postprocessing": {
            "_target_": f"{_HERE}.workflow.Write",
            "shipped": "@shipped",
            "network": "@network",
            "output_dir": "@output_dir",
        },
        "evaluator": {
            "_target_": f"{_HERE}.workflow.Evaluator",
            "dataset": "@dataset",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }
