"""From a solution in double precision to a result that lies in its envelope in the precision asked for."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["cast_inside"]


def cast_inside(xp: ModuleType, values: Any, lower: Any, upper: Any, dtype: np.dtype) -> Any:
    """Return values in a precision, rounded to the side that lies within the bounds.

    Where no number of that precision does, it is the nearest one.
    """
    if dtype == np.float64:
        return values
    largest = float(np.finfo(dtype).max)
    # where there is no bound, a value may be beyond the range
    result = xp.clip(values, -largest, largest).astype(dtype)
    for outside, direction in ((result < lower, np.inf), (result > upper, -np.inf)):
        # beyond the largest number comes infinity, which is not taken
        with np.errstate(over="ignore"):
            next_one = xp.nextafter(result, dtype.type(direction))
        result = xp.where(outside & (next_one >= lower) & (next_one <= upper), next_one, result)
    return result
