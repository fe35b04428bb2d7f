"""Gauss–Seidel sweeps over the image's grid, in nine colours.

Colour (row mod 3, column mod 3): pixels of one colour do not see each other through a 5 × 5 stencil, so the
order within a colour does not matter, rows of one class go to several threads, and the sums over a line of
pixels are vectors. A backward sweep takes the colours in the opposite order. Pixels with another stencil than
the interior's (``odd``: near the border, near a cut) are computed one by one.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ._jit import jit

__all__ = [
    "ABSENT",
    "CHUNK",
    "FREE",
    "FROZEN",
    "PARALLEL_PIXELS",
    "REGULAR",
    "REORDER",
    "SPRING",
    "chunks_of",
    "fine_residual",
    "fine_sweep",
    "fine_weights",
    "product_row",
    "projected_sweep",
    "stencil_sum",
]

# State of a pixel: at liberty, held by a spring, held at its value, or without a part in the plate
FREE, SPRING, FROZEN, ABSENT = 0, 1, 2, 3

# Grids from this size are worth the few microseconds that threads take to start.
PARALLEL_PIXELS = 1 << 15

# Kind of a row whose stencil is the interior's
REGULAR = -1

# Rows of one class that a thread takes at a time
CHUNK = 16

# Sums may be reordered within a pixel: rounding, not meaning
REORDER = {"contract", "nsz", "arcp", "reassoc"}


@jit()
def chunks_of(n, color):
    """Number of chunks of the rows of one class."""
    return (n + 2 - color + 3 * CHUNK - 1) // (3 * CHUNK)


@jit(fastmath=REORDER, internal=True)
def _other_rows(u, i, c1, cd, c2, line):
    """Take what the regular stencil gets from other rows from ``line``."""
    for j in range(len(line) - 4):
        line[j + 2] -= (
            cd * ((u[i - 1, j + 1] + u[i - 1, j + 3]) + (u[i + 1, j + 1] + u[i + 1, j + 3]))
            + c1 * (u[i - 1, j + 2] + u[i + 1, j + 2])
            + c2 * (u[i - 2, j + 2] + u[i + 2, j + 2])
        )


@jit(fastmath=REORDER, internal=True)
def _subtract_row(u, i, c0, c1, c2, line):
    """Take what a symmetric stencil gets from row i from ``line``."""
    for j in range(len(line) - 4):
        sides, seconds = u[i, j + 1] + u[i, j + 3], u[i, j] + u[i, j + 4]
        line[j + 2] -= c0 * u[i, j + 2] + c1 * sides + c2 * seconds


@jit(internal=True)
def _other_rows_of_kind(u, i, table, kind, line):
    """Take what the stencil of a row near the border gets from other rows from ``line``."""
    for a in range(-2, 3):
        if a != 0 and 0 <= i + a < len(u):
            at = 5 * a + 12
            _subtract_row(u, i + a, table[kind, at], table[kind, at + 1], table[kind, at + 2], line)


@jit(fastmath=REORDER, internal=True)
def _own_row(u, i, line, c1, c2, weight, new):
    for j in range(len(line) - 4):
        rest = line[j + 2] - c1 * (u[i, j + 1] + u[i, j + 3]) - c2 * (u[i, j] + u[i, j + 4])
        new[j + 2] = rest * weight[i, j + 2]


@jit(fastmath=REORDER, internal=True)
def _own_row_within(u, i, line, c1, c2, weight, lower, upper, new):
    for j in range(len(line) - 4):
        rest = line[j + 2] - c1 * (u[i, j + 1] + u[i, j + 3]) - c2 * (u[i, j] + u[i, j + 4])
        value, low, high = rest * weight, lower[i, j + 2], upper[i, j + 2]
        value = low if value < low else value
        new[j + 2] = high if value > high else value


@jit(internal=True)
def _take(u, i, new, column):
    """Take over what is new in the columns of a colour."""
    start = column if column == 2 else column + 3
    for t in range((len(new) - 2 - start + 2) // 3):
        u[i, start + 3 * t] = new[start + 3 * t]


@jit(internal=True)
def stencil_sum(u, i, j, table, kind):
    """Sum of a 5 × 5 stencil at any pixel, without its own weight."""
    n, m = u.shape
    total = u.dtype.type(0)
    first, last = max(-2, -j), min(2, m - 1 - j)
    for a in range(max(-2, -i), min(2, n - 1 - i) + 1):
        for b in range(first, last + 1):
            total += table[kind, 5 * a + b + 12] * u[i + a, j + b]
    return total - table[kind, 12] * u[i, j]


@jit()
def fine_weights(begin, end, state, regular, spring, odds, out):
    """Inverse diagonal of A + spring, 0 at pixels that do not move, in some chunks of rows."""
    kind, table, row_kind, odd_start, odd_column = odds
    for i in range(CHUNK * begin, min(len(state), CHUNK * end)):
        own = regular[0] if row_kind[i] == REGULAR else table[row_kind[i], 12]
        free = 1 / own if own > 0 else np.float32(0)
        held = 1 / (own + spring) if own + spring > 0 else np.float32(0)
        for j in range(state.shape[1]):
            out[i, j] = free if state[i, j] == FREE else (held if state[i, j] == SPRING else 0)
        for t in range(odd_start[i], odd_start[i + 1]):
            j = odd_column[t]
            diagonal = table[kind[i, j], 12] + (spring if state[i, j] == SPRING else 0)
            out[i, j] = 1 / diagonal if state[i, j] < FROZEN and diagonal > 0 else 0


@jit(internal=True)
def _fine_chunk(u, b, weight, regular, odds, first, last, is_back):
    m = u.shape[1]
    _, c1, cd, c2 = regular
    kind, table, row_kind, odd_start, odd_column = odds
    line, new = np.empty(m, u.dtype), np.empty(m, u.dtype)
    for i in range(first, last, 3):
        is_wide, own = m > 4, row_kind[i]
        side, second = c1, c2
        for j in range(m):
            line[j] = b[i, j]
        if is_wide and own == REGULAR:
            _other_rows(u, i, c1, cd, c2, line)
        elif is_wide:
            _other_rows_of_kind(u, i, table, own, line)
            side, second = table[own, 13], table[own, 14]
        for step in range(3):
            column = 2 - step if is_back else step
            if is_wide:
                _own_row(u, i, line, side, second, weight, new)
                for t in range(odd_start[i], odd_start[i + 1]):
                    new[odd_column[t]] = u[i, odd_column[t]]
                _take(u, i, new, column)
            for t in range(odd_start[i], odd_start[i + 1]):
                j = odd_column[t]
                if j % 3 == column:
                    u[i, j] = (b[i, j] - stencil_sum(u, i, j, table, kind[i, j])) * weight[i, j]


@jit(parallel=True, internal=True)
def _fine_class(u, b, weight, regular, odds, color, is_back):
    n = len(u)
    for chunk in prange(chunks_of(n, color)):
        first = color + 3 * CHUNK * chunk
        last = min(n, first + 3 * CHUNK)
        _fine_chunk(u, b, weight, regular, odds, first, last, is_back)


@jit(internal=True)
def fine_sweep(u, b, weight, regular, odds, is_back, is_parallel):
    """Sweep over (A + spring) u = b, with the inverse diagonal of ``fine_weights``."""
    for step in range(3):
        color = 2 - step if is_back else step
        if is_parallel:
            _fine_class(u, b, weight, regular, odds, color, is_back)
        else:
            _fine_chunk(u, b, weight, regular, odds, color, len(u), is_back)


@jit(internal=True)
def _projected_chunk(u, lower, upper, regular, odds, first, last, is_back):
    m = u.shape[1]
    c0, c1, cd, c2 = regular
    kind, table, row_kind, odd_start, odd_column = odds
    line, new = np.empty(m), np.empty(m)
    for i in range(first, last, 3):
        is_wide, own = m > 4, row_kind[i]
        center, side, second = c0, c1, c2
        line[:] = 0
        if is_wide and own == REGULAR:
            _other_rows(u, i, c1, cd, c2, line)
        elif is_wide:
            _other_rows_of_kind(u, i, table, own, line)
            center, side, second = table[own, 12], table[own, 13], table[own, 14]
        # A row without energy stays where it is.
        is_wide = is_wide and center > 0
        for step in range(3):
            column = 2 - step if is_back else step
            if is_wide:
                _own_row_within(u, i, line, side, second, 1 / center, lower, upper, new)
                for t in range(odd_start[i], odd_start[i + 1]):
                    new[odd_column[t]] = u[i, odd_column[t]]
                _take(u, i, new, column)
            for t in range(odd_start[i], odd_start[i + 1]):
                j = odd_column[t]
                diagonal = table[kind[i, j], 12]
                if j % 3 == column and diagonal > 0:
                    value = -stencil_sum(u, i, j, table, kind[i, j]) / diagonal
                    u[i, j] = min(max(value, lower[i, j]), upper[i, j])


@jit()
def projected_sweep(begin, end, u, lower, upper, regular, odds, color, is_back):
    """Move each pixel of some chunks of a class of rows to where the energy is least within its bounds."""
    first, last = color + 3 * CHUNK * begin, min(len(u), color + 3 * CHUNK * end)
    _projected_chunk(u, lower, upper, regular, odds, first, last, is_back)


@jit(fastmath=REORDER, internal=True)
def _product_row(u, i, c0, c1, cd, c2, out):
    for j in range(u.shape[1] - 4):
        out[i, j + 2] = (
            c0 * u[i, j + 2]
            + cd * ((u[i - 1, j + 1] + u[i - 1, j + 3]) + (u[i + 1, j + 1] + u[i + 1, j + 3]))
            + c1 * ((u[i - 1, j + 2] + u[i + 1, j + 2]) + (u[i, j + 1] + u[i, j + 3]))
            + c2 * ((u[i - 2, j + 2] + u[i + 2, j + 2]) + (u[i, j] + u[i, j + 4]))
        )


@jit(internal=True)
def product_row(u, i, regular, odds, out):
    """Row i of A u into that of ``out``."""
    n, m = u.shape
    c0, c1, cd, c2 = regular
    kind, table, row_kind, odd_start, odd_column = odds
    own = row_kind[i]
    if m > 4 and own == REGULAR:
        _product_row(u, i, c0, c1, cd, c2, out)
    elif m > 4:
        out[i] = 0
        for a in range(max(-2, -i), min(2, n - 1 - i) + 1):
            at = 5 * a + 12
            _subtract_row(u, i + a, -table[own, at], -table[own, at + 1], -table[own, at + 2], out[i])
    for t in range(odd_start[i], odd_start[i + 1]):
        j = odd_column[t]
        out[i, j] = stencil_sum(u, i, j, table, kind[i, j]) + table[kind[i, j], 12] * u[i, j]


@jit(internal=True)
def _residual_rows(u, b, state, regular, spring, odds, first, last, out):
    m = u.shape[1]
    for i in range(first, last):
        product_row(u, i, regular, odds, out)
        for j in range(m):
            held = state[i, j]
            rest = b[i, j] - out[i, j] - (spring * u[i, j] if held == SPRING else 0)
            out[i, j] = rest if held < FROZEN else 0


@jit(parallel=True, internal=True)
def _residual_parallel(u, b, state, regular, spring, odds, out):
    n = len(u)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        first = CHUNK * chunk
        _residual_rows(u, b, state, regular, spring, odds, first, min(n, first + CHUNK), out)


@jit(internal=True)
def fine_residual(u, b, state, regular, spring, odds, out, is_parallel):
    """Fill ``out`` with b - (A + spring) u, 0 at frozen pixels."""
    if is_parallel:
        _residual_parallel(u, b, state, regular, spring, odds, out)
    else:
        _residual_rows(u, b, state, regular, spring, odds, 0, len(u), out)
