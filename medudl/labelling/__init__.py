"""Models and labels brought together: train on what readers said, and put what is left in a new order."""
