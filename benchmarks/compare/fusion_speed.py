"""One iteration of a fusion beside plain NumPy with dense matrices, and two threads beside one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import plain_fusion
from benchmarks.compare._differences import Way, in_blocks, in_turns
from benchmarks.compare._rows import Figure, Time
from benchmarks.compare.fusion_barycenter import REG, images_of
from benchmarks.fusion_scenes import (
    WEIGHT,
    Estimates,
    estimates_of,
    fuse_estimates,
    fuse_plainly,
    plain_kernels,
    plain_measures,
    scene_of,
)
from fastimg.transport import convolutional_barycenter2d

__all__ = ["cubes", "threads"]

SHAPE, QUICK_SHAPE = (128, 128, 93), (40, 48, 93)
# Of each precision: the dtype of the images and of plain NumPy, the last iteration, and the part of plain
# NumPy's time. Single precision holds the scalings of this scene for so many iterations, double for all.
PRECISIONS: dict[str, tuple[str, int, float | None]] = {
    "float32": ("float32", 18, 0.3),
    "mixed": ("float32", 150, None),
    "float64": ("float64", 150, 0.4),
}
FEW, FEW_OF_PLAIN, MANY_OF_PLAIN = 2, 1, 6
# Largest relative error after so many iterations, to plain NumPy in double precision
ITERATIONS, NEAR = 10, {"float32": 3e-6, "mixed": 3e-6, "float64": 1e-12}
THREADS_TARGET = 1.7
BARYCENTER = "barycenter of 2 images, 512²"


def cubes(*, quick: bool) -> tuple[list[Time], list[Figure]]:
    """Compare values, then time in blocks: ours, plain NumPy, ours, plain NumPy."""
    shape = QUICK_SHAPE if quick else SHAPE
    scene = scene_of(shape)
    found = estimates_of(scene)
    times: list[Time] = []
    figures: list[Figure] = []
    for precision, (dtype, last, target) in PRECISIONS.items():
        estimates = Estimates(*(each.astype(dtype) for each in found))
        ours, plain = f"fastimg, {precision}", f"plain NumPy, {dtype}"
        apart = _apart(estimates, precision)
        ways = {
            ours: Way(partial(_ours, estimates, precision), FEW, min(last, 10) if quick else last),
            plain: Way(_plain(estimates), FEW_OF_PLAIN, MANY_OF_PLAIN),
        }
        timings = in_blocks(ways, rounds=1 if quick else 3)
        work = f"one iteration of a fusion, {_named(shape)} ({scene.name})"
        times += [
            Time(work, way, timing.median, timings[plain].median / timing.median, f"{apart[way]:.1e}")
            for way, timing in timings.items()
        ]
        part = timings[ours].median / timings[plain].median
        figures.append(_equal(precision, work, apart[ours], apart[plain]))
        if target is not None and not quick:
            figures.append(
                Figure(
                    f"time to plain NumPy's, {precision}", work, f"{part:.2f}", f"≤ {target}", part <= target,
                    is_binding=False,
                )
            )  # fmt: skip
    return times, figures


def _ours(estimates: Estimates, precision: str, iterations: int) -> Any:
    return fuse_estimates(estimates, iterations, precision)


def _plain(estimates: Estimates) -> Any:
    """Return a function of iterations that has its measures and kernels already."""
    measures, kernels = plain_measures(estimates), plain_kernels(estimates)

    def run(iterations: int) -> Any:
        return plain_fusion.barycenter(*measures, kernels, WEIGHT, iterations)

    return run


def _apart(estimates: Estimates, precision: str) -> dict[str, float]:
    """Return the largest relative error of ours and of plain NumPy, to plain NumPy in double precision."""
    exact = fuse_plainly(Estimates(*(each.astype(float) for each in estimates)), ITERATIONS)
    found = {
        f"fastimg, {precision}": fuse_estimates(estimates, ITERATIONS, precision),
        f"plain NumPy, {estimates.m.dtype}": fuse_plainly(estimates, ITERATIONS),
    }
    return {way: float(np.abs(cube / exact - 1).max()) for way, cube in found.items()}


def _equal(precision: str, work: str, apart: float, of_plain: float) -> Figure:
    return Figure(
        f"relative error after {ITERATIONS} iterations, {precision}",
        work.removeprefix("one iteration of a "),
        f"{apart:.1e} (plain NumPy: {of_plain:.1e})",
        f"{NEAR[precision]:g}",
        apart <= NEAR[precision],
    )


def threads(*, quick: bool) -> list[Figure]:
    """Measure two threads beside one, in a process of its own: this one has one thread."""
    name, target = "two threads beside one, wall time", f"{THREADS_TARGET}×"
    shape = QUICK_SHAPE if quick else SHAPE
    figures = []
    for work in (*PRECISIONS, BARYCENTER):
        on = f"one iteration of a fusion, {_named(shape)}, {work}" if work in PRECISIONS else work
        if (os.cpu_count() or 1) < 2:
            figures.append(Figure(name, on, "needs two processors", target, None, is_binding=False))
            continue
        ratio = _threads_in_process(work, rounds=3 if quick else 11, quick=quick)
        figures.append(Figure(name, on, f"{ratio:.2f}×", target, ratio >= THREADS_TARGET, is_binding=False))
    return figures


def _threads_in_process(work: str, rounds: int, *, quick: bool) -> float:
    environment = os.environ | {
        "NUMBA_NUM_THREADS": "2",
        "FASTIMG_NUM_THREADS": "2",
        "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH", "")])),
    }
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.compare.fusion_speed", work, str(rounds), str(int(quick))],
        env=environment,
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(json.loads(finished.stdout)["ratio"])


def main() -> None:
    """Print how many times as fast two threads are, for a work and a number of rounds."""
    import fastimg

    work, rounds, quick = sys.argv[1], int(sys.argv[2]), bool(int(sys.argv[3]))
    if work == BARYCENTER:
        images = images_of((512, 512), "float64")
        run: Any = partial(convolutional_barycenter2d, images, REG, stopThr=0.0, warn=False)
        way = Way(lambda iterations: run(numItermax=iterations), 10, 40)
    else:
        found = estimates_of(scene_of(QUICK_SHAPE if quick else SHAPE))
        estimates = Estimates(*(each.astype(PRECISIONS[work][0]) for each in found))
        way = Way(partial(_ours, estimates, work), FEW, 10 if quick else min(50, PRECISIONS[work][1]))

    def on(count: int, iterations: int) -> None:
        fastimg.set_num_threads(count)
        way.run(iterations)

    ways = {str(count): way._replace(run=partial(on, count)) for count in (1, 2)}
    timings = in_turns(ways, rounds=rounds, clock=time.perf_counter)
    # of medians: a difference of wall times may come near 0 in a round
    print(json.dumps({"ratio": timings["1"].median / timings["2"].median}))


def _named(shape: tuple[int, int, int]) -> str:
    return " × ".join(map(str, shape))


if __name__ == "__main__":
    main()
