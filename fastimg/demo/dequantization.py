"""The chapter on de-quantization: the sky of a photograph, and the functions of the paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastimg
from fastimg._timing import Timing, interleaved, median_ratio
from fastimg.demo import _dequantization_pictures, _plain_dequantization
from fastimg.demo._chapter import Chapter, Section, Table
from fastimg.demo._dequantization_images import (
    METHODS,
    RELAXED,
    TENSION_LENGTH,
    Example,
    function_example,
    score,
    sky_example,
)
from fastimg.dequantization import dequantize

__all__ = ["STEPS", "write"]

STEPS = ("sky", "functions", "plain NumPy", "times", "pictures")

FUNCTIONS = ("Gaussian", "Rosenbrock")
SKY_BITS, FUNCTION_BITS = (3, 4, 5), (2, 3, 5)

# The photograph of these bits is shown, and functions of the fewest
_SHOWN_BITS = 4

SKY_METHODS = (
    "zero padding", "middle of the bins", "distance interpolation", "blend", "plate", "plate, relaxed",
)  # fmt: skip
FUNCTION_METHODS = (
    "zero padding", "middle of the bins", "distance interpolation", "membrane", "blend", "plate",
)  # fmt: skip

# What is timed: this function of so many bits, until the energy is this part above its minimum
_TIMED, _TIMED_BITS, GAP = "Gaussian", 3, 1e-3
# The minimum is known from a solution to this tolerance
_EXACT = 1e-10
_MOST_STEPS = 50_000

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Results on one photograph and two functions.

    Attributes
    ----------
    examples : dict of Example
        By name and bits.
    values : dict of dict of ndarray
        What each way made of an example, in levels of 8 bits.
    scores : dict of dict of dict of (float, float)
        PSNR and SSIM by name, bits and way.
    seconds : dict of dict of float
        How long one call took.
    trace : (list of float, list of float)
        Seconds and relative distances from the least energy of plain NumPy, and how many steps that were.
    steps : int
        Steps of plain NumPy to ``GAP``.
    reached : dict of float
        Relative distances from the least energy of what is timed.
    difference : float
        RMS of the difference of plain NumPy's result from the exact one, in levels.
    timings : dict of Timing
    """

    examples: dict[tuple[str, int], Example]
    values: dict[tuple[str, int], dict[str, Values]]
    scores: dict[str, dict[int, dict[str, tuple[float, float]]]]
    seconds: dict[tuple[str, int], dict[str, float]]
    trace: tuple[list[float], list[float]]
    steps: int
    reached: dict[str, float]
    difference: float
    timings: dict[str, Timing]


def write(
    advance: Callable[[], None] = lambda: None,
    *,
    sky_size: int | None = None,
    function_size: int = 64,
    rounds: int = 3,
) -> Chapter:
    """De-quantize a photograph and two functions, and write the chapter on it.

    Parameters
    ----------
    advance : callable, optional
        Called after each of ``STEPS``.
    sky_size : int, optional
        Rows and columns of the photograph, at most; by default 192 × 288.
    function_size : int, optional
        Rows and columns of the functions; for plain NumPy's coarser grids, a power of 2.
    rounds : int, optional
        Rounds of the timing.

    Returns
    -------
    Chapter
    """
    examples = {("sky", bits): sky_example(bits, sky_size) for bits in SKY_BITS}
    values, seconds = {}, {}
    # the first call compiles or loads the kernels
    METHODS["blend"](function_example("Gaussian", 2, 16))
    for key, example in examples.items():
        values[key], seconds[key] = _results(example, SKY_METHODS)
    advance()
    for name in FUNCTIONS:
        for bits in FUNCTION_BITS:
            key = (name, bits)
            examples[key] = function_example(name, bits, function_size)
            values[key], seconds[key] = _results(examples[key], FUNCTION_METHODS)
    advance()
    timed = examples[_TIMED, _TIMED_BITS].codes[0]
    exact, info = dequantize(timed, bits=_TIMED_BITS, tol=_EXACT, dtype=np.float64, return_info=True)
    trace, plain = _trace(timed, info.energy)
    advance()
    steps = _EVERY * len(trace[0])
    timings, reached = _times(timed, info.energy, steps, rounds)
    reached["plain NumPy"] = trace[1][-1]
    difference = float(np.sqrt(np.mean((plain - exact) ** 2)))
    scores: dict[str, dict[int, dict[str, tuple[float, float]]]] = {}
    for (name, bits), example in examples.items():
        made = values[name, bits]
        scores.setdefault(name, {})[bits] = {way: score(example, made[way]) for way in made}
    measured = Measured(examples, values, scores, seconds, trace, steps, reached, difference, timings)
    advance()
    chapter = _chapter(measured)
    advance()
    return chapter


# Plain NumPy's energy is looked at after so many steps
_EVERY = 50


def _results(example: Example, names: tuple[str, ...]) -> tuple[dict[str, Values], dict[str, float]]:
    values, seconds = {}, {}
    for name in names:
        start = perf_counter()
        values[name] = METHODS[name](example)
        seconds[name] = perf_counter() - start
    return values, seconds


