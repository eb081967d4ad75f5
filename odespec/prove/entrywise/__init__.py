"""Distance claims in the norms inf and 1: differences row by row."""
