"""The coarse grids of a plate: sweeps, residuals, transfers, and the direct solver of the coarsest.

A coarse grid has PADDING zeros around it, so that no stencil looks outside. Its operator is symmetric: planes
0 to 12 hold the weights of a pixel with itself and with the twelve of the 24 pixels around it that come
later, in the order (0, 1), (0, 2), (1, -2) … (1, 2), (2, -2) … (2, 2); the others are those of the earlier
pixel. Plane 13 is the inverse of plane 0, or 0 where a pixel takes no part.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ._jit import jit
from ._plate_sweeps import CHUNK, FROZEN, REORDER, chunks_of

__all__ = [
    "INVERSE",
    "PADDING",
    "PLANES",
    "coarse_residual",
    "coarse_sweep",
    "factorize",
    "prolong",
    "restrict",
    "solve_coarsest",
]

PADDING = 2
PLANES = 14
INVERSE = 13

# A pivot this far below the largest belongs to a motion that costs no energy, and is left out.
SMALLEST_PIVOT = 1e-6


@jit(fastmath=REORDER, internal=True)
def _subtract_later(line, u, a, i, step, plane):
    """Take what the row ``step`` further gives to row i from ``line``; its weights are in row i."""
    for j in range(len(line) - 4):
        line[j + 2] -= (
            a[plane, i, j + 2] * u[i + step, j]
            + a[plane + 1, i, j + 2] * u[i + step, j + 1]
            + a[plane + 2, i, j + 2] * u[i + step, j + 2]
            + a[plane + 3, i, j + 2] * u[i + step, j + 3]
            + a[plane + 4, i, j + 2] * u[i + step, j + 4]
        )


@jit(fastmath=REORDER, internal=True)
def _subtract_earlier(line, u, a, i, step, plane):
    """Take what the row ``step`` before gives to row i from ``line``; its weights are in that row."""
    for j in range(len(line) - 4):
        line[j + 2] -= (
            a[plane, i - step, j + 4] * u[i - step, j + 4]
            + a[plane + 1, i - step, j + 3] * u[i - step, j + 3]
            + a[plane + 2, i - step, j + 2] * u[i - step, j + 2]
            + a[plane + 3, i - step, j + 1] * u[i - step, j + 1]
            + a[plane + 4, i - step, j] * u[i - step, j]
        )


@jit(fastmath=REORDER, internal=True)
def _own_row(line, u, a, i, factor, new):
    """What ``line`` leaves to row i after its own pixels, times plane ``factor`` of the operator."""
    for j in range(len(line) - 4):
        rest = line[j + 2] - (a[1, i, j + 2] * u[i, j + 3] + a[1, i, j + 1] * u[i, j + 1])
        rest -= a[2, i, j + 2] * u[i, j + 4] + a[2, i, j] * u[i, j]
        new[j + 2] = rest * a[factor, i, j + 2]


@jit(internal=True)
def _other_rows(i, u, b, a, line):
    for j in range(len(line)):
        line[j] = b[i, j]
    _subtract_later(line, u, a, i, 1, 3)
    _subtract_later(line, u, a, i, 2, 8)
    _subtract_earlier(line, u, a, i, 1, 3)
    _subtract_earlier(line, u, a, i, 2, 8)


@jit(internal=True)
def _coarse_chunk(u, b, planes, first, last, is_back):
    line, new = np.empty(u.shape[1], u.dtype), np.empty(u.shape[1], u.dtype)
    for row in range(first, last, 3):
        i = row + PADDING
        _other_rows(i, u, b, planes, line)
        for step in range(3):
            _own_row(line, u, planes, i, INVERSE, new)
            start = PADDING + (2 - step if is_back else step)
            for t in range((len(new) - PADDING - start + 2) // 3):
                u[i, start + 3 * t] = new[start + 3 * t]


@jit(parallel=True, internal=True)
def _coarse_class(u, b, planes, color, is_back):
    n = len(u) - 2 * PADDING
    for chunk in prange(chunks_of(n, color)):
        first = color + 3 * CHUNK * chunk
        _coarse_chunk(u, b, planes, first, min(n, first + 3 * CHUNK), is_back)


@jit(internal=True)
def coarse_sweep(u, b, planes, is_back, is_parallel):
    """Sweep over A u = b in nine colours."""
    for step in range(3):
        color = 2 - step if is_back else step
        if is_parallel:
            _coarse_class(u, b, planes, color, is_back)
        else:
            _coarse_chunk(u, b, planes, color, len(u) - 2 * PADDING, is_back)


@jit(internal=True)
def _residual_rows(u, b, planes, first, last, out):
    line, new = np.empty(u.shape[1], u.dtype), np.zeros(u.shape[1], u.dtype)
    for row in range(first, last):
        i = row + PADDING
        _other_rows(i, u, b, planes, line)
        # times the inverse of the diagonal, which is taken out again; 0 where a pixel takes no part
        _own_row(line, u, planes, i, INVERSE, new)
        for j in range(PADDING, len(new) - PADDING):
            out[i, j] = planes[0, i, j] * (new[j] - u[i, j])


@jit(parallel=True, internal=True)
def _residual_parallel(u, b, planes, out):
    n = len(u) - 2 * PADDING
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        _residual_rows(u, b, planes, CHUNK * chunk, min(n, CHUNK * (chunk + 1)), out)


@jit(internal=True)
def coarse_residual(u, b, planes, out, is_parallel):
    """Fill ``out`` with b - A u."""
    if is_parallel:
        _residual_parallel(u, b, planes, out)
    else:
        _residual_rows(u, b, planes, 0, len(u) - 2 * PADDING, out)


@jit(fastmath=REORDER, internal=True)
def _add_row(line, fine, i, offset, weight):
    for j in range(len(line)):
        line[j] += weight * fine[i, j + offset]


@jit(fastmath=REORDER, internal=True)
def _gather_columns(line, coarse, row, cells):
    """(1, 3, 3, 1)/4 of each four cells; the first two and last two coarse cells are the caller's."""
    for t in range(cells - 4):
        ends, middle = line[2 * t + 3] + line[2 * t + 6], line[2 * t + 4] + line[2 * t + 5]
        coarse[row, t + 2 + PADDING] = 0.25 * ends + 0.75 * middle


