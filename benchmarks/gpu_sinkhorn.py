"""What ``benchmarks.gpu`` runs of optimal transport: every kernel once, and the speed of iterations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["FAMILIES", "call_kernels", "described", "measure_iterations"]

FAMILIES = ("sinkhorn", "sinkhorn_mean", "sinkhorn_fusion")
# Images of a barycenter, as wide as regularisation by 0.004 of the squared unit interval makes the kernel
SIZES, MEASURES, WIDTH = (128, 256, 512, 1024), 2, 1 / 22.4
# Cubes of a fusion with the kernels that the method's parameters give on the smaller one
CUBES, BANDS = ((128, 128), (512, 512)), 93
SIGMA, RADIUS, PLANE = 2.06, 53, ((0.9, 0.9), (11, 11))
PRECISIONS = {"float32": ("float32", "float32"), "mixed": ("float64", "float32"), "float64": ("float64",) * 2}
REPEATS, WARM_UP, TOGETHER = 10, 3, 20


def call_kernels(cupy: Any) -> None:
    """Call every kernel on small grids: lines that fit into a block, short or long, and lines that do not."""
    from fastimg.kernels.cuda import sinkhorn

    sigmas, weights = (1.7, 0.0, 5.0), (0.2, 0.3, 0.5)
    rng = np.random.default_rng(0)
    for kind in ("float32", "float64"):
        for length in (7, 33, 250, 520):
            shape = (3, 5, length, 3)
            values, measures, previous = (cupy.asarray(1 + rng.random(shape, kind)) for _ in range(3))
            work, mean = cupy.empty(shape, kind), cupy.empty(shape[1:], kind)
            sinkhorn.convolve_axis(values, 1, sigmas, 3.0, measures, work)
            sinkhorn.log_convolve_axis(values, 1, sigmas, work)
            sinkhorn.turn_axis(values, measures, 1, sigmas, math.inf, work)
            sinkhorn.mean_axis(
                values, 1, sigmas, math.inf, weights, 0.0, measures[0], previous, mean, previous,
                cupy.empty(1), cupy.empty((3, 2)),
            )  # fmt: skip
            sinkhorn.balance(mean, measures[0], measures[1])
    for precision in PRECISIONS:
        for shape, bands in (((20, 11), 21), ((2, 3), 1030)):
            run_fusion(make_fusion(cupy, shape, bands, precision))


def make_barycenter(cupy: Any, size: int, precision: str) -> Callable[[], None]:
    """Return an iteration of the barycenter of two random images."""
    from fastimg.kernels.cuda import sinkhorn

    shape = (MEASURES, size, size)
    measures = cupy.asarray(0.1 + np.random.default_rng(0).random(shape, precision))
    values, work = cupy.ones(shape, precision), cupy.empty(shape, precision)
    mean, sigmas = cupy.empty(shape[1:], precision), (size * WIDTH,) * MEASURES
    weights = (1 / MEASURES,) * MEASURES

    def iterate() -> None:
        sinkhorn.turn_axis(values, measures, 1, sigmas, math.inf, work)
        sinkhorn.mean_axis(values, 0, sigmas, math.inf, weights, 1e-30, None, None, mean, None, None, None)

    return iterate


def make_fusion(cupy: Any, shape: tuple[int, int], bands: int, precision: str) -> tuple[Any, ...]:
    """Return random cubes and outputs of an iteration of the fusion."""
    from fastimg.kernels._sinkhorn_layout import padded_bands

    padded = padded_bands(bands)
    rng, (first, second) = np.random.default_rng(0), PRECISIONS[precision]
    measure_m, measure_h = (
        cupy.asarray(0.5 + rng.random((*shape, padded), kind)) for kind in PRECISIONS[precision]
    )
    u_m, u_h = cupy.ones(measure_m.shape, first), cupy.ones(measure_h.shape, second)
    gauge, extremes = cupy.ones(padded, second), cupy.empty((2, padded), second)
    return (
        u_m,
        measure_m,
        u_h,
        measure_h,
        cupy.empty(u_h.shape, second),
        gauge,
        bands,
        extremes,
        cupy.empty(1),
    )


def run_fusion(arrays: tuple[Any, ...]) -> None:
    """Do an iteration of the fusion."""
    from fastimg.kernels.cuda import sinkhorn

    u_m, measure_m, u_h, measure_h, v_h, gauge, bands, extremes, span = arrays
    sinkhorn.scale_planes(u_h, measure_h, *PLANE, v_h)
    sinkhorn.fuse_spectra(
        u_m, measure_m, SIGMA, RADIUS, u_h, v_h, *PLANE, 0.1, gauge, bands, None, extremes, span
    )


def measure_iterations(cupy: Any, elapsed: Callable[[Any, Callable[[], Any]], float]) -> list[dict[str, Any]]:
    """Return the time of an iteration, of barycenters by size and precision and of the fusion of cubes.

    ``elapsed`` returns the seconds that the device takes for a call. Where the host takes as long to launch
    it, the device waits, and the rate is that of the launches.
    """
    works: list[tuple[str, Any, str, Callable[[], None]]] = [
        ("barycenter", (size, size), precision, make_barycenter(cupy, size, precision))
        for size in SIZES
        for precision in ("float32", "float64")
    ]
    for shape in CUBES:
        for precision in PRECISIONS:
            arrays = make_fusion(cupy, shape, BANDS, precision)
            works.append(("fusion", (*shape, BANDS), precision, lambda a=arrays: run_fusion(a)))  # type: ignore[misc]
    return [
        {"system": system, "shape": shape, "precision": precision, **measure(cupy, elapsed, iterate)}
        for system, shape, precision, iterate in works
    ]


def measure(
    cupy: Any, elapsed: Callable[[Any, Callable[[], Any]], float], iterate: Callable[[], None]
) -> dict[str, float]:
    """Return the medians of the device's and the host's time for an iteration."""

    def several() -> None:
        for _ in range(TOGETHER):
            iterate()

    device, host = [], []
    for _ in range(WARM_UP + REPEATS):
        device.append(elapsed(cupy, several) / TOGETHER)
        start = time.perf_counter()
        several()
        host.append((time.perf_counter() - start) / TOGETHER)
        cupy.cuda.Device().synchronize()
    seconds, launching = (float(np.median(times[WARM_UP:])) for times in (device, host))
    return {"us_per_iteration": 1e6 * seconds, "host_us_per_iteration": 1e6 * launching}


def described(row: dict[str, Any]) -> str:
    """Return a row of ``measure_iterations`` as a line of text."""
    shape = " × ".join(map(str, row["shape"]))
    return f"{row['system']}, {shape}, {row['precision']}: {row['us_per_iteration']:.1f} µs an iteration"
