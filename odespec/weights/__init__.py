"""Concrete weights: whether they obey a spec, exactly, and samples of those that do."""
