"""The chapter on transport and fusion: shapes between two, and a cube out of two images of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg._timing import Timing, median_ratio
from fastimg.demo import _fusion_pictures
from fastimg.demo._chapter import Chapter, Section, Table
from fastimg.demo._fusion_scene import MATERIALS, RATIO, SNR_H, SNR_M, Scene, scene, shapes
from fastimg.demo._fusion_times import PLAIN, times
from fastimg.fusion import (
    arithmetic_mean,
    cnmf,
    denoise_wiener,
    geometric_mean,
    gsa,
    hmwb,
    spectral_inverse,
    starck_murtagh,
    upsample,
)
from fastimg.metrics import cross_correlation, ergas, rmse, sam
from fastimg.transport import barycenter

__all__ = ["STEPS", "write"]

STEPS = ("shapes", "barycenters of cubes", "other ways", "times", "pictures")

#: Settings of HMWB; the first are the paper's
SETTINGS: dict[str, dict[str, Any]] = {
    "HMWB, pinv, λ = 0.1": {},
    "HMWB, regression, λ = 0.1": {"spectral_inverse": "regression"},
    "HMWB, regression, λ = 0.5": {"spectral_inverse": "regression", "weight": 0.5},
}
PAPER, BEST = "HMWB, pinv, λ = 0.1", "HMWB, regression, λ = 0.5"
ITERATIONS = 150

# The error is looked at after so many
_LOOKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150)

# Barycenters of shapes: weights of the second, width of the kernel in pixels, iterations
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_WIDTH, _SHAPE_ITERATIONS = 4.0, 100

Cube = NDArray[np.float32]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Results on one scene and two shapes.

    Attributes
    ----------
    scene : Scene
    cubes : dict of ndarray
        What each way made of the scene's images.
    scores : dict of dict of float
        "rmse" (over the mean of the truth), "sam" in degrees, "ergas" and "cc" of each way.
    seconds : dict of float
        How long one call took.
    traces : dict of (list of int, list of float)
        Iterations of HMWB, and RMSE over mean after them.
    strips : dict of list of ndarray
        Shapes between two, for ``WEIGHTS``.
    timings : dict of dict of Timing
        By what is computed.
    differences : dict of dict of float
        RMS difference from plain NumPy's result, over its mean.
    """

    scene: Scene
    cubes: dict[str, Cube]
    scores: dict[str, dict[str, float]]
    seconds: dict[str, float]
    traces: dict[str, tuple[list[int], list[float]]]
    strips: dict[str, list[Values]]
    timings: dict[str, dict[str, Timing]]
    differences: dict[str, dict[str, float]]


def write(
    advance: Callable[[], None] = lambda: None,
    *,
    shape: tuple[int, int] = (96, 128),
    bands: int = 64,
    shape_sizes: tuple[int, int] = (96, 256),
    iterations: int = ITERATIONS,
    rounds: int = 3,
) -> Chapter:
    """Interpolate between shapes, fuse two images of a cube, and write the chapter on it.

    Parameters
    ----------
    advance : callable, optional
        Called after each of ``STEPS``.
    shape : (int, int), optional
        Rows and columns of the cube.
    bands : int, optional
    shape_sizes : (int, int), optional
        Rows and columns of the shapes; of the first they are shown, of both they are timed.
    iterations : int, optional
        Of HMWB.
    rounds : int, optional
        Rounds of the timing.

    Returns
    -------
    Chapter
    """
    # the first calls compile or load the kernels
    _fused(scene((8, 8), 8), {}, 2)
    strips = _strips(shape_sizes[0])
    advance()
    seen = scene(shape, bands)
    cubes, seconds, traces = {}, {}, {}
    for name, settings in SETTINGS.items():
        cubes[name], seconds[name], traces[name] = _fused(seen, settings, iterations)
    advance()
    for name, way in _other_ways(seen).items():
        start = perf_counter()
        cubes[name] = way()
        seconds[name] = perf_counter() - start
    scores = {name: _scores(cube, seen.cube) for name, cube in cubes.items()}
    advance()
    timings, differences = times(seen, shape_sizes, rounds)
    advance()
    chapter = _chapter(Measured(seen, cubes, scores, seconds, traces, strips, timings, differences))
    advance()
    return chapter


def _strips(size: int) -> dict[str, list[Values]]:
    horse, ring = shapes(size)

    def between(weight: float, debiased: bool) -> Values:
        return barycenter(
            [horse, ring], sigma=_WIDTH, weights=[1 - weight, weight], iterations=_SHAPE_ITERATIONS,
            debiased=debiased,
        )  # fmt: skip

    return {
        "mean": [(1 - weight) * horse + weight * ring for weight in WEIGHTS],
        "barycenter": [between(weight, False) for weight in WEIGHTS],
        "debiased": [between(weight, True) for weight in WEIGHTS],
    }


