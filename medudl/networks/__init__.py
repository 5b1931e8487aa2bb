"""Building blocks and networks; no losses in here."""
