"""Biharmonic inpainting beside scikit-image: values, times by kind of mask, and memory."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import data
from skimage.restoration import inpaint_biharmonic as skimage_inpaint

from benchmarks.compare._rows import Figure, Time
from benchmarks.suites import dequantization_memory
from fastimg._timing import interleaved, median_ratio
from fastimg.dequantization import inpaint_biharmonic

__all__ = ["inpainting", "masks", "memory"]

OURS, PEER = "fastimg inpaint_biharmonic", "scikit-image inpaint_biharmonic"
SIZE, PART = 512, 0.1
# Of the range, this many pixels or more from the edge of the image
NEAR, AWAY = 1e-3, 8
SPEED = 20.0
# Peak bytes a pixel of the larger image to those of the smaller
LINEAR = 1.2


def masks(size: int, part: float = PART) -> dict[str, NDArray[np.bool_]]:
    """Return masks that cover a part of an image: lone pixels, blobs of some pixels, one square."""
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.standard_normal((size, size)), 4)
    side = round(size * part**0.5)
    hole = np.zeros((size, size), bool)
    begin = (size - side) // 2
    hole[begin : begin + side, begin : begin + side] = True
    return {
        "random pixels": rng.random((size, size)) < part,
        "blobs": field > np.quantile(field, 1 - part),
        "one hole": hole,
    }


def inpainting(*, quick: bool) -> tuple[list[Time], list[Figure]]:
    """Compare values and times on every kind of mask, and on a larger hole."""
    size = 128 if quick else SIZE
    image = data.camera()[:size, :size] / 255
    cases = [(image, kind, mask) for kind, mask in masks(size).items()]
    if not quick:
        cases += [(data.camera() / 255, "one hole of half", masks(SIZE, 0.5)["one hole"])]
    times: list[Time] = []
    figures: list[Figure] = []
    for original, kind, mask in cases:
        on = f"{size}², {100 * mask.mean():.0f} %, {kind}"
        known = np.where(mask, 0, original)
        ways = {PEER: partial(skimage_inpaint, known, mask), OURS: partial(inpaint_biharmonic, known, mask)}
        apart = np.abs(ways[OURS]() - ways[PEER]())
        inner = float(apart[AWAY:-AWAY, AWAY:-AWAY].max())
        timings = interleaved(ways, rounds=1 if quick else 3, clock=time.process_time)
        ratio = median_ratio(timings[PEER], timings[OURS])
        times += [
            Time(on, way, timing.median, median_ratio(timings[PEER], timing), "")
            for way, timing in timings.items()
        ]
        figures += [
            Figure(
                f"values to scikit-image's, {AWAY} px from the edge on",
                on,
                f"{inner:.1e} ({float(apart.max()):.1e} everywhere)",
                f"{NEAR:g} of the range",
                inner <= NEAR,
            ),
            Figure(
                "speed beside scikit-image",
                on,
                f"{ratio:.1f}×",
                f"{SPEED:g}×",
                ratio >= SPEED,
                is_binding=False,
            ),
        ]
    return times, figures


def memory(*, quick: bool) -> Figure:
    """Compare the peak of two sizes, in processes of their own."""
    small, large = (256, 512) if quick else (512, 1024)
    on, target = f"inpainting, {PART:.0%} random pixels, {small}² and {large}²", f"≤ {LINEAR}"
    name = "bytes a pixel, of the larger to the smaller"
    if sys.platform != "linux":
        return Figure(name, on, "needs Linux", target, None)
    taken = {size: _bytes_a_pixel(size) for size in (small, large)}
    ratio = taken[large] / taken[small]
    reached = f"{ratio:.2f} ({taken[small]:.0f}, {taken[large]:.0f})"
    if not quick:
        peer = [_bytes_a_pixel(size, dequantization_memory.PEER) for size in (small, large)]
        reached += f"; {peer[1] / peer[0]:.2f} ({peer[0]:.0f}, {peer[1]:.0f}) by scikit-image"
    return Figure(name, on, reached, target, ratio <= LINEAR)


def _bytes_a_pixel(size: int, way: int = dequantization_memory.INPAINTING) -> float:
    taken: dict[str, Any] = dequantization_memory.measure(size, way)
    return taken["beyond_bytes"] / size**2