def _fused(
    seen: Scene, settings: Mapping[str, Any], iterations: int
) -> tuple[Cube, float, tuple[list[int], list[float]]]:
    """HMWB's cube, its seconds without those of looking, and the errors on the way."""
    looks: dict[int, float] = {}
    spent = 0.0

    def look(state: Any) -> None:
        nonlocal spent
        if state.iteration in _LOOKS:
            start = perf_counter()
            looks[state.iteration] = _relative(state.fused, seen.cube)
            spent += perf_counter() - start

    start = perf_counter()
    cube = hmwb(
        seen.hyperspectral,
        seen.multispectral,
        **seen.sensors,
        **settings,
        iterations=iterations,
        callback=look,
    )
    return cube, perf_counter() - start - spent, (list(looks), list(looks.values()))


def _other_ways(seen: Scene) -> dict[str, Callable[[], Cube]]:
    h, m, known, blur = seen.hyperspectral, seen.multispectral, seen.sensors, starck_murtagh()
    return {
        "hyperspectral, interpolated": lambda: upsample(h, RATIO),
        "multispectral, regression": lambda: (
            denoise_wiener(m) @ spectral_inverse("regression", seen.response, h).T.astype(np.float32)
        ),
        "arithmetic mean": lambda: arithmetic_mean(h, m, **known),
        "geometric mean": lambda: geometric_mean(h, m, **known),
        "GSA": lambda: gsa(h, m, ratio=RATIO, blur=blur),
        "CNMF": lambda: cnmf(h, m, **known, blur=blur),
    }


def _relative(cube: Cube, truth: Cube) -> float:
    return rmse(cube, truth) / float(truth.mean(dtype=np.float64))


def _scores(cube: Cube, truth: Cube) -> dict[str, float]:
    return {
        "rmse": _relative(cube, truth),
        "sam": sam(cube, truth),
        "ergas": ergas(cube, truth, RATIO),
        "cc": cross_correlation(cube, truth),
    }


def _chapter(measured: Measured) -> Chapter:
    scores = measured.scores
    before = scores["arithmetic mean"]
    timings = next(iter(measured.timings.values()))
    plain, ours = (timings[name] for name in (PLAIN, "fastimg, float64, 1 thread"))
    return Chapter(
        title="Transport and fusion",
        summary="The barycenter of optimal transport lies between measures as if their mass had moved. "
        "Between what a hyperspectral image, which is coarse, and a multispectral one, which has few bands, "
        "say of a scene, it is a cube with the spectra of the one and the detail of the other.",
        headline={
            "RMSE / mean, arithmetic mean → HMWB (paper's settings)": (
                f"{before['rmse']:.3f} → {scores[PAPER]['rmse']:.3f}"
            ),
            "the same with regression and λ = 0.5; CNMF": (
                f"{scores[BEST]['rmse']:.3f}; {scores['CNMF']['rmse']:.3f}"
            ),
            "spectral angle, interpolated → HMWB (λ = 0.5)": (
                f"{scores['hyperspectral, interpolated']['sam']:.1f}° → {scores[BEST]['sam']:.1f}°"
            ),
            "as fast as plain NumPy (float64, 1 thread)": f"{median_ratio(plain, ours):.1f}×",
        },
        went_in=_went_in(measured),
        came_out=_came_out(measured),
        accuracy=_accuracy(measured),
        speed=_speed(measured),
        data=_data(measured),
    )


def _went_in(measured: Measured) -> Section:
    seen = measured.scene
    rows, cols, bands = seen.cube.shape
    coarse = "×".join(map(str, seen.hyperspectral.shape[:2]))
    return Section(
        text=(
            f"A made scene of {rows}×{cols} pixels and {bands} bands, whose truth is known. The photographs "
            f"“coffee” and “gravel”, which come with scikit-image, say how {2 * MATERIALS} random smooth "
            f"spectra from {seen.wavelengths[0]:.0f} to {seen.wavelengths[-1]:.0f} nm are mixed and lit in "
            "each pixel.",
            f"A hyperspectral image of it, {coarse} pixels with all bands, blurred and with noise "
            f"({SNR_H} dB), and a multispectral one, all pixels in four channels ({SNR_M} dB).",
            "Two shapes, a horse and a ring, each of mass 1.",
        ),
    )


