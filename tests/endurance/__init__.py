"""What runs for hours, and therefore not in the suite."""
