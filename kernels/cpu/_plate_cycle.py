"""The multigrid cycle of a plate: one call from a residual to a correction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _plate_stencils
from .._plate_stencils import Level, Transfer, stiffness
from ._jit import jit
from ._plate_chunks import run_chunks
from ._plate_coarse import (
    PADDING,
    PLANES,
    coarse_residual,
    coarse_sweep,
    factorize,
    prolong,
    restrict,
    solve_coarsest,
)
from ._plate_springs import (
    add_springs,
    coarser_springs,
    first_springs,
    held_operator,
    invert_diagonal,
    rest_operator,
)
from ._plate_sweeps import FROZEN, PARALLEL_PIXELS, REGULAR, SPRING, fine_residual, fine_sweep, fine_weights

__all__ = ["Multigrid"]

# Sweeps before and after the coarser grids
SWEEPS = 2


class Multigrid:
    """The grids of one shape, their operators, and the memory of a cycle.

    Attributes
    ----------
    shape : (int, int)
        Of the image.
    pull : float
        Weight of the pull to the middle of the envelope.
    regular : tuple of 4 float
        The interior's stencil: own weight, next neighbours, diagonal ones, second next ones.
    odds : tuple
        Kind of each pixel's stencil, the kinds, the kind of each row (REGULAR is the interior's), and the
        pixels with another stencil than their row's: where each row's begin, and their columns.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        plate: float,
        membrane: float,
        is_even: bool,
        cut: NDArray[np.bool_] | None,
        pull: float,
    ) -> None:
        grids = _plate_stencils.levels(shape, plate, membrane, is_even, cut)
        self.shape, self.pull, self._plate, self._membrane = shape, pull, plate, membrane
        self.regular = _plate_stencils.regular_weights(plate, membrane)
        self.odds = _odds(grids[0])
        self._single = tuple(np.float32(weight) for weight in self.regular)
        kind, table, *rest = self.odds
        self._single_odds = (kind, table.astype(np.float32), *rest)
        self._state = np.zeros((0, 0), np.uint8)
        self._spring = 0.0
        self._fine = np.zeros((3, *shape), np.float32)
        # An image too narrow for a coarser grid is its own coarsest one.
        self._coarse = [_CoarseGrid(level, self.pull * 4.0**k) for k, level in enumerate(grids)]
        self._is_narrow = len(grids) == 1
        coarse = self._coarse if self._is_narrow else self._coarse[1:]
        self._layout, sizes = _layout([grid.shape for grid in coarse])
        self._memory = np.zeros((3, sizes[0]), np.float32)
        self._planes = np.zeros(sizes[1], np.float32)
        for grid, place in zip(coarse, self._layout, strict=True):
            grid.take(self._planes, int(place[3]))
        self._transfers = _join([(level.rows, level.columns) for level in grids[:-1]])
        self._pairs = [
            (tuple(level.rows.pairs()), tuple(level.columns.pairs()))
            for level in grids[:-1]
            if level.rows is not None and level.columns is not None
        ]
        self._springs = [
            np.zeros((13, *(size + 2 * PADDING for size in grid.shape)), np.float32) for grid in coarse[:2]
        ]
        across, along = sorted(coarse[-1].shape)
        self._ends = (across, along, coarse[-1].shape[0] == across)
        self._factor = np.zeros((across * along, 2 * across + 3))
        self._work = np.zeros(across * along)

    def set_contacts(self, state: NDArray[np.uint8], spring: float) -> None:
        """Take over which pixels are held, and bring the springs to the coarse grids."""
        self._state, self._spring = state, spring
        weights = (state, self._single, np.float32(spring), self._single_odds, self._fine[2])
        run_chunks(fine_weights, self.shape, *weights)
        if self._is_narrow:
            grid = self._coarse[0]
            held_operator(grid.kind, grid.table, state, spring, grid.planes)
        else:
            for grid in self._coarse[1:]:
                run_chunks(rest_operator, grid.shape, grid.kind, grid.table, grid.planes)
            for which, hardness in ((SPRING, spring), (FROZEN, np.inf)):
                if hardness and np.any(state == which):
                    self._bring_springs(which, hardness)
            for grid in self._coarse[1:]:
                run_chunks(invert_diagonal, grid.shape, grid.planes)
        factorize(self._coarse[-1].planes, *self._ends, self._factor)

    def _bring_springs(self, which: int, hardness: float) -> None:
        stiff = stiffness(self._plate, self._membrane, hardness, len(self._coarse)).astype(np.float32)
        for k, grid in enumerate(self._coarse[1:], 1):
            pairs = self._pairs[k - 1]
            if k == 1:
                springs = self._springs[0]
                run_chunks(first_springs, grid.shape, self._state, np.uint8(which), stiff[1], *pairs, springs)
            else:
                before, springs = springs, _room(self._springs[(k + 1) % 2], grid.shape)
                run_chunks(coarser_springs, grid.shape, before, stiff[k] / stiff[k - 1], *pairs, springs)
            run_chunks(add_springs, grid.shape, springs, grid.planes)

    def cycle(self, residual: NDArray[np.float64], correction: NDArray[np.float32]) -> None:
        """V-cycle with two sweeps each way, from 0."""
        right, rest, weight = self._fine
        _cycle(
            residual, correction, right, rest, weight, self._state, self._single, np.float32(self._spring),
            self._single_odds, self._layout, self._memory, self._planes, self._transfers, self._ends,
            self._factor, self._work, self._is_narrow, self.shape[0] * self.shape[1] >= PARALLEL_PIXELS,
        )  # fmt: skip


