"""De-quantization by explicit steps: what fastimg's solver is compared with.

`paper_iteration` is the iteration of Völgyes et al., Algorithms 11, 110 (2018), section 4.3, in the reading
that gives the numbers of its Table 1. `explicit_iteration` runs the same pyramid on the energy that fastimg
minimises, so that the two can be compared at an equal distance from its minimum.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fastimg.demo._plain_dequantization import bending_energy

__all__ = ["explicit_iteration", "explicit_steps", "paper_iteration", "pyramid_start"]

Image = NDArray[np.float64]

# Of the reading that gives the table: half the height of the envelope in levels, steps of a grid in units of
# its side, and by how much a step is damped
PAPER_HALF_HEIGHT, PAPER_STEPS, PAPER_DAMPING = 0.75, 40, 0.2
# Stencils of equations 8 and 9, with the sign that makes a step descend, over their middle element
STENCILS = {
    "membrane": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]) / 4,
    "plate": -np.array(
        [[0, 0, 1, 0, 0], [0, 2, -8, 2, 0], [1, -8, 20, -8, 1], [0, 2, -8, 2, 0], [0, 0, 1, 0, 0]]
    )
    / 20,
}
# A grid whose shorter side is longer has a coarser one
COARSEST = 31
# Steps along the gradient: the paper's, and nearly the largest: the largest eigenvalue of the plate's stencil
# is 64, and steps of 2/64 diverge
PAPER_STEP, LARGEST_STEP = PAPER_DAMPING / 20, 1.99 / 64


def paper_iteration(codes: Any, model: str) -> Image:
    """Return the paper's result for an image of codes, stretched to 0…255 and rounded.

    The text leaves open the height of the envelope, the number and the size of the steps, and what became of
    the result before it was compared. Of the readings tried this one gives the rows of Table 1.

    Parameters
    ----------
    codes : (H, W) of integers
        The quantized image.
    model : {"membrane", "plate"}
        Equation 8 or 9.
    """
    middle = np.asarray(codes, float)
    grids = [(middle - PAPER_HALF_HEIGHT, middle + PAPER_HALF_HEIGHT, middle)]
    while _has_coarser(grids[-1][0]):
        lower, upper, middle = grids[-1]
        grids.append((_pooled(lower, np.min), _pooled(upper, np.max), _pooled(middle, np.mean)))
    values = grids[-1][2]
    for lower, upper, _ in reversed(grids):
        if values.shape != lower.shape:
            values = ndimage.zoom(values, 2, order=3)
        padded = [np.pad(envelope, 2, mode="edge") for envelope in (lower, upper)]
        stencil = np.pad(STENCILS[model], 1) if model == "membrane" else STENCILS[model]
        values = _paper_steps(np.pad(values, 2), *padded, stencil, PAPER_STEPS * len(lower))
    stretched = (values - values.min()) / np.ptp(values)
    return np.floor(255 * stretched + 0.5)


def _has_coarser(grid: Image) -> bool:
    return min(grid.shape) > COARSEST and not any(side % 2 for side in grid.shape)


def _pooled(image: Image, how: Any) -> Image:
    """Return ``how`` of each 2 × 2 pixels."""
    height, width = image.shape
    return how(image.reshape(height // 2, 2, width // 2, 2), axis=(1, 3))


@numba.njit(cache=True)
def _paper_steps(padded: Any, lower: Any, upper: Any, stencil: Any, steps: int) -> Any:
    """Take damped Jacobi steps; the border of 2 pixels is mirrored oddly, and clipped, too."""
    height, width = padded.shape[0] - 4, padded.shape[1] - 4
    inner = np.empty((height, width))
    for _ in range(steps):
        for i in range(2, height + 2):
            for j in range(2, width + 2):
                padded[i, j] = min(max(padded[i, j], lower[i, j]), upper[i, j])
        for k in range(2):  # twice the edge, less the reflected values, of which the first is the edge itself
            for j in range(2, width + 2):
                padded[1 - k, j] = 2 * padded[2, j] - padded[2 + k, j]
                padded[height + 2 + k, j] = 2 * padded[height + 1, j] - padded[height + 1 - k, j]
        for k in range(2):
            for i in range(height + 4):
                padded[i, 1 - k] = 2 * padded[i, 2] - padded[i, 2 + k]
                padded[i, width + 2 + k] = 2 * padded[i, width + 1] - padded[i, width + 1 - k]
        for i in range(height + 4):
            for j in range(width + 4):
                padded[i, j] = min(max(padded[i, j], lower[i, j]), upper[i, j])
        for i in range(height):
            for j in range(width):
                change = 0.0
                for p in range(5):
                    for q in range(5):
                        change += stencil[p, q] * padded[i + p, j + q]
                inner[i, j] = padded[i + 2, j + 2] + PAPER_DAMPING * change
        padded[2:-2, 2:-2] = inner
    return np.minimum(np.maximum(inner, lower[2:-2, 2:-2]), upper[2:-2, 2:-2])


def pyramid_start(lower: Image, upper: Image, step: float = LARGEST_STEP) -> Image:
    """Return where the iteration on the finest grid starts: the paper's pyramid, on this energy."""
    if not _has_coarser(lower):
        return (lower + upper) / 2
    coarse = _pooled(lower, np.min), _pooled(upper, np.max)
    start = pyramid_start(*coarse, step)
    values = explicit_iteration(start, *coarse, PAPER_STEPS * len(start), step)
    return np.clip(ndimage.zoom(values, 2, order=3), lower, upper)


