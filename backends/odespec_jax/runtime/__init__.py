"""The functions that emitted files are made of: an emitted file holds a copy of those that it calls.

The modules here are read as text, never imported by the compiler. Each function stands alone with ``math``, ``jax``,
``numpy`` and the other functions. The arithmetic is that of the other back ends, so that all agree to rounding.
"""
