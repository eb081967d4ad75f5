"""The JAX back end of odespec: importing it imports no JAX."""

from odespec_jax.backend import backend

__all__ = ["backend"]
