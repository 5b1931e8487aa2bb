"""How good a run is, beside what any ruler could do: baselines, figures, verdict, pages."""