def _trace(codes: NDArray[np.uint8], least: float) -> tuple[tuple[list[float], list[float]], Values]:
    """Run plain NumPy until it is near enough to the minimum; return times, distances and its result."""
    seconds, distances = [], []
    start = perf_counter()

    def look(values: Values) -> bool:
        seconds.append(perf_counter() - start)
        distances.append(_plain_dequantization.bending_energy(values) / least - 1)
        return distances[-1] <= GAP

    lower = codes.astype(np.float64)
    result = _plain_dequantization.iterate(lower, lower + 1, _MOST_STEPS, callback=look, every=_EVERY)
    return (seconds, distances), result


def _times(
    codes: NDArray[np.uint8], least: float, steps: int, rounds: int
) -> tuple[dict[str, Timing], dict[str, float]]:
    """Time both ways to the same distance from the minimum, in turns; say how near ours has come."""
    threads = fastimg.get_num_threads()
    lower = codes.astype(np.float64)

    def ours(count: int) -> float:
        fastimg.set_num_threads(count)
        _, info = dequantize(codes, bits=_TIMED_BITS, tol=GAP, dtype=np.float64, return_info=True)
        return max(0.0, info.energy / least - 1)

    ways: dict[str, Callable[[], object]] = {
        "plain NumPy": lambda: _plain_dequantization.iterate(lower, lower + 1, steps),
        "dequantize, 1 thread": lambda: ours(1),
    }
    if threads > 1:
        ways[f"dequantize, {threads} threads"] = lambda: ours(threads)
    try:
        timings = interleaved(ways, rounds=rounds)
        reached = {name: ours(1) for name in ways if name != "plain NumPy"}
    finally:
        fastimg.set_num_threads(threads)
    return timings, reached


def _chapter(measured: Measured) -> Chapter:
    sky, gaussian = measured.scores["sky"][_SHOWN_BITS], measured.scores[_TIMED][_TIMED_BITS]
    plain, ours = (measured.timings[name] for name in ("plain NumPy", "dequantize, 1 thread"))
    return Chapter(
        title="De-quantization",
        summary="An image of few bits shows contours where there are none. Of all images that it may have "
        "been made from, the one that bends least, like a thin plate, has no such contours.",
        headline={
            f"sky of {_SHOWN_BITS} bits, zero padding → relaxed plate": _arrow(
                sky["zero padding"], sky["plate, relaxed"]
            ),
            f"Gaussian of {_TIMED_BITS} bits, zero padding → plate": _arrow(
                gaussian["zero padding"], gaussian["plate"]
            ),
            "Rosenbrock of 2 bits, middle of the bins → plate": _arrow(
                *(measured.scores["Rosenbrock"][2][way] for way in ("middle of the bins", "plate"))
            ),
            "as fast as plain NumPy (1 thread, same energy)": f"{median_ratio(plain, ours):,.0f}×",
        },
        went_in=_went_in(measured),
        came_out=_came_out(measured),
        accuracy=_accuracy(measured),
        speed=_speed(measured),
        data=_data(measured),
    )


def _went_in(measured: Measured) -> Section:
    sky = measured.examples["sky", _SHOWN_BITS]
    size = measured.examples[_TIMED, _TIMED_BITS].truth.shape[-1]
    bits = ", ".join(map(str, SKY_BITS))
    return Section(
        text=(
            f"{sky.truth.shape[1]}×{sky.truth.shape[2]} pixels of the photograph “rocket”, which comes with "
            "scikit-image: a sky at dusk behind a rocket and masts. Of its 8 bits a colour, the first "
            f"{bits} are kept, and nothing else is used. It has the noise of a camera and of JPEG.",
            "The foreground is found in the codes: where neighbours differ by more than one, grown by a few "
            f"pixels, {sky.left.mean():.0%} of the picture at {sky.bits} bits. It is left alone, and does "
            "not count.",
            f"The paper's two functions on {size}×{size} pixels, without noise: the Gaussian "
            "exp(−2(x² + y²)) and Rosenbrock's 100(y − x²)² + (1 − x)², scaled to 255 and rounded down.",
        ),
    )


def _came_out(measured: Measured) -> Section:
    sky = ("sky", _SHOWN_BITS)
    shown = {
        f"{_SHOWN_BITS} bits": measured.values[sky]["zero padding"],
        **{name: measured.values[sky][name] for name in ("distance interpolation", "plate, relaxed")},
    }
    lines = {
        name: measured.values[sky][name] for name in ("distance interpolation", "plate", "plate, relaxed")
    }
    functions = [(name, FUNCTION_BITS[0]) for name in FUNCTIONS]
    column = 5 * measured.examples[sky].truth.shape[2] // 16
    text = (
        "Each result lies within the bins of its codes. “Plate” bends least, “membrane” has the least slope, "
        f"“blend” the least sum, with a tension length of {TENSION_LENGTH} pixels. For the relaxed plate, "
        f"bins are wider by {RELAXED} of a bin to both sides, because noise puts pixels beside a contour in "
        "the wrong one; for the comparison, its result is then clipped to the bins.",
        "Distance interpolation goes linearly from contour to contour.",
    )
    return Section(
        text=text,
        pictures=(
            _dequantization_pictures.sky(measured.examples[sky], shown),
            _dequantization_pictures.profile(measured.examples[sky], lines, column),
            _dequantization_pictures.functions(
                [measured.examples[key] for key in functions],
                [{way: measured.values[key][way] for way in ("membrane", "plate")} for key in functions],
            ),
        ),
    )


