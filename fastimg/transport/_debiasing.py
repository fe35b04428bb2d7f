"""The transport of a barycenter to itself, which a debiased barycenter leaves out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from fastimg import kernels
from fastimg.transport._passes import convolve, log_convolve, sigmas_by_axis

__all__ = ["Debiasing", "LogDebiasing"]

# Inner updates to each iteration of the barycenter, as in POT
UPDATES = 10


def _distinct(sigmas: Sequence[Sequence[float]], weights: Sequence[float]) -> dict[tuple[float, ...], float]:
    """The distinct kernels, each with the share of all weight that its measures have."""
    summed: dict[tuple[float, ...], float] = {}
    for row, weight in zip(sigmas, weights, strict=True):
        summed[tuple(row)] = summed.get(tuple(row), 0.0) + weight
    total = math.fsum(weights)
    return {row: weight / total for row, weight in summed.items()}


class Debiasing:
    """Scalings d_j of the plan between the barycenter and itself, one for each distinct kernel.

    d_j ← √(d_j · barycenter / K_j d_j), ten times an iteration (Janati, Cuturi and Gramfort 2020, algorithm
    1, which has one kernel).

    Attributes
    ----------
    factor : array, grid
        Π_j d_j^w_j, by which the next mean is multiplied.
    """

    def __init__(
        self,
        xp: ModuleType,
        grid: tuple[int, ...],
        dtype: Any,
        sigmas: Sequence[Sequence[float]],
        weights: Sequence[float],
    ) -> None:
        self._family = kernels.backend(xp).sinkhorn
        distinct = _distinct(sigmas, weights)
        self._sigmas, self._weights = sigmas_by_axis(distinct), list(distinct.values())
        shape = (len(distinct), *grid)
        self._scalings = xp.ones(shape, dtype)
        self._buffers = xp.empty(shape, dtype), xp.empty(shape, dtype)
        self.factor = xp.ones(grid, dtype)

    def update(self, barycenter: Any) -> None:
        """Bring the scalings nearer to those of this barycenter."""
        scalings, (copy, spare) = self._scalings, self._buffers
        nothing = (0.0,) * len(scalings)
        for _ in range(UPDATES):
            self._family.convolve_axis(scalings, 0, self._sigmas[0], math.inf, None, copy)
            convolved, _ = convolve(self._family, copy, spare, range(1, len(self._sigmas)), self._sigmas)
            for scaling, below in zip(scalings, convolved, strict=True):
                self._family.balance(scaling, barycenter, below)
        self._family.convolve_axis(scalings, 0, nothing, math.inf, None, copy)
        self._family.mean_axis(
            copy, 0, nothing, math.inf, self._weights, 0.0, None, None, self.factor, None, None, None
        )


class LogDebiasing:
    """``Debiasing`` of logarithms."""

    def __init__(
        self,
        xp: ModuleType,
        grid: tuple[int, ...],
        sigmas: Sequence[Sequence[float]],
        weights: Sequence[float],
        subtract: Any,
    ) -> None:
        self._family = kernels.backend(xp).sinkhorn
        distinct = _distinct(sigmas, weights)
        self._sigmas, self._weights = sigmas_by_axis(distinct), list(distinct.values())
        shape = (len(distinct), *grid)
        self._scalings = xp.zeros(shape)
        self._buffers = xp.empty(shape), xp.empty(shape)
        self._subtract = subtract
        self.factor = xp.zeros(grid)

    def update(self, log_barycenter: Any) -> None:
        """Bring the scalings nearer to those of this barycenter."""
        copy, spare = self._buffers
        for _ in range(UPDATES):
            copy[...] = self._scalings
            convolved, _ = log_convolve(self._family, copy, spare, self._sigmas)
            self._scalings = (self._subtract(log_barycenter, convolved) + self._scalings) / 2
        self.factor = sum(
            weight * scaling for weight, scaling in zip(self._weights, self._scalings, strict=True) if weight
        )
