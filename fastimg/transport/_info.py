"""What Sinkhorn iterations tell about themselves: while they run, and at their end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["BarycenterInfo", "BarycenterState", "DistanceInfo", "Domain"]

Domain = Literal["float32", "float64", "log"]


@dataclass(frozen=True)
class BarycenterState:
    """What a callback is given after each iteration of a barycenter.

    Where the range of the scalings makes the run start over in a wider domain, iterations are counted from 1
    again.

    Attributes
    ----------
    iteration : int
        How many are done, in this domain.
    error : float
        As in ``BarycenterInfo``.
    log_range : float
        As in ``BarycenterInfo``.
    domain : {"float32", "float64", "log"}
        In what the scalings are held.
    barycenter : array
        The grid as it is now. It is the solver's own: copy what is to be kept, and do not write.
    """

    iteration: int
    error: float
    log_range: float
    domain: Domain
    barycenter: Any = field(repr=False)


@dataclass(frozen=True)
class BarycenterInfo:
    """How a barycenter ended.

    Attributes
    ----------
    iterations : int
        Iterations whose result was returned.
    error : float
        Sum over pixels of the standard deviation of the K marginals, relative to the total mass.
    converged : bool
        Whether the error is at most ``tol``; False without one.
    log_range : float
        Largest of the K ranges of log u, the scalings' logarithm; infinite where numbers overflowed, or mass
        could not reach the other measures.
    domain : {"float32", "float64", "log"}
        In what the scalings were held at the end.
    """

    iterations: int
    error: float
    converged: bool
    log_range: float
    domain: Domain


@dataclass(frozen=True)
class DistanceInfo:
    """How the transport between pairs ended.

    For a single pair these are numbers, for batches NumPy arrays of the leading axes. With ``debiased`` each
    is the worst of the pair and of its two measures with themselves.

    Attributes
    ----------
    iterations : int or array
    error : float or array
        Sum of the absolute differences of the plan's marginal and the measure, relative to the mass.
    converged : bool or array
        Whether the error is at most ``tol``.
    is_log : bool or array
        Whether the scalings had to be held as logarithms.
    """

    iterations: Any
    error: Any
    converged: Any
    is_log: Any
