"""Extrema over square windows, from array operations alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["windowed"]


def windowed(extremum: Callable[..., Any], values: Any, radius: int) -> Any:
    """Return ``xp.maximum`` or ``xp.minimum`` over windows of side 2 radius + 1, which end at the edge."""
    for axis, length in enumerate(values.shape):
        found = values.copy()
        for distance in range(1, min(radius, length - 1) + 1):
            ahead, behind = [slice(None)] * values.ndim, [slice(None)] * values.ndim
            ahead[axis], behind[axis] = slice(distance, None), slice(None, length - distance)
            for target, source in ((tuple(ahead), tuple(behind)), (tuple(behind), tuple(ahead))):
                found[target] = extremum(found[target], values[source])
        values = found
    return values