def explicit_steps(
    start: Image,
    lower: Image,
    upper: Image,
    energy: float,
    *,
    step: float = LARGEST_STEP,
    most: int,
    check_every: int = 200,
) -> int | None:
    """Return after how many steps the energy is at most this; None where ``most`` do not suffice."""
    values, steps = start, 0
    while bending_energy(values) > energy:
        if steps >= most:
            return None
        values = explicit_iteration(values, lower, upper, check_every, step)
        steps += check_every
    return steps


def explicit_iteration(
    start: Image, lower: Image, upper: Image, steps: int, step: float = LARGEST_STEP
) -> Image:
    """Take steps against the gradient of `bending_energy`, each clipped to the envelope, by Numba."""
    return _explicit_steps(np.array(start, float), lower, upper, steps, step)


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def _explicit_steps(values: Any, lower: Any, upper: Any, steps: int, step: float) -> Any:
    """Differences into arrays with a border of zeros, and out of them their adjoint: no branches."""
    height, width = values.shape
    down, across = np.zeros((height + 2, width)), np.zeros((height, width + 2))
    twist = np.zeros((height + 1, width + 1))
    for _ in range(steps):
        for i in range(height):
            if 0 < i < height - 1:
                for j in range(width):
                    down[i + 1, j] = values[i - 1, j] - 2 * values[i, j] + values[i + 1, j]
            for j in range(1, width - 1):
                across[i, j + 1] = values[i, j - 1] - 2 * values[i, j] + values[i, j + 1]
            if i < height - 1:
                for j in range(width - 1):
                    twist[i + 1, j + 1] = (
                        values[i, j] - values[i, j + 1] - values[i + 1, j] + values[i + 1, j + 1]
                    )
        for i in range(height):
            for j in range(width):
                gradient = (
                    down[i, j] - 2 * down[i + 1, j] + down[i + 2, j]
                    + across[i, j] - 2 * across[i, j + 1] + across[i, j + 2]
                    + 2 * (twist[i, j] - twist[i, j + 1] - twist[i + 1, j] + twist[i + 1, j + 1])
                )  # fmt: skip
                values[i, j] = min(max(values[i, j] - step * gradient, lower[i, j]), upper[i, j])
    return values
