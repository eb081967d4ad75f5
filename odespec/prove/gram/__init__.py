"""Gram problems: their worst case in floating point, and exact rational proofs."""
