"""What labels are worth: the arms that are compared, their scans, and one training a point."""
