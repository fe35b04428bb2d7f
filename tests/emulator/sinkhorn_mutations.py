"""Bugs to plant in the kernels of optimal transport, and the arguments of the launchers that run them.

The rows of ``CAUGHT`` and ``WRONG`` are as in ``pie_mutations``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["ARGUMENTS", "CAUGHT", "WRONG"]

FUSION = ("fuse_spectra<double, float, false>",)
MEAN = ("mean_lines<float, 128>", "mean_pixels<float>", "finish_mean")

CAUGHT: dict[str, tuple[str, str, str, tuple[str, ...], str, str]] = {
    "missing barrier after the inputs of a tile": (
        "sinkhorn",
        "own[start + (from + i) * inner] : T(0);\n        });\n        __syncthreads();",
        "own[start + (from + i) * inner] : T(0);\n        });\n",
        ("convolve<float>",),
        "convolve_axis",
        r"(data race|read of unset shared memory).*shared array tile.*sinkhorn\.cu",
    ),
    "missing barrier before the next inputs of a tile": (
        "sinkhorn",
        "from += TILE) {\n        __syncthreads();\n        block.each",
        "from += TILE) {\n\n        block.each",
        ("convolve<float>",),
        "convolve_axis",
        r"data race.*shared array tile.*sinkhorn\.cu",
    ),
    "one number beyond a line": (
        "sinkhorn",
        "past + radius < length ? past + radius : int(length);",
        "past + radius < length ? past + radius : int(length) + 1;",
        ("convolve<float>",),
        "convolve_axis",
        r"out-of-bounds read.*'values'.*sinkhorn\.cu",
    ),
    "one line too many": (
        "sinkhorn",
        "visit(row, column, start, line + column < axis.lines);",
        "visit(row, column, start, line + column <= axis.lines);",
        ("convolve<float>",),
        "convolve_axis",
        r"(data race|out-of-bounds|unset shared memory).*sinkhorn\.cu",
    ),
    "the exponentials do not wait for the result": (
        "sinkhorn",
        "largest[r][line] + log(sum[r][line]);\n    __syncthreads();",
        "largest[r][line] + log(sum[r][line]);\n",
        ("log_convolve<float>",),
        "log_convolve_axis",
        r"data race.*shared array tile.*sinkhorn\.cu",
    ),
    "missing barrier before a line is convolved": (
        "sinkhorn",
        "T sum[RUN][1] = {};\n        __syncthreads();\n        if (radius == 0)",
        "T sum[RUN][1] = {};\n\n        if (radius == 0)",
        ("turn_lines<float, 128>",),
        "turn_axis",
        r"(data race|read of unset shared memory).*shared array memory.*lines\.cuh",
    ),
    "a line changes while it is read": (
        "sinkhorn",
        "line]; });\n        }\n        __syncthreads();",
        "line]; });\n        }\n",
        ("turn_lines<float, 128>",),
        "turn_axis",
        r"data race.*shared array memory.*lines\.cuh",
    ),
    "nothing behind the end of a line": (
        "sinkhorn",
        "(is_whole ? length * STRIDE : 0) + int(threadIdx.x)",
        "(is_whole ? rounded * STRIDE : 0) + int(threadIdx.x)",
        ("turn_lines<float, 128>",),
        "turn_axis",
        r"read of unset shared memory, shared array memory.*lines\.cuh",
    ),
    "every thread writes the range": (
        "sinkhorn_mean",
        "if (threadIdx.x == 0) {\n        Range<double> whole;",
        "if (threadIdx.x >= 0) {\n        Range<double> whole;",
        MEAN,
        "mean_axis",
        r"data race \(write after write\).*'ranges'.*sinkhorn_mean\.cu",
    ),
    "missing barrier between two reductions": (
        "sinkhorn_mean",
        "range = warp_range(range);\n    __syncthreads();",
        "range = warp_range(range);\n",
        MEAN,
        "short mean_axis",
        r"data race.*shared array room.*sinkhorn_mean\.cu",
    ),
    "ranges of two measures on top of each other": (
        "sinkhorn_mean",
        "range, ranges + 2 * (k * gridDim.x + blockIdx.x));\n        block",
        "range, ranges + 2 * (k * (gridDim.x - 1) + blockIdx.x));\n        block",
        MEAN,
        "mean_axis",
        r"data race.*'ranges'.*sinkhorn_mean\.cu",
    ),
    "one pixel too many": (
        "sinkhorn_mean",
        "pixel < part.end; pixel += THREADS) {\n        barycenter",
        "pixel <= part.end; pixel += THREADS) {\n        barycenter",
        MEAN,
        "short mean_axis",
        r"(data race|out-of-bounds).*sinkhorn_mean\.cu",
    ),
    "missing barrier between rows and columns": (
        "sinkhorn_fusion",
        "= part[r][0];\n        }\n        __syncthreads();",
        "= part[r][0];\n        }\n",
        ("scale_planes<float>",),
        "scale_planes",
        r"(data race|read of unset shared memory).*shared array held.*sinkhorn_fusion\.cu",
    ),
    "the next rows come too early": (
        "sinkhorn_fusion",
        "HELD_ROWS);\n        __syncthreads();",
        "HELD_ROWS);\n",
        ("scale_planes<float>",),
        "scale_planes",
        r"data race \(write after read\).*shared array held.*sinkhorn_fusion\.cu",
    ),
    "one column too far": (
        "sinkhorn_fusion",
        "column + u < past ? *next",
        "column + u <= past ? *next",
        ("scale_planes<float>",),
        "scale_planes",
        r"out-of-bounds read.*'u'.*sinkhorn_fusion\.cu",
    ),
    "rows of the neighbouring tile": (
        "sinkhorn_fusion",
        "if (is_inside && own + r < plane.rows)",
        "if (own + r <= plane.rows)",
        ("scale_planes<float>",),
        "scale_planes",
        r"(data race|out-of-bounds).*sinkhorn_fusion\.cu",
    ),
    "spectra do not wait for the plane": (
        "sinkhorn_fusion",
        "__syncthreads();   // k_h is there, and the spectra before these are done",
        "                   // k_h is there, and the spectra before these are done",
        FUSION,
        "fuse_spectra",
        r"data race.*sinkhorn_fusion\.cu",
    ),
    "missing barrier before a spectrum is convolved": (
        "sinkhorn_fusion",
        "M sum[RUN][1] = {};\n        __syncthreads();",
        "M sum[RUN][1] = {};\n",
        FUSION,
        "fuse_spectra",
        r"(data race|read of unset shared memory).*shared array memory.*sinkhorn_fusion\.cu",
    ),
    "a spectrum changes while it is read": (
        "sinkhorn_fusion",
        "* stride + own]; });\n        }\n        __syncthreads();",
        "* stride + own]; });\n        }\n",
        FUSION,
        "fuse_spectra",
        r"data race.*shared array memory.*sinkhorn_fusion\.cu",
    ),
    "a bound without an atomic function": (
        "sinkhorn_fusion",
        "atomicMax(bounds + padded + z, bits);",
        "bounds[padded + z] = max(bounds[padded + z], bits);",
        FUSION,
        "fuse_spectra",
        r"data race.*shared array bounds.*sinkhorn_fusion\.cu",
    ),
    "bounds of the plane without an atomic function": (
        "sinkhorn_fusion",
        "atomicMin(state + i, (unsigned long long)(bounds[i]));",
        "state[i] = min(state[i], (unsigned long long)(bounds[i]));",
        FUSION,
        "fuse_spectra",
        r"data race.*'state'.*sinkhorn_fusion\.cu",
    ),
}

WRONG: dict[str, tuple[str, str, str, tuple[str, ...], str]] = {
    "the window of taps turns the other way": (
        "sinkhorn",
        "held[(r + RUN - u) % RUN]",
        "held[(r + u) % RUN]",
        ("convolve<float>",),
        "convolve_axis",
    ),
    "a tile starts too late": (
        "sinkhorn",
        "block.first > radius ? block.first - radius : 0",
        "block.first > radius ? block.first - radius + 8 : 0",
        ("convolve<float>",),
        "convolve_axis",
    ),
    "terms that count are left out": (
        "sinkhorn",
        "? T(-30) : T(-50)",
        "? T(-3) : T(-50)",
        ("log_convolve<float>",),
        "log_convolve_axis",
    ),
    "weights without what rounding left of them": (
        "sinkhorn_mean",
        "weight_rest * x.exponent",
        "T(1e-3) * x.exponent",
        MEAN,
        "mean_axis",
    ),
    "the mantissa is off by a power of two": (
        "sinkhorn_fusion",
        "bits - exponent * (1 << 23)",
        "bits - exponent * (1 << 22)",
        FUSION,
        "fuse_spectra",
    ),
    "padding reaches the bands": (
        "sinkhorn_fusion",
        "const bool is_real = z < bands && is_inside(first + own);",
        "const bool is_real = z < padded && is_inside(first + own);",
        FUSION,
        "fuse_spectra",
    ),
    "every block hands over": (
        "sinkhorn_fusion",
        "1ull) == gridDim.x - 1;",
        "1ull) <= gridDim.x - 1;",
        FUSION,
        "fuse_spectra",
    ),
    "the wrong power of two": (
        "sinkhorn_fusion",
        "(2046 - field) * (1LL << 52)",
        "(2045 - field) * (1LL << 52)",
        FUSION,
        "fuse_spectra",
    ),
}

MEASURES, GRID, AXIS = 3, (5, 45, 13), 1
SIGMAS, WEIGHTS = (1.5, 0.0, 9.0), (0.25, 0.0, 0.75)
PLANE, BANDS, PADDED = (27, 21), 21, 32
PLANE_SIGMAS, PLANE_RADII = (2.1, 0.9), (9, 7)
_STACK = (MEASURES, *GRID)


def _stack(rng: np.random.Generator, grid: tuple[int, ...] = GRID) -> np.ndarray:
    return (rng.random((MEASURES, *grid)) + 0.1).astype(np.float32)


def _wide_stack(rng: np.random.Generator, grid: tuple[int, ...] = GRID) -> np.ndarray:
    """Numbers over a range whose logarithms are not small."""
    return np.exp(20 * rng.random((MEASURES, *grid))).astype(np.float32)


def _mean(rng: np.random.Generator, grid: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    sigmas = SIGMAS if grid == GRID else (0.0,) * MEASURES
    inputs = [
        _wide_stack(rng, grid),
        AXIS,
        sigmas,
        math.inf,
        WEIGHTS,
        1e-3,
        _stack(rng, grid)[0],
        _stack(rng, grid),
    ]
    outputs = [
        (grid, np.float32),
        ((MEASURES, *grid), np.float32),
        ((1,), np.float64),
        ((MEASURES, 2), np.float64),
    ]
    return inputs, outputs


def _cube(rng: np.random.Generator, kind: Any, bands: int) -> np.ndarray:
    cube = np.ones((*PLANE, PADDED), kind)
    cube[..., :bands] = rng.random((*PLANE, bands)) + 0.2
    return cube


def _fusion(rng: np.random.Generator, bands: int, fused: Any, extremes: Any) -> list[Any]:
    """Arguments of the fusion; its extremes are given where they have padding, which the reference leaves."""
    single, double = np.float32, np.float64
    cubes = [_cube(rng, kind, bands) for kind in (double, double, single, single)]
    gauge = np.ones(PADDED, single)
    return [
        cubes[0], cubes[1], 2.0, 9, cubes[2], cubes[3], PLANE_SIGMAS, PLANE_RADII, 0.3, gauge, bands, *fused,
        *extremes,
    ]  # fmt: skip


# Inputs, some of which are changed in place, and shape and dtype of each output.
ARGUMENTS: dict[str, Callable[..., tuple[list[Any], list[Any]]]] = {
    "convolve_axis": lambda rng: (
        [_stack(rng), AXIS, SIGMAS, 1.6, _stack(rng)],
        [(_STACK, np.float32)],
    ),
    "log_convolve_axis": lambda rng: ([_stack(rng), AXIS, SIGMAS], [(_STACK, np.float32)]),
    "turn_axis": lambda rng: ([_stack(rng), _stack(rng), AXIS, SIGMAS, math.inf, _stack(rng)], []),
    "mean_axis": lambda rng: _mean(rng, GRID),
    "short mean_axis": lambda rng: _mean(rng, (70, 50)),
    "balance": lambda rng: ([_stack(rng), _stack(rng), _stack(rng)], []),
    "scale_planes": lambda rng: (
        [*(_cube(rng, np.float32, PADDED) for _ in range(2)), PLANE_SIGMAS, PLANE_RADII],
        [((*PLANE, PADDED), np.float32)],
    ),
    "fuse_spectra": lambda rng: (
        _fusion(rng, BANDS, [None], [np.ones((2, PADDED), np.float32)]),
        [((1,), np.float64)],
    ),
    "kept fuse_spectra": lambda rng: (
        _fusion(rng, PADDED, [], []),
        [((*PLANE, PADDED), np.float32), ((2, PADDED), np.float32), ((1,), np.float64)],
    ),
}
