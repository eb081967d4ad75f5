"""Quadratic forms in linear images of a difference that no step lets grow: metrics, given or searched for."""