@jit(internal=True)
def restrict(fine, offset, rows, columns, coarse):
    """Pᵀ r; ``offset`` is the padding of the finer grid."""
    n, m = len(rows[0]), len(columns[0])
    row_start, row_share, column_start, column_share = rows[2], rows[3], columns[2], columns[3]
    cells = len(column_start)
    line = np.empty(m, fine.dtype)
    for row in range(len(row_start)):
        line[:] = 0
        for a in range(6):
            i = row_start[row] + a
            if row_share[row, a] != 0 and 0 <= i < n:
                _add_row(line, fine, i + offset, offset, row_share[row, a])
        _gather_columns(line, coarse, row + PADDING, cells)
        for t in range(min(4, cells)):
            # the first two and the last two cells
            column = t if t < 2 else cells - 1 - (t - 2)
            total = fine.dtype.type(0)
            for a in range(6):
                j = column_start[column] + a
                if 0 <= j < m:
                    total += column_share[column, a] * line[j]
            coarse[row + PADDING, column + PADDING] = total


@jit(fastmath=REORDER, internal=True)
def _mix_rows(line, coarse, near, far, near_weight, far_weight):
    for t in range(len(line)):
        line[t] = near_weight * coarse[near, t + PADDING] + far_weight * coarse[far, t + PADDING]


@jit(fastmath=REORDER, internal=True)
def _spread_columns(line, spread):
    """Fine cells 2 t + 1 and 2 t + 2 from coarse cells t and t + 1: shares 3/4 and 1/4."""
    for t in range(len(line) - 1):
        spread[2 * t + 1] = 0.75 * line[t] + 0.25 * line[t + 1]
        spread[2 * t + 2] = 0.25 * line[t] + 0.75 * line[t + 1]