class _CoarseGrid:
    """A grid's stencils without contacts, and where its operator is."""

    def __init__(self, level: Level, pull: float) -> None:
        self.shape, self.kind = level.shape, level.kind
        self.table = level.table.astype(np.float32)
        self.table[:, 12] += np.float32(pull) * (level.table[:, 12] > 0)
        self.planes = np.zeros((0, 0, 0), np.float32)

    def take(self, memory: NDArray[np.float32], offset: int) -> None:
        """Let the operator be in ``memory`` from ``offset`` on."""
        shape = (PLANES, *(size + 2 * PADDING for size in self.shape))
        self.planes = memory[offset : offset + int(np.prod(shape))].reshape(shape)


def _room(memory: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Part of ``memory`` that holds the springs of a grid, its border 0."""
    padded = (13, *(size + 2 * PADDING for size in shape))
    springs = memory.reshape(-1)[: int(np.prod(padded))].reshape(padded)
    springs[:] = 0
    return springs


def _odds(level: Level) -> tuple[Any, ...]:
    """Kind of each pixel, the kinds, that of each row, and the pixels of another kind than their row's."""
    kind = level.kind
    # Away from cuts, so that the stencil is symmetric
    row_kind = _plate_stencils.kinds(level.shape)[0][:, kind.shape[1] // 2].copy()
    is_odd = kind != row_kind[:, None]
    is_odd &= ~(level.is_regular[kind] & level.is_regular[row_kind][:, None])
    # Where the vectors of a row do not reach
    is_odd[:, :2] = is_odd[:, -2:] = True
    start = np.concatenate([[0], np.cumsum(np.count_nonzero(is_odd, axis=1))])
    # The regular stencil's vectors read two rows up and down.
    row_kind[2:-2][level.is_regular[row_kind[2:-2]]] = REGULAR
    odd_column = np.nonzero(is_odd)[1].astype(np.int32)
    return kind, level.table, row_kind, start.astype(np.int64), odd_column


def _layout(shapes: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Rows, columns, and where the numbers and the planes of each grid begin; and the room they need."""
    rows, numbers, planes = [], 0, 0
    for n, m in shapes:
        rows.append((n, m, numbers, planes))
        pixels = (n + 2 * PADDING) * (m + 2 * PADDING)
        numbers, planes = numbers + pixels, planes + PLANES * pixels
    return np.array(rows, np.int64), (numbers, planes)


def _join(transfers: Sequence[tuple[Transfer | None, Transfer | None]]) -> tuple[Any, ...]:
    """Put the transfers of all grids, rows then columns, into one array a field; say where each begins."""
    flat = [transfer for pair in transfers for transfer in pair if transfer is not None]
    fine = np.cumsum([0, *(len(transfer.parent) for transfer in flat)])
    coarse = np.cumsum([0, *(len(transfer.first) for transfer in flat)])
    none = np.zeros((0, 2), np.int64), np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros((0, 6))
    fields = zip(none, *((t.parent, t.weight, t.first, t.share) for t in flat), strict=True)
    parent, weight, first, share = (np.concatenate(field) for field in fields)
    return parent, weight.astype(np.float32), first, share.astype(np.float32), fine, coarse


@jit(internal=True)
def _grid(memory, layout, k):
    n, m, start = layout[k, 0] + 2 * PADDING, layout[k, 1] + 2 * PADDING, layout[k, 2]
    return memory[start : start + n * m].reshape((n, m))


@jit(internal=True)
def _operator(planes, layout, k):
    n, m, start = layout[k, 0] + 2 * PADDING, layout[k, 1] + 2 * PADDING, layout[k, 3]
    return planes[start : start + PLANES * n * m].reshape((PLANES, n, m))


@jit(internal=True)
def _transfer(transfers, t):
    parent, weight, first, share, fine, coarse = transfers
    a, b, c, d = fine[t], fine[t + 1], coarse[t], coarse[t + 1]
    return parent[a:b], weight[a:b], first[c:d], share[c:d]


@jit()
def _cycle(
    residual,
    u,
    b,
    r,
    weight,
    state,
    regular,
    spring,
    odds,
    layout,
    memory,
    planes,
    transfers,
    ends,
    factor,
    work,
    is_narrow,
    is_parallel,
):
    """One V-cycle; long, with all memory as arguments, so that it is one call of compiled code."""
    n, m = u.shape
    across, along, is_turned = ends
    us, bs, rs = memory[0], memory[1], memory[2]
    if is_narrow:
        right, result = _grid(bs, layout, 0), _grid(us, layout, 0)
        right[PADDING : n + PADDING, PADDING : m + PADDING] = residual
        solve_coarsest(right, across, along, is_turned, factor, work, result)
        for i in range(n):
            for j in range(m):
                u[i, j] = result[i + PADDING, j + PADDING] if weight[i, j] != 0 else 0
        return
    for i in range(n):
        for j in range(m):
            b[i, j] = residual[i, j]
            u[i, j] = 0
    none = np.zeros((0, 0), np.uint8)
    grids = len(layout)
    for _ in range(SWEEPS):
        fine_sweep(u, b, weight, regular, odds, False, is_parallel)
    fine_residual(u, b, state, regular, spring, odds, r, is_parallel)
    restrict(r, 0, _transfer(transfers, 0), _transfer(transfers, 1), _grid(bs, layout, 0))
    for k in range(grids - 1):
        many = layout[k, 0] * layout[k, 1] >= PARALLEL_PIXELS
        own, right, rest, a = (
            _grid(us, layout, k),
            _grid(bs, layout, k),
            _grid(rs, layout, k),
            _operator(planes, layout, k),
        )
        own[:] = 0
        for _ in range(SWEEPS):
            coarse_sweep(own, right, a, False, many)
        coarse_residual(own, right, a, rest, many)
        rows, columns = _transfer(transfers, 2 * k + 2), _transfer(transfers, 2 * k + 3)
        restrict(rest, PADDING, rows, columns, _grid(bs, layout, k + 1))
    last = grids - 1
    solve_coarsest(_grid(bs, layout, last), across, along, is_turned, factor, work, _grid(us, layout, last))
    for k in range(grids - 2, -1, -1):
        many = layout[k, 0] * layout[k, 1] >= PARALLEL_PIXELS
        own, right, a = _grid(us, layout, k), _grid(bs, layout, k), _operator(planes, layout, k)
        rows, columns = _transfer(transfers, 2 * k + 2), _transfer(transfers, 2 * k + 3)
        prolong(_grid(us, layout, k + 1), rows, columns, PADDING, none, own)
        for _ in range(SWEEPS):
            coarse_sweep(own, right, a, True, many)
    prolong(_grid(us, layout, 0), _transfer(transfers, 0), _transfer(transfers, 1), 0, state, u)
    for _ in range(SWEEPS):
        fine_sweep(u, b, weight, regular, odds, True, is_parallel)
