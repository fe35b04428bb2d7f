"""De-quantization beside explicit steps at an equal distance from the minimum, and beside smoothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.restoration import denoise_tv_chambolle

from benchmarks import plain_dequantization as plain
from benchmarks.compare import _ffmpeg
from benchmarks.compare._rows import Figure, Time
from benchmarks.compare.dequantization_energy import CONVERGED
from benchmarks.quantization import (
    allowed,
    bins_of_8_bits,
    blurred,
    codes_of,
    middles,
    plate_of_8_bits,
    quality,
    reference,
    total_variation,
    unit_codes,
)
from fastimg._timing import interleaved, median_ratio
from fastimg.demo._plain_dequantization import bending_energy
from fastimg.dequantization import dequantize, distance_interpolation

__all__ = ["beside_explicit_steps", "beside_ffmpeg", "beside_smoothing"]

OURS = "fastimg"
PAPER, LARGEST = "explicit, the paper's step", "explicit, the largest step"
STEPS = {PAPER: plain.PAPER_STEP, LARGEST: plain.LARGEST_STEP}
# Size and bits of the Gaussian, the relative distance to the minimum, and how many times as fast
EQUAL = [(64, 2, 1e-2, 100.0), (64, 3, 1e-4, 50.0), (128, 5, 1e-3, 20.0)]
MOST_STEPS = 1_000_000
SMOOTHING_SIZE, SMOOTHING_BITS = 256, 4


def beside_explicit_steps(*, quick: bool) -> tuple[list[Time], list[Figure]]:
    """Time both steps, and us, to an equal distance; the steps that it takes are counted before."""
    times: list[Time] = []
    figures: list[Figure] = []
    for size, bits, gap, target in EQUAL[1:2] if quick else EQUAL:
        codes = unit_codes("gaussian", size, bits)
        lower, upper = codes.astype(float), codes + 1.0
        least = dequantize(codes, bits=bits, return_info=True, **CONVERGED)[1].energy
        ours = partial(dequantize, codes, bits=bits, dtype=np.float64, tol=gap)
        ways: dict[str, Callable[[], Any]] = {}
        done = {OURS: f"{bending_energy(ours()) / least - 1:.1e} above"}
        for way, step in STEPS.items():
            start = plain.pyramid_start(lower, upper, step)
            steps = plain.explicit_steps(start, lower, upper, (1 + gap) * least, step=step, most=MOST_STEPS)
            ways[way] = partial(_explicit, lower, upper, steps or MOST_STEPS, step)
            done[way] = f"{bending_energy(ways[way]()) / least - 1:.1e} above, {steps} steps"
        timings = interleaved(
            ways | {OURS: ours}, rounds=1 if quick else 5, seconds_per_sample=0.2, clock=time.process_time
        )
        work = f"gaussian {bits} bit, {size}², to {gap:g}"
        times += [
            Time(work, way, timing.median, median_ratio(timings[PAPER], timing), done[way])
            for way, timing in timings.items()
        ]
        figures += [_figure(way, work, median_ratio(timings[way], timings[OURS]), target) for way in STEPS]
    return times, figures


def _explicit(lower: Any, upper: Any, steps: int, step: float) -> Any:
    start = plain.pyramid_start(lower, upper, step)
    return plain.explicit_iteration(start, lower, upper, steps, step)


def _figure(way: str, work: str, ratio: float, target: float) -> Figure:
    # the target is of the paper's own iteration
    return Figure(
        f"speed beside {way}", work, f"{ratio:.1f}×", f"{target:g}×", ratio >= target, is_binding=False
    )


def beside_smoothing(*, quick: bool) -> tuple[list[Time], list[Figure]]:
    """Time smoothing whose parameter the original chose, and us, on one image."""
    bits, size = SMOOTHING_BITS, 64 if quick else SMOOTHING_SIZE
    original = reference("gaussian", size)
    codes = codes_of(original, bits)
    middle, edges = middles(codes, bits), bins_of_8_bits(bits)
    best = {"best blur": blurred, "best total variation": total_variation}
    chosen = {way: choose(original, codes, bits) for way, choose in best.items()}
    images = {way: image for way, (image, _) in chosen.items()} | {
        "fastimg, distance interpolation": distance_interpolation(codes, levels=edges),
        OURS: plate_of_8_bits(codes, bits),
    }
    ways: dict[str, Callable[[], Any]] = {
        "best total variation": partial(
            denoise_tv_chambolle, middle, weight=chosen["best total variation"][1]
        ),
        "best blur": partial(ndimage.gaussian_filter, middle, chosen["best blur"][1], mode="nearest"),
        "fastimg, distance interpolation": partial(distance_interpolation, codes, levels=edges),
        OURS: partial(dequantize, codes, levels=edges),
    }
    reached = {way: quality(original, allowed(image, codes, bits)).psnr for way, image in images.items()}
    timings = interleaved(ways, rounds=2 if quick else 5, clock=time.process_time)
    peer = timings["best total variation"]
    work = f"gaussian {bits} bit, {size}²"
    times = [
        Time(work, way, timing.median, median_ratio(peer, timing), f"{reached[way]:.2f} dB")
        for way, timing in timings.items()
    ]
    figures = [
        Figure(
            f"PSNR beside {way}, chosen by the original",
            work,
            f"{reached[OURS]:.2f} dB ({reached[way]:.2f} dB)",
            "more",
            reached[OURS] > reached[way],
        )
        for way in best
    ]
    return times, figures


def beside_ffmpeg(*, quick: bool) -> list[Figure]:
    """Compare with FFmpeg's filters, whose settings the original chooses."""
    bits, size = SMOOTHING_BITS, 64 if quick else SMOOTHING_SIZE
    on = f"gaussian {bits} bit, {size}²"
    if not _ffmpeg.is_installed():
        return [
            Figure(f"PSNR beside FFmpeg's {name}", on, "needs ffmpeg on the path", "more", None)
            for name in _ffmpeg.FILTERS
        ]
    original = reference("gaussian", size)
    codes = codes_of(original, bits)
    middle = middles(codes, bits)
    ours = quality(original, plate_of_8_bits(codes, bits)).psnr
    figures = []
    for name, (depth, settings) in _ffmpeg.FILTERS.items():
        psnr = {
            setting: quality(original, allowed(_ffmpeg.filtered(middle, setting, depth), codes, bits)).psnr
            for setting in settings
        }
        best = max(psnr, key=psnr.__getitem__)
        figures.append(
            Figure(
                f"PSNR beside FFmpeg's {name}",
                on,
                f"{ours:.2f} dB ({psnr[best]:.2f} dB by {best})",
                "more",
                ours > psnr[best],
            )
        )
    return figures