@jit(fastmath=REORDER, internal=True)
def _add_line(line, fine, i, offset):
    for j in range(len(line)):
        fine[i, j + offset] += line[j]


@jit(fastmath=REORDER, internal=True)
def _add_line_where_free(line, fine, i, state):
    for j in range(len(line)):
        fine[i, j] += line[j] if state[i, j] < FROZEN else 0


@jit(internal=True)
def prolong(coarse, rows, columns, offset, state, fine):
    """Add P c to ``fine``, but for frozen and absent pixels where a ``state`` is given."""
    m = len(columns[0])
    row_parent, row_weight, parent, weight = rows[0], rows[1], columns[0], columns[1]
    line, spread = np.empty(len(columns[2]), fine.dtype), np.empty(m, fine.dtype)
    for i in range(len(row_parent)):
        near, far = row_parent[i, 0] + PADDING, row_parent[i, 1] + PADDING
        _mix_rows(line, coarse, near, far, row_weight[i, 0], row_weight[i, 1])
        _spread_columns(line, spread)
        for t in range(min(4, m)):
            j = t if t < 2 else m - 1 - (t - 2)
            spread[j] = weight[j, 0] * line[parent[j, 0]] + weight[j, 1] * line[parent[j, 1]]
        if state.size > 0:
            _add_line_where_free(spread, fine, i, state)
        else:
            _add_line(spread, fine, i + offset, offset)


@jit()
def factorize(planes, across, along, is_turned, factor):
    """Cholesky factor of the coarsest operator as a band, and the inverses of its pivots.

    Pixels are numbered along the longer axis last; ``factor`` is (pixels, 2 across + 3) float64, and row k
    holds the factor's row from column k - (2 across + 2) on, its last number the inverse pivot.
    """
    count, band = across * along, 2 * across + 2
    factor[:] = 0
    largest = 0.0
    for k in range(count):
        long, short = k // across, k % across
        i, j = (short, long) if is_turned else (long, short)
        largest = max(largest, planes[0, i + PADDING, j + PADDING])
        for back in range(band + 1):
            factor[k, band - back] = _entry(planes, across, is_turned, k, k - back) if back <= k else 0.0
    for k in range(count):
        first = max(0, k - band)
        for c in range(first, k + 1):
            total = factor[k, c - k + band]
            for t in range(max(first, c - band), c):
                total -= factor[k, t - k + band] * factor[c, t - c + band]
            if c < k:
                factor[k, c - k + band] = total * factor[c, band]
            else:
                factor[k, band] = 1 / np.sqrt(total) if total > SMALLEST_PIVOT * largest else 0.0


@jit(internal=True)
def _entry(planes, across, is_turned, later, earlier):
    """Weight between two pixels of the coarsest grid."""
    long, short = later // across, later % across
    long0, short0 = earlier // across, earlier % across
    i, j, p, q = (short, long, short0, long0) if is_turned else (long, short, long0, short0)
    if (p, q) > (i, j):
        i, j, p, q = p, q, i, j
    down, right = i - p, j - q
    if down > 2 or abs(right) > 2:
        return 0.0
    plane = right if down == 0 else 5 * down + right
    return float(planes[plane, p + PADDING, q + PADDING])


@jit(internal=True)
def solve_coarsest(b, across, along, is_turned, factor, work, u):
    """Solve with the band of ``factorize``; ``work`` is (pixels,) float64."""
    count, band = across * along, 2 * across + 2
    for k in range(count):
        long, short = k // across, k % across
        i, j = (short, long) if is_turned else (long, short)
        total = float(b[i + PADDING, j + PADDING])
        for t in range(max(0, k - band), k):
            total -= factor[k, t - k + band] * work[t]
        work[k] = total * factor[k, band]
    for k in range(count - 1, -1, -1):
        total = work[k]
        for t in range(k + 1, min(count, k + band + 1)):
            total -= factor[t, k - t + band] * work[t]
        work[k] = total * factor[k, band]
        long, short = k // across, k % across
        i, j = (short, long) if is_turned else (long, short)
        u[i + PADDING, j + PADDING] = work[k]
