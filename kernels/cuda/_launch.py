"""Launches of the CUDA kernels: one-dimensional grids, scalars of the exact types that the kernels read."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._module import get_function

__all__ = ["SCALARS", "ceil_div", "kind", "launch", "tiles"]

# CuPy passes the bytes of a scalar, whatever the kernel reads: every int as long long, every float as double.
SCALARS: dict[type, Any] = {int: np.int64, float: np.float64, bool: np.bool_}


def launch(family: str, expression: str, blocks: int, threads: int, *arguments: Any) -> None:
    """Launch ``blocks`` blocks of ``threads`` threads; none where there is nothing to do."""
    if blocks == 0:
        return
    exact = (SCALARS[type(a)](a) if type(a) in SCALARS else a for a in arguments)
    get_function(family, expression)((blocks,), (threads,), tuple(exact))


def kind(array: Any) -> str:
    """Return the C++ type of a real or complex array's numbers."""
    return "float" if array.dtype in (np.float32, np.complex64) else "double"


def ceil_div(a: int, b: int) -> int:
    """Divide, rounding up."""
    return -(-a // b)


def tiles(height: int, width: int, rows: int, columns: int) -> int:
    """Return how many tiles cover an image."""
    return ceil_div(height, rows) * ceil_div(width, columns)
