"""The factor that keeps a barycenter from being blurred: a scaling balanced against its own blur."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ._jit import jit

__all__ = ["compiled_balance"]


@lru_cache(None)
def compiled_balance(part: int) -> Callable[..., None]:
    """Compile ``scaling = √(scaling measure / convolved)`` of parts of ``part`` numbers."""

    @jit()
    def balance(begin, end, measure, convolved, scaling):
        for i in range(begin * part, min(end * part, scaling.size)):
            product = scaling[i] * measure[i]
            scaling[i] = np.sqrt(product / convolved[i]) if product > 0 else product

    return balance
