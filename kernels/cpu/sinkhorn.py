"""Sinkhorn iterations on grids, with a Gaussian of its own width for each measure and axis.

Arrays are NumPy's and C-contiguous, of one dtype (float32 or float64); outputs are given and written. Arrays
of K measures are (K, *grid). A measure's kernel along an axis is exp(-d²/2σ²) of the distance d in grid
steps, not normalised, 0 where the dtype has no normal number; σ = 0 leaves the axis as it is. 0 divided by
anything is 0. The same name means the same in every function:

values : (K, *grid)
    Scalings u, already blurred along the other axes.
measures : (K, *grid)
    The measures, not negative.
axis : int
    An axis of the grid, 0 the first.
sigmas : sequence of K floats
    Widths in grid steps.
reach : float
    Beyond ``reach`` widths a kernel is cut; infinity for all pairs of an axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Any

import numpy as np

from ._shares import run_shares
from ._sinkhorn_axis import compiled_convolution, compiled_mean, compiled_turn, panel_width
from ._sinkhorn_balance import compiled_balance
from ._sinkhorn_fusion import band_taps, compiled_planes, compiled_spectra, plane_taps
from ._sinkhorn_log import compiled_log_convolution
from ._sinkhorn_panels import panel_rows
from ._sinkhorn_plans import axis_plans

__all__ = [
    "balance",
    "convolve_axis",
    "fuse_spectra",
    "log_convolve_axis",
    "mean_axis",
    "scale_planes",
    "turn_axis",
]

# Arrays of fewer numbers are one thread's work
PARALLEL_NUMBERS = 1 << 14
BALANCE_PART = 1 << 14


def convolve_axis(
    values: Any, axis: int, sigmas: Sequence[float], reach: float, numerators: Any, out: Any
) -> None:
    """``out = K values`` along one axis, or ``numerators / (K values)``; ``out`` overlaps no input."""
    if not values.size:
        return
    precision, shape, count, plans = _lines(values, axis, sigmas, reach)
    divided = values if numerators is None else numerators
    run_shares(
        compiled_convolution(precision, numerators is not None), shape[0] * count, _is_large(values),
        values.reshape(-1), divided.reshape(-1), *shape, *plans, out.reshape(-1),
    )  # fmt: skip


def turn_axis(
    values: Any, measures: Any, axis: int, sigmas: Sequence[float], reach: float, work: Any
) -> None:
    """``values = K (measures / (K values))`` along one axis, in place; ``work`` is not needed here."""
    if not values.size:
        return
    precision, shape, count, plans = _lines(values, axis, sigmas, reach)
    run_shares(
        compiled_turn(precision), shape[0] * count, _is_large(values),
        measures.reshape(-1), *shape, *plans, values.reshape(-1),
    )  # fmt: skip


def mean_axis(
    values: Any, axis: int, sigmas: Sequence[float], reach: float, weights: Sequence[float], floor: float,
    debiasing: Any, previous: Any, barycenter: Any, scalings: Any, error: Any, ranges: Any,
) -> None:  # fmt: skip
    """Barycenter and scalings of one iteration along its last axis, and the blur that begins the next.

    With Ku = K values along the axis: ``barycenter = debiasing Π_k (Ku_k + floor)^w_k``;
    u_k = barycenter / Ku_k goes to ``scalings``; ``values = K u``, in place.

    Parameters
    ----------
    weights : sequence of K floats
        w_k; a measure of weight 0 is left out of the mean.
    floor : float
        Added to Ku in the mean.
    debiasing : (*grid) array or None
        A factor of the barycenter.
    previous : (K, *grid) array or None
        The u_k of the iteration before, for ``error`` alone.
    barycenter : (*grid) array
    scalings : (K, *grid) array or None
        May be ``previous``.
    error : (1,) float64 or None
        Sum over the grid of the standard deviation over k of ``previous_k Ku_k``.
    ranges : (K, 2) float64 or None
        Least and largest natural logarithm of the u_k above 0; the largest is infinite beside infinities and
        NaN.
    """
    if not values.size:
        return
    precision, shape, count, plans = _lines(values, axis, sigmas, reach)
    dtype, measures = values.dtype, len(values)
    none = np.empty(0, dtype)
    numbers = np.array([*weights, floor, np.finfo(dtype).tiny], dtype)
    errors = np.zeros(0 if error is None else count)
    integer = np.uint32 if precision == 32 else np.uint64
    extremes = np.zeros((count, measures, panel_width(precision)), integer)
    extremes[..., : panel_width(precision) // 2] = np.iinfo(integer).max
    run_shares(
        compiled_mean(precision), count, _is_large(values),
        *shape, *plans, numbers,
        none if debiasing is None else debiasing.reshape(-1),
        none if previous is None else previous.reshape(-1),
        values.reshape(-1), barycenter.reshape(-1),
        none if scalings is None else scalings.reshape(-1), errors, extremes,
    )  # fmt: skip
    if error is not None:
        error[0] = errors.sum()
    if ranges is not None:
        _store_ranges(extremes, dtype, ranges)


def balance(scaling: Any, measure: Any, convolved: Any) -> None:
    """``scaling = √(scaling measure / convolved)``, in place."""
    parts = -(-scaling.size // BALANCE_PART)
    run_shares(
        compiled_balance(BALANCE_PART), parts, _is_large(scaling),
        measure.reshape(-1), convolved.reshape(-1), scaling.reshape(-1),
    )  # fmt: skip


def log_convolve_axis(values: Any, axis: int, sigmas: Sequence[float], out: Any) -> None:
    """``out = log(K exp(values))`` along one axis, by sums under their largest term; -inf is the log of 0."""
    if not values.size:
        return
    precision = 8 * values.itemsize
    _, outer, n, inner = _shape(values, axis)
    count = _panels(outer, inner, precision)
    distance = np.arange(1 - n, n)
    for k, sigma in enumerate(sigmas):
        if sigma == 0:
            out[k] = values[k]
            continue
        costs = (0.5 * (distance / sigma) ** 2).astype(values.dtype)[None]
        run_shares(
            compiled_log_convolution(precision), count, _is_large(values),
            values[k].reshape(-1), outer, n, inner, costs, out[k].reshape(-1),
        )  # fmt: skip


def scale_planes(u_h: Any, measure_h: Any, sigmas: Sequence[float], radii: Sequence[int], v_h: Any) -> None:
    """``v_h = measure_h / (K_xy u_h)``: the scaling that belongs to the measure blurred in its plane."""
    precision = 8 * u_h.itemsize
    rows = panel_rows(precision)
    tables = [plane_taps(sigma, radius, rows, u_h.dtype) for sigma, radius in zip(sigmas, radii, strict=True)]
    run_shares(
        compiled_planes(precision), -(-len(u_h) // rows), _is_large(u_h),
        u_h.reshape(-1), measure_h.reshape(-1), *tables, *radii, *u_h.shape, v_h.reshape(-1),
    )  # fmt: skip


def fuse_spectra(
    u_m: Any, measure_m: Any, sigma: float, radius: int, u_h: Any, v_h: Any,
    sigmas: Sequence[float], radii: Sequence[int], weight: float, gauge: Any, bands: int,
    fused: Any, extremes: Any, span: Any,
) -> None:  # fmt: skip
    """The barycenter of two cubes, and the scalings that belong to it.

    With k_H = K_xy v_h, v_M = measure_m / (K_z u_m), k_M = K_z v_M and λ = weight, per pixel and band:
    ``fused = (u_m k_M)^λ (u_h k_H)^(1 - λ)``; ``u_m = fused / k_M``, times the power of two that brings the
    largest of a pixel into [1, 2); ``u_h = fused / k_H * gauge``.

    Parameters
    ----------
    u_m, measure_m : (rows, cols, padded bands) float32 or float64
    sigma, radius : float, int
        Width of K_z in bands, and the distance up to which it is not 0.
    u_h, v_h : (rows, cols, padded bands) float32, or float64 as ``u_m``
    sigmas, radii : (float, float), (int, int)
        Those of K_xy, along columns and along rows.
    weight : float
    gauge : (padded bands,) array
        Powers of two.
    bands : int
        Bands that are not padding.
    fused : (rows, cols, padded bands) array or None
    extremes : (2, padded bands) array
        Least and largest of the new ``u_h`` of each band.
    span : (1,) float64
        Largest log(max / min over the bands) of a pixel's new ``u_m``.
    """
    precision, precision_m = 8 * u_h.itemsize, 8 * u_m.itemsize
    rows, padded = panel_rows(precision), u_h.shape[2]
    strips = -(-len(u_h) // rows)
    tables = [plane_taps(s, r, rows, u_h.dtype) for s, r in zip(sigmas, radii, strict=True)]
    spectral = band_taps(float(sigma), int(radius), bands, padded, u_m.dtype)
    least = np.full((strips, padded), np.inf, u_h.dtype)
    most = np.zeros((strips, padded), u_h.dtype)
    spans = np.ones((strips, 1), u_m.dtype)
    run_shares(
        compiled_spectra(precision_m, precision, fused is not None), strips, _is_large(u_h),
        measure_m.reshape(-1), v_h.reshape(-1), spectral, *tables, int(radius), *radii,
        np.array([weight], u_h.dtype), gauge, int(bands), *u_h.shape,
        u_m.reshape(-1), u_h.reshape(-1), (u_h if fused is None else fused).reshape(-1), least, most, spans,
    )  # fmt: skip
    extremes[0], extremes[1] = least.min(axis=0), most.max(axis=0)
    span[0] = np.log(np.float64(spans.max()))


def _shape(values: Any, axis: int) -> tuple[int, int, int, int]:
    """Measures, and the numbers of a measure before, along and after an axis."""
    grid = values.shape[1:]
    return len(values), prod(grid[:axis]), grid[axis], prod(grid[axis + 1 :])


def _panels(outer: int, inner: int, precision: int) -> int:
    width = panel_width(precision)
    return -(-outer // width) if inner == 1 else outer * -(-inner // width)


def _lines(
    values: Any, axis: int, sigmas: Sequence[float], reach: float
) -> tuple[int, tuple[int, int, int, int], int, tuple[Any, ...]]:
    """Precision, shape, panels of a measure, and plans of the lines along an axis."""
    precision = 8 * values.itemsize
    shape = _shape(values, axis)
    plans = axis_plans(shape[2], tuple(map(float, sigmas)), float(reach), precision, panel_rows(precision))
    tables = (plans.ranges, plans.stages, plans.blocks, plans.taps, max(plans.longest, shape[2]))
    return precision, shape, _panels(shape[1], shape[3], precision), tables


def _is_large(values: Any) -> bool:
    return values.size >= PARALLEL_NUMBERS


def _store_ranges(extremes: np.ndarray, dtype: np.dtype, ranges: Any) -> None:
    """Logarithms of the least and largest scalings of all panels, from their bits."""
    half = extremes.shape[2] // 2
    least = (extremes[..., :half].min(axis=(0, 2)) + extremes.dtype.type(1)).view(dtype)
    largest = extremes[..., half:].max(axis=(0, 2)).view(dtype)
    for k in range(len(ranges)):
        is_finite, is_positive = np.isfinite(largest[k]), largest[k] > 0
        ranges[k, 0] = np.log(np.float64(least[k])) if least[k] > 0 else inf
        ranges[k, 1] = inf if not is_finite else np.log(np.float64(largest[k])) if is_positive else -inf
