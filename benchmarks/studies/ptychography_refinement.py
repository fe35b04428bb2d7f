"""Refinement of positions: every gain and signal, without and with momentum, on five virtual experiments.

Setting: 64² frames, 10 × 10 positions, step 7 ± 1.75 px, 5e6 counts a frame on average, in the middle of an
object of photographs at 160² (amplitude 0.5 to 1, phase ± 1 rad), illuminated by a soft aperture defocused to
2.0 rad. The start is a probe defocused to 1.4 rad, of the right power (and, for two of the settings, one of
1.7 rad), and positions whose errors are normal, with a mean of 0 and 2.0 px RMS of the 2-vector. 5 seeds,
each for positions, noise, start errors and the order of use; 100 iterations of rPIE, with its default
parameters but for the best setting found.

The best setting was looked for on these seeds; it is then tried on 5 others, whose figures do not bind. Exact
positions, and no correction, are reconstructions with the same parameters, without a refinement; each
row is compared with those of its own parameters and probe.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare._rows import Figure
from benchmarks.studies._experiment import Experiment, scaled_start, virtual_experiment
from benchmarks.studies._tables import Options, Study, Table
from fastimg import ConvergenceWarning
from fastimg.ptychography import PositionRefinement, object_error, position_error, reconstruct

SEEDS, OTHER_SEEDS = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
ITERATIONS, START_ERROR = 100, 2.0
WRONG, MILD_WRONG = 1.4, 1.7
MOMENTUM = 0.8

# What is to be reached on every seed
POSITION, AFFINE, TO_EXACT, BELOW_NONE = 0.1, 0.03, 1.3, 7.0


@dataclass(frozen=True)
class Way:
    """One setting: its refinement, and the other arguments of ``reconstruct``."""

    name: str
    refinement: PositionRefinement
    arguments: dict[str, Any] = field(default_factory=dict)


WAYS = [
    Way(
        f"{gain}, {signal}, momentum {momentum:g}",
        PositionRefinement(gain, signal),
        {"momentum": momentum},
    )
    for gain in ("adam", "zhang", "fixed")
    for signal in ("object", "gradient", "detector")
    for momentum in (0.0, MOMENTUM)
]
DEFAULT = Way(f"default: {PositionRefinement().gain}, {PositionRefinement().signal}", PositionRefinement())
BEST = Way(
    "best found: fixed, gradient",
    PositionRefinement("fixed", "gradient", step=2),
    {"momentum": 0.85, "batch_size": 10, "gamma": 0.5},
)
REFERENCE_HEAD = ("parameters", "exact positions", "no correction")
HEAD = ("refinement", "px RMS", "affine-free", "object error", "to exact", "below none")


def study(options: Options) -> Study:
    """Measure every way on every seed."""
    iterations = 2 if options.quick else ITERATIONS
    rows: list[tuple[str, ...]] = []
    reference_rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    data: dict[str, Any] = {}
    references: dict[str, NDArray[Any]] = {}
    for way, curvature, seeds in _all(quick=options.quick):
        start = f"start {curvature:g} rad, seeds {seeds[0]} to {seeds[-1]}"
        experiments = {seed: experiment(seed) for seed in seeds}
        parameters = f"{_named(way.arguments)}, {start}"
        if parameters not in references:
            pairs = [_references(e, seed, way, curvature, iterations) for seed, e in experiments.items()]
            references[parameters] = np.array(pairs)
            reference_rows.append((parameters, *_columns(references[parameters])))
        found = [_refined(e, seed, way, curvature, iterations) for seed, e in experiments.items()]
        values = _measures(np.array(found), references[parameters])
        label = f"{way.name}, {start}"
        rows.append((label, *_columns(values)))
        data[label] = {"values": values.tolist(), "exact, none": references[parameters].tolist()}
        if way in (BEST, DEFAULT):
            binding = way is BEST and curvature == WRONG and seeds != OTHER_SEEDS
            figures += _figures(label, values, is_binding=binding)
    tables = [
        Table("object error without refinement", REFERENCE_HEAD, reference_rows),
        Table(f"after {iterations} iterations, one number a seed", HEAD, rows),
    ]
    return Study("ptychography-refinement", (__doc__ or "").strip(), tables, figures, data)


def _all(*, quick: bool) -> list[tuple[Way, float, tuple[int, ...]]]:
    """Return every way with the curvature of the probe that it starts from, and the seeds."""
    ways = [*(WAYS[:2] if quick else WAYS), DEFAULT, BEST]
    seeds, others = (SEEDS[:1], OTHER_SEEDS[:1]) if quick else (SEEDS, OTHER_SEEDS)
    return [
        *((way, WRONG, seeds) for way in ways),
        *((way, MILD_WRONG, seeds) for way in (DEFAULT, BEST)),
        (BEST, WRONG, others),
    ]


@lru_cache(maxsize=len(SEEDS))
def experiment(seed: int) -> Experiment:
    """Return the virtual experiment of one seed."""
    return virtual_experiment(seed=seed, object_size=160, frame=64, rows=10, step=7, jitter=1.75, photons=5e6)


def start_positions(truth: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return positions that are wrong by ``START_ERROR`` px RMS."""
    error = np.random.default_rng((seed, 1)).standard_normal(truth.shape)
    error -= error.mean(axis=0)
    return truth + error * (START_ERROR / np.sqrt((error**2).sum(axis=1).mean()))


