"""The positive Gaussian convolution beside scipy.ndimage's filter and beside FFTs."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from benchmarks.compare._rows import Figure, Time
from fastimg._timing import interleaved, median_ratio
from fastimg.transport import gaussian_convolve

__all__ = ["convolutions"]

SIZES, SIGMAS = (512, 1024), (2, 10, 40)
TRUNCATE = 4
PEER = "scipy.ndimage.gaussian_filter"
FFT = "scipy.signal.fftconvolve"
OURS = {"float64": "fastimg, float64", "float32": "fastimg, float32"}
# Largest relative error, to SciPy's in double precision and to sums in long double
EQUAL, SUMS = {"float64": 1e-12, "float32": 1e-5}, {"float64": 1e-13, "float32": 1e-5}
# Logarithms of the values of an image as scalings are range over so much
LOG_RANGE = 60.0
EXACT_SIZE, EXACT_SIGMA = 256, 10


def convolutions(*, quick: bool) -> tuple[list[Time], list[Figure]]:
    """Compare values and times at every size and width, and relative accuracy at one."""
    times: list[Time] = []
    figures: list[Figure] = []
    for size in (64,) if quick else SIZES:
        image = np.random.default_rng(0).random((size, size))
        for sigma in SIGMAS[:2] if quick else SIGMAS:
            work = f"Gaussian of σ {sigma}, cut at {TRUNCATE} σ, {size}²"
            part, found = _beside_filter(image, sigma, work, rounds=2 if quick else 7)
            times += part
            figures += found
    return times, [*figures, *_relative(64 if quick else EXACT_SIZE)]


def _beside_filter(
    image: NDArray[Any], sigma: int, work: str, rounds: int
) -> tuple[list[Time], list[Figure]]:
    taps = np.exp(-(np.arange(-TRUNCATE * sigma, TRUNCATE * sigma + 1) ** 2) / (2 * sigma**2))
    kernel = np.outer(taps, taps)
    ways: dict[str, Any] = {
        PEER: partial(ndimage.gaussian_filter, image, sigma, mode="constant", truncate=TRUNCATE),
        FFT: partial(signal.fftconvolve, image, kernel, mode="same"),
    }
    for dtype, name in OURS.items():
        ways[name] = partial(gaussian_convolve, image.astype(dtype), sigma, truncate=TRUNCATE)
    exact = ways[PEER]() * taps.sum() ** 2
    apart = {
        name: _largest(way() * (taps.sum() ** 2 if name == PEER else 1), exact) for name, way in ways.items()
    }
    timings = interleaved(ways, rounds=rounds, clock=time.process_time)
    times = [
        Time(work, name, timing.median, median_ratio(timings[PEER], timing), f"{apart[name]:.1e}")
        for name, timing in timings.items()
    ]
    figures = [
        Figure(
            f"values to {PEER}'s, {dtype}",
            work,
            f"{apart[ours]:.1e}",
            f"{EQUAL[dtype]:g}",
            apart[ours] <= EQUAL[dtype],
        )
        for dtype, ours in OURS.items()
    ]
    return times, figures


def _relative(size: int) -> list[Figure]:
    """Compare with sums in long double, on an image whose values differ as those of scalings do."""
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.standard_normal((size, size)), size / 16)
    image = np.exp(LOG_RANGE * ((field - field.min()) / np.ptp(field) - 0.5))
    place = np.arange(size)
    matrix = np.exp(-((place[:, None] - place) ** 2) / np.longdouble(2 * EXACT_SIGMA**2))
    kernel = np.exp(-(np.arange(1.0 - size, size) ** 2) / (2 * EXACT_SIGMA**2))
    on = f"σ {EXACT_SIGMA}, all pairs, {size}², values over e^±{LOG_RANGE / 2:g}"
    by_fft = signal.fftconvolve(image, np.outer(kernel, kernel), mode="same")
    lost = _largest(by_fft, matrix @ image @ matrix)
    figures = []
    for dtype, limit in SUMS.items():
        given = image.astype(dtype)
        apart = _largest(gaussian_convolve(given, EXACT_SIGMA), matrix @ given @ matrix)
        figures.append(
            Figure(
                f"relative error of each value, {dtype}",
                on,
                f"{apart:.1e} (by {FFT} in float64: {lost:.1e})",
                f"{limit:g}",
                apart <= limit,
            )
        )
    return figures


def _largest(found: Any, exact: Any) -> float:
    return float(np.abs(found / exact - 1).max())
