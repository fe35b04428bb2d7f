"""How to multiply a line of n numbers with the Gaussian of one width: the products that cost least.

The products are those of a matrix exp(-(i - j)²/2σ²) whose smallest entries matter as much as the largest,
since the numbers themselves range over hundreds of powers of e: an FFT would not do. Three ways are exact to
the format, entry by entry:

- *direct*, n products a number;
- *by a coarse grid* of spacing s: Σ_k g_a(i - sk) g_b(sk - j) is exp(-(i - j)²/2σ²), σ² = a² + b², times a
  Riemann sum of a Gaussian of width c = ab/σ around a point between i and j, for all i and j. By Poisson's
  formula that sum is constant to 2 exp(-2π²c²/s²). So the line is blurred by b into a grid that reaches
  beyond it, and from there by a into the line;
- *within a coarse grid*: with one more, wide Gaussian on the grid itself.

Nothing is subtracted, so nothing cancels. A plan is a few *stages* ``out[i] = Σ_j taps[c + pj - qi] x[j]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, inf, log, pi, sqrt

import numpy as np

__all__ = ["Plan", "Plans", "axis_plan", "axis_plans"]

# Largest -log of a tap that is a normal number; c/s of the coarse grid's sums, and widths of a Gaussian
# beyond which its share of a sum is left out: both for errors of 1e-14 and 5e-9
_TINY = {32: -log(1.2e-38), 64: -log(2.3e-308)}
_OVERSAMPLING = {32: 1.0, 64: 1.31}
_SPREAD = {32: 6.3, 64: 8.4}

# Shorter lines and narrower kernels are multiplied directly: a coarse grid would have as many points
_LEAST_LINE = 96
_LEAST_SIGMA = 4.0


@dataclass(frozen=True)
class _Stage:
    """``out[i] = Σ_j g(pj - qi + offset) x[j]``, a Gaussian g of width ``sigma``, j ``low[i]`` … ``high[i]``.

    Both increase with i. They tell what matters to the result; blocks of outputs may take more.
    """

    inputs: int
    per_output: int
    per_input: int
    offset: int
    sigma: float
    low: np.ndarray
    high: np.ndarray
    scale: float = 1.0

    def blocks(self, rows: int) -> np.ndarray:
        """First and last input of each block of ``rows`` outputs."""
        first = np.arange(0, len(self.low), rows)
        last = np.minimum(first + rows, len(self.low)) - 1
        return np.stack([np.maximum(self.low[first], 0), np.minimum(self.high[last], self.inputs - 1)])

    def cost(self, rows: int) -> int:
        """Products of all outputs."""
        low, high = self.blocks(rows)
        return int(rows * np.maximum(high - low + 1, 0).sum())


@dataclass(frozen=True)
class Plan:
    """Stages of one line, as the compiled code reads them.

    ``stages`` (s, 4): blocks, first row of ``blocks``, bytes in ``taps`` from output to output and from input
    to input. ``blocks`` (b, 3): byte of the first tap, first input, inputs. ``longest``: the most outputs of
    a stage.
    """

    stages: np.ndarray
    blocks: np.ndarray
    taps: np.ndarray
    longest: int


@lru_cache(256)
def axis_plan(n: int, sigma: float, reach: float, precision: int, rows: int) -> Plan:
    """The plan of lines of ``n`` numbers; ``rows`` outputs are made at a time."""
    stages = min(_candidates(n, sigma, reach, precision), key=lambda s: sum(t.cost(rows) for t in s))
    item = precision // 8
    headers, tables, taps, place, above = [], [], [], 0, 0
    for stage in stages:
        low, high = stage.blocks(rows)
        first = np.arange(len(low)) * rows
        nearest = stage.per_input * low - stage.per_output * (first + rows - 1) + stage.offset
        farthest = stage.per_input * high - stage.per_output * first + stage.offset
        distance = np.arange(nearest.min(), farthest.max() + 1)
        values = stage.scale * np.exp(-0.5 * (distance / stage.sigma) ** 2) if stage.sigma else distance == 0
        if reach != inf and stage.sigma:
            values = np.where(np.abs(distance) <= reach * sigma, values, 0.0)
        tap = place - distance[0] + stage.per_input * low - stage.per_output * first + stage.offset
        headers.append((len(low), above, -stage.per_output * item, stage.per_input * item))
        tables.append(np.stack([tap * item, low, np.maximum(high - low + 1, 0)], axis=1))
        taps.append(np.where(values < np.exp(-_TINY[precision]), 0.0, values))
        place += len(values)
        above += len(low)
    return Plan(
        np.array(headers, np.int64),
        np.concatenate(tables).astype(np.int64),
        np.concatenate(taps).astype(np.float32 if precision == 32 else np.float64),
        max(len(stage.low) for stage in stages),
    )


def _candidates(n: int, sigma: float, reach: float, precision: int) -> list[list[_Stage]]:
    farthest = min(n - 1, floor(sigma * min(reach, sqrt(2 * _TINY[precision]))))
    place = np.arange(n)
    found = [[_Stage(n, 1, 1, 0, sigma, place - farthest, place + farthest)]]
    if n < _LEAST_LINE or sigma < _LEAST_SIGMA or reach != inf:
        return found
    for spacing in range(2, floor(sigma / _OVERSAMPLING[precision]) + 1):
        found += _by_coarse_grid(n, sigma, farthest, spacing, precision)
        found += _within_coarse_grid(n, sigma, farthest, spacing, precision)
    return found


def _by_coarse_grid(n: int, sigma: float, farthest: int, spacing: int, precision: int) -> list[list[_Stage]]:
    width = _OVERSAMPLING[precision] * spacing
    root = sigma**4 - (2 * width * sigma) ** 2
    if root < 0:
        return []
    plans = []
    for square in ((sigma**2 - sqrt(root)) / 2, sigma**2 / 2, (sigma**2 + sqrt(root)) / 2):
        a, b = sqrt(square), sqrt(sigma**2 - square)
        c = a * b / sigma
        margin = ceil(_SPREAD[precision] * c / spacing)
        points = -(-(n - 1) // spacing) + 1 + 2 * margin
        grid = (n, points, spacing, margin, sigma, farthest, precision)
        plans.append([_into_grid(b, *grid), _out_of_grid(a, spacing / (sqrt(2 * pi) * c), *grid)])
    return plans


def _within_coarse_grid(
    n: int, sigma: float, farthest: int, spacing: int, precision: int
) -> list[list[_Stage]]:
    width = _OVERSAMPLING[precision] * spacing
    # The narrowest a with both sums wide enough: ab/√(a² + b²) and a √(a² + b²)/σ, where 2a² + b² = σ²
    for a in np.linspace(width, 1.5 * width, 26):
        square = sigma**2 - 2 * a * a
        if square <= 0:
            return []
        b, both = sqrt(square), sqrt(sigma**2 - a * a)
        if min(a * b / both, a * both / sigma) >= width:
            break
    else:
        return []
    first, second = a * b / both, a * both / sigma
    margin = ceil(_SPREAD[precision] * second / spacing)
    points = -(-(n - 1) // spacing) + 1 + 2 * margin
    share = (b / sigma) ** 2
    wide = ceil((farthest * share + _SPREAD[precision] * b * sqrt(1 - share)) / spacing)
    place = np.arange(points)
    scale = spacing**2 / (2 * pi * first * second)
    grid = (n, points, spacing, margin, sigma, farthest, precision)
    return [
        [
            _into_grid(a, *grid),
            _Stage(points, 1, 1, 0, b / spacing, place - wide, place + wide),
            _out_of_grid(a, scale, *grid),
        ]
    ]


def _out_of_grid(
    part: float, scale: float, n: int, points: int, spacing: int, margin: int, sigma: float, farthest: int,
    precision: int,
) -> _Stage:  # fmt: skip
    """From the points of a grid to the line, by a Gaussian of width ``part``."""
    low, high = _way(part, n, sigma, farthest, precision)
    return _Stage(
        points, 1, spacing, -margin * spacing, part,
        np.floor(low / spacing).astype(int) + margin, np.ceil(high / spacing).astype(int) + margin, scale,
    )  # fmt: skip


def _into_grid(
    part: float, n: int, points: int, spacing: int, margin: int, sigma: float, farthest: int, precision: int
) -> _Stage:
    """From the line to the points of a grid, by a Gaussian of width ``part``."""
    low, high = _way(part, n, sigma, farthest, precision)
    place = (np.arange(points) - margin) * spacing
    first, last = np.searchsorted(high, place), np.searchsorted(low, place, side="right") - 1
    return _Stage(n, spacing, 1, margin * spacing, part, first, last)


def _way(part: float, n: int, sigma: float, farthest: int, precision: int) -> tuple[np.ndarray, np.ndarray]:
    """From where to where a Gaussian of width ``part`` takes what starts at each place of the line.

    On the way from i to j it takes the share (part/σ)² of the distance, with a spread of part √(1 - share).
    """
    place, share = np.arange(n), (part / sigma) ** 2
    spread = _SPREAD[precision] * part * sqrt(1 - share)
    return (
        place - np.minimum(place, farthest) * share - spread,
        place + np.minimum(n - 1 - place, farthest) * share + spread,
    )


@dataclass(frozen=True)
class Plans:
    """The plans of several measures in one table; ``ranges`` (K, 2): first stage and stages of each."""

    ranges: np.ndarray
    stages: np.ndarray
    blocks: np.ndarray
    taps: np.ndarray
    longest: int


@lru_cache(64)
def axis_plans(n: int, sigmas: tuple[float, ...], reach: float, precision: int, rows: int) -> Plans:
    """Plans of lines of ``n`` numbers for the widths of several measures."""
    distinct = list(dict.fromkeys(sigmas))
    plans = [axis_plan(n, sigma, reach, precision, rows) for sigma in distinct]
    first = np.cumsum([0, *(len(plan.stages) for plan in plans)])
    stages, blocks, above, bytes_above = [], [], 0, 0
    for plan in plans:
        stages.append(plan.stages + np.array([0, above, 0, 0]))
        blocks.append(plan.blocks + np.array([bytes_above, 0, 0]))
        above += len(plan.blocks)
        bytes_above += plan.taps.nbytes
    of_distinct = {sigma: (first[i], len(plans[i].stages)) for i, sigma in enumerate(distinct)}
    return Plans(
        np.array([of_distinct[sigma] for sigma in sigmas], np.int64),
        np.concatenate(stages),
        np.concatenate(blocks),
        np.concatenate([plan.taps for plan in plans]),
        max(plan.longest for plan in plans),
    )
