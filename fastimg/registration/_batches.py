"""Batches cut into parts, so that the workspace stays small however long the batch is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from types import ModuleType
from typing import Any

import numpy as np

from fastimg import kernels


def parts(xp: ModuleType, count: int, bytes_each: int) -> Iterator[slice]:
    """Cut ``range(count)`` into slices whose items fit the workspace that the kernels of ``xp`` ask for."""
    size = max(1, kernels.backend(xp).WORKSPACE_BYTES // max(1, bytes_each))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def broadcast_leading(names: tuple[str, str], *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the leading shape that both arguments broadcast to."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(
            f"the leading axes of {names[0]} and {names[1]} are {shapes[0]} and {shapes[1]}; "
            "accepted are shapes that broadcast"
        ) from None


def batch_of(xp: ModuleType, array: Any, leading: tuple[int, ...], item_ndim: int) -> Callable[[slice], Any]:
    """Return a function that gives a part of the batch, as one leading axis in front of the items.

    That axis has length 1 where every item is the same one. Only the part is ever copied.
    """
    item = array.shape[array.ndim - item_ndim :]
    if prod(array.shape[: array.ndim - item_ndim]) == 1:
        single = array.reshape(1, *item)
        return lambda part: single
    if array.shape == leading + item and array.flags.c_contiguous:
        flat = array.reshape(-1, *item)
        return lambda part: flat[part]
    whole = xp.broadcast_to(array, leading + item)
    return lambda part: whole[xp.unravel_index(xp.arange(part.start, part.stop), leading)]
