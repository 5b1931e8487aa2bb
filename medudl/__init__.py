"""Learning from medical scans without labels."""

__version__ = "0.1.0"
