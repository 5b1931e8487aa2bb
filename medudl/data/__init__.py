"""From files to batches. Index and readers import neither torch nor MONAI: bad input is told before either loads."""