def _accuracy(measured: Measured) -> Section:
    scores = measured.scores
    tables = (
        _quality_table("The sky of the photograph, without the foreground.", {"sky": scores["sky"]}),
        _quality_table("The functions of the paper.", {name: scores[name] for name in FUNCTIONS}),
    )
    best = {
        bits: max(ways, key=lambda way: ways[way][0]).replace("plate, relaxed", "the relaxed plate")
        for bits, ways in scores["sky"].items()
    }
    text = (
        "PSNR in decibels against the 8 bits, for the range 255, and structural similarity (SSIM, by "
        "scikit-image).",
        "The plate is for signals without noise, as the functions are. On the photograph, noise at the "
        "contours bends it, which relaxed bins mend in part. The best PSNR there is that of "
        + "; ".join(f"{way} at {bits} bits" for bits, way in best.items())
        + ".",
        f"Plain NumPy's result, after {measured.steps:,} steps, differs from the plate by "
        f"{measured.difference:.4f} levels RMS.",
    )
    return Section(text, tables, (_dequantization_pictures.quality(scores),))


def _quality_table(caption: str, scores: dict[str, dict[int, dict[str, tuple[float, float]]]]) -> Table:
    columns = [(name, bits) for name, by_bits in scores.items() for bits in by_bits]
    ways = list(scores[columns[0][0]][columns[0][1]])
    rows = tuple((way, *(_both(scores[name][bits][way]) for name, bits in columns)) for way in ways)
    titles = (f"{name}, {bits} bits" if len(scores) > 1 else f"{bits} bits" for name, bits in columns)
    return Table(caption, ("", *titles), rows)


def _speed(measured: Measured) -> Section:
    timings = measured.timings
    plain = timings["plain NumPy"]
    rows = tuple(
        (
            name,
            f"{1e3 * timing.median:,.1f} ms",
            f"{measured.reached[name]:.1e}",
            f"{median_ratio(plain, timing):,.0f}",
        )
        for name, timing in timings.items()
    )
    size = measured.examples[_TIMED, _TIMED_BITS].truth.shape[-1]
    sky = measured.examples["sky", _SHOWN_BITS].truth
    seconds = measured.seconds["sky", _SHOWN_BITS]
    label = f"{_TIMED}, {_TIMED_BITS} bits, {size}×{size} pixels"
    text = (
        "Plain NumPy is the paper's iteration: the largest explicit step that is stable, clipping, and "
        f"coarser grids first. It is given as many steps as bring the energy to {100 * GAP:g} % above its "
        f"minimum, {measured.steps:,} on the finest grid; dequantize is asked for the same.",
        f"Both took turns in the same run; the times are medians of {len(plain.samples)} rounds, the ratios "
        "medians of the ratios within a round.",
        f"The {len(sky)} planes of the sky, {sky.shape[1]}×{sky.shape[2]} pixels of {_SHOWN_BITS} bits, took "
        f"{seconds['plate, relaxed']:.2f} s with the relaxed plate and "
        f"{seconds['distance interpolation']:.2f} s by distances, in one call each.",
    )
    table = Table(f"{label}.", ("way", "time", "energy above the minimum", "times as fast"), rows)
    ours = {name: timing.median for name, timing in timings.items() if timing is not plain}
    return Section(text, (table,), (_dequantization_pictures.gaps(measured.trace, ours, label),))


def _data(measured: Measured) -> dict[str, Any]:
    timings = measured.timings
    return {
        "sky_shape": list(measured.examples["sky", _SHOWN_BITS].truth.shape),
        "foreground": {bits: float(measured.examples["sky", bits].left.mean()) for bits in SKY_BITS},
        "function_shape": list(measured.examples[_TIMED, _TIMED_BITS].truth.shape[1:]),
        "tension_length": TENSION_LENGTH,
        "relax": RELAXED,
        "psnr_ssim": measured.scores,
        "seconds": {f"{name}, {bits} bits": times for (name, bits), times in measured.seconds.items()},
        "steps_of_plain_numpy": measured.steps,
        "rms_difference_from_plain_numpy": measured.difference,
        "energy_above_minimum": measured.reached,
        "seconds_to_the_same_energy": {name: timing.median for name, timing in timings.items()},
        "times_as_fast": {name: median_ratio(timings["plain NumPy"], t) for name, t in timings.items()},
    }


def _arrow(before: tuple[float, float], after: tuple[float, float]) -> str:
    return f"{before[0]:.1f} → {after[0]:.1f}\N{NO-BREAK SPACE}dB"


def _both(quality: tuple[float, float]) -> str:
    return f"{quality[0]:.2f} / {quality[1]:.3f}"
