"""Times of the barycenters of the chapter on fusion, beside plain NumPy's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastimg
from fastimg._timing import Timing, interleaved
from fastimg.demo import _plain_fusion
from fastimg.demo._fusion_scene import RATIO, Scene, shapes
from fastimg.fusion import hmwb, kernel_widths, spectral_inverse, upsample
from fastimg.transport import barycenter

__all__ = ["PLAIN", "times"]

PLAIN = "plain NumPy, float64"

# Iterations of the cube's barycenter and of that of the shapes
_TIMED, _TIMED_SHAPES = 10, 20

# Width of the shapes' kernel, over their size
_WIDTH = 4 / 96

_DTYPES = ("float64", "float32")

Values = NDArray[np.float64]


def times(
    seen: Scene, sizes: Sequence[int], rounds: int
) -> tuple[dict[str, dict[str, Timing]], dict[str, dict[str, float]]]:
    """Time barycenters beside plain NumPy, in turns.

    Parameters
    ----------
    seen : Scene
    sizes : sequence of int
        Rows and columns of the shapes.
    rounds : int

    Returns
    -------
    timings : dict of dict of Timing
        By what is computed, and the way.
    differences : dict of dict of float
        RMS difference from plain NumPy's result, over its mean.
    """
    threads = fastimg.get_num_threads()
    rows, cols, bands = seen.cube.shape
    jobs = {f"HMWB, {rows}×{cols} pixels and {bands} bands, {_TIMED} iterations": _cube_job(seen)}
    for size in sizes:
        jobs[f"two shapes, {size}×{size} pixels, {_TIMED_SHAPES} iterations"] = _shape_job(size)
    timings, differences = {}, {}
    try:
        for job, (plain, ours) in jobs.items():
            results: dict[str, Any] = {}
            ways = {PLAIN: plain, **_ways(ours, threads)}
            kept = {name: partial(_keep, results, name, way) for name, way in ways.items()}
            timings[job] = interleaved(kept, rounds=rounds)
            expected = results.pop(PLAIN)
            differences[job] = {
                name: float(np.sqrt(np.mean((found - expected) ** 2)) / expected.mean())
                for name, found in results.items()
            }
    finally:
        fastimg.set_num_threads(threads)
    return timings, differences


def _keep(results: dict[str, Any], name: str, way: Callable[[], Any]) -> None:
    results[name] = way()


def _cube_job(seen: Scene) -> tuple[Callable[[], Values], Callable[[str], Any]]:
    """Plain NumPy's fusion of the scene, and ours."""
    inverse = spectral_inverse("regression", seen.response, seen.hyperspectral)
    estimate = upsample(seen.hyperspectral, RATIO).astype(np.float64)
    measures = _measures(seen.multispectral.astype(np.float64) @ inverse.T, estimate)
    widths = [kernel_widths(seen.cube.shape, *each) for each in ((1e-6, 1e-3), (1e-4, 501))]
    given = {
        dtype: [each.astype(dtype) for each in (seen.hyperspectral, seen.multispectral, estimate)]
        for dtype in _DTYPES
    }

    def ours(dtype: str) -> Any:
        h, m, spatial = given[dtype]
        return hmwb(
            h, m, **seen.sensors, weight=0.5, iterations=_TIMED, spectral_inverse=inverse,
            spatial_inverse=spatial, denoise=False,
        )  # fmt: skip

    return lambda: _plain_fusion.barycenter(measures, widths, [0.5, 0.5], _TIMED), ours


def _shape_job(size: int) -> tuple[Callable[[], Values], Callable[[str], Any]]:
    """Plain NumPy's barycenter of the shapes, and ours."""
    both = np.array(shapes(size))
    width = _WIDTH * size
    given = {dtype: both.astype(dtype) for dtype in _DTYPES}
    return (
        lambda: _plain_fusion.barycenter(list(both), [[width] * 2] * 2, [0.5, 0.5], _TIMED_SHAPES),
        lambda dtype: barycenter(given[dtype], sigma=width, iterations=_TIMED_SHAPES),
    )


def _ways(ours: Callable[[str], Any], threads: int) -> dict[str, Callable[[], Any]]:
    """Ours in both precisions, on one thread, and on all."""

    def run(count: int, dtype: str) -> Any:
        fastimg.set_num_threads(count)
        return ours(dtype)

    ways: dict[str, Callable[[], Any]] = {
        f"fastimg, {dtype}, 1 thread": partial(run, 1, dtype) for dtype in _DTYPES
    }
    if threads > 1:
        ways[f"fastimg, float32, {threads} threads"] = partial(run, threads, "float32")
    return ways


def _measures(spectral: Values, spatial: Values) -> list[Values]:
    """Both estimates, at least 1e-3 of their mean, with the sum of the second."""
    floored = [np.maximum(each, 1e-3 * each.mean()) for each in (spectral, spatial)]
    return [floored[0] * (floored[1].sum() / floored[0].sum()), floored[1]]
