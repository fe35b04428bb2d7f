"""The blur of the hyperspectral sensor: its kernel, its centre, and what its samples see."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg._arrays import as_kernel_array
from fastimg.transport._inputs import check_finite

__all__ = ["Blur", "as_blur", "degrade", "starck_murtagh"]

# A Gaussian given by its width is cut at this many standard deviations
_CUT = 4.0

# Largest width in pixels, and the width from which on down the next pixel weighs 0
_WIDEST = 1e4
_NARROWEST = 1e-3

_WIDTHS = f"accepted are widths above 0 and up to {_WIDEST:g} pixels, kernels and None"


def starck_murtagh() -> NDArray[np.float64]:
    """Return the cubic B-spline (1, 4, 6, 4, 1) / 16, a filter of the à trous wavelet transform.

    Its product with itself is the 5 × 5 low-pass filter of J.-L. Starck and F. Murtagh, with which fusion is
    commonly tested.

    Returns
    -------
    numpy.ndarray, (5,)
        For ``blur`` of ``simulate_pair``, which applies it to rows and columns.

    Examples
    --------
    >>> starck_murtagh().sum()
    np.float64(1.0)
    """
    return np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16


@dataclass(frozen=True)
class Blur:
    """What one sample sees: factors over rows and columns, or one kernel (rows, columns); of sum 1.

    Tap t of an axis with L taps lies t - L // 2 pixels from the sample.
    """

    factors: tuple[NDArray[np.float64], ...]
    is_separable: bool

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of mass, in pixels from the sample."""
        rows, cols = self._profiles()
        return _centre(rows), _centre(cols)

    def _profiles(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.is_separable:
            return self.factors[0], self.factors[1]
        return self.factors[0].sum(axis=1), self.factors[0].sum(axis=0)


def as_blur(blur: Any) -> Blur:
    """Return a checked blur; None sees one pixel, and a number is the width of a Gaussian."""
    if blur is None:
        return Blur((np.ones(1), np.ones(1)), True)
    host = blur.get() if hasattr(blur, "get") else blur
    if isinstance(host, bool | np.bool_):
        raise ValueError(f"blur is {host}; {_WIDTHS}")
    kernel = as_kernel_array(np, host, ("float64",), name="blur")
    check_finite(np, kernel, "blur")
    if kernel.ndim == 0:
        if not 0 < kernel <= _WIDEST:
            raise ValueError(f"blur is {float(kernel):g}; {_WIDTHS}")
        kernel = _gaussian(float(kernel))
    if kernel.ndim > 2 or 0 in kernel.shape:
        raise ValueError(
            f"blur has shape {kernel.shape}; accepted are a width, a kernel (taps,) for both axes, a kernel "
            "(taps, taps) and None"
        )
    total = float(kernel.sum())
    if not total > 0:
        raise ValueError(f"blur has the sum {total:g}; accepted are kernels whose sum is above 0")
    kernel = kernel / total
    return Blur((kernel, kernel), True) if kernel.ndim == 1 else Blur((kernel,), False)


def degrade(xp: ModuleType, cube: Any, blur: Blur, ratio: int) -> Any:
    """Return the blurred cube at 0, ratio, 2 ratio …; beyond its edges it repeats itself."""
    if not blur.is_separable:
        (kernel,) = blur.factors
        return sum(
            _every(xp, _every(xp, cube, 0, tap_row - kernel.shape[0] // 2, ratio), 1, tap - kernel.shape[1] //
            2, ratio) * cube.dtype.type(kernel[tap_row, tap])
            for tap_row, tap in np.argwhere(kernel).tolist()
        )  # fmt: skip
    for axis, kernel in enumerate(blur.factors):
        cube = sum(
            _every(xp, cube, axis, tap - len(kernel) // 2, ratio) * cube.dtype.type(kernel[tap])
            for tap in np.flatnonzero(kernel).tolist()
        )
    return cube


def _every(xp: ModuleType, cube: Any, axis: int, shift: int, ratio: int) -> Any:
    places = (np.arange(0, cube.shape[axis], ratio) + shift) % cube.shape[axis]
    return xp.take(cube, xp.asarray(places), axis=axis)


def _gaussian(width: float) -> NDArray[np.float64]:
    reach = math.ceil(_CUT * width)
    distances = np.arange(-reach, reach + 1)
    kernel: NDArray[np.float64] = np.exp(-((distances / max(width, _NARROWEST)) ** 2) / 2)
    return kernel


def _centre(profile: NDArray[np.float64]) -> float:
    return float(profile @ (np.arange(len(profile)) - len(profile) // 2))
