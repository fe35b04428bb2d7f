"""The iteration of fastimg.fusion in plain NumPy, with dense matrices: what the kernels are compared with.

Cubes are (rows, cols, bands). The kernel K_M is a matrix on bands, K_H one on rows and one on columns, as at
the paper's parameters. Scalings are left as they grow: nothing is divided out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kernels", "barycenter", "iteration", "kernels_of", "marginals"]

# Smaller entries of a kernel are 0: their products would be subnormal, with which processors are slow
NEGLIGIBLE = {np.dtype(np.float32): 1e-30, np.dtype(np.float64): 1e-250}


class Kernels(NamedTuple):
    """Symmetric matrices, each on one axis."""

    bands: NDArray[Any]
    rows: NDArray[Any]
    cols: NDArray[Any]


def kernels_of(
    shape: tuple[int, int, int], width_m: float, widths_h: tuple[float, float], dtype: Any
) -> Kernels:
    """Return the kernels of standard deviations in bands, and in rows and columns; 0 leaves an axis alone."""
    rows, cols, bands = shape
    return Kernels(
        _gaussian(bands, width_m, dtype),
        _gaussian(rows, widths_h[0], dtype),
        _gaussian(cols, widths_h[1], dtype),
    )


def _gaussian(length: int, width: float, dtype: Any) -> NDArray[Any]:
    if width == 0:
        return np.eye(length, dtype=dtype)
    place = np.arange(length)
    matrix = np.exp(-((place[:, None] - place) ** 2) / (2 * width**2))
    matrix[matrix < NEGLIGIBLE[np.dtype(dtype)]] = 0
    return matrix.astype(dtype)


def barycenter(
    measure_m: Any, measure_h: Any, kernels: Kernels, weight: float, iterations: int
) -> NDArray[Any]:
    """Return f after as many iterations from u = 1."""
    u_m, u_h = np.ones_like(measure_m), np.ones_like(measure_h)
    for _ in range(iterations):
        fused, u_m, u_h = iteration(u_m, u_h, measure_m, measure_h, kernels, weight)
    return fused


def iteration(
    u_m: Any, u_h: Any, measure_m: Any, measure_h: Any, kernels: Kernels, weight: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return f, u_M and u_H: algorithm 1 of Mifdal et al., IGARSS 2017, with 1 - λ in its equation 10."""
    convolved_m = _along_bands(kernels, measure_m / _along_bands(kernels, u_m))
    convolved_h = _in_plane(kernels, measure_h / _in_plane(kernels, u_h))
    fused = u_h * convolved_h
    fused *= (u_m * convolved_m / fused) ** fused.dtype.type(weight)
    return fused, fused / convolved_m, fused / convolved_h


def marginals(u_m: Any, u_h: Any, measure_m: Any, measure_h: Any, kernels: Kernels) -> tuple[Any, Any]:
    """Return u K v of either measure, with v = measure / K u: what each plan brings to the barycenter."""
    return (
        u_m * _along_bands(kernels, measure_m / _along_bands(kernels, u_m)),
        u_h * _in_plane(kernels, measure_h / _in_plane(kernels, u_h)),
    )


def _along_bands(kernels: Kernels, cube: Any) -> NDArray[Any]:
    return (cube.reshape(-1, cube.shape[2]) @ kernels.bands).reshape(cube.shape)


def _in_plane(kernels: Kernels, cube: Any) -> NDArray[Any]:
    lines = (kernels.rows @ cube.reshape(len(cube), -1)).reshape(cube.shape)
    return np.matmul(kernels.cols, lines)
