"""Open questions with a fixed protocol: `make study NAME=...`."""
