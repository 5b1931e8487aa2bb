"""Learning from medical scans without labels.

`medudl.index`, `medudl.train`, `medudl.detect` and `medudl.evaluate` are the commands of the same name.
"""

from medudl.api import detect, evaluate, index, train
from medudl.version import VERSION as __version__

__all__ = ["__version__", "detect", "evaluate", "index", "train"]
