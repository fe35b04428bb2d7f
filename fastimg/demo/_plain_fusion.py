"""Barycenters as a NumPy user writes them from the paper, for comparison in time and result.

J. Mifdal et al., "Hyperspectral and Multispectral Wasserstein Barycenter for Image Fusion", IGARSS 2017,
algorithm 1, for any number of measures on any grid. The kernels are products of Gaussians along the axes,
each of which is a dense matrix: BLAS does the work.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["barycenter"]

Kernels = list[NDArray[np.float64] | None]


def barycenter(
    measures: Sequence[NDArray[np.float64]],
    sigmas: Sequence[Sequence[float]],
    weights: Sequence[float],
    iterations: int,
) -> NDArray[np.float64]:
    """Return the barycenter of measures on a grid.

    Parameters
    ----------
    measures : sequence of K ndarrays, (*grid)
    sigmas : sequence of K rows
        Standard deviations in grid steps along each axis; 0 leaves an axis alone.
    weights : sequence of K floats
    iterations : int

    Returns
    -------
    ndarray, (*grid)

    Examples
    --------
    >>> x = np.arange(41.0)
    >>> spots = np.exp(-((x - [[10], [24]]) ** 2) / 8)
    >>> int(barycenter(spots, [[2.0]] * 2, [0.5, 0.5], 100).argmax())
    17
    """
    kernels = [
        [_kernel(length, sigma) for length, sigma in zip(measure.shape, row, strict=True)]
        for measure, row in zip(measures, sigmas, strict=True)
    ]
    scalings = [np.ones_like(measure) for measure in measures]
    mean = scalings[0]
    for _ in range(iterations):
        moved = [
            _convolve(measure / _convolve(scaling, each), each)
            for measure, scaling, each in zip(measures, scalings, kernels, strict=True)
        ]
        mean = np.ones_like(mean)
        for scaling, each, weight in zip(scalings, moved, weights, strict=True):
            mean *= (scaling * each) ** weight
        scalings = [mean / each for each in moved]
    return mean


def _kernel(length: int, sigma: float) -> NDArray[np.float64] | None:
    """The Gaussian between all pairs of points of an axis."""
    if sigma == 0:
        return None
    points = np.arange(length)
    kernel = np.exp(-((points[:, None] - points) ** 2) / (2 * sigma**2))
    # subnormal numbers are slow
    kernel[kernel < np.finfo(np.float64).tiny] = 0
    return kernel


def _convolve(values: NDArray[np.float64], kernels: Kernels) -> NDArray[np.float64]:
    shape = values.shape
    for axis, kernel in enumerate(kernels):
        if kernel is None:
            continue
        if axis == len(shape) - 1:
            values = values.reshape(-1, shape[axis]) @ kernel
        else:
            values = kernel @ values.reshape(int(np.prod(shape[:axis])), shape[axis], -1)
    return values.reshape(shape)
