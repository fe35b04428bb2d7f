"""Launchers of the kernels of optimal transport on grids, ``sinkhorn.cu`` and ``sinkhorn_*.cu``.

K measures lie on grids of any number of axes; T is float32 or float64. Arrays are CuPy's and C-contiguous;
outputs are given and written; 0/0 is 0. Nothing here waits for the device. The kernel of measure k along an
axis is exp(-d²/2σ_k²), un-normalised, between all pairs of a line; taps that are no normal numbers are 0. The
same name means the same thing in every function:

values, measures, out : (K, *grid) T
axis : int
    Of the grid, from 0.
sigmas : K floats
    σ_k in grid steps; 0 is the identity.
reach : float
    Taps farther than reach · σ_k are 0; ``math.inf`` for none.
u_m, measure_m, u_h, measure_h, v_h : (rows, columns, padded) T
    Cubes, of which the first ``bands`` bands are real. Those of M, which moves mass along the bands, may be
    float64 where those of H, which moves it in the plane, are float32.
sigmas, radii : (float, float), (int, int)
    For cubes: σ along rows and columns, and the farthest taps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._launch import ceil_div as _ceil_div
from ._launch import kind as _kind
from ._launch import launch as _launch
from ._launch import tiles as _tiles
from ._module import load_cupy
from ._sinkhorn_tables import Taps, axis_taps, counters, log_taps, plane_taps, split_weights

__all__ = [
    "balance",
    "convolve_axis",
    "fuse_spectra",
    "log_convolve_axis",
    "mean_axis",
    "scale_planes",
    "turn_axis",
]

# Of sinkhorn.cu, sinkhorn_mean.cu and sinkhorn_fusion.cu
THREADS, WIDE_THREADS, WARP = 128, 256, 32
TILE, LINES = 32, 64
CHUNK, TILE_ROWS, TILE_COLUMNS = 16, 16, 8
MOST_BANDS = 1024

# Lines that a block holds as a whole, SIDE of them: shorter ones would leave most threads idle
SIDE, SHORTEST, SHORT, LONGEST = 8, 8, 128, 512
# The mean of longer lines has too few blocks, as one does all measures after another.
LONGEST_MEAN = 256
# Pixels that a block takes where it needs no neighbours
PART_PIXELS = 2048


def convolve_axis(
    values: Any, axis: int, sigmas: Sequence[float], reach: float, numerators: Any, out: Any
) -> None:
    """Set out_k to K_k values_k, or to numerators_k / (K_k values_k) where ``numerators`` is not None.

    ``out`` may not overlap ``values``.
    """
    taps = axis_taps(values.shape[1 + axis], sigmas, values.dtype, reach)
    _convolve(values, axis, taps, numerators, out)


def turn_axis(
    values: Any, measures: Any, axis: int, sigmas: Sequence[float], reach: float, work: Any
) -> None:
    """Set values_k to K_k (measures_k / (K_k values_k)); ``work`` has their shape."""
    length, inner, lines = _lines(values, axis)
    taps = axis_taps(length, sigmas, values.dtype, reach)
    if not SHORTEST <= length <= LONGEST:
        _convolve(values, axis, taps, measures, work)
        _convolve(work, axis, taps, None, values)
        return
    _launch(
        "sinkhorn", f"turn_lines<{_kind(values)}, {_longest(length)}>",
        len(values) * _ceil_div(lines, SIDE), _line_threads(length),
        values, measures, taps.taps, taps.device_radii, taps.table, length, inner, lines,
    )  # fmt: skip


def mean_axis(
    values: Any,
    axis: int,
    sigmas: Sequence[float],
    reach: float,
    weights: Sequence[float],
    floor: float,
    debiasing: Any,
    previous: Any,
    barycenter: Any,
    scalings: Any,
    error: Any,
    ranges: Any,
) -> None:
    """Take the weighted geometric mean of all K_k values_k, and convolve the scalings that follow from it.

    Parameters
    ----------
    weights : K floats
        w_k; measures of weight 0 take no part in the mean.
    floor : float
        Added to Ku_k = K_k values_k in the mean.
    debiasing : grid or None
        Multiplies the mean.
    previous : (K, *grid) T or None
        The u_k of the iteration before, for ``error`` alone.
    barycenter : grid
        Receives the mean.
    scalings : (K, *grid) T or None
        Receives u_k = barycenter / Ku_k; may be ``previous``. values_k become K_k u_k.
    error : (1,) float64 or None
        Receives the sum over pixels of the standard deviation over k of previous_k Ku_k.
    ranges : (K, 2) float64 or None
        Receives the least and largest log u_k of the positive ones; beside NaN or inf the largest is inf.
    """
    length, inner, lines = _lines(values, axis)
    taps = axis_taps(length, sigmas, values.dtype, reach)
    is_identity = not any(taps.radii)
    is_short = SHORTEST <= length <= LONGEST_MEAN and not is_identity
    pixels = length * lines
    blocks = _ceil_div(lines, SIDE) if is_short else _ceil_div(pixels, PART_PIXELS)
    empty = load_cupy().empty
    errors = None if error is None else empty(blocks, np.float64)
    parts = None if ranges is None else empty((len(values), blocks, 2), np.float64)
    mean = split_weights(weights, values.dtype), float(floor), debiasing, previous, len(values)
    outputs = barycenter, scalings, errors, parts
    if is_short:
        _launch(
            "sinkhorn_mean", f"mean_lines<{_kind(values)}, {_longest(length)}>", blocks,
            _line_threads(length), values, taps.taps, taps.device_radii, taps.table, *mean, length, inner,
            lines, *outputs,
        )  # fmt: skip
    else:
        convolved = values
        if not is_identity:
            convolved = empty(values.shape, values.dtype)
            _convolve(values, axis, taps, None, convolved)
        _launch(
            "sinkhorn_mean", f"mean_pixels<{_kind(values)}>", blocks, WIDE_THREADS,
            convolved, *mean, pixels, blocks, *outputs,
        )  # fmt: skip
        if not is_identity:
            _convolve(convolved, axis, taps, None, values)
    if error is not None or ranges is not None:
        measures = 0 if ranges is None else len(values)
        _launch(
            "sinkhorn_mean", "finish_mean", measures + (error is not None), WIDE_THREADS,
            errors, parts, blocks, measures, error, ranges,
        )  # fmt: skip


def balance(scaling: Any, measure: Any, convolved: Any) -> None:
    """Set the scaling to √(scaling · measure / convolved); three arrays of one shape."""
    parts = _ceil_div(scaling.size, PART_PIXELS)
    _launch(
        "sinkhorn", f"balance<{_kind(scaling)}>", parts, THREADS,
        scaling, measure, convolved, scaling.size, parts,
    )  # fmt: skip


def log_convolve_axis(values: Any, axis: int, sigmas: Sequence[float], out: Any) -> None:
    """Set out_k to log(K_k exp(values_k)); -inf is allowed, and nothing leaves the range."""
    length, inner, lines = _lines(values, axis)
    taps = log_taps(length, sigmas, values.dtype)
    _launch(
        "sinkhorn", f"log_convolve<{_kind(values)}>", _axis_tiles(values, length, lines), THREADS,
        values, taps.taps, taps.device_radii, taps.table, length, length, inner, lines, out,
    )  # fmt: skip


def scale_planes(u_h: Any, measure_h: Any, sigmas: Sequence[float], radii: Sequence[int], v_h: Any) -> None:
    """Set v_H to measure_H / (K u_H), with K along rows and columns."""
    rows, columns, padded = u_h.shape
    taps = plane_taps((rows, columns), sigmas, radii, u_h.dtype)
    _launch(
        "sinkhorn_fusion", f"scale_planes<{_kind(u_h)}>", _plane_tiles(u_h) * (padded // CHUNK), WIDE_THREADS,
        u_h, measure_h, taps.taps, taps.table, *taps.radii, rows, columns, padded, v_h,
    )  # fmt: skip


def fuse_spectra(
    u_m: Any,
    measure_m: Any,
    sigma: float,
    radius: int,
    u_h: Any,
    v_h: Any,
    sigmas: Sequence[float],
    radii: Sequence[int],
    weight: float,
    gauge: Any,
    bands: int,
    fused: Any,
    extremes: Any,
    span: Any,
) -> None:
    """Take the mean of both cubes, and the scalings that follow from it.

    With v_M = measure_M / (K u_M), k_M = K v_M along the bands and k_H = K v_H in the plane, the mean is
    f = (u_M k_M)^weight (u_H k_H)^(1 - weight). u_M becomes f / k_M, over the largest power of two up to its
    largest value in the pixel, u_H becomes f / k_H times the gauge.

    Parameters
    ----------
    sigma, radius : float, int
        σ along the bands, and the farthest tap.
    gauge : (padded,) T
        Factor of each band.
    fused : (rows, columns, padded) T or None
        Receives f; its padding receives anything finite.
    extremes : (2, padded) T
        Receives the least and the largest new u_H of each band.
    span : (1,) float64
        Receives the largest log(max / min) over the bands of a pixel's new u_M.
    """
    rows, columns, padded = u_m.shape
    plane = plane_taps((rows, columns), sigmas, radii, u_h.dtype)
    spectral = plane_taps((bands,), (sigma,), (radius,), u_m.dtype)
    empty, is_long = load_cupy().empty, padded > MOST_BANDS
    k_h = empty(u_h.shape, u_h.dtype) if fused is None else fused
    k_m = _long_spectra(u_m, measure_m, sigma, spectral.radii[0], bands) if is_long else None
    types = f"{_kind(u_m)}, {_kind(u_h)}, {'true' if is_long else 'false'}"
    _launch(
        "sinkhorn_fusion", f"fuse_spectra<{types}>", _plane_tiles(u_h), WIDE_THREADS, u_m, measure_m,
        spectral.taps, spectral.radii[0], k_m, u_h, v_h, plane.taps, plane.table, *plane.radii, float(weight),
        gauge, rows, columns, padded, bands, _pixels_together(padded), k_h, fused is not None,
        counters(padded), extremes, span,
    )  # fmt: skip


def _long_spectra(u_m: Any, measure_m: Any, sigma: float, radius: int, bands: int) -> Any:
    """Return k_M where spectra do not fit into shared memory."""
    reach = (radius + 0.5) / sigma if sigma else math.inf
    taps = axis_taps(bands, (sigma,), u_m.dtype, reach)
    v_m, k_m = (load_cupy().empty(u_m.shape, u_m.dtype) for _ in range(2))
    _convolve(u_m[None], 2, taps, measure_m[None], v_m[None], bands)
    _convolve(v_m[None], 2, taps, None, k_m[None], bands)
    return k_m


def _convolve(
    values: Any, axis: int, taps: Taps, numerators: Any, out: Any, length: int | None = None
) -> None:
    """Convolve along an axis, of which only the first ``length`` numbers may be there."""
    pitch, inner, lines = _lines(values, axis)
    length = pitch if length is None else length
    _launch(
        "sinkhorn", f"convolve<{_kind(values)}>", _axis_tiles(values, length, lines), THREADS,
        values, taps.taps, taps.device_radii, taps.table, numerators, length, pitch, inner, lines, out,
    )  # fmt: skip


def _lines(values: Any, axis: int) -> tuple[int, int, int]:
    """Return the length of the lines along an axis, the distance of their numbers, and how many there are."""
    grid = values.shape[1:]
    length = grid[axis]
    return length, math.prod(grid[axis + 1 :]), math.prod(grid) // max(length, 1)


def _axis_tiles(values: Any, length: int, lines: int) -> int:
    return len(values) * _ceil_div(length, TILE) * _ceil_div(lines, LINES)


def _plane_tiles(cube: Any) -> int:
    return _tiles(cube.shape[0], cube.shape[1], TILE_ROWS, TILE_COLUMNS)


def _longest(length: int) -> int:
    return SHORT if length <= SHORT else LONGEST


def _line_threads(length: int) -> int:
    """Return SIDE threads for each run of SIDE numbers, in whole warps."""
    return _ceil_div(_ceil_div(length, SIDE) * SIDE, WARP) * WARP


def _pixels_together(padded: int) -> int:
    """Return how many spectra a block holds: a power of two, with a thread for each run of bands."""
    runs = padded // SIDE
    return min(WARP, 1 << max(WIDE_THREADS // runs, 1).bit_length() - 1)
