"""A plate between two bounds, in plain NumPy and sparse matrices.

Images have n × m pixels; in matrices the pixels are numbered row by row. u, lower, upper, middle, gradient,
downhill, p, q, d, r: (n, m) float64; z and ``correction`` float32; ``state`` (n, m) uint8; ``sums`` float64.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

# State of a pixel: at liberty, held by a spring, held at its value, without a part in the plate
FREE, SPRING, FROZEN, ABSENT = 0, 1, 2, 3

# Pixels across at which a grid is the coarsest, and is solved directly
COARSEST = 4

# Sweeps before and after the coarser grids
SWEEPS = 2

# A pivot this far below the largest number of the diagonal is that of a motion without energy.
SMALLEST_PIVOT = 1e-6

# Contacts compete with those in a square of this many pixels to each side.
RIVALS = 3


@dataclass
class _Grid:
    """One grid of the multigrid.

    ``matrix`` is the energy's without contacts. ``interpolation`` leads from this grid to the next finer one,
    and ``from_image`` to the image: the shares of this grid's cells in each of its pixels. ``operator`` is
    the matrix with pull and contacts, and ``may_move`` are the cells that are solved for.
    """

    shape: tuple[int, int]
    matrix: Any
    interpolation: Any
    from_image: Any
    operator: Any = None
    may_move: Any = None


@dataclass
class _Grids:
    """All grids, the image's first, and what they were made with."""

    plate: float
    membrane: float
    pull: float
    levels: list[_Grid] = field(default_factory=list)


def grids(shape, plate, membrane, is_even, cut, pull):
    """Matrices of all grids: A of the image, then Pᵀ A P."""
    result = _Grids(plate, membrane, pull)
    matrix = _energy(shape, plate, membrane, is_even, np.zeros(shape, bool) if cut is None else cut)
    result.levels.append(_Grid(shape, matrix, None, sparse.identity(matrix.shape[0], format="csr")))
    while min(shape) > COARSEST:
        interpolation = sparse.kron(_interpolation(shape[0]), _interpolation(shape[1]), format="csr")
        shape = ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
        matrix = (interpolation.T @ matrix @ interpolation).tocsr()
        from_image = result.levels[-1].from_image @ interpolation
        result.levels.append(_Grid(shape, matrix, interpolation, from_image))
    return result


def gradient(grids, u, middle, gradient, sums):
    """A u + pull (u - middle), ½ uᵀ A u, and ½ pull |u - middle|²."""
    product = grids.levels[0].matrix @ u.ravel()
    gradient[:] = product.reshape(u.shape) + grids.pull * (u - middle)
    sums[:] = u.ravel() @ product / 2, grids.pull * np.sum((u - middle) ** 2) / 2


def soft_contacts(u, lower, upper, gradient, rho, state, downhill, sums):
    """Springs where u is outside its bounds: the negative gradient of energy + ½ rho |u - clip(u)|²."""
    away = u - np.clip(u, lower, upper)
    is_held = (lower == upper) | (state == ABSENT)
    state[state != ABSENT] = np.where(lower == upper, FROZEN, np.where(away != 0, SPRING, FREE))[
        state != ABSENT
    ]
    downhill[:] = np.where(is_held, 0, -gradient - rho * away)
    sums[:] = np.sum(away[~is_held] ** 2), np.count_nonzero(away[~is_held])


def active_contacts(u, lower, upper, gradient, state, downhill, sums):
    """Hold what is at a bound and would leave it, downhill; sums: squares, pressed, changed."""
    is_part = state != ABSENT
    at_lower, at_upper = u <= lower, u >= upper
    is_fixed = at_lower & at_upper
    is_pressed = ((at_lower & (gradient >= 0)) | (at_upper & (gradient <= 0))) & ~is_fixed
    new = np.where(is_pressed | is_fixed, FROZEN, FREE)
    changed = np.count_nonzero((new != state) & is_part)
    state[is_part] = new[is_part]
    downhill[:] = np.where(state == FREE, -gradient, 0)
    sums[:] = np.sum(downhill**2), np.count_nonzero(is_pressed & is_part), changed


def thin_contacts(gradient, lower, upper, share, state, downhill):
    """Free the contacts whose force is below ``share`` of the largest in the square around them."""
    force = np.where((state == FROZEN) & (lower != upper), np.abs(gradient), 0)
    padded = np.pad(force, RIVALS)
    squares = np.lib.stride_tricks.sliding_window_view(padded, (2 * RIVALS + 1, 2 * RIVALS + 1))
    is_weak = (force > 0) & (force < share * squares.max(axis=(2, 3)))
    state[is_weak] = FREE
    downhill[is_weak] = -gradient[is_weak]


