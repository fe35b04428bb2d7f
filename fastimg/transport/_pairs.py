"""Sinkhorn iterations of many pairs of measures at once, on scalings and on logarithms.

The potentials of a pair are f = -log K v and g = -log K u, where u = a·exp(f), v = b·exp(g). Each class holds
the pairs that still run, all in float64: ``advance`` iterates, ``look`` iterates once more and measures, and
``keep`` drops the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from fastimg import kernels
from fastimg.transport._log_domain import difference, logarithm
from fastimg.transport._passes import Sigmas, convolve, log_convolve

__all__ = ["LogPairs", "LogSelves", "Look", "Pairs", "Selves"]

# What logarithms of scalings may reach; double precision ends at 708
LIMIT = 600.0


@dataclass(frozen=True)
class Look:
    """What is measured: device arrays, (pairs,), and f, (pairs, *grid).

    ``value`` is Σ a f + Σ b g, up to the square of the error the transport relative to a ⊗ b, and ``error``
    Σ |marginal - a|. ``is_sound`` says whether all numbers are in range.
    """

    value: Any
    error: Any
    is_sound: Any
    potential: Any


class _Iterations:
    """What the four have in common."""

    def __init__(self, xp: ModuleType, sigma: Sequence[float], *measures: Any) -> None:
        self.xp, self.family = xp, kernels.backend(xp).sinkhorn
        self.sigma, self.measures = tuple(sigma), measures
        self.state = xp.ones_like(measures[0])
        self.spare = xp.empty_like(self.state)

    @property
    def sigmas(self) -> Sigmas:
        return [(width,) * len(self.state) for width in self.sigma]

    def keep(self, indices: Any) -> None:
        """Go on with these pairs."""
        self.measures = tuple(measure[indices] for measure in self.measures)
        self.state = self.state[indices]
        self.spare = self.xp.empty_like(self.state)

    def convolved(self, values: Any) -> Any:
        """K values, in a new array."""
        axes = range(len(self.sigma))
        return convolve(self.family, values.copy(), self.spare_array(), axes, self.sigmas)[0]

    def log_convolved(self, logs: Any) -> Any:
        """The logarithms of K exp(logs), in a new array."""
        return log_convolve(self.family, logs.copy(), self.spare_array(), self.sigmas)[0]

    def spare_array(self) -> Any:
        return self.xp.empty_like(self.state)

    def total(self, values: Any) -> Any:
        """Sum over the grid."""
        return values.reshape(len(values), -1).sum(axis=1)

    def product(self, measure: Any, potential: Any) -> Any:
        """Σ measure · potential, where there is mass."""
        return self.total(measure * self.xp.where(measure > 0, potential, 0))

    def in_range(self, *scalings: Any) -> Any:
        """Whether all are finite, and the logarithms of the positive ones and their range below the limit."""
        xp, sound = self.xp, True
        for scaling in scalings:
            flat = scaling.reshape(len(scaling), -1)
            largest = flat.max(axis=1)
            least = xp.where(flat > 0, flat, xp.inf).min(axis=1)
            low, high = math.exp(-LIMIT), math.exp(LIMIT)
            sound = sound & (least > low) & (largest < high) & (largest / high < least)
        return sound


class Pairs(_Iterations):
    """u ← a / K v, v ← b / K u, on scalings; ``state`` holds v convolved along the first axis.

    Parameters
    ----------
    xp : module
    sigma : sequence of float, one for each axis of the grid
    a, b : array, (pairs, *grid)
        float64; at least two axes in the grid.
    """

    def __init__(self, xp: ModuleType, sigma: Sequence[float], a: Any, b: Any) -> None:
        super().__init__(xp, sigma, a, b)
        self._begin(xp.ones_like(a))

    def advance(self, iterations: int) -> None:
        last, sigmas = len(self.sigma) - 1, self.sigmas
        between = range(1, last)
        a, b = self.measures
        for _ in range(iterations):
            values, spare = convolve(self.family, self.state, self.spare, between, sigmas)
            self.family.turn_axis(values, a, last, sigmas[last], math.inf, spare)
            values, spare = convolve(self.family, values, spare, reversed(between), sigmas)
            self.family.turn_axis(values, b, 0, sigmas[0], math.inf, spare)
            self.state, self.spare = values, spare

    def look(self) -> Look:
        xp, (a, b) = self.xp, self.measures
        rest = range(1, len(self.sigma))
        values, spare = convolve(self.family, self.state, self.spare, rest, self.sigmas, a)
        u = values.copy()
        below = self.convolved(u)
        v = xp.where(b > 0, b / xp.where(b > 0, below, 1), 0)
        self.state, self.spare = values, spare
        self._begin(v)
        above = self.convolved(v)
        f, g = -xp.log(above), -xp.log(xp.where(b > 0, below, 1))
        value = self.product(a, f) + self.product(b, g)
        error = self.total(xp.abs(u * above - a))
        return Look(value, error, self.in_range(u, v, above), f)

    def _begin(self, v: Any) -> None:
        self.state[...] = v
        self.state, self.spare = convolve(self.family, self.state, self.spare, [0], self.sigmas)


class LogPairs(_Iterations):
    """What ``Pairs`` does, on logarithms; ``state`` is log v."""

    def __init__(self, xp: ModuleType, sigma: Sequence[float], a: Any, b: Any) -> None:
        super().__init__(xp, sigma, a, b, logarithm(xp, a), logarithm(xp, b))
        self.state[...] = 0

    def advance(self, iterations: int) -> None:
        for _ in range(iterations):
            self._iterate()

    def look(self) -> Look:
        xp, (a, b, *_) = self.xp, self.measures
        log_u, below = self._iterate()
        above = self.log_convolved(self.state)
        value = self.product(a, -above) + self.product(b, -below)
        error = self.total(xp.abs(xp.exp(log_u + above) - a))
        return Look(value, error, xp.isfinite(error), -above)

    def _iterate(self) -> tuple[Any, Any]:
        _, _, log_a, log_b = self.measures
        log_u = difference(self.xp, log_a, self.log_convolved(self.state))
        below = self.log_convolved(log_u)
        self.state = difference(self.xp, log_b, below)
        return log_u, below


class Selves(_Iterations):
    """The transport of measures to themselves: u ← √(u a / K u), on scalings; ``state`` is u."""

    def advance(self, iterations: int) -> None:
        axes, sigmas = range(len(self.sigma)), self.sigmas
        (a,) = self.measures
        copy = self.spare_array()
        for _ in range(iterations):
            self.family.convolve_axis(self.state, 0, sigmas[0], math.inf, None, copy)
            below, other = convolve(self.family, copy, self.spare, axes[1:], sigmas)
            self.family.balance(self.state, a, below)
            copy, self.spare = below, other

    def look(self) -> Look:
        self.advance(1)
        xp, (a,) = self.xp, self.measures
        below = self.convolved(self.state)
        marginal = self.state * below
        f = xp.log(xp.where(a > 0, self.state / xp.where(a > 0, a, 1), 1))
        value = 2 * self.product(a, f) - self.total(marginal - a)
        error = self.total(xp.abs(marginal - a))
        return Look(value, error, self.in_range(self.state, below), -xp.log(below))


class LogSelves(_Iterations):
    """What ``Selves`` does, on logarithms; ``state`` is log u."""

    def __init__(self, xp: ModuleType, sigma: Sequence[float], a: Any) -> None:
        super().__init__(xp, sigma, a, logarithm(xp, a))
        self.state[...] = 0

    def advance(self, iterations: int) -> None:
        for _ in range(iterations):
            quotient = difference(self.xp, self.measures[1], self.log_convolved(self.state))
            self.state = (self.state + quotient) / 2

    def look(self) -> Look:
        self.advance(1)
        xp, (a, log_a) = self.xp, self.measures
        below = self.log_convolved(self.state)
        marginal = xp.exp(self.state + below)
        value = 2 * self.product(a, difference(xp, self.state, log_a)) - self.total(marginal - a)
        error = self.total(xp.abs(marginal - a))
        return Look(value, error, xp.isfinite(error), -below)
