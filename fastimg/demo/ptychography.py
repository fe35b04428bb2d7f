"""The chapter on ptychography: a virtual experiment whose positions and probe are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import fastimg
from fastimg._timing import Timing, interleaved, median_ratio
from fastimg._virtual_experiment import VirtualExperiment, virtual_experiment
from fastimg.demo import _plain_ptychography, _ptychography_pictures
from fastimg.demo._chapter import Chapter, Section, Table
from fastimg.demo._photographs import gray
from fastimg.ptychography import (
    PositionRefinement,
    Reconstruction,
    object_error,
    position_error,
    probe_modes,
    reconstruct,
)
from fastimg.ptychography._batches import ordered_batches

__all__ = ["STEPS", "write"]

STEPS = (
    "virtual experiment", "given positions", "refinement by the gradient", "refinement with Adam",
    "true positions", "plain NumPy", "times", "pictures",
)  # fmt: skip

#: Photographs that become amplitude and phase
PHOTOGRAPHS = ("camera", "coins")
MODES = 2
MOMENTUM = 0.8

GIVEN, REFINED, ADAM, TRUE = "given positions", "refined, gradient", "refined, Adam", "true positions"
REFINEMENTS = {
    REFINED: PositionRefinement(gain="fixed", signal="gradient"),
    ADAM: PositionRefinement(gain="adam", signal="object"),
}

# Iterations of one call in the timing, and in the comparison with plain NumPy
_TIMED, _COMPARED = 5, 2


@dataclass(frozen=True)
class Measured:
    """Results on one experiment.

    Attributes
    ----------
    experiment : VirtualExperiment
    results : dict of Reconstruction
        At the given positions, at positions refined in two ways, and at the true ones.
    agreement : float
        Relative RMS difference from plain NumPy in double precision, position by position in the same order.
    timings : dict of Timing
        Seconds a position and iteration.
    """

    experiment: VirtualExperiment
    results: dict[str, Reconstruction]
    agreement: float
    timings: dict[str, Timing]

    def object_errors(self) -> dict[str, float]:
        """Relative RMS errors of the objects."""
        return {name: object_error(result, self.experiment.object) for name, result in self.results.items()}

    def position_errors(self, affine: bool = False) -> dict[str, float]:
        """RMS errors of the positions in pixels."""
        true = self.experiment.positions
        return {name: position_error(r.positions, true, affine) for name, r in self.results.items()}


def write(
    advance: Callable[[], None] = lambda: None,
    *,
    size: int = 64,
    shape: tuple[int, int] = (10, 10),
    iterations: int = 100,
    rounds: int = 5,
) -> Chapter:
    """Reconstruct a virtual experiment, and write the chapter on it.

    Parameters
    ----------
    advance : callable, optional
        Called after each of ``STEPS``.
    size : int, optional
        Pixels along a side of a frame.
    shape : (int, int), optional
        Rows and columns of positions.
    iterations : int, optional
        Of each reconstruction.
    rounds : int, optional
        Rounds of the timing.

    Returns
    -------
    Chapter
    """
    amplitude, phase = map(gray, PHOTOGRAPHS)
    made = virtual_experiment(
        amplitude, phase, size=size, shape=shape, step=7.0, position_error=2.0, modes=MODES, photons=5e6
    )
    advance()
    settings: dict[str, Any] = {"modes": MODES, "iterations": iterations, "momentum": MOMENTUM}
    results = {GIVEN: reconstruct(made.scan, **settings)}
    advance()
    for name, refinement in REFINEMENTS.items():
        results[name] = reconstruct(made.scan, position_refinement=refinement, **settings)
        advance()
    results[TRUE] = reconstruct(replace(made.scan, positions=made.positions), **settings)
    advance()
    agreement = _agreement(made)
    advance()
    measured = Measured(made, results, agreement, _times(made, rounds))
    advance()
    chapter = _chapter(measured)
    advance()
    return chapter


def _agreement(made: VirtualExperiment) -> float:
    """Reconstruct at whole pixels with plain NumPy too, in the same order, and compare the objects.

    In double precision: where the first wave is dark on the detector, its phase is that of the rounding.
    """
    probe = probe_modes(made.scan.probe, MODES).astype(np.complex128)
    corners = np.rint(made.positions)
    scan = replace(made.scan, positions=corners, intensities=made.scan.intensities.astype(np.float64))
    ours = reconstruct(
        scan, modes=MODES, iterations=_COMPARED, batch_size=1, probe=probe, probe_start=0,
        orthogonalize=False, subpixel=False,
    )  # fmt: skip
    object, everyone = np.ones_like(ours.object), [np.arange(len(scan))]
    boxes = (corners - ours.origin).astype(np.int64)
    for iteration in range(_COMPARED):
        order, _ = ordered_batches(everyone, np.random.default_rng((ours.parameters["seed"], iteration)))
        _plain_ptychography.iterate(object, probe, scan.intensities, boxes, order)
    return float(np.linalg.norm(ours.object - object) / np.linalg.norm(object))


def _times(made: VirtualExperiment, rounds: int) -> dict[str, Timing]:
    """Time an iteration of each way, in turns, in seconds a position."""
    scan, threads = made.scan, fastimg.get_num_threads()
    probe = probe_modes(scan.probe, MODES)
    corners = np.rint(made.positions).astype(np.int64)

    def plain() -> None:
        object = np.ones_like(made.object)
        _plain_ptychography.iterate(object, probe.copy(), scan.intensities, corners, range(len(scan)))

    def ours(count: int, refinement: PositionRefinement | None = None, subpixel: bool = False) -> None:
        fastimg.set_num_threads(count)
        reconstruct(
            scan, modes=MODES, iterations=_TIMED, probe=probe, probe_start=0, subpixel=subpixel,
            position_refinement=refinement,
        )  # fmt: skip

    ways: dict[str, tuple[int, Callable[[], None]]] = {
        "plain NumPy": (1, plain),
        "reconstruct, 1 thread": (_TIMED, lambda: ours(1)),
        "the same, sub-pixel positions": (_TIMED, lambda: ours(1, subpixel=True)),
    }
    for name, refinement in REFINEMENTS.items():
        moving = partial(ours, 1, replace(refinement, start=0), True)
        ways[f"the same, {name}"] = (_TIMED, moving)
    if threads > 1:
        ways[f"reconstruct, {threads} threads"] = (_TIMED, lambda: ours(threads))
    try:
        timings = interleaved({name: call for name, (_, call) in ways.items()}, rounds=rounds)
    finally:
        fastimg.set_num_threads(threads)
    return {
        name: Timing(tuple(s / (ways[name][0] * len(scan)) for s in timing.samples), timing.calls)
        for name, timing in timings.items()
    }


def _chapter(measured: Measured) -> Chapter:
    objects, places = measured.object_errors(), measured.position_errors()
    plain, ours = (measured.timings[name] for name in ("plain NumPy", "reconstruct, 1 thread"))
    return Chapter(
        title="Ptychography",
        summary="A beam scans an object, and a detector far behind it measures diffraction patterns. Where "
        "the lit parts overlap, the patterns give the object, amplitude and phase, the beam itself, and even "
        "where it was.",
        headline={
            "error of the positions, given → found": f"{places[GIVEN]:.2f} → {places[REFINED]:.2f} px",
            "error of the object at the given positions": _percent(objects[GIVEN]),
            "with refined positions": _percent(objects[REFINED]),
            "as fast as plain NumPy (1 thread)": f"{median_ratio(plain, ours):.1f}×",
        },
        went_in=_went_in(measured),
        came_out=_came_out(measured),
        accuracy=_accuracy(measured),
        speed=_speed(measured),
        data=_data(measured),
    )


def _went_in(measured: Measured) -> Section:
    made = measured.experiment
    size, pixel = made.probe.shape[-1], made.scan.object_pixel or 0.0
    counts = made.scan.intensities.sum(axis=(1, 2), dtype=float).mean()
    error = measured.position_errors()[GIVEN]
    return Section(
        text=(
            f"An object of {made.object.shape[0]}×{made.object.shape[1]} pixels of {1e9 * pixel:.0f} nm: the "
            f"photograph “{PHOTOGRAPHS[0]}” is its amplitude, from 0.5 to 1, and “{PHOTOGRAPHS[1]}” its "
            "phase, from −1 to 0 rad.",
            f"{len(made.scan)} frames of {size}×{size} pixels, {counts:.3g} counts each on average, with the "
            "noise of counting, in the light of a zone plate out of focus, which is only partly coherent: "
            f"{MODES} modes.",
            f"What the reconstruction is told is wrong: each position by a random shift, {error:.2f} px RMS, "
            "and the beam, whose distance from the focus is 0.7 of the true one and which has one mode.",
        ),
        pictures=(_ptychography_pictures.experiment(made),),
    )


def _came_out(measured: Measured) -> Section:
    made, refined = measured.experiment, measured.results[REFINED]
    text = (
        f"M-rPIE with {MODES} modes, {refined.iterations} iterations in mini-batches of "
        f"{refined.parameters['batch_size']} positions, momentum {MOMENTUM}: at the given positions, and "
        f"with refinement of them in two ways. “{REFINED}” moves a position by the Gauss-Newton step of its "
        f"exit wave's misfit, “{ADAM}” along the shift between its box of the object before and after the "
        "update.",
        "The pictures show the first way.",
    )
    shown = {name: measured.results[name] for name in (REFINED, GIVEN)}
    return Section(
        text=text,
        pictures=(
            _ptychography_pictures.objects(made, shown),
            _ptychography_pictures.positions(made, refined),
            _ptychography_pictures.probes(made, refined),
        ),
    )


def _accuracy(measured: Measured) -> Section:
    objects, places, free = (
        measured.object_errors(), measured.position_errors(), measured.position_errors(affine=True),
    )  # fmt: skip
    rows = tuple(
        (
            name,
            f"{result.history['error'][-1]:.4f}",
            _percent(objects[name]),
            f"{places[name]:.3f}",
            f"{free[name]:.3f}",
        )
        for name, result in measured.results.items()
    )
    table = Table(
        "After the last iteration.",
        ("", "misfit", "error of the object", "error of the positions / px", "… without an affine map"),
        rows,
    )
    text = (
        "The misfit is that of the amplitudes on the detector, and all that an experiment knows. The error "
        "of the object is relative and RMS over its well-lit part, after the factor, the phase ramp and the "
        "translation that ptychography cannot know. Scale, rotation and shear of all positions are nearly as "
        "hard to see, so the last column takes an affine map off.",
        "At the true positions only the beam has to be found.",
        "Plain NumPy, position by position in the same order at whole pixels, gives the same object after "
        f"{_COMPARED} iterations: the relative difference is {measured.agreement:.1e} in double precision.",
    )
    return Section(text, (table,), (_ptychography_pictures.errors(measured.results),))


def _speed(measured: Measured) -> Section:
    timings, size = measured.timings, measured.experiment.probe.shape[-1]
    plain = timings["plain NumPy"]
    rows = tuple(
        (name, f"{1e6 * timing.median:,.0f} µs", f"{median_ratio(plain, timing):.1f}")
        for name, timing in timings.items()
    )
    caption = f"One position in one iteration: {size}×{size} pixels, {MODES} modes, single precision."
    text = (
        "Plain NumPy is the algorithm written with numpy.fft as in the paper, at whole pixels. All ways took "
        f"turns in the same run; the times are medians of {len(plain.samples)} rounds, the ratios medians of "
        "the ratios within a round. Sub-pixel positions and their refinement do more than plain NumPy does.",
    )
    return Section(text, (Table(caption, ("way", "time a position", "times as fast"), rows),))


def _data(measured: Measured) -> dict[str, Any]:
    made, timings = measured.experiment, measured.timings
    return {
        "photographs": list(PHOTOGRAPHS),
        "frames": list(made.scan.intensities.shape),
        "modes": MODES,
        "iterations": measured.results[REFINED].iterations,
        "momentum": MOMENTUM,
        "true_position": made.positions.round(4).tolist(),
        "given_position": made.scan.positions.round(4).tolist(),
        "found_position": measured.results[REFINED].positions.round(4).tolist(),
        "object_error": measured.object_errors(),
        "position_error_px": measured.position_errors(),
        "position_error_affine_free_px": measured.position_errors(affine=True),
        "misfit": {name: r.history["error"].round(6).tolist() for name, r in measured.results.items()},
        "relative_difference_from_plain_numpy": measured.agreement,
        "seconds_per_position": {name: timing.median for name, timing in timings.items()},
        "times_as_fast": {name: median_ratio(timings["plain NumPy"], t) for name, t in timings.items()},
    }


def _percent(part: float) -> str:
    return f"{100 * part:.1f}\N{NO-BREAK SPACE}%"
