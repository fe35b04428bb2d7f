"""Iterations of a barycenter on logarithms of the scalings, which have no range to leave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from fastimg import kernels
from fastimg.transport._debiasing import LogDebiasing
from fastimg.transport._passes import log_convolve, sigmas_by_axis

__all__ = ["LogScalings", "difference", "logarithm"]


def logarithm(xp: ModuleType, values: Any) -> Any:
    """Log of numbers from 0, in float64."""
    positive = values > 0
    return xp.where(positive, xp.log(xp.where(positive, values, 1).astype(xp.float64)), -xp.inf)


def difference(xp: ModuleType, logs: Any, subtracted: Any) -> Any:
    """Subtract logarithms by the rule that a quotient by 0 is 0."""
    is_zero = (logs == -xp.inf) | (subtracted == -xp.inf)
    return xp.where(is_zero, -xp.inf, logs - xp.where(is_zero, 0, subtracted))


class LogScalings:
    """What ``Scalings`` does, on float64 logarithms.

    Parameters
    ----------
    xp : module
    log_measures : array, (K, *grid)
        float64, -inf where a measure is 0; not written.
    sigmas, weights, debiased
        As in ``Scalings``.

    Attributes
    ----------
    log_barycenter : array, grid
    """

    def __init__(
        self,
        xp: ModuleType,
        log_measures: Any,
        sigmas: Sequence[Sequence[float]],
        weights: Sequence[float],
        *,
        debiased: bool = False,
    ) -> None:
        self._xp, self._family = xp, kernels.backend(xp).sinkhorn
        self._log_measures, self._weights = log_measures, weights
        self._sigmas = sigmas_by_axis(sigmas)
        self._debiasing = (
            LogDebiasing(xp, log_measures.shape[1:], sigmas, weights, lambda a, b: difference(xp, a, b))
            if debiased
            else None
        )
        self._scalings = xp.zeros(log_measures.shape)
        self._error: Any = None
        self._is_cut_off: Any = False
        self._values, self._spare = xp.empty_like(self._scalings), xp.empty_like(self._scalings)
        self.log_barycenter = xp.zeros(log_measures.shape[1:])

    @property
    def barycenter(self) -> Any:
        return self._xp.exp(self.log_barycenter)

    def step(self, *, is_measured: bool, is_kept: bool = True) -> None:
        """Do one iteration; ``is_measured`` says that the error will be asked for."""
        xp = self._xp
        below = self._convolved(self._scalings)
        if is_measured:
            self._is_cut_off = ((below == -xp.inf) & (self._log_measures > -xp.inf)).any()
        convolved = self._convolved(difference(xp, self._log_measures, below))
        if is_measured:
            marginals = xp.exp(self._scalings + xp.where(self._scalings == -xp.inf, 0, convolved))
            self._error = marginals.std(axis=0).sum()
        mean = xp.zeros(self.log_barycenter.shape) if self._debiasing is None else self._debiasing.factor
        for weight, logs in zip(self._weights, convolved, strict=True):
            if weight:
                mean = mean + weight * logs
        self.log_barycenter = mean
        self._scalings = difference(xp, mean, convolved)
        if self._debiasing is not None:
            self._debiasing.update(mean)

    def error(self) -> float:
        """Sum over pixels of the standard deviation of the marginals, in the measured step."""
        return float(self._error)

    def measure(self) -> tuple[float, float]:
        """Largest range of log u_k, and its largest absolute value; inf where mass has nowhere to go."""
        xp, span, size = self._xp, 0.0, 0.0
        if bool(self._is_cut_off):
            return math.inf, math.inf
        for logs in self._scalings:
            if bool((xp.isnan(logs) | (logs == xp.inf)).any()):
                return math.inf, math.inf
            finite = xp.isfinite(logs)
            least = float(xp.where(finite, logs, xp.inf).min())
            largest = float(xp.where(finite, logs, -xp.inf).max())
            span, size = max(span, largest - least), max(size, largest, -least)
        return span, size

    def _convolved(self, logs: Any) -> Any:
        """log(K_k exp(logs_k)), in one of the two buffers."""
        self._values[...] = logs
        self._values, self._spare = log_convolve(self._family, self._values, self._spare, self._sigmas)
        return self._values