def set_contacts(grids, state, spring):
    """Add the contacts to the operators of all grids.

    On a coarse grid each is a spring w p pᵀ, p being the pixel's row of ``from_image``; on the image's own,
    springs are on the diagonal, and held pixels do not move. The pull is on the diagonals of the coarse
    grids, 4 pixels to a cell, and on the image's where that is the coarsest.
    """
    last = len(grids.levels) - 1
    for k, grid in enumerate(grids.levels):
        if k == 0:
            weight = np.where(state == SPRING, spring, 0.0)
            grid.may_move = (state < FROZEN).ravel()
        else:
            weight = np.select(
                [state == SPRING, state == FROZEN],
                [_stiffness(grids, k, spring), _stiffness(grids, k, np.inf)],
                0.0,
            )
            grid.may_move = np.ones(grid.matrix.shape[0], bool)
        contacts = grid.from_image.T @ sparse.diags(weight.ravel()) @ grid.from_image
        has_pull = (grid.matrix.diagonal() > 0) & (k > 0 or last == 0)
        grid.operator = (grid.matrix + contacts + sparse.diags(grids.pull * 4.0**k * has_pull)).tocsr()


def precondition(grids, residual, correction):
    """One V-cycle."""
    correction[:] = _cycle(grids.levels, residual.ravel()).reshape(residual.shape)


def product(grids, state, spring, p, q, sums):
    """Put (A + pull + springs) p into q where a pixel may move, else 0; sum pᵀ q."""
    weight = grids.pull + np.where(state == SPRING, spring, 0)
    every = (grids.levels[0].matrix @ p.ravel()).reshape(p.shape) + weight * p
    q[:] = np.where(state < FROZEN, every, 0)
    sums[:] = np.sum(p * q)


def dot(a, b, sums):
    """Sum of the products."""
    sums[:] = np.sum(a.astype(np.float64) * b)


def advance(alpha, p, q, d, r):
    """Add alpha p to d, and -alpha q to r."""
    d += alpha * p
    r -= alpha * q


def conjugate(z, beta, p):
    """Replace p by z + beta p."""
    p[:] = z + beta * p


def slope(u, d, t, lower, upper, sums):
    """Derivative of ½ |x - clip(x)|² at x = u + t d with respect to t."""
    x = u + t * d
    sums[:] = np.sum(d * (x - np.clip(x, lower, upper)))


def step(u, d, t):
    """Add t d to u."""
    u += t * d


def clipped_step(u, d, t, lower, upper, out):
    """Clip u + t d to the bounds."""
    out[:] = np.clip(u + t * d, lower, upper)


def projected_sweep(grids, u, lower, upper, is_backward):
    """Move each pixel to where the energy is least between its bounds, nine colours one after the other."""
    matrix = grids.levels[0].matrix
    diagonal = matrix.diagonal()
    values, low, high = u.ravel().copy(), lower.ravel(), upper.ravel()
    for pixels in _colours(u.shape, is_backward):
        pixels = pixels[diagonal[pixels] > 0]
        best = values[pixels] - (matrix[pixels] @ values) / diagonal[pixels]
        values[pixels] = np.clip(best, low[pixels], high[pixels])
    u[:] = values.reshape(u.shape)


def pool(fine, out):
    """Mean of the finite ones of 2 × 2 pixels, fewer at the border."""
    for row, column in np.ndindex(out.shape):
        cell = fine[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        is_finite = np.isfinite(cell)
        out[row, column] = cell[is_finite].mean() if is_finite.any() else cell[0, 0]


def upsample(coarse, out):
    """The cubic through the four nearest cells, at the quarters of a cell, one axis after the other.

    Beyond its ends a line goes on by odd reflection.
    """
    tall = _doubled(coarse, len(out))
    out[:] = _doubled(tall.T, out.shape[1]).T


def _energy(shape, plate, membrane, is_even, cut):
    """A of ½ uᵀ A u: the sum of w c cᵀ over the differences cᵀ u with weight w that touch no cut pixel."""
    index = np.arange(shape[0] * shape[1]).reshape(shape)
    down, right = (
        np.pad(index, pad, "edge") if is_even else index for pad in ([(1, 1), (0, 0)], [(0, 0), (1, 1)])
    )
    differences = [
        (plate, (1, -2, 1), (down[:-2], down[1:-1], down[2:])),
        (plate, (1, -2, 1), (right[:, :-2], right[:, 1:-1], right[:, 2:])),
        (2 * plate, (1, -1, -1, 1), (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:])),
        (membrane, (-1, 1), (index[:-1], index[1:])),
        (membrane, (-1, 1), (index[:, :-1], index[:, 1:])),
    ]
    total = sparse.csr_matrix((index.size, index.size))
    for weight, coefficients, pixels in differences:
        pixels = np.stack([pixel.ravel() for pixel in pixels], axis=1)
        pixels = pixels[~cut.ravel()[pixels].any(axis=1)]
        row, coefficient = np.indices(pixels.shape)
        values = np.array(coefficients, float)[coefficient]
        place = row.ravel(), pixels.ravel()
        c = sparse.csr_matrix((values.ravel(), place), shape=(len(pixels), index.size))
        total = total + weight * (c.T @ c)
    return total.tocsr()


