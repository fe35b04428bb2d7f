"""The springs of the contacts on the coarse grids of a plate.

A contact, a pixel held at a bound, is a spring w p pᵀ on a coarse grid, p being the weights of the pixel in
the 3 × 3 coarse cells around it. It is not lumped to the diagonal, which would hold the slope as well. The
sum C of all springs on one grid gives that on the next, r Pᵀ C P, where r is the ratio of the stiffnesses w.
"""

from __future__ import annotations

import numpy as np

from ._jit import jit
from ._plate_coarse import INVERSE, PADDING
from ._plate_sweeps import CHUNK, FROZEN, REORDER, SPRING

__all__ = [
    "add_springs",
    "coarser_springs",
    "first_springs",
    "held_operator",
    "invert_diagonal",
    "rest_operator",
]


@jit(fastmath=REORDER, internal=True)
def _add(target, source, weight):
    for j in range(len(target)):
        target[j] += weight * source[j]


@jit(internal=True)
def _add_row(lines, right, springs, plane, i, offset, weight):
    """Add a row of a plane, moved by ``offset`` columns, to one of the five lines."""
    # Slices: an offset of unknown sign would keep the loop from being a vector's
    width = lines.shape[1] - 2 * PADDING
    source = springs[plane, i, PADDING + offset : PADDING + offset + width]
    _add(lines[right, PADDING : PADDING + width], source, weight)


@jit(fastmath=REORDER, internal=True)
def _add_every_second(target, source, weight):
    for t in range(len(target)):
        target[t] += weight * source[2 * t]


@jit(fastmath=REORDER, internal=True)
def _add_held(lines, state, i, which, weight):
    for j in range(state.shape[1]):
        lines[2, j + PADDING] += weight if state[i, j] == which else 0


@jit(internal=True)
def _clear(out, row):
    for plane in range(out.shape[0]):
        for j in range(out.shape[2]):
            out[plane, row, j] = 0


@jit(internal=True)
def _columns(lines, row, reach, down, pairs, out):
    """Second half of Pᵀ C P: from (5, m) ``lines`` to the cleared planes of one row of the coarse grid."""
    count, fine, step, weight = pairs
    cells, border = len(count), 3
    inside, middle = cells - 2 * border, cells // 2
    for right in range(0 if down == 0 else -2, 3):
        plane = right if down == 0 else 5 * down + right
        if inside > 0:
            for t in range(count[middle, right + 2]):
                near = step[middle, right + 2, t]
                if abs(near) <= reach:
                    start = fine[middle, right + 2, t] - 2 * (middle - border) + PADDING
                    first = border + PADDING
                    target = out[plane, row + PADDING, first : first + inside]
                    _add_every_second(target, lines[near + 2, start:], weight[middle, right + 2, t])
        for place in range(cells if inside <= 0 else 2 * border):
            cell = place if place < border or inside <= 0 else place + inside
            for t in range(count[cell, right + 2]):
                near = step[cell, right + 2, t]
                if abs(near) <= reach:
                    value = lines[near + 2, fine[cell, right + 2, t] + PADDING]
                    out[plane, row + PADDING, cell + PADDING] += weight[cell, right + 2, t] * value


@jit(internal=True)
def _has_any(state, i, which):
    found = np.uint8(0)
    for j in range(state.shape[1]):
        found |= state[i, j] == which
    return found != 0


@jit(internal=True)
def _is_zero(springs, i):
    largest = springs.dtype.type(0)
    for j in range(springs.shape[2]):
        # the diagonal of a sum of squares
        largest += springs[0, i, j]
    return largest == 0


@jit(internal=True)
def _first_rows(state, which, stiffness, row_pairs, column_pairs, first, last, out):
    count, fine, step, weight = row_pairs
    lines = np.zeros((5, state.shape[1] + 2 * PADDING), out.dtype)
    for row in range(first, last):
        _clear(out, row + PADDING)
        is_empty = True
        for i in range(max(0, 2 * row - 2), min(len(state), 2 * row + 4)):
            is_empty = is_empty and not _has_any(state, i, which)
        if is_empty:
            continue
        for down in range(2):
            lines[2] = 0
            for t in range(count[row, down + 2]):
                if step[row, down + 2, t] == 0:
                    share = stiffness * weight[row, down + 2, t]
                    _add_held(lines, state, fine[row, down + 2, t], which, share)
            _columns(lines, row, 0, down, column_pairs, out)


