"""FFTs on the CPU: our own 2-D transform for the sizes it plans, ``scipy.fft`` for everything else.

The vectorised transform works on stacks of complex arrays whose two lengths are multiples of the SIMD
width with the prime factors 2, 3 and 5 (see ``_fft.py``). Precision is kept: complex64 in, complex64 out.
Stacks are spread over ``get_num_threads()`` threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
from numba import prange, types

from ._fft import block_stride, fft_columns, is_planned, transpose_blocks
from ._jit import array_type, get_num_threads, jit, run_parallel
from ._simd import lane_count

__all__ = ["fft2", "fftn", "ifft2", "ifftn", "irfftn", "next_fast_len", "rfftn"]

# A stack below this many points is not worth waking other threads for (about 20 µs).
PARALLEL_POINTS = 1 << 17


def fft2(x: np.ndarray, norm: str | None = None, overwrite_x: bool = False) -> np.ndarray:
    """2-D DFT over the last two axes."""
    return _transform2(x, -1, norm, overwrite_x)


def ifft2(x: np.ndarray, norm: str | None = None, overwrite_x: bool = False) -> np.ndarray:
    """Inverse 2-D DFT over the last two axes."""
    return _transform2(x, 1, norm, overwrite_x)


def fftn(
    x: np.ndarray,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
    overwrite_x: bool = False,
) -> np.ndarray:
    """N-D DFT."""
    return scipy.fft.fftn(x, s, axes, norm, overwrite_x, workers=get_num_threads())


def ifftn(
    x: np.ndarray,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
    overwrite_x: bool = False,
) -> np.ndarray:
    """Inverse N-D DFT."""
    return scipy.fft.ifftn(x, s, axes, norm, overwrite_x, workers=get_num_threads())


def rfftn(
    x: np.ndarray, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> np.ndarray:
    """N-D DFT of real data, non-negative frequencies of the last axis."""
    return scipy.fft.rfftn(x, s, axes, norm, workers=get_num_threads())


def irfftn(
    x: np.ndarray, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> np.ndarray:
    """Inverse of ``rfftn``."""
    return scipy.fft.irfftn(x, s, axes, norm, workers=get_num_threads())


def next_fast_len(n: int) -> int:
    """Smallest length of a fast transform that is at least ``n``."""
    return scipy.fft.next_fast_len(n)


def _transform2(x: np.ndarray, sign: int, norm: str | None, overwrite_x: bool) -> np.ndarray:
    x = np.asarray(x)
    precision = 32 if x.dtype.itemsize == np.dtype(x.real.dtype).itemsize * 2 == 8 else 64
    native = x.dtype in (np.complex64, np.complex128) and x.flags.c_contiguous and x.flags.aligned
    if x.ndim < 2 or not native or not is_planned(x.shape[-2:], precision):
        transform = scipy.fft.fft2 if sign < 0 else scipy.fft.ifft2
        return transform(x, norm=norm, overwrite_x=overwrite_x, workers=get_num_threads())
    height, width = x.shape[-2:]
    factor = _normalisation(norm, sign, height * width)
    stack = x.reshape(-1, height, width)
    out = stack if overwrite_x and x.flags.writeable else np.empty_like(stack)
    threads = min(get_num_threads(), len(stack)) if stack.size >= PARALLEL_POINTS else 1
    compiled = _compiled(height, width, precision, sign, int(factor != 1.0), threads > 1)
    if threads > 1:
        run_parallel(compiled, stack, out, factor, threads)
    else:
        compiled(stack, out, factor, 1)
    return out.reshape(x.shape)


def _normalisation(norm: str | None, sign: int, points: int) -> float:
    if norm == "ortho":
        return points**-0.5
    if norm in (None, "backward", "forward"):
        return 1.0 / points if (sign > 0) == (norm != "forward") else 1.0
    raise ValueError(f"norm is {norm!r}; accepted are None, 'backward', 'ortho' and 'forward'")


@lru_cache(None)
def _compiled(
    height: int, width: int, precision: int, sign: int, scaled: int, parallel: bool
) -> Callable[..., Any]:
    """Compile the transform of a stack of ``height × width`` planes, times a factor where ``scaled``."""
    lanes = lane_count(precision)
    item = precision // 8
    row = 2 * lanes * item
    pitch = 2 * item * width
    across, down = width // lanes, height // lanes
    block = block_stride(width, precision)
    spectrum_bytes, column_bytes = down * block, 3 * max(height, width) * row
    real = np.float32 if precision == 32 else np.float64
    dtype = np.complex64 if precision == 32 else np.complex128
    stacks = array_type(dtype, 3), array_type(dtype, 3, readonly=False)

    @jit(types.void(*stacks, types.float64, types.int64), parallel=parallel)
    def transform(stack, out, factor, threads):
        for thread in prange(threads):
            work = np.empty(spectrum_bytes + column_bytes + 64, np.uint8)
            spectrum = (work.ctypes.data + 63) // 64 * 64
            column = spectrum + spectrum_bytes
            scratch = column + max(height, width) * row
            number = np.empty(1, real)
            number[0] = factor
            for b in range(thread, len(stack), threads):
                source, target = stack[b].ctypes.data, out[b].ctypes.data
                for x in range(across):
                    place = spectrum + x * lanes * row
                    fft_columns(precision, height, sign, 1, source + x * row, pitch, column, scratch)
                    transpose_blocks(precision, 0, 0, down, column, place, block, row, 0)
                for y in range(down):
                    place = target + y * lanes * pitch
                    fft_columns(precision, width, sign, 0, spectrum + y * block, row, column, scratch)
                    transpose_blocks(
                        precision, 1, scaled, across, column, place, row, pitch, number.ctypes.data
                    )
            work[0] = 0  # its last use: Numba frees an array there, whoever holds its address

    return transform