def _interpolation(n):
    """Values of (n + 1) // 2 cells at n: quadratic B-splines, straight lines beyond the last cells."""
    coarse = (n + 1) // 2
    beyond = np.vstack([np.eye(coarse)[:1], np.eye(coarse), np.eye(coarse)[-1:]])
    beyond[0], beyond[-1] = 2 * beyond[1] - beyond[2], 2 * beyond[-2] - beyond[-3]
    fine = np.arange(n)
    nearest, next_nearest = fine // 2, fine // 2 + np.where(fine % 2, 1, -1)
    return sparse.csr_matrix(0.75 * beyond[nearest + 1] + 0.25 * beyond[next_nearest + 1])


def _stiffness(grids, k, hardness):
    """Series of a contact's own hardness and of what the plate yields below the cells of grid k."""
    inside = 4 * (20 * grids.plate / 4**k + 4 * grids.membrane)
    return inside if np.isinf(hardness) else inside * hardness / (inside + hardness)


def _colours(shape, is_backward):
    row, column = np.indices(shape)
    colour = (3 * (row % 3) + column % 3).ravel()
    order = range(8, -1, -1) if is_backward else range(9)
    return [np.flatnonzero(colour == c) for c in order]


def _cycle(levels, right):
    """Correction of the first of the grids."""
    grid, coarser = levels[0], levels[1:]
    if not coarser:
        return _solved(grid, right)
    u = np.zeros(len(right))
    for _ in range(SWEEPS):
        _sweep(grid, u, right, False)
    rest = np.where(grid.may_move, right - grid.operator @ u, 0)
    interpolation = coarser[0].interpolation
    u += np.where(grid.may_move, interpolation @ _cycle(coarser, interpolation.T @ rest), 0)
    for _ in range(SWEEPS):
        _sweep(grid, u, right, True)
    return u


def _sweep(grid, u, right, is_backward):
    """Gauss–Seidel in nine colours; what does not move, or has no energy, is 0."""
    diagonal = grid.operator.diagonal()
    moves = grid.may_move & (diagonal > 0)
    u[~moves] = 0
    for pixels in _colours(grid.shape, is_backward):
        pixels = pixels[moves[pixels]]
        u[pixels] += (right[pixels] - grid.operator[pixels] @ u) / diagonal[pixels]


def _solved(grid, right):
    """Solve on the coarsest grid: exactly, and 0 where a pivot of the elimination is as good as 0.

    The pixels are eliminated along the longer axis last.
    """
    order = np.arange(len(right)).reshape(grid.shape)
    order = (order.T if grid.shape[0] <= grid.shape[1] else order).ravel()
    order = order[grid.may_move[order]]
    matrix = grid.operator.toarray()
    rest = matrix[np.ix_(order, order)]
    smallest = SMALLEST_PIVOT * rest.diagonal().max(initial=0)
    kept = []
    for k, pixel in enumerate(order):
        if rest[k, k] > smallest:
            kept.append(pixel)
            rest[k + 1 :] -= np.outer(rest[k + 1 :, k], rest[k]) / rest[k, k]
    u = np.zeros(len(right))
    u[kept] = np.linalg.solve(matrix[np.ix_(kept, kept)], right[kept])
    return u


def _doubled(values, count):
    """Lines along the first axis, interpolated at ``count`` places, two to a cell."""
    lines = np.pad(values, [(2, 2), (0, 0)], "reflect", reflect_type="odd")
    out = np.empty((count, values.shape[1]))
    for k in range(count):
        cell, side = k // 2 + 2, 1 if k % 2 else -1
        nodes = np.array([-1, 0, 1, 2])
        out[k] = sum(
            np.prod((0.25 - nodes[nodes != node]) / (node - nodes[nodes != node])) * lines[cell + side * node]
            for node in nodes
        )
    return out
