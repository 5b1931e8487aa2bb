"""Learning from medical scans without labels.

`medudl.index`, `medudl.train`, `medudl.detect` and `medudl.evaluate` are the commands of the same name.
"""

from medudl.api import detect, evaluate, index, train

__version__ = "0.1.0"
__all__ = ["detect", "evaluate", "index", "train"]
