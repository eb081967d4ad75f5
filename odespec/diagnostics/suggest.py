"""The name that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable

MAX_LENGTH = 100
"""Longer names get no suggestion: comparing takes time quadratic in the length."""


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like a name, None where none is close. Case alone counts little; ties go to the first."""
    if not 1 < len(name) <= MAX_LENGTH:
        return None
    from difflib import SequenceMatcher

    best, score = None, 0.0
    for candidate in candidates:
        if abs(len(candidate) - len(name)) > max(3, len(name) // 2):
            continue
        likeness = SequenceMatcher(None, name.lower(), candidate.lower()).ratio()
        if likeness > score:
            best, score = candidate, likeness
    return best if score >= 0.6 else None
