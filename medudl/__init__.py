"""Learning from medical scans without labels.

Each command is a function of the same name: `medudl.index`, `train`, `detect`, `translate`, `sample`, `embed`,
`classify`, `evaluate`, `export`, `view`; those of `medudl label` are `label_start`, `label_grow`, `label_import`,
`label_export`, `label_agreement`, `label_queue`, `label_train`.
"""

from typing import TYPE_CHECKING, Any

from medudl.version import VERSION as __version__

if TYPE_CHECKING:
    from medudl.api import (
        classify,
        detect,
        embed,
        evaluate,
        export,
        index,
        label_agreement,
        label_export,
        label_grow,
        label_import,
        label_queue,
        label_start,
        label_train,
        sample,
        train,
        translate,
        view,
    )

__all__ = [
    "__version__",
    "classify",
    "detect",
    "embed",
    "evaluate",
    "export",
    "index",
    "label_agreement",
    "label_export",
    "label_grow",
    "label_import",
    "label_queue",
    "label_start",
    "label_train",
    "sample",
    "translate",
    "train",
    "view",
]


def __getattr__(name: str) -> Any:
    # Not imported at once: the workers that read files start many times, and need none of it.
    if name not in __all__:
        raise AttributeError(f"module 'medudl' has no attribute {name!r}")
    from medudl import api

    return getattr(api, name)
