"""The stencils of a plate or a membrane on every grid of a multigrid hierarchy, set up once on the host.

A stencil is a row of the symmetric matrix A of the energy ½ uᵀ A u as 5 × 5 numbers around its pixel. Most
pixels of a grid share theirs, so a grid is a map from pixels to kinds of stencil and a table of kinds: kind 0
is that of the interior, the next belong to the pixels near each border, and pixels near a cut have one each.

A coarse grid's stencils are those of Pᵀ A P, where P interpolates by quadratic B-splines, (1, 3, 3, 1)/4 in
each direction, so that affine functions stay affine up to the border. All sums are in double precision: what
the sums cancel to on the coarsest grid of a large image is far below the rounding of single precision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import prange
from numpy.typing import NDArray

from .cpu._jit import jit, run_parallel

__all__ = ["Level", "Pairs", "Transfer", "kinds", "levels", "regular_weights", "stiffness"]

# The direct solver of the coarsest grid takes any length but few pixels across.
COARSEST = 4

# Cells from each border whose stencils differ from the interior's, on any grid
BORDER = 4

# A stencil's own weight under this share of the largest is rounding.
NOTHING = 1e-12

# Stiffness of a grid below one of its contacts, in units of the diagonal of its stencil
CONTACT = 4.0

# Most pairs of fine cells that make up a product of two coarse cells
MOST_PAIRS = 25

# Stencils of fine pixels within this distance of a coarse pixel's two fine ones make up the coarse stencil
REACH = 4


@dataclass(frozen=True)
class Transfer:
    """Interpolation between two grids along one axis.

    Attributes
    ----------
    parent, weight : (n, 2) int64, float64
        The two coarse cells that each fine cell is made from.
    first, share : (N,) int64, (N, 6) float64
        The fine cells ``first`` … ``first + 5`` that are made from a coarse cell, and its weights in them.
    """

    parent: NDArray[np.int64]
    weight: NDArray[np.float64]
    first: NDArray[np.int64]
    share: NDArray[np.float64]

    def pairs(self) -> Pairs:
        """List the pairs of fine cells that a product of two coarse cells is made of."""
        return _pairs(len(self.parent))


class Pairs(NamedTuple):
    """What Pᵀ C P sums, along one axis, for coarse cells I and I + L, L = -2 … 2.

    Attributes
    ----------
    counts : (N, 5) int64
        Number of pairs of fine cells, of which one is made from I, the other from I + L.
    fine, step : (N, 5, MOST_PAIRS) int64
        The first of the pair, and how far the second is from it: within 2, as C has 5 × 5 stencils.
    weight : (N, 5, MOST_PAIRS) float32
        Product of the two weights.
    """

    counts: NDArray[np.int64]
    fine: NDArray[np.int64]
    step: NDArray[np.int64]
    weight: NDArray[np.float32]


@dataclass(frozen=True)
class Level:
    """One grid: its shape, the kind of each pixel's stencil, the stencils, and how corrections come here.

    ``kind`` is (n, m) int32, ``table`` (K, 25) float64; ``is_regular`` (K,) bool says which kinds are the
    interior's stencil of the image's own grid; ``rows`` and ``columns`` lead from the next coarser grid to
    this one, and are None on the coarsest.
    """

    shape: tuple[int, int]
    kind: NDArray[np.int32]
    table: NDArray[np.float64]
    is_regular: NDArray[np.bool_]
    rows: Transfer | None
    columns: Transfer | None


def levels(
    shape: tuple[int, int], plate: float, membrane: float, is_even: bool, cut: NDArray[np.bool_] | None
) -> tuple[Level, ...]:
    """Set up the grids from the image's to the coarsest.

    Parameters
    ----------
    shape : (int, int)
        Of the image.
    plate, membrane : float
        Weights of the sums of squared second and first differences.
    is_even : bool
        Whether the image is mirrored at its border, its last pixels repeated; else the border is free.
    cut : (n, m) bool or None
        Pixels that take no part: differences that touch them are left out.
    """
    uncut = _uncut_levels(shape, float(plate), float(membrane), bool(is_even))
    if cut is None or not cut.any():
        return uncut
    touched, cut_out, own = _grown(cut), np.ascontiguousarray(cut, dtype=np.uint8), np.zeros((0, 25))
    grids: list[Level] = []
    for level in uncut:
        place, kind = np.argwhere(touched), level.kind.copy()
        own = np.zeros((len(place), 25))
        if not grids:
            _fine_table(place, *shape, plate, membrane, is_even, cut_out, own)
        else:
            run_parallel(_coarse_table, place, *_arguments(grids[-1]), own)
        # What is left where all of a stencil is cut away
        own[own[:, 12] <= NOTHING * level.table[:, 12].max()] = 0
        kind[touched] = len(level.table) + np.arange(len(place))
        table = np.concatenate([level.table, own])
        grids.append(replace(level, kind=kind, table=table, is_regular=_regular(table, plate, membrane)))
        if level.rows is not None:
            coarse = ((level.shape[0] + 1) // 2, (level.shape[1] + 1) // 2)
            touched = _touched(touched, coarse)
    return tuple(grids)


@lru_cache(16)
def _uncut_levels(shape: tuple[int, int], plate: float, membrane: float, is_even: bool) -> tuple[Level, ...]:
    grids: list[Level] = []
    while True:
        kind, place = kinds(shape)
        table = np.zeros((len(place), 25))
        if not grids:
            _fine_table(place, *shape, plate, membrane, is_even, np.zeros(shape, np.uint8), table)
        else:
            run_parallel(_coarse_table, place, *_arguments(grids[-1]), table)
        is_coarsest = min(shape) <= COARSEST
        rows, columns = (None, None) if is_coarsest else (_transfer(shape[0]), _transfer(shape[1]))
        grids.append(Level(shape, kind, table, _regular(table, plate, membrane), rows, columns))
        if is_coarsest:
            return tuple(grids)
        shape = ((shape[0] + 1) // 2, (shape[1] + 1) // 2)


def _arguments(fine: Level) -> tuple[NDArray[Any], ...]:
    assert fine.rows is not None
    assert fine.columns is not None
    transfers = (fine.rows.parent, fine.rows.weight, fine.columns.parent, fine.columns.weight)
    return (fine.kind, fine.table, *transfers)


def _grown(cut: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose stencil reaches a cut pixel."""
    grown = np.pad(cut, 2)
    for axis in (0, 1):
        grown = np.logical_or.reduce([np.roll(grown, step, axis) for step in range(-2, 3)])
    return np.ascontiguousarray(grown[2:-2, 2:-2])