def _run(
    e: Experiment,
    seed: int,
    curvature: float,
    iterations: int,
    positions: NDArray[np.float64],
    **arguments: Any,
) -> Any:
    with warnings.catch_warnings():
        # a way that diverges is shown by its numbers
        warnings.simplefilter("ignore", ConvergenceWarning)
        return reconstruct(
            replace(e.scan, positions=positions),
            probe=scaled_start(e.scan.probe, curvature),
            iterations=iterations,
            rng=seed,
            **arguments,
        )


def _references(e: Experiment, seed: int, way: Way, curvature: float, iterations: int) -> tuple[float, float]:
    """Return the object error with exact positions, and without a correction."""
    truth = e.scan.positions
    exact, none = (
        object_error(_run(e, seed, curvature, iterations, positions, **way.arguments), e.truth)
        for positions in (truth, start_positions(truth, seed))
    )
    return exact, none


def _refined(
    e: Experiment, seed: int, way: Way, curvature: float, iterations: int
) -> tuple[float, float, float]:
    """Return the errors of positions, of positions apart from an affine map, and of the object."""
    truth = e.scan.positions
    start = start_positions(truth, seed)
    result = _run(e, seed, curvature, iterations, start, position_refinement=way.refinement, **way.arguments)
    return (
        position_error(result.positions, truth),
        position_error(result.positions, truth, affine=True),
        object_error(result, e.truth),
    )


def _measures(found: NDArray[Any], references: NDArray[Any]) -> NDArray[Any]:
    """Append the ratios to exact positions and to no correction."""
    exact, none = references.T
    error = found[:, 2]
    return np.column_stack([found, error / exact, none / error])


def _figures(label: str, values: NDArray[Any], *, is_binding: bool) -> list[Figure]:
    worst = values.max(axis=0)
    below = float(values[:, 4].min())
    return [
        Figure(name, label, f"{reached:.3f}", target, bool(met), is_binding)
        for name, reached, target, met in (
            ("position error, px RMS, worst seed", worst[0], f"< {POSITION}", worst[0] < POSITION),
            ("affine-free, px RMS, worst seed", worst[1], f"< {AFFINE}", worst[1] < AFFINE),
            ("object error to exact positions, worst seed", worst[3], f"≤ {TO_EXACT}", worst[3] <= TO_EXACT),
            ("no correction to object error, worst seed", below, f"≥ {BELOW_NONE:g}", below >= BELOW_NONE),
        )
    ]


def _named(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in arguments.items()) or "default"


def _columns(values: NDArray[Any]) -> list[str]:
    """Return one text a column, with the number of each seed."""
    return [" ".join(f"{value:.3g}" for value in column) for column in values.T]
