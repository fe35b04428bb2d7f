"""Transport and fusion beside POT, on NumPy and PyTorch, SciPy's filters, and plain NumPy with matrices."""

from __future__ import annotations

import sys

from benchmarks.compare._rows import Comparison, Figure, Options
from benchmarks.compare.fusion_barycenter import REG, barycenters
from benchmarks.compare.fusion_convolve import convolutions
from benchmarks.compare.fusion_distance import distances
from benchmarks.compare.fusion_speed import PRECISIONS, cubes, threads
from benchmarks.compare.fusion_tiles import tiles
from benchmarks.suites import fusion_memory

NOTES = [
    f"barycenter: one iteration, σ = (n - 1) √({REG:g} / 2); a call of 60 (POT on NumPy: 20) less one of 10.",
    "fusion: one iteration, the mean over all that a call takes (float32: 18, as many as it holds).",
    "plain NumPy: matrix products, scalings as they grow, 6 iterations less one; timed in blocks.",
    "times: one thread, median processor time; ratio: to POT, plain NumPy, or the first way.",
    "accuracy: L1 to POT in float64; largest relative error; of a distance, the value.",
]
SHAPE = (128, 128, 93)
CUBES = 8


def compare(options: Options) -> Comparison:
    """Measure every figure, and time us beside the peers."""
    quick = options.quick
    times = []
    figures: list[Figure] = []
    for part in (barycenters, cubes, convolutions, distances):
        measured, reached = part(quick=quick)
        times += measured
        figures += reached
    figures += [*threads(quick=quick), *tiles(quick=quick), *_memory(quick=quick)]
    return Comparison("fusion", figures, times, NOTES)


def _memory(*, quick: bool) -> list[Figure]:
    """Memory beyond the images, in cubes like the result; in processes of their own."""
    name, target = "memory beyond the images, with the result", f"≤ {CUBES} cubes"
    shape = (40, 48, 93) if quick else SHAPE
    figures = []
    for precision in PRECISIONS:
        on = f"{' × '.join(map(str, shape))}, {precision}"
        if sys.platform != "linux":
            figures.append(Figure(name, on, "needs Linux", target, None))
            continue
        taken = fusion_memory.measure(shape, precision)
        cubes = taken["arrays_bytes"] / taken["cube_bytes"]
        reached = f"{cubes:.1f} cubes ({taken['beyond_bytes'] / taken['cube_bytes']:.1f} resident)"
        figures.append(Figure(name, on, reached, target, cubes <= CUBES))
    return figures
