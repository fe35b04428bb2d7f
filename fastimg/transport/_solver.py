"""Barycenters of checked arrays, in the narrowest domain that holds their scalings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np

from fastimg.transport._info import BarycenterInfo, Domain
from fastimg.transport._log_domain import LogScalings, logarithm
from fastimg.transport._scalings import Scalings

__all__ = ["CHECK_EVERY", "NEGLIGIBLE", "Progress", "Solution", "Stabilize", "as_planes", "skips", "solve"]

Stabilize = Literal["auto", "log", False]

# What log u, and its range, may reach before numbers that still matter are lost: the kernels end at
# exp(-87) in float32 and exp(-708) in float64, and what lies beyond their end weighs exp(range) more.
LIMITS = {"float32": 70.0, "float64": 600.0}

# The part of it from which on free factors are divided out
GAUGE_SHARE = 0.25

# Iterations between two looks at error and range, each of which waits for the device.
CHECK_EVERY = 5

# A kernel whose nearest tap is below this leaves its axis out: far below the rounding of double precision.
NEGLIGIBLE = 2e-19


@dataclass(frozen=True)
class Progress:
    """What a watcher is told after each iteration; ``error`` and ``log_range`` as they were measured last."""

    iteration: int
    error: float
    log_range: float
    domain: Domain
    state: Scalings | LogScalings


@dataclass(frozen=True)
class Solution:
    """A barycenter, in the dtype of the domain in which it ended (float64 for "log").

    ``is_stopped`` says that the watcher ended the run.
    """

    barycenter: Any
    info: BarycenterInfo
    is_stopped: bool


def skips(sigma: float) -> bool:
    """Whether a kernel of this width leaves its axis out."""
    return sigma == 0 or math.exp(-0.5 / sigma / sigma) < NEGLIGIBLE


def as_planes(measures: Any, sigmas: Sequence[Sequence[float]]) -> tuple[Any, list[tuple[float, ...]]]:
    """View measures on a line as measures on a plane of one row; others are returned as they are."""
    rows = [tuple(map(float, row)) for row in sigmas]
    if measures.ndim > 2:
        return measures, rows
    return measures.reshape(len(measures), 1, -1), [(0.0, *row) for row in rows]


def solve(
    xp: ModuleType,
    measures: Any,
    sigmas: Sequence[Sequence[float]],
    weights: Sequence[float],
    *,
    iterations: int,
    tol: float | None = None,
    debiased: bool = False,
    stabilize: Stabilize = "auto",
    check_every: int = CHECK_EVERY,
    watch: Callable[[Progress], Any] | None = None,
) -> Solution:
    """Barycenter of K measures by Sinkhorn iterations from u_k = 1.

    v_k = measure_k / K_k u_k, barycenter = Π_k (u_k K_k v_k)^w_k, u_k = barycenter / K_k v_k. With two
    measures and the weights (λ, 1 − λ) this is algorithm 1 of Mifdal et al. (2017).

    Parameters
    ----------
    xp : module
        ``numpy`` or ``cupy``.
    measures : array, (K, *grid)
        float32 or float64, C-contiguous, finite, not negative. Not written. Their masses should agree; where
        a kernel leaves axes out, the masses on the fibres of these axes may differ.
    sigmas : sequence of K sequences of floats
        Standard deviations of the kernels in grid steps, on each axis; 0, or one that ``skips``, leaves the
        axis out exactly.
    weights : sequence of K floats
        Not negative, of sum 1. A measure of weight 0 does not act on the barycenter.
    iterations : int
        How many, or how many at most.
    tol : float, optional
        End where the error, as in ``BarycenterInfo``, is at most this.
    debiased : bool, optional
        Leave out the transport of the barycenter to itself.
    stabilize : {"auto", "log", False}, optional
        Whether to start over in float64, then in logarithms, where the scalings leave the range of what they
        are held in; or in logarithms from the start; or never.
    check_every : int, optional
        Iterations between two measurements.
    watch : callable, optional
        Called after each iteration; a true result ends the run.

    Returns
    -------
    Solution
        ``barycenter`` has the shape of the grid and is a new array; ``info.log_range`` is infinite where
        numbers overflowed because of ``stabilize``, or mass of one measure cannot reach the others.
    """
    grid = measures.shape[1:]
    measures, rows = as_planes(measures, sigmas)
    rows = [tuple(0.0 if skips(sigma) else sigma for sigma in row) for row in rows]
    total = float(measures[0].sum(dtype=xp.float64))
    if tol is None and watch is None and stabilize != "auto":
        check_every = iterations  # nothing to be decided on the way
    for domain in _domains(measures.dtype, stabilize):
        may_leave = stabilize == "auto" and domain != "log"
        state = _start(xp, domain, measures, rows, weights, debiased)
        run = _Run(state, domain, total, iterations, tol, check_every, watch)
        with np.errstate(all="ignore"):  # what left the range is measured, and starts over
            is_done = run.finish(LIMITS[domain] if may_leave else math.inf)
        if is_done:
            break
    barycenter = state.barycenter.reshape(grid)
    info = BarycenterInfo(run.iteration, run.error, run.is_converged, run.log_range, domain)
    return Solution(barycenter, info, run.is_stopped)


def _domains(dtype: Any, stabilize: Stabilize) -> list[Domain]:
    if stabilize == "log":
        return ["log"]
    plain: list[Domain] = ["float32", "float64"] if dtype.itemsize == 4 else ["float64"]
    return [*plain, "log"] if stabilize == "auto" else plain[:1]


def _start(
    xp: ModuleType, domain: Domain, measures: Any, rows: Any, weights: Sequence[float], debiased: bool
) -> Scalings | LogScalings:
    if domain == "log":
        return LogScalings(xp, logarithm(xp, measures), rows, weights, debiased=debiased)
    return Scalings(
        xp,
        measures.astype(domain, copy=False),
        rows,
        weights,
        debiased=debiased,
        span=GAUGE_SHARE * LIMITS[domain],
    )


@dataclass
class _Run:
    """The iterations in one domain."""

    state: Scalings | LogScalings
    domain: Domain
    total: float
    iterations: int
    tol: float | None
    check_every: int
    watch: Callable[[Progress], Any] | None
    iteration: int = 0
    error: float = math.nan
    log_range: float = 0.0
    is_converged: bool = False
    is_stopped: bool = False

    def finish(self, limit: float) -> bool:
        """Iterate to the end; False where log u or its range comes over ``limit`` before."""
        while self.iteration < self.iterations:
            self.iteration += 1
            is_measured = self._is_measured(self.iteration)
            self.state.step(is_measured=is_measured, is_kept=self._is_measured(self.iteration + 1))
            if is_measured and not self._measure(limit):
                return False
            if self.watch is not None:
                said = Progress(self.iteration, self.error, self.log_range, self.domain, self.state)
                self.is_stopped = bool(self.watch(said))
            if self.is_converged or self.is_stopped:
                break
        return True

    def _is_measured(self, iteration: int) -> bool:
        return iteration % self.check_every == 0 or iteration == self.iterations

    def _measure(self, limit: float) -> bool:
        self.log_range, size = self.state.measure()
        if not max(self.log_range, size) <= limit:
            return False
        self.error = self.state.error() / self.total
        is_sound = math.isfinite(self.log_range)
        self.is_converged = self.tol is not None and is_sound and self.error <= self.tol
        return True
