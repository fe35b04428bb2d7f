"""Registration beside scikit-image, plain NumPy and, where it is installed, OpenCV."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from skimage.registration import phase_cross_correlation as skimage_registration

from benchmarks.compare import _content
from benchmarks.compare._rows import Comparison, Figure, Options, Time
from benchmarks.suites import registration_memory
from fastimg._timing import Timing, interleaved, median_ratio
from fastimg.demo import _plain_registration
from fastimg.registration import phase_cross_correlation, register_stack

FACTOR = 100
# One step of the grid and its rounding: two peaks that are equally high may lie a step apart
AGREEMENT = 0.011
SPEED_TARGET = 15.0
MEMORY_TARGET = 64 * 2**20

PEER = "scikit-image"
OURS_SINGLE = "fastimg phase_cross_correlation"
OURS_BATCH = "fastimg register_stack"
BATCH = 64

Normalization = Literal["phase"] | None
NORMALIZATIONS: tuple[Normalization, ...] = ("phase", None)
CONTENTS = {"photographs": _content.photographs, "textures": _content.textures}

NOTES = [
    "photographs: crops of scikit-image's, shifted by up to 4 px, 2 % noise, mean removed, Hann window.",
    "agreement: with scikit-image in double precision on the same data.",
    "textures: Gaussian random fields with amplitude 1/f^0 to 1/f^1.5, any cyclic shift, 5 % noise.",
    "time: one pair, one thread, median processor time; ratio: scikit-image's time to it, median of rounds.",
    "accuracy: largest distance from the known shift (noise-free textures) in px.",
]


def compare(options: Options) -> Comparison:
    """Measure every figure, and time us beside the peers."""
    figures = [_skimage_suite(options)]
    figures += [
        _agreement(name, dtype, normalization, 64 if options.quick else 1000)
        for name in CONTENTS
        for dtype in ("float32", "float64")
        for normalization in NORMALIZATIONS
    ]
    figures += _known_shift(8 if options.quick else 256)
    times, speed = _speed(rounds=3 if options.quick else 15)
    memory = _memory(500 if options.quick else 10_000)
    return Comparison("registration", [*figures, *speed, memory], times, NOTES)


def _skimage_suite(options: Options) -> Figure:
    name, on, target = (
        "scikit-image's own tests",
        "its two files of registration",
        "all without a download pass",
    )
    if options.skimage_tests is None:
        return Figure(name, on, "needs --skimage-tests; see benchmarks/skimage_suite.py", target, None)
    from benchmarks import skimage_suite

    outcomes = skimage_suite.run(options.skimage_tests)
    reached = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped"))
    return Figure(name, on, reached, target, outcomes["passed"] > 0 and outcomes["failed"] == 0)


def _agreement(content: str, dtype: str, normalization: Normalization, count: int) -> Figure:
    """Share of pairs on which we find the shift that scikit-image finds on the same data in double precision.

    In single precision scikit-image's own rounding moves flat peaks by more than the target; the figure says
    how often.
    """
    options: dict[str, Any] = {"upsample_factor": FACTOR, "normalization": normalization}
    ours, theirs = [], []
    for reference, moving in CONTENTS[content](count):
        pair = reference.astype(dtype), moving.astype(dtype)
        exact = skimage_registration(*(image.astype(float) for image in pair), **options)[0]
        ours.append(np.abs(register_stack(*pair, **options).shift.astype(float) - exact).max())
        theirs.append(np.abs(skimage_registration(*pair, **options)[0] - exact).max())
    share, peers_share = (float(np.mean(np.asarray(way) <= AGREEMENT)) for way in (ours, theirs))
    reached = f"{100 * share:.1f} % within {AGREEMENT} px, largest {max(ours):.3f} px"
    if dtype == "float32":
        reached += f" ({PEER} in float32: {100 * peers_share:.1f} %, {max(theirs):.3f} px)"
    return Figure(
        f"agreement with scikit-image, normalization {normalization}",
        f"{count} pairs of {content}, {dtype}",
        reached,
        "100 %",
        share == 1,
    )


def _known_shift(count: int) -> list[Figure]:
    """Largest error on noise-free textures with any cyclic shift, for several factors.

    Without normalisation the correlation is no product of a function of rows and one of columns, and the
    highest point of the grid need not be the nearest to the peak: there, the grid is the limit, and
    scikit-image's error is given beside ours.
    """
    figures = []
    for dtype in ("float32", "float64"):
        for factor in (1, 10, 100, 1000):
            reference, moving, shift = _shifted_textures(count, dtype)
            # the shift itself is a number of this precision, up to 64 px
            allowed = 0.5 / factor + 64 * np.finfo(dtype).eps
            for normalization in NORMALIZATIONS:
                options: dict[str, Any] = {"upsample_factor": factor, "normalization": normalization}
                error = _distance(register_stack(reference, moving, **options).shift, shift)
                reached = f"largest error {error:.6f} px"
                if normalization is None and factor <= FACTOR:
                    pairs = zip(reference, moving, strict=True)
                    theirs = [skimage_registration(*pair, **options)[0] for pair in pairs]
                    reached += f" ({PEER}: {_distance(theirs, shift):.6f} px)"
                figures.append(
                    Figure(
                        f"known Fourier shift, normalization {normalization}",
                        f"{count} textures, factor {factor}, {dtype}",
                        reached,
                        f"0.5/factor = {0.5 / factor:g} px",
                        bool(error <= allowed),
                        is_binding=normalization is not None,
                    )
                )
    return figures


def _shifted_textures(count: int, dtype: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    rng = np.random.default_rng(3)
    shift = rng.uniform(-_content.SIZE / 2 + 1, _content.SIZE / 2 - 1, (count, 2))
    # without the Nyquist frequency, as the shifted image is
    images = [_content.fourier_shift(_content.texture(rng, rng.uniform(0, 1)), np.zeros(2)) for _ in shift]
    moving = [_content.fourier_shift(image, -s) for image, s in zip(images, shift, strict=True)]
    return np.asarray(images).astype(dtype), np.asarray(moving).astype(dtype), shift


def _distance(found: Any, shift: NDArray[np.float64]) -> float:
    """Largest component of the difference, cyclically."""
    difference = np.asarray(found, float) - shift
    size = _content.SIZE
    return float(np.abs((difference + size / 2) % size - size / 2).max())


def _speed(rounds: int) -> tuple[list[Time], list[Figure]]:
    times: list[Time] = []
    figures: list[Figure] = []
    for dtype in ("float32", "float64", "complex64"):
        for normalization in NORMALIZATIONS:
            rows = _timed(dtype, normalization, rounds)
            times += rows
            figures += [
                Figure(
                    "speed beside scikit-image, one thread",
                    f"{row.work}, {row.way}",
                    f"{row.ratio:.1f}×",
                    f"{SPEED_TARGET:.0f}×",
                    row.ratio >= SPEED_TARGET,
                    is_binding=False,
                )
                for row in rows
                if row.way.startswith("fastimg")
            ]
    return times, figures


def _timed(dtype: str, normalization: Normalization, rounds: int) -> list[Time]:
    """Time one pair in every way, in turns; the batch is counted per pair."""
    reference, moving, shift = _shifted_textures(BATCH, "float64")
    if dtype == "complex64":  # a complex image proper: two textures, shifted alike
        reference, moving = reference + 1j * reference[::-1], _complex_moving(reference, shift)
    reference, moving = reference.astype(dtype), moving.astype(dtype)
    single = _single_ways(dtype, normalization)
    calls = {name: partial(way, reference[0], moving[0]) for name, way in single.items()}
    batch = partial(register_stack, reference, moving, upsample_factor=FACTOR, normalization=normalization)
    timings = interleaved(calls | {OURS_BATCH: batch}, rounds=rounds, clock=time.process_time)
    timings[OURS_BATCH] = _per_pair(timings[OURS_BATCH])
    errors = {name: _largest_error(way, reference, moving, shift) for name, way in single.items()}
    errors[OURS_BATCH] = _distance(batch().shift, shift)
    work = f"{_content.SIZE}², {dtype}, {normalization}"
    return [
        Time(work, name, timing.median, median_ratio(timings[PEER], timing), f"{errors[name]:.4f} px")
        for name, timing in timings.items()
    ]


def _complex_moving(reference: NDArray[Any], shift: NDArray[np.float64]) -> NDArray[np.complex128]:
    pairs = zip(reference, reference[::-1], shift, strict=True)
    return np.asarray(
        [_content.fourier_shift(real, -s) + 1j * _content.fourier_shift(imag, -s) for real, imag, s in pairs]
    )


def _single_ways(dtype: str, normalization: Normalization) -> dict[str, Callable[..., Any]]:
    """The ways to register one pair that are installed, each returning the shift."""

    def skimage(reference: NDArray[Any], moving: NDArray[Any]) -> Any:
        return skimage_registration(reference, moving, upsample_factor=FACTOR, normalization=normalization)[0]

    def ours(reference: NDArray[Any], moving: NDArray[Any]) -> Any:
        return phase_cross_correlation(
            reference, moving, upsample_factor=FACTOR, normalization=normalization
        )[0]

    def plain(reference: NDArray[Any], moving: NDArray[Any]) -> Any:
        return _plain_registration.register(reference, moving, FACTOR, normalize=normalization == "phase")

    ways: dict[str, Callable[..., Any]] = {PEER: skimage, "plain NumPy": plain, OURS_SINGLE: ours}
    if normalization == "phase" and dtype != "complex64" and importlib.util.find_spec("cv2"):
        import cv2

        cv2.setNumThreads(1)
        ways["OpenCV phaseCorrelate"] = lambda a, b: np.negative(cv2.phaseCorrelate(a, b)[0][::-1])
    return ways


def _per_pair(timing: Timing) -> Timing:
    return Timing(tuple(seconds / BATCH for seconds in timing.samples), timing.calls)


def _largest_error(
    way: Callable[..., Any], reference: NDArray[Any], moving: NDArray[Any], shift: NDArray[np.float64]
) -> float:
    some = range(8)
    return max(_distance(way(reference[i], moving[i]), shift[i]) for i in some)


def _memory(pairs: int) -> Figure:
    """Resident memory beyond the input; in a process of its own."""
    taken = registration_memory.measure(pairs)
    beyond = taken["beyond_input_bytes"]
    return Figure(
        "memory beyond inputs",
        f"{pairs} pairs of {_content.SIZE}² float32 ({taken['input_bytes'] / 2**20:.0f} MiB)",
        f"{beyond / 2**20:.1f} MiB",
        f"{MEMORY_TARGET / 2**20:.0f} MiB",
        beyond <= MEMORY_TARGET,
    )
