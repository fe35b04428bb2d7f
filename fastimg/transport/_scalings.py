"""Iterations of a barycenter on the scalings themselves, in float32 or float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from fastimg import kernels
from fastimg.transport._debiasing import Debiasing
from fastimg.transport._passes import convolve, sigmas_by_axis

__all__ = ["Scalings"]


class Scalings:
    """The scalings u_k of K plans between a barycenter and the measures.

    One step is v_k = measure_k / K_k u_k, barycenter = Π_k (K_k v_k)^w_k, u_k = barycenter / K_k v_k, for all
    measures together. Between steps, ``values`` holds u_k convolved along the first axis.

    Parameters
    ----------
    xp : module
    measures : array, (K, *grid)
        At least two axes in the grid; float32 or float64, C-contiguous; not written.
    sigmas : sequence of K sequences
        Standard deviations in grid steps; 0 leaves out an axis exactly.
    weights : sequence of K floats
    floor : float, optional
        Added to K_k v_k in the mean.
    debiased : bool, optional
    span : float, optional
        Where a kernel leaves out axes, its u_k has a free factor on each of their fibres. ``measure`` divides
        by it where log u_k, or its range, is above this; the mean is multiplied by what u_k has lost.

    Attributes
    ----------
    barycenter : array, grid
    scalings : array, (K, *grid)
        u_k as it was written last.
    """

    def __init__(
        self,
        xp: ModuleType,
        measures: Any,
        sigmas: Sequence[Sequence[float]],
        weights: Sequence[float],
        *,
        floor: float = 0.0,
        debiased: bool = False,
        span: float = math.inf,
    ) -> None:
        self._xp, self._family = xp, kernels.backend(xp).sinkhorn
        self._measures, self._weights, self._floor = measures, weights, floor
        self._sigmas = sigmas_by_axis(sigmas)
        grid = measures.shape[1:]
        self._has_gauge = any(size > 1 and 0 in each for size, each in zip(grid, self._sigmas, strict=True))
        self._span, self._is_gauged = span, False
        if self._has_gauge:  # the mean gains what u_k loses, and has to lose it
            self._is_reached = self._reached()
            self._exponents = xp.zeros(grid)
            self._gain, self._loss = xp.ones(grid, measures.dtype), xp.ones(grid, measures.dtype)
        self._ranges, self._error = xp.zeros((len(measures), 2)), xp.zeros(1)
        self._debiasing = Debiasing(xp, grid, measures.dtype, sigmas, weights) if debiased else None
        self.barycenter = xp.empty(grid, measures.dtype)
        self.scalings = xp.ones(measures.shape, measures.dtype)
        self._values, self._spare = xp.ones_like(self.scalings), xp.empty_like(self.scalings)
        self._values, self._spare = convolve(self._family, self._values, self._spare, [0], self._sigmas)

    def start_uniform(self) -> None:
        """Start from a uniform barycenter of mass 1, u_k = 1 / (pixels · K_k 1), instead of from u_k = 1."""
        uniform = self._xp.full_like(self.scalings, 1 / self.barycenter.size)
        self.scalings[...] = 1
        axes = range(len(self._sigmas))
        self.scalings, self._spare = convolve(
            self._family, self.scalings, self._spare, axes, self._sigmas, uniform
        )
        self._values[...] = self.scalings
        self._values, self._spare = convolve(self._family, self._values, self._spare, [0], self._sigmas)

    def step(self, *, is_measured: bool, is_kept: bool) -> None:
        """Do one iteration.

        Parameters
        ----------
        is_measured : bool
            ``measure`` will be called; ``scalings`` must hold those of the step before.
        is_kept : bool
            Write ``scalings``.
        """
        last = len(self._sigmas) - 1
        between = range(1, last)
        values, spare = convolve(self._family, self._values, self._spare, between, self._sigmas)
        self._family.turn_axis(values, self._measures, last, self._sigmas[last], math.inf, spare)
        values, spare = convolve(self._family, values, spare, reversed(between), self._sigmas)
        self._family.mean_axis(
            values,
            0,
            self._sigmas[0],
            math.inf,
            self._weights,
            self._floor,
            self._factor(),
            self.scalings if is_measured else None,
            self.barycenter,
            self.scalings if is_kept or (is_measured and self._has_gauge) else None,
            self._error if is_measured else None,
            self._ranges if is_measured else None,
        )
        self._values, self._spare = values, spare
        if self._debiasing is not None:
            self._debiasing.update(self.barycenter)

    def dual_scalings(self, scalings: Any) -> Any:
        """v_k = measure_k / K_k u_k."""
        copy = scalings.copy()
        axes = range(len(self._sigmas))
        return convolve(self._family, copy, self._xp.empty_like(copy), axes, self._sigmas, self._measures)[0]

    def error(self) -> float:
        """Sum over pixels of the standard deviation of the marginals, in the measured step."""
        return float(self._error[0])

    def measure(self) -> tuple[float, float]:
        """Read the largest range of log u_k and its largest absolute value, after the gauge if one is due."""
        ranges = self._ranges.tolist()
        if self._has_gauge and self._span < max(_size(*each) for each in ranges) < math.inf:
            ranges = [self._gauge(k) for k in range(len(ranges))]
            self._gain[...] = self._xp.exp2(self._exponents)
            self._loss[...] = self._xp.exp2(-self._exponents)
            self._is_gauged = True
        if self._has_underflow():
            return math.inf, math.inf
        return max(_span(*each) for each in ranges), max(_size(*each) for each in ranges)

    def _has_underflow(self) -> bool:
        """Whether the barycenter is 0 where mass of all measures that count can come."""
        is_empty = self.barycenter == 0
        if self._has_gauge:
            is_empty &= self._is_reached
        return bool(is_empty.any())

    def _reached(self) -> Any:
        """Where each measure of positive weight has mass on the fibre that its kernel acts on."""
        xp, measures = self._xp, self._measures
        is_reached = xp.ones(measures.shape[1:], bool)
        for k, weight in enumerate(self._weights):
            active = tuple(axis for axis, sigmas in enumerate(self._sigmas) if sigmas[k])
            if weight:
                is_reached &= (measures[k] > 0).any(axis=active, keepdims=True) if active else measures[k] > 0
        return is_reached

    def _gauge(self, k: int) -> tuple[float, float]:
        """Divide u_k, on each fibre that its kernel leaves apart, by a power of two near its maximum."""
        xp, scaling = self._xp, self.scalings[k]
        active = tuple(axis for axis, sigmas in enumerate(self._sigmas) if sigmas[k])
        top = scaling.max(axis=active, keepdims=True) if active else scaling.copy()
        exponent = xp.frexp(xp.where(top > 0, top, 1))[1]
        for array in (scaling, self._values[k]):
            array[...] = xp.ldexp(array, -exponent)
        self._exponents += self._weights[k] * exponent
        least = xp.where(scaling > 0, scaling, xp.inf).min()
        return math.log(float(least)), math.log(float(scaling.max()))

    def _factor(self) -> Any:
        """What the mean of all K_k v_k has to be multiplied by."""
        if self._debiasing is None:
            return self._loss if self._is_gauged else None
        if self._is_gauged:
            self._family.convolve_axis(
                self._gain[None], 0, (0.0,), math.inf, self._debiasing.factor[None], self._loss[None]
            )
        return self._loss if self._is_gauged else self._debiasing.factor


def _span(least: float, largest: float) -> float:
    """Range of logarithms from the least to the largest; inf where one is not finite, or there are none."""
    return largest - least if math.isfinite(least) and math.isfinite(largest) else math.inf


def _size(least: float, largest: float) -> float:
    """Largest absolute value or range of logarithms, from the least to the largest; inf if there are none."""
    return max(largest - least, abs(largest), abs(least))
