"""What has no step program."""

from __future__ import annotations

from odespec.source import Span


class NotLowered(Exception):
    """This model has no step program yet; ``what`` says why and completes "not supported yet: …"."""

    def __init__(self, what: str, span: Span) -> None:
        self.what = what
        self.span = span
        super().__init__(what)
