"""Decoded volumes, within a limit of bytes."""


class Store:
    """Holds decoded volumes; at most `limit` bytes of them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
