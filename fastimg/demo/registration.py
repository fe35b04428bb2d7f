"""The chapter on registration: real photographs, shifted by known amounts, with noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import fastimg
from fastimg._timing import Timing, interleaved, median_ratio
from fastimg.demo import _plain_registration, _registration_pictures
from fastimg.demo._chapter import Chapter, Section, Table
from fastimg.demo._photographs import PHOTOGRAPHS, Experiment, shifted_photographs
from fastimg.registration import phase_cross_correlation, register_stack

__all__ = ["STEPS", "write"]

STEPS = ("photographs", "batches", "single pairs", "plain NumPy", "times", "pictures")

UPSAMPLE_FACTOR = 100
Normalization = Literal["phase"] | None
NORMALIZATIONS: tuple[Normalization, ...] = ("phase", None)

# Pairs that all the threads share in the timing: enough that starting them costs nothing
_TIMED_PAIRS = 64


@dataclass(frozen=True)
class Measured:
    """Results on one experiment.

    Attributes
    ----------
    experiment : Experiment
        The pairs and their true shifts.
    weight : ndarray, shape (size, size)
        The window that both crops of a pair are multiplied by.
    shift : dict of ndarray, shape (L, P, S, 2)
        Shifts from ``register_stack`` for each normalization.
    agreement : dict of ndarray, shape (P * S,)
        Distance in pixels of the noise-free results from those of other ways to the same shift.
    timings : dict of Timing
        Seconds a pair.
    """

    experiment: Experiment
    weight: NDArray[np.float32]
    shift: dict[Normalization, NDArray[np.float32]]
    agreement: dict[str, NDArray[np.float64]]
    timings: dict[str, Timing]

    def error(self, normalization: Normalization) -> NDArray[np.float64]:
        """Distance in pixels between measured and true shifts, shape (L, P, S)."""
        return np.linalg.norm(self.shift[normalization] - self.experiment.true_shift, axis=-1)


def write(
    advance: Callable[[], None] = lambda: None,
    *,
    photographs: tuple[str, ...] = PHOTOGRAPHS,
    shifts_per_photograph: int = 8,
    rounds: int = 7,
) -> Chapter:
    """Register photographs with known shifts, and write the chapter on it.

    Parameters
    ----------
    advance : callable, optional
        Called after each of ``STEPS``.
    photographs : tuple of str, optional
        Names of ``fastimg.demo._photographs.PHOTOGRAPHS``.
    shifts_per_photograph : int, optional
        Shifts tried on each photograph.
    rounds : int, optional
        Rounds of the timing.

    Returns
    -------
    Chapter
    """
    experiment = shifted_photographs(photographs, shifts_per_photograph=shifts_per_photograph)
    advance()
    weight = _window(experiment.reference.shape[-1])
    shift = {normalization: _register(experiment, weight, normalization) for normalization in NORMALIZATIONS}
    advance()
    clean = shift["phase"][0].reshape(-1, 2)
    reference = experiment.reference[0].reshape(-1, *weight.shape) * weight
    moving = experiment.moving[0].reshape(-1, *weight.shape) * weight
    agreement = {"phase_cross_correlation": _distance(clean, _one_by_one(reference, moving))}
    advance()
    agreement["plain NumPy"] = _distance(
        clean,
        [
            _plain_registration.register(*pair, UPSAMPLE_FACTOR)
            for pair in zip(reference, moving, strict=True)
        ],
    )
    advance()
    measured = Measured(experiment, weight, shift, agreement, _times(reference, moving, rounds))
    advance()
    chapter = _chapter(measured)
    advance()
    return chapter


def _register(
    experiment: Experiment, weight: NDArray[np.float32], normalization: Normalization
) -> NDArray[np.float32]:
    return register_stack(
        experiment.reference,
        experiment.moving,
        upsample_factor=UPSAMPLE_FACTOR,
        normalization=normalization,
        weight=weight,
    ).shift


def _one_by_one(reference: NDArray[np.float32], moving: NDArray[np.float32]) -> list[NDArray[Any]]:
    return [
        phase_cross_correlation(*pair, upsample_factor=UPSAMPLE_FACTOR)[0]
        for pair in zip(reference, moving, strict=True)
    ]


def _distance(shift: NDArray[Any], other: Any) -> NDArray[np.float64]:
    return np.linalg.norm(shift.astype(float) - np.asarray(other, float), axis=-1)


def _window(size: int, fade: int = 16) -> NDArray[np.float32]:
    """One in the middle, falling to zero over the last ``fade`` pixels at each edge, as a raised cosine."""
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    profile = np.sin(0.5 * np.pi * np.minimum(distance / fade, 1)) ** 2
    return np.outer(profile, profile).astype(np.float32)


def _times(reference: NDArray[np.float32], moving: NDArray[np.float32], rounds: int) -> dict[str, Timing]:
    """Time the ways to register one pair, in turns, in seconds a pair."""
    some = np.arange(_TIMED_PAIRS) % len(reference)
    reference, moving = reference[some], moving[some]
    threads = fastimg.get_num_threads()

    def batch(count: int) -> None:
        fastimg.set_num_threads(count)
        register_stack(reference, moving, upsample_factor=UPSAMPLE_FACTOR, normalization="phase")

    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "plain NumPy": (1, lambda: _plain_registration.register(reference[0], moving[0], UPSAMPLE_FACTOR)),
        "phase_cross_correlation": (1, lambda: _one_by_one(reference[:1], moving[:1])),
        "register_stack, 1 thread": (_TIMED_PAIRS, lambda: batch(1)),
    }
    if threads > 1:
        ways[f"register_stack, {threads} threads"] = (_TIMED_PAIRS, lambda: batch(threads))
    try:
        timings = interleaved({name: call for name, (_, call) in ways.items()}, rounds=rounds)
    finally:
        fastimg.set_num_threads(threads)
    return {
        name: Timing(tuple(s / ways[name][0] for s in timing.samples), timing.calls)
        for name, timing in timings.items()
    }


def _chapter(measured: Measured) -> Chapter:
    error = measured.error("phase")
    fastest = min(measured.timings, key=lambda name: measured.timings[name].median)
    ratio = median_ratio(measured.timings["plain NumPy"], measured.timings[fastest])
    return Chapter(
        title="Sub-pixel registration",
        summary="By how many pixels is one image shifted against another? The peak of their "
        f"cross-correlation, found to 1/{UPSAMPLE_FACTOR} of a pixel, tells.",
        headline={
            "pairs of photographs": f"{error.size}",
            "median error without noise": f"{np.median(error[0]):.3f} px",
            "median error at the strongest noise": f"{np.median(error[-1]):.3f} px",
            f"as fast as plain NumPy ({fastest})": f"{ratio:.1f}×",
        },
        went_in=_went_in(measured),
        came_out=_came_out(measured),
        accuracy=_accuracy(measured),
        speed=_speed(measured),
        data=_data(measured),
    )


def _went_in(measured: Measured) -> Section:
    experiment = measured.experiment
    levels, photographs, shifts = experiment.reference.shape[:3]
    size = experiment.reference.shape[-1]
    noise = ", ".join(_percent(level) for level in experiment.noise)
    return Section(
        text=(
            f"{photographs} photographs that come with scikit-image, colours as luminance. Each was "
            f"shifted {shifts} times, by amounts uniform within ±4 pixels both ways, through the Fourier "
            f"transform of the whole photograph; then the middle {size}×{size} pixels were cropped, so that "
            "what leaves at one edge does not come back at the other.",
            f"Independent Gaussian noise was added to both images of a pair, at {levels} levels: {noise} "
            "of the crop's own standard deviation.",
            "Each crop has its mean subtracted and is multiplied by a window that falls to zero over 16 "
            "pixels.",
        ),
        pictures=(_registration_pictures.pairs(experiment, measured.shift["phase"]),),
    )


def _came_out(measured: Measured) -> Section:
    experiment = measured.experiment
    shift, error = measured.shift["phase"], measured.error("phase")
    rows = tuple(
        (
            name.replace("_", " "),
            _pair(experiment.true_shift[number, 0]),
            _pair(shift[0, number, 0]),
            *(f"{np.median(error[level, number]):.3f}" for level in range(len(experiment.noise))),
        )
        for number, name in enumerate(experiment.names)
    )
    table = Table(
        caption="The first pair of each photograph without noise, and the median error in pixels over all "
        "its pairs at each level of noise (normalization 'phase').",
        columns=(
            "photograph",
            "true shift",
            "measured",
            *(f"error, {_percent(n)}" for n in experiment.noise),
        ),
        rows=rows,
    )
    text = (
        "One call of register_stack registered all pairs. A shift is given in pixels, rows and columns, and "
        "brings the moving image back onto the reference.",
    )
    return Section(text=text, tables=(table,))


def _accuracy(measured: Measured) -> Section:
    noise = measured.experiment.noise
    columns = tuple(
        f"{statistic}, {_named(normalization)}"
        for normalization in NORMALIZATIONS
        for statistic in ("median", "90 %", "largest")
    )
    rows = tuple(
        (
            _percent(level),
            *(
                f"{np.quantile(measured.error(normalization)[number], share):.3f}"
                for normalization in NORMALIZATIONS
                for share in (0.5, 0.9, 1.0)
            ),
        )
        for number, level in enumerate(noise)
    )
    table = Table("Distance from the true shift in pixels.", ("noise", *columns), rows)
    agreement = "; ".join(
        f"{name}: {distance.max():.4f} px at most, {np.mean(distance <= 0.011):.0%} within 0.011 px"
        for name, distance in measured.agreement.items()
    )
    text = (
        f"Shifts are multiples of 1/{UPSAMPLE_FACTOR} pixel, so rounding alone is an error of up to "
        f"{0.5 * 2**0.5 / UPSAMPLE_FACTOR:.4f} px. Normalising the spectrum ('phase') weighs every frequency "
        "alike: sharp where there is little noise. Without it, the strong low frequencies decide, which bear "
        "more noise, but feel the window and what enters at the edges.",
        f"Agreement of register_stack, without noise, with other ways to the same shift: {agreement}.",
    )
    pictures = (
        _registration_pictures.scatter(noise, measured.shift["phase"] - measured.experiment.true_shift),
        _registration_pictures.error_against_noise(
            noise, {_named(normalization): measured.error(normalization) for normalization in NORMALIZATIONS}
        ),
    )
    return Section(text, (table,), pictures)


def _speed(measured: Measured) -> Section:
    timings = measured.timings
    plain = timings["plain NumPy"]
    rows = tuple(
        (name, f"{1e6 * timing.median:,.0f} µs", f"{median_ratio(plain, timing):.1f}")
        for name, timing in timings.items()
    )
    size = measured.experiment.reference.shape[-1]
    caption = f"One pair of {size}×{size} float32 images at factor {UPSAMPLE_FACTOR}, normalization 'phase'."
    text = (
        "Plain NumPy is the method written with numpy.fft and matrix products, one pair at a time, as in the "
        "paper: the window of 1.5 pixels at the final resolution. All ways took turns in the same run; the "
        f"times are medians of {len(plain.samples)} rounds, the ratios medians of the ratios within a round.",
    )
    return Section(text, (Table(caption, ("way", "time a pair", "times as fast"), rows),))


def _data(measured: Measured) -> dict[str, Any]:
    experiment = measured.experiment
    plain = measured.timings["plain NumPy"]
    return {
        "upsample_factor": UPSAMPLE_FACTOR,
        "image_shape": list(experiment.reference.shape[-2:]),
        "photographs": list(experiment.names),
        "noise": list(experiment.noise),
        "true_shift": experiment.true_shift.round(4).tolist(),
        "measured_shift": {_named(n): shift.round(4).tolist() for n, shift in measured.shift.items()},
        "error_px": {
            _named(n): [
                {
                    "median": float(np.median(level)),
                    "p90": float(np.quantile(level, 0.9)),
                    "max": float(level.max()),
                }
                for level in measured.error(n)
            ]
            for n in NORMALIZATIONS
        },
        "agreement_px": {name: float(distance.max()) for name, distance in measured.agreement.items()},
        "seconds_per_pair": {name: timing.median for name, timing in measured.timings.items()},
        "times_as_fast": {name: median_ratio(plain, timing) for name, timing in measured.timings.items()},
    }


def _named(normalization: Normalization) -> str:
    return normalization or "none"


def _percent(level: float) -> str:
    return f"{100 * level:g}\N{NO-BREAK SPACE}%"


def _pair(shift: NDArray[Any]) -> str:
    # adding zero turns -0.0, which would show its sign, into 0.0
    return ", ".join(f"{component + 0.0:+.2f}".replace("-", "−") for component in shift.round(2))
