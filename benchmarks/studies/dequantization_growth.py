"""How cycles and time grow with the size of the image.

Setting: codes of 2, 3 and 5 bits of the paper's Gaussian and Rosenbrock functions, whose values fill all
bins, at 256² to 2048² and, with 2 bits, at 4096². ``dequantize`` in double precision with ``tol=1e-4``, one
thread, processor time of one call (the better of two below 1024²). How far its energy is above the minimum is
told by a second solution with ``tol=1e-9``, up to 2048². The exponent is the slope of the logarithm of time
over that of pixels, from the smallest to the largest of the sizes that all bits have.

The large job is a smooth 8-bit image of 4096², expanded to 16 bits in a process of its own, with the peak of
its resident memory beyond the image and its result.
"""

from __future__ import annotations

import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.compare._rows import Figure
from benchmarks.quantization import SURFACES, unit_codes
from benchmarks.studies._tables import Options, Study, Table
from benchmarks.suites import dequantization_memory
from fastimg import ConvergenceWarning
from fastimg.dequantization import DequantizationInfo, dequantize

BITS = (2, 3, 5)
SIZES = (256, 512, 1024, 2048)
LARGEST, LARGEST_BITS = 4096, 2
GAP, EXACT, EXACT_UP_TO = 1e-4, 1e-9, 2048
TWICE_BELOW = 1024
# Growth of the cycles from 256², by size, their number at 1024², the exponent of time
CYCLES_GROWTH = {1024: 1.3, 2048: 1.6}
CYCLES_AT, CYCLES_MOST = 1024, 40
EXPONENT = 1.1


@dataclass(frozen=True)
class Run:
    """One call: how it ended, its processor time, and how far above the minimum its energy is."""

    info: DequantizationInfo
    seconds: float
    gap: float | None


def study(options: Options) -> Study:
    """Measure every size."""
    sizes, bits = ((64, 128), BITS[:1]) if options.quick else (SIZES, BITS)
    rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    data: dict[str, Any] = {}
    dequantize(unit_codes("gaussian", 64, 2), bits=2)  # loads the kernels
    for name in SURFACES:
        for count in bits:
            runs = {size: _run(name, size, count) for size in sizes}
            if count == LARGEST_BITS and not options.quick:
                runs[LARGEST] = _run(name, LARGEST, count)
            exponent = _exponent({size: runs[size].seconds for size in sizes})
            on = f"{name} {count} bit"
            rows += [(on, *_cells(size, run)) for size, run in runs.items()]
            data[on] = {size: _record(run) for size, run in runs.items()} | {"exponent": exponent}
            figures += _figures(on, runs, exponent)
    figures.append(_large(1024 if options.quick else LARGEST))
    head = ("image", "size", "cycles", "time", "µs a pixel", "above the minimum", "KKT", "")
    return Study(
        "dequantization-growth",
        (__doc__ or "").strip(),
        [Table(f"to a relative distance of {GAP:g}", head, rows)],
        figures,
        data,
    )


def _run(name: str, size: int, bits: int) -> Run:
    codes = unit_codes(name, size, bits)
    seconds = []
    for _ in range(2 if size < TWICE_BELOW else 1):
        start = time.process_time()
        info = _solved(codes, bits, GAP)
        seconds.append(time.process_time() - start)
    gap = None
    if size <= EXACT_UP_TO:
        gap = info.energy / _solved(codes, bits, EXACT).energy - 1
    return Run(info, min(seconds), gap)


def _solved(codes: Any, bits: int, tol: float) -> DequantizationInfo:
    with warnings.catch_warnings():
        # one that did not converge is marked in the table
        warnings.simplefilter("ignore", ConvergenceWarning)
        return dequantize(codes, bits=bits, dtype=np.float64, tol=tol, return_info=True)[1]


def _exponent(seconds: dict[int, float]) -> float:
    sizes = sorted(seconds)
    small, large = sizes[0], sizes[-1]
    return float(np.log(seconds[large] / seconds[small]) / np.log((large / small) ** 2))


def _cells(size: int, run: Run) -> tuple[str, ...]:
    return (
        f"{size}²",
        f"{run.info.cycles}",
        f"{run.seconds:.2f} s",
        f"{1e6 * run.seconds / size**2:.2f}",
        "" if run.gap is None else f"{run.gap:.1e}",
        f"{run.info.kkt:.1e}",
        "" if run.info.converged else "not converged",
    )


def _record(run: Run) -> dict[str, Any]:
    info = run.info
    return {
        "cycles": int(info.cycles),
        "seconds": run.seconds,
        "gap": run.gap,
        "energy": float(info.energy),
        "kkt": float(info.kkt),
        "converged": bool(info.converged),
    }


def _figures(on: str, runs: dict[int, Run], exponent: float) -> list[Figure]:
    smallest = min(runs)
    figures = [
        Figure(
            "cycles, to those at 256²",
            f"{on}, {size}²",
            f"{runs[size].info.cycles / runs[smallest].info.cycles:.2f}",
            f"≤ {limit}",
            runs[size].info.cycles <= limit * runs[smallest].info.cycles,
        )
        for size, limit in CYCLES_GROWTH.items()
        if size in runs
    ]
    if CYCLES_AT in runs:
        cycles = runs[CYCLES_AT].info.cycles
        figures.append(
            Figure("cycles", f"{on}, {CYCLES_AT}²", f"{cycles}", f"≤ {CYCLES_MOST}", cycles <= CYCLES_MOST)
        )
    known = [run.gap for run in runs.values() if run.gap is not None]
    largest = max(known)
    ended = all(run.info.converged for run in runs.values())
    sizes = f"{min(runs)}² to {max(runs)}²"
    return [
        *figures,
        Figure("above the minimum, at most", on, f"{largest:.1e}", f"{GAP:g}", largest <= GAP),
        Figure("converged", f"{on}, {sizes}", "all" if ended else "not all", "all", ended),
        Figure(
            "exponent of time in pixels", f"{on}, {sizes}", f"{exponent:.2f}", f"≤ {EXPONENT}",
            exponent <= EXPONENT, is_binding=False,
        ),
    ]  # fmt: skip


def _large(size: int) -> Figure:
    """Expand 8 bits to 16, in a process of its own."""
    name, on, target = "8 bits to 16", f"{size}²", "finishes"
    if sys.platform != "linux":
        return Figure(name, on, "needs Linux", target, None)
    taken = dequantization_memory.measure(size, 8)
    pixels = size**2
    reached = (
        f"{taken['seconds']:.0f} s, {taken['cycles']} cycles, "
        f"{taken['beyond_bytes'] / 2**20:.0f} MiB beyond image and result, "
        f"{taken['beyond_bytes'] / pixels:.0f} bytes a pixel"
    )
    return Figure(name, on, reached, target, bool(taken["converged"]))
