"""Applications on top of medudl."""
