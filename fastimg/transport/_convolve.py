"""Convolution with positive Gaussians that are not normalised: the kernels of transport."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastimg import kernels
from fastimg._arrays import allocate_out, as_kernel_array, namespace
from fastimg.transport._inputs import DTYPES, as_positive, as_sigmas, check_finite
from fastimg.transport._passes import convolve

__all__ = ["gaussian_convolve"]


def gaussian_convolve(
    x: ArrayLike,
    sigma: ArrayLike,
    *,
    truncate: float | None = None,
    axes: int | Sequence[int] | None = None,
    out: Any = None,
) -> Any:
    """Sum the values around each grid point, weighted by exp(-d² / 2σ²), along several axes.

    These are the kernels ξ of the transport: not normalised, so the weight of the point itself is 1; beyond
    the grid there is nothing.

    Parameters
    ----------
    x : array_like of real numbers
        Any number of axes.
    sigma : float or array_like of floats
        Standard deviations in grid steps, one for all axes or one for each of ``axes``; 0 leaves an axis as
        it is.
    truncate : float, optional
        Leave out what is further away than this many standard deviations. By default all pairs of points
        count whose weight the dtype can hold.
    axes : int or sequence of int, optional
        Along which to convolve; by default all.
    out : array, shape of ``x``, optional
        Where to write the result.

    Returns
    -------
    array, shape of ``x``
        float32 for single precision and less, else float64.

    Raises
    ------
    TypeError
        If the dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.
    ValueError
        If values are not finite, or an option is not accepted.

    Notes
    -----
    Every result is a sum of products of ``x``, never a difference of large sums as with FFTs: for positive
    values the relative error of each is near the rounding error, however small it is.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.transport import gaussian_convolve
    >>> gaussian_convolve([0.0, 0, 1, 0, 0], 1.0).round(4).tolist()
    [0.1353, 0.6065, 1.0, 0.6065, 0.1353]
    """
    xp = namespace(x=x, out=out)
    array = as_kernel_array(xp, x, DTYPES, name="x")
    chosen = _axes(axes, array.ndim)
    widths = as_sigmas(sigma, 1, len(chosen))[0]
    reach = math.inf if truncate is None else as_positive(truncate, "truncate")
    check_finite(xp, array, "x")
    work, deliver = allocate_out(xp, out, array.shape, array.dtype, array)
    by_axis = [(0.0,)] * array.ndim
    for axis, width in zip(chosen, widths, strict=True):
        by_axis[axis] = (width,)
    work[...] = array
    if array.size and any(widths):
        family = kernels.backend(xp).sinkhorn
        result, _ = convolve(family, work[None], xp.empty_like(work)[None], chosen, by_axis, reach=reach)
        if not xp.may_share_memory(result, work):
            work[...] = result[0]
    return deliver()


def _axes(axes: int | Sequence[int] | None, ndim: int) -> list[int]:
    """Return distinct axes from 0."""
    if axes is None:
        return list(range(ndim))
    given = [axes] if isinstance(axes, int | np.integer) else list(axes)
    if not all(isinstance(axis, int | np.integer) and -ndim <= axis < ndim for axis in given):
        raise ValueError(f"axes is {axes!r}; accepted are axes of an array with {ndim}")
    chosen = [int(axis) % ndim for axis in given]
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"axes is {axes!r}; accepted is each axis once")
    return chosen
