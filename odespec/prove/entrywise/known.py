"""What is known of an operator for all weights that a model allows."""

from __future__ import annotations

from odespec.prove.entrywise.corners import Shape
from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the rows and of the columns of an operator."""

    rows: Shape
    columns: Shape
    why: str = ""

    @property
    def transposed(self) -> Known:
        return Known(self.columns, self.rows, self.why)
