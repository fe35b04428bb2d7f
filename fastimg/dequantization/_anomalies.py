"""Pixels that noise has put into a neighbouring bin, found by the peak that they make in the plate."""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["anomalies"]

# An extremum that stands out by less than this part of its bin is rounding
_ROUNDING = 1e-9


def anomalies(xp: ModuleType, values: Any, lower: Any, upper: Any, bins: Any, known: Any) -> Any:
    """Return the local extrema of a solved plate that lie on a border between two bins.

    "If the reconstructed function has extrema at a given point, and this point also lies at the border of two
    regions in the low-bit-depth image, then this originates from noise" (Völgyes et al., section 6.2).

    Parameters
    ----------
    xp : module
    values : (H, W) float64
        The solution; NaN where it has none.
    lower, upper : (H, W) float64
        Between which it lies; ±inf where there is no bound.
    bins : (H, W)
        Different in different bins.
    known : (H, W) bool
        Pixels that have a bin: neither masked, nor fixed, nor removed before.

    Returns
    -------
    (H, W) bool
        Known pixels off the edge of the image that differ in their bin from one of their four neighbours, and
        that stand out from all eight, or are level with some of them and held there by their bound.
    """
    found = xp.zeros(values.shape, bool)
    if min(values.shape) < 3:
        return found
    middle, low, high = (_shifted(array, 0, 0) for array in (values, lower, upper))
    border = xp.zeros(middle.shape, bool)
    for row, column in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        differs = _shifted(bins, row, column) != _shifted(bins, 0, 0)
        border |= differs & _shifted(known, row, column)
    rounding = _ROUNDING * (high - low)
    peak = _stands_out(xp, values, rounding, middle <= low) | _stands_out(
        xp, -values, rounding, middle >= high
    )
    found[1:-1, 1:-1] = peak & border & _shifted(known, 0, 0)
    return found


def _stands_out(xp: ModuleType, values: Any, rounding: Any, held: Any) -> Any:
    """Whether a pixel is above its neighbours, or, where its lower bound holds it up, not below them."""
    neighbours = [
        _shifted(values, row, column)
        for row in (-1, 0, 1)
        for column in (-1, 0, 1)
        if (row, column) != (0, 0)
    ]
    highest, lowest = neighbours[0], neighbours[0]
    for neighbour in neighbours[1:]:
        highest, lowest = xp.maximum(highest, neighbour), xp.minimum(lowest, neighbour)
    middle = _shifted(values, 0, 0)
    return (middle > highest + rounding) | (held & (middle >= highest) & (middle > lowest + rounding))


def _shifted(array: Any, row: int, column: int) -> Any:
    """Return the neighbours in one direction of all pixels off the edge: a view (H - 2, W - 2)."""
    height, width = array.shape
    return array[1 + row : height - 1 + row, 1 + column : width - 1 + column]
