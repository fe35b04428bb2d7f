"""De-quantization as a NumPy user writes it from the paper, for comparison in time and result.

D. Völgyes et al., "Image De-Quantization Using Plate Bending Model", Algorithms 11, 110 (2018), section 4.3:
explicit steps along the gradient, each followed by clipping to the envelope, first on coarser grids. The step
is the largest that is stable, and the plate is free at its edges, so that every step lowers the same energy
that `fastimg.dequantization.dequantize` minimises.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["bending_energy", "iterate"]

# The largest eigenvalue of the 13-point stencil is 64, so steps from 2/64 on diverge
_STEP = 0.999 * 2 / 64

# The paper halves grids down to this number of pixels
_COARSEST = 16


def iterate(
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    steps: int,
    *,
    coarse_steps: int = 1000,
    callback: Callable[[NDArray[np.float64]], bool] | None = None,
    every: int = 100,
) -> NDArray[np.float64]:
    """Bend a plate between two envelopes by projected explicit steps.

    Parameters
    ----------
    lower, upper : ndarray, (H, W)
        The envelope.
    steps : int
        Steps on the finest grid, at most.
    coarse_steps : int, optional
        Steps on each of the others.
    callback : callable, optional
        Called with the values on the finest grid after every ``every`` steps; true ends the iteration.
    every : int, optional

    Returns
    -------
    ndarray, (H, W)

    Examples
    --------
    >>> ramp = np.floor(np.arange(0, 8, 0.5)) * np.ones((16, 1))
    >>> smooth = iterate(ramp, ramp + 1, 3000)
    >>> bending_energy(smooth) < 1e-3 * bending_energy(ramp)
    True
    """
    values = (lower + upper) / 2
    if min(lower.shape) > _COARSEST and not any(length % 2 for length in lower.shape):
        values = _doubled(iterate(_pooled(lower), _pooled(upper), coarse_steps, coarse_steps=coarse_steps))
    values = np.clip(values, lower, upper)
    for step in range(1, steps + 1):
        values = np.clip(values - _STEP * _gradient(values), lower, upper)
        if callback is not None and step % every == 0 and callback(values):
            break
    return values


def bending_energy(values: NDArray[np.float64]) -> float:
    """Half the sum of f_xx² + 2 f_xy² + f_yy² over the stencils that fit into the image."""
    across, down, mixed = _curvatures(values)
    return 0.5 * float(np.sum(across**2) + np.sum(down**2) + 2 * np.sum(mixed**2))


def _curvatures(f: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    across = f[:, :-2] - 2 * f[:, 1:-1] + f[:, 2:]
    down = f[:-2] - 2 * f[1:-1] + f[2:]
    mixed = f[:-1, :-1] - f[:-1, 1:] - f[1:, :-1] + f[1:, 1:]
    return across, down, mixed


def _gradient(f: NDArray[np.float64]) -> NDArray[np.float64]:
    """The gradient of the energy; inside the image, the 13-point stencil of the paper's equation 9."""
    across, down, mixed = _curvatures(f)
    gradient = np.zeros_like(f)
    gradient[:, :-2] += across
    gradient[:, 1:-1] -= 2 * across
    gradient[:, 2:] += across
    gradient[:-2] += down
    gradient[1:-1] -= 2 * down
    gradient[2:] += down
    mixed = 2 * mixed
    gradient[:-1, :-1] += mixed
    gradient[:-1, 1:] -= mixed
    gradient[1:, :-1] -= mixed
    gradient[1:, 1:] += mixed
    return gradient


def _pooled(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over squares of 2 × 2 pixels."""
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4


def _doubled(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice the pixels along both axes, by cubic interpolation."""
    from scipy.ndimage import zoom

    return zoom(image, 2, order=3, mode="nearest", grid_mode=True)
