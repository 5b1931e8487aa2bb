"""Verbs over methods, on whole scans: restore the pipeline of a run, apply it, call the method, invert it, write."""
