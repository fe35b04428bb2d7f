"""Barycenters of two images beside POT's, on NumPy and on PyTorch."""

from __future__ import annotations

import importlib.util
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare._differences import Way, in_turns
from benchmarks.compare._rows import Figure, Time
from fastimg._timing import Timing, median_ratio
from fastimg.transport import convolutional_barycenter2d

__all__ = ["REG", "barycenters", "images_of", "is_installed"]

# The widths are (n - 1) √(REG / 2): 11.4 px at 256²
REG = 0.004
OURS = {"float64": "fastimg, float64", "float32": "fastimg, float32"}
NUMPY = "POT on NumPy, float64"
TORCH = {"float64": "POT on PyTorch, float64", "float32": "POT on PyTorch, float32"}
# How many times as fast as NumPy's and PyTorch's in double precision, by shape
TARGETS = {(256, 256): (10.0, 2.2), (512, 512): (14.0, 3.0), (250, 311): (10.0, 2.2)}
# L1 to POT in double precision after so many iterations
ITERATIONS, NEAR = 10, {"float64": 1e-12, "float32": 1e-6}
# Iterations that are timed: both are multiples of those between two looks at the error
FEW, MANY, MANY_OF_NUMPY = 10, 60, 20


def is_installed(name: str) -> bool:
    """Tell whether a module can be imported."""
    return importlib.util.find_spec(name) is not None


def images_of(shape: tuple[int, int], dtype: str, count: int = 2) -> NDArray[Any]:
    """Return images of mass 1, positive and mostly dark."""
    images = np.random.default_rng(0).random((count, *shape)) ** 8 + 1e-6
    return (images / images.sum(axis=(1, 2), keepdims=True)).astype(dtype)


def barycenters(*, quick: bool) -> tuple[list[Time], list[Figure]]:
    """Compare values, then time one iteration of every way in turns."""
    times: list[Time] = []
    figures: list[Figure] = []
    if not is_installed("ot"):
        return times, [_missing(shape, NUMPY, "POT", TARGETS[shape][0]) for shape in TARGETS]
    for shape in ((64, 64), (50, 61)) if quick else TARGETS:
        work = _named(shape)
        ways = _ways(shape)
        apart = _apart(shape, ways)
        timings = in_turns(ways, rounds=2 if quick else 7)
        times += [
            Time(work, way, timing.median, median_ratio(timings[NUMPY], timing), f"{apart[way]:.1e}")
            for way, timing in timings.items()
        ]
        figures += [
            Figure(
                f"L1 to POT on NumPy after {ITERATIONS} iterations, {dtype}",
                work,
                f"{apart[ours]:.1e}",
                f"{NEAR[dtype]:g}",
                apart[ours] <= NEAR[dtype],
            )
            for dtype, ours in OURS.items()
        ]
        if shape in TARGETS:
            figures += _speeds(shape, timings)
    return times, figures


def _ways(shape: tuple[int, int]) -> dict[str, Way]:
    ways = {NUMPY: Way(partial(_pot, images_of(shape, "float64")), FEW, MANY_OF_NUMPY)}
    if is_installed("torch"):
        import torch

        torch.set_num_threads(1)
        for dtype, name in TORCH.items():
            ways[name] = Way(partial(_by_torch, torch.from_numpy(images_of(shape, dtype))), FEW, MANY)
    for dtype, name in OURS.items():
        ways[name] = Way(partial(_ours, images_of(shape, dtype)), FEW, MANY)
    return ways


def _pot(images: Any, iterations: int) -> NDArray[Any]:
    import ot

    found = ot.bregman.convolutional_barycenter2d(images, REG, numItermax=iterations, stopThr=0.0, warn=False)
    return np.asarray(found)


def _by_torch(images: Any, iterations: int) -> NDArray[Any]:
    """Take subnormal numbers as 0, without which single precision is several times slower."""
    import torch

    torch.set_flush_denormal(True)
    try:
        return _pot(images, iterations)
    finally:
        torch.set_flush_denormal(False)


def _ours(images: Any, iterations: int) -> NDArray[Any]:
    return convolutional_barycenter2d(images, REG, numItermax=iterations, stopThr=0.0, warn=False)


def _apart(shape: tuple[int, int], ways: dict[str, Way]) -> dict[str, float]:
    """Return the L1 of every way to POT in double precision, from the same images."""
    exact = {dtype: _pot(images_of(shape, dtype).astype(float), ITERATIONS) for dtype in NEAR}
    return {
        name: float(np.abs(way.run(ITERATIONS) - exact["float32" if "32" in name else "float64"]).sum())
        for name, way in ways.items()
    }


def _speeds(shape: tuple[int, int], timings: dict[str, Timing]) -> list[Figure]:
    figures = []
    for peer, target in zip((NUMPY, TORCH["float64"]), TARGETS[shape], strict=True):
        if peer not in timings:
            figures.append(_missing(shape, peer, "torch", target))
            continue
        ratio = median_ratio(timings[peer], timings[OURS["float64"]])
        figures.append(
            Figure(
                f"speed beside {peer}", _named(shape), f"{ratio:.1f}×", f"{target:g}×", ratio >= target,
                is_binding=False,
            )
        )  # fmt: skip
    return figures


def _missing(shape: tuple[int, int], peer: str, package: str, target: float) -> Figure:
    return Figure(
        f"speed beside {peer}", _named(shape), f"needs: pip install {package}", f"{target:g}×", None
    )


def _named(shape: tuple[int, int]) -> str:
    size = f"{shape[0]}²" if shape[0] == shape[1] else f"{shape[0]} × {shape[1]}"
    return f"barycenter of 2 images, {size}"
