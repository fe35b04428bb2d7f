"""De-quantization beside explicit steps, smoothing, scikit-image's inpainting and FFmpeg, if installed."""

from __future__ import annotations

from benchmarks.compare._rows import Comparison, Options
from benchmarks.compare.dequantization_energy import ENERGIES, cycles, least_energies
from benchmarks.compare.dequantization_inpaint import inpainting, memory
from benchmarks.compare.dequantization_speed import beside_explicit_steps, beside_ffmpeg, beside_smoothing

NOTES = [
    "gaussian: the paper's function, whose values fill all bins; beside smoothing, cut from 8 bits.",
    "above: relative distance of the energy to its minimum.",
    "explicit: Numba, the paper's pyramid on the same energy, as many steps as reach the distance.",
    "best blur, total variation: the original chose σ, and weight; PSNR of what the codes allow.",
    "time: one call, one thread, median processor time; ratio: to the first way of the same work.",
    "inpainting: scikit-image's camera; the holes of one mask are filled in one call.",
]
CYCLES_OF = [("gaussian", 64, 3), ("gaussian", 256, 2), ("rosenbrock", 256, 3), ("gaussian", 1024, 2)]


def compare(options: Options) -> Comparison:
    """Measure every figure, and time us beside the peers."""
    quick = options.quick
    figures = least_energies([case for case in ENERGIES if not quick or case[0] == 64])[1]
    figures += [cycles(*case) for case in (CYCLES_OF[:1] if quick else CYCLES_OF)]
    times = []
    for part in (beside_explicit_steps, beside_smoothing, inpainting):
        measured, reached = part(quick=quick)
        times += measured
        figures += reached
    figures += [*beside_ffmpeg(quick=quick), memory(quick=quick)]
    return Comparison("dequantization", figures, times, NOTES, accuracy="reached")