def _came_out(measured: Measured) -> Section:
    cubes, seen = measured.cubes, measured.scene
    shown = {name: cubes[name] for name in ("arithmetic mean", BEST, "CNMF")}
    compared = {name: cubes[name] for name in ("hyperspectral, interpolated", BEST, "CNMF")}
    lines = {name: cubes[name] for name in ("hyperspectral, interpolated", "arithmetic mean", BEST, "CNMF")}
    pixels = [
        _farthest(cubes[name], seen.cube) for name in ("hyperspectral, interpolated", "arithmetic mean")
    ]
    return Section(
        text=(
            "HMWB takes two estimates of the cube: spectra made of the channels of each pixel, by the "
            "pseudo-inverse of the sensor's response (pinv) or by regression, and the hyperspectral image "
            "interpolated. The barycenter is that to which both are moved at least cost, the first along "
            "wavelength, with weight λ, and the second in the plane. The means take the same two estimates.",
            "GSA adds detail to the interpolated image. CNMF unmixes both into spectra and abundances.",
        ),
        pictures=(
            _fusion_pictures.strip(measured.strips, WEIGHTS),
            _fusion_pictures.colours(seen, shown),
            _fusion_pictures.spectra(seen, lines, pixels),
            _fusion_pictures.angles(seen, compared),
        ),
    )


def _farthest(cube: Cube, truth: Cube) -> tuple[int, int]:
    error = np.linalg.norm(cube - truth, axis=2)
    row, col = np.unravel_index(int(error.argmax()), error.shape)
    return int(row), int(col)


def _accuracy(measured: Measured) -> Section:
    scores, seconds = measured.scores, measured.seconds
    rows = tuple(
        (
            name,
            f"{each['rmse']:.4f}",
            f"{each['sam']:.2f}°",
            f"{each['ergas']:.2f}",
            f"{each['cc']:.4f}",
            f"{seconds[name]:.2f} s",
        )
        for name, each in sorted(scores.items(), key=lambda item: -item[1]["rmse"])
    )
    best = min(scores, key=lambda name: scores[name]["rmse"])
    ratio = scores[BEST]["rmse"] / scores["CNMF"]["rmse"]
    nearer = f"{ratio:.1f} times that of CNMF" if ratio > 1 else f"{ratio:.2f} of that of CNMF"
    text = (
        "RMSE over the mean of the truth, mean spectral angle (SAM), relative error over bands (ERGAS), mean "
        "correlation of the bands (CC), and the time of one call.",
        f"The least RMSE is that of {best}. The RMSE of HMWB with regression and λ = 0.5 is {nearer}, with "
        f"the paper's settings it is {scores[PAPER]['rmse'] / scores['arithmetic mean']['rmse']:.2f} of that "
        "of the arithmetic mean.",
        "Each pixel of this scene is a mixture of few spectra, which is what CNMF looks for; HMWB knows "
        "nothing of the scene but two estimates, and is to be compared with their means.",
    )
    table = Table("Ways to fuse, the worst first.", ("", "RMSE", "SAM", "ERGAS", "CC", "time"), rows)
    others = {name: scores[name]["rmse"] for name in ("arithmetic mean", "hyperspectral, interpolated")}
    others |= {name: scores[name]["rmse"] for name in ("GSA", "CNMF")}
    return Section(text, (table,), (_fusion_pictures.iterations(measured.traces, others),))


def _speed(measured: Measured) -> Section:
    tables = tuple(
        _time_table(f"{job}.", timings, measured.differences[job])
        for job, timings in measured.timings.items()
    )
    rounds = len(next(iter(measured.timings.values()))[PLAIN].samples)
    text = (
        "Plain NumPy multiplies by a dense matrix for each axis, on as many threads as its BLAS takes, which "
        "may be all. The times of fastimg are those of whole calls, on the estimates that plain NumPy is "
        "given.",
        f"The ways took turns in the same run; the times are medians of {rounds} rounds, the ratios medians "
        "of the ratios within a round.",
    )
    return Section(text, tables)


def _time_table(caption: str, timings: Mapping[str, Timing], differences: Mapping[str, float]) -> Table:
    plain = timings[PLAIN]
    rows = tuple(
        (
            name,
            f"{1e3 * timing.median:,.1f} ms",
            f"{differences[name]:.0e}" if name in differences else "",
            f"{median_ratio(plain, timing):.1f}",
        )
        for name, timing in timings.items()
    )
    return Table(caption, ("way", "time", "RMS difference / mean", "times as fast"), rows)


def _data(measured: Measured) -> dict[str, Any]:
    return {
        "shape": list(measured.scene.cube.shape),
        "ratio": RATIO,
        "snr_db": [SNR_H, SNR_M],
        "scores": measured.scores,
        "seconds": measured.seconds,
        "rmse_after_iterations": {
            name: [list(each) for each in both] for name, both in measured.traces.items()
        },
        "seconds_beside_plain_numpy": {
            job: {name: timing.median for name, timing in timings.items()}
            for job, timings in measured.timings.items()
        },
        "rms_difference_from_plain_numpy": measured.differences,
        "times_as_fast": {
            job: {name: median_ratio(timings[PLAIN], t) for name, t in timings.items()}
            for job, timings in measured.timings.items()
        },
    }
