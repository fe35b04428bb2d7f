"""What a fusion tells about itself: while it runs, and at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["FusionInfo", "FusionState"]


@dataclass(frozen=True)
class FusionState:
    """What a callback is given after each iteration.

    Where the ranges outgrow a precision beyond repair, the run starts over in a wider one, and iterations are
    counted from 1 again.

    Attributes
    ----------
    iteration : int
        How many are done.
    precision : {"float32", "mixed", "float64", "log"}
        In what the scalings are held.
    range_m, range_h : float
        As in ``FusionInfo``, as they were measured last.
    """

    iteration: int
    precision: str
    range_m: float
    range_h: float
    _cube: Any = field(repr=False)
    _scale: float = field(repr=False)

    @property
    def fused(self) -> Any:
        """The cube as it is now, (rows, cols, bands), in the units of the result; a copy."""
        return self._cube * self._cube.dtype.type(self._scale)


@dataclass(frozen=True)
class FusionInfo:
    """How a fusion ended.

    Attributes
    ----------
    iterations : int
        Iterations whose result was returned.
    precision : {"float32", "mixed", "float64", "log"}
        In what the scalings were held at the end.
    phases : tuple of (str, int)
        The precisions of the run one after the other, each with the iteration that it began with.
    range_m, range_h : float
        Largest range of log u: that of u_M over the bands of a pixel, that of u_H over the pixels of a band;
        inf where numbers overflowed. With kernels that are not separate, both are the largest of any.
    """

    iterations: int
    precision: str
    phases: tuple[tuple[str, int], ...]
    range_m: float
    range_h: float