def _touched(fine: NDArray[np.bool_], coarse: tuple[int, int]) -> NDArray[np.bool_]:
    """Coarse pixels whose stencil is made from that of a touched fine pixel."""
    if not fine.any():
        return np.zeros(coarse, bool)
    touched = fine
    for axis, n in enumerate(coarse):
        padded = np.moveaxis(np.pad(touched, REACH), axis, 0)
        first = 2 * np.arange(n) + REACH
        lines = [padded[np.minimum(first + step, len(padded) - 1)] for step in range(1 - REACH, REACH + 1)]
        touched = np.moveaxis(np.logical_or.reduce(lines), 0, axis)
        crop = [slice(None)] * 2
        crop[1 - axis] = slice(REACH, touched.shape[1 - axis] - REACH)
        touched = touched[tuple(crop)]
    return np.ascontiguousarray(touched)


def kinds(shape: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the kinds of stencil without cuts, and find a pixel for each: (n, m) int32 and (K, 2) int64."""
    rows, columns = (_classes(n) for n in shape)
    kind = (rows[0][:, None] * len(columns[1]) + columns[0]).astype(np.int32)
    place = np.stack(np.meshgrid(rows[1], columns[1], indexing="ij"), -1).reshape(-1, 2)
    return kind, np.ascontiguousarray(place, dtype=np.int64)


def _classes(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Class of each place along an axis, and a place of each class; class 0 is the interior's."""
    every = np.arange(n)
    if n <= 2 * BORDER:
        return every, every
    near, far = every < BORDER, every >= n - BORDER
    number = np.where(near, 1 + every, np.where(far, 2 * BORDER - n + 1 + every, 0))
    ends = np.concatenate([every[:BORDER], every[n - BORDER :]])
    return number, np.concatenate([[n // 2], ends])


def regular_weights(plate: float, membrane: float) -> tuple[float, float, float, float]:
    """Return the interior's stencil: own weight, next neighbours, diagonal ones, second next ones."""
    return 20 * plate + 4 * membrane, -8 * plate - membrane, 2 * plate, plate


def _regular(table: NDArray[np.float64], plate: float, membrane: float) -> NDArray[np.bool_]:
    own, side, diagonal, second = regular_weights(plate, membrane)
    interior = np.zeros((5, 5))
    interior[2, 2] = own
    interior[[1, 2, 2, 3], [2, 1, 3, 2]] = side
    interior[[1, 1, 3, 3], [1, 3, 1, 3]] = diagonal
    interior[[0, 2, 2, 4], [2, 0, 4, 2]] = second
    # The table's sums are in another order.
    return np.all(np.abs(table - interior.ravel()) <= 1e-12 * own, axis=1)


def stiffness(plate: float, membrane: float, hardness: float, grids: int) -> NDArray[np.float64]:
    """Return the stiffness of a contact's spring on each grid.

    Series of the hardness of the bound, infinite for a pixel held at its value, and of what the plate yields
    below the cells of the grid.
    """
    yielding = 20 * plate * 0.25 ** np.arange(grids) + 4 * membrane
    inside = np.asarray(CONTACT * yielding, dtype=np.float64)
    return inside if np.isinf(hardness) else np.asarray(inside * hardness / (inside + hardness))


@lru_cache(256)
def _transfer(n: int) -> Transfer:
    coarse = (n + 1) // 2
    fine = np.arange(n)
    parent = np.stack([fine // 2, fine // 2 + np.where(fine % 2, 1, -1)], 1)
    weight = np.tile([0.75, 0.25], (n, 1))
    outside = (parent[:, 1] < 0) | (parent[:, 1] >= coarse)
    # Beyond the last coarse cell the function goes on as a straight line
    weight[outside] = 1.25, -0.25
    parent[:, 1] = np.where(parent[:, 1] < 0, 1, np.where(parent[:, 1] >= coarse, coarse - 2, parent[:, 1]))
    first = 2 * np.arange(coarse) - 2
    share = np.zeros((coarse, 6))
    for i in range(n):
        for p in range(2):
            share[parent[i, p], i - first[parent[i, p]]] += weight[i, p]
    return Transfer(parent, weight, first, share)


@lru_cache(256)
def _pairs(n: int) -> Pairs:
    share, first = _transfer(n).share, _transfer(n).first
    shape = (len(first), 5, MOST_PAIRS)
    count, fine, step = np.zeros(shape[:2], np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    weight = np.zeros(shape, np.float32)
    _fill_pairs(first, share, count, fine, step, weight)
    return Pairs(count, fine, step, weight)


@jit()
def _fill_pairs(first, share, count, fine, step, weight):
    coarse = len(first)
    for cell in range(coarse):
        for offset in range(max(-2, -cell), min(2, coarse - 1 - cell) + 1):
            for a in range(6):
                for b in range(6):
                    i, j = first[cell] + a, first[cell + offset] + b
                    product = share[cell, a] * share[cell + offset, b]
                    if product != 0 and abs(j - i) <= 2:
                        t = count[cell, offset + 2]
                        fine[cell, offset + 2, t] = i
                        step[cell, offset + 2, t] = j - i
                        weight[cell, offset + 2, t] = product
                        count[cell, offset + 2] = t + 1


@jit()
def _fine_table(place, n, m, plate, membrane, is_even, cut, table):
    for t in range(len(place)):
        i, j = place[t]
        if cut[i, j]:
            continue
        _add_bending(i, j, n, m, plate, is_even, cut, table[t], False)
        _add_bending(j, i, m, n, plate, is_even, cut, table[t], True)
        for p in range(max(0, i - 1), min(n - 2, i) + 1):
            for q in range(max(0, j - 1), min(m - 2, j) + 1):
                if cut[p, q] or cut[p + 1, q] or cut[p, q + 1] or cut[p + 1, q + 1]:
                    continue
                own = 1.0 if (p == i) == (q == j) else -1.0
                for a in range(2):
                    for b in range(2):
                        sign = own if a == b else -own
                        table[t, 5 * (p + a - i + 2) + q + b - j + 2] += 2 * plate * sign
        for a, b in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            if 0 <= i + a < n and 0 <= j + b < m and not cut[i + a, j + b]:
                table[t, 12] += membrane
                table[t, 5 * (a + 2) + b + 2] -= membrane


@jit()
def _add_bending(i, j, n, m, plate, is_even, cut, stencil, is_transposed):
    """Add what the second differences along a line of m pixels contribute to the stencil of its pixel j."""
    for center in range(max(0, j - 1), min(m - 1, j + 1) + 1):
        if not is_even and (center == 0 or center == m - 1):
            continue
        own = 0.0
        is_whole = True
        for step in range(-1, 2):
            place = min(max(center + step, 0), m - 1)
            if place == j:
                own += 1.0 if step else -2.0
            if (cut[place, i] if is_transposed else cut[i, place]) != 0:
                is_whole = False
        if not is_whole:
            continue
        for step in range(-1, 2):
            place = min(max(center + step, 0), m - 1)
            offset = place - j
            at = 5 * (offset + 2) + 2 if is_transposed else 10 + offset + 2
            stencil[at] += plate * own * (1.0 if step else -2.0)


@jit(parallel=True)
def _coarse_table(place, kind, table, row_parent, row_weight, column_parent, column_weight, out):
    """Rows of Pᵀ A P at the given coarse pixels."""
    n, m = kind.shape
    for t in prange(len(place)):
        row, column = place[t, 0], place[t, 1]
        for i in range(max(0, 2 * row - 3), min(n, 2 * row + 5)):
            across = _weight_of(row_parent, row_weight, i, row)
            if across == 0:
                continue
            for j in range(max(0, 2 * column - 3), min(m, 2 * column + 5)):
                weight = across * _weight_of(column_parent, column_weight, j, column)
                if weight == 0:
                    continue
                stencil = table[kind[i, j]]
                for a in range(max(0, 2 - i), min(5, n + 2 - i)):
                    for b in range(max(0, 2 - j), min(5, m + 2 - j)):
                        value = weight * stencil[5 * a + b]
                        if value == 0:
                            continue
                        fine_row, fine_column = i + a - 2, j + b - 2
                        for p in range(2):
                            down = row_parent[fine_row, p] - row + 2
                            part = value * row_weight[fine_row, p]
                            for q in range(2):
                                right = column_parent[fine_column, q] - column + 2
                                out[t, 5 * down + right] += part * column_weight[fine_column, q]


@jit()
def _weight_of(parent, weight, fine, coarse):
    total = 0.0
    for p in range(2):
        if parent[fine, p] == coarse:
            total += weight[fine, p]
    return total
