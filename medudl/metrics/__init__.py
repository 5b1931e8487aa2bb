"""Figures from arrays: no file is read, no network is known here."""