@jit(internal=True)
def _coarser_rows(springs, ratio, row_pairs, column_pairs, first, last, out):
    count, fine, step, weight = row_pairs
    lines = np.zeros((5, springs.shape[2]), out.dtype)
    for row in range(first, last):
        _clear(out, row + PADDING)
        is_empty = True
        for i in range(max(0, 2 * row - 2), min(springs.shape[1] - 2 * PADDING, 2 * row + 4)):
            is_empty = is_empty and _is_zero(springs, i + PADDING)
        if is_empty:
            continue
        for down in range(3):
            lines[:] = 0
            for t in range(count[row, down + 2]):
                i, away = fine[row, down + 2, t] + PADDING, step[row, down + 2, t]
                share = ratio * weight[row, down + 2, t]
                for right in range(-2, 3):
                    if away > 0 or (away == 0 and right >= 0):
                        plane = right if away == 0 else 5 * away + right
                        _add_row(lines, right + 2, springs, plane, i, 0, share)
                    else:
                        # weights between two pixels are those of the earlier one
                        plane = -right if away == 0 else -5 * away - right
                        _add_row(lines, right + 2, springs, plane, i + away, right, share)
            _columns(lines, row, 2, down, column_pairs, out)


@jit()
def first_springs(begin, end, state, which, stiffness, row_pairs, column_pairs, out):
    """Springs of the pixels in one state, on some chunks of rows of the first coarse grid."""
    last = min(len(row_pairs[0]), CHUNK * end)
    _first_rows(state, which, stiffness, row_pairs, column_pairs, CHUNK * begin, last, out)


@jit()
def coarser_springs(begin, end, springs, ratio, row_pairs, column_pairs, out):
    """Springs of some chunks of rows of one grid from those of the next finer one."""
    last = min(len(row_pairs[0]), CHUNK * end)
    _coarser_rows(springs, ratio, row_pairs, column_pairs, CHUNK * begin, last, out)


@jit()
def rest_operator(begin, end, kind, table, planes):
    """Fill the planes with the stencils of a grid without contacts, in some chunks of rows."""
    for i in range(CHUNK * begin, min(kind.shape[0], CHUNK * end)):
        for j in range(kind.shape[1]):
            stencil = table[kind[i, j]]
            for plane in range(13):
                planes[plane, i + PADDING, j + PADDING] = stencil[12 + plane]


@jit()
def held_operator(kind, table, state, spring, planes):
    """Fill the planes with the stencils of the image's own grid, its springs, and 1 at frozen pixels."""
    n, m = state.shape
    for i in range(n):
        for j in range(m):
            stencil = table[kind[i, j]]
            for plane in range(13):
                down, right = (plane + 2) // 5, (plane + 2) % 5 - 2
                p, q = i + down, j + right
                is_held = state[i, j] >= FROZEN or (0 <= q < m and p < n and state[p, q] >= FROZEN)
                value = stencil[12 + plane]
                if is_held:
                    value = planes.dtype.type(plane == 0)
                elif plane == 0 and state[i, j] == SPRING:
                    value += spring
                planes[plane, i + PADDING, j + PADDING] = value


@jit()
def add_springs(begin, end, springs, planes):
    """Add springs to an operator, in some chunks of rows."""
    last = min(planes.shape[1] - 2 * PADDING, CHUNK * end)
    for plane in range(13):
        for i in range(CHUNK * begin + PADDING, last + PADDING):
            for j in range(planes.shape[2]):
                planes[plane, i, j] += springs[plane, i, j]


@jit()
def invert_diagonal(begin, end, planes):
    """Fill the plane of the inverse diagonal, in some chunks of rows."""
    last = min(planes.shape[1] - 2 * PADDING, CHUNK * end)
    for i in range(CHUNK * begin + PADDING, last + PADDING):
        diagonal, inverse = planes[0, i], planes[INVERSE, i]
        for j in range(PADDING, len(diagonal) - PADDING):
            inverse[j] = 1 / diagonal[j] if diagonal[j] > 0 else 0
