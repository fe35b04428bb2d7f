"""The entropy-regularised distance between measures, and its gradient."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastimg._arrays import as_kernel_array, namespace
from fastimg._warnings import ConvergenceWarning
from fastimg.transport._info import DistanceInfo
from fastimg.transport._inputs import (
    DTYPES,
    as_choice,
    as_positive,
    as_sigmas,
    as_whole,
    check_finite,
    check_masses,
    check_not_negative,
    mass_tolerance,
    masses,
)
from fastimg.transport._log_domain import logarithm
from fastimg.transport._pairs import LogPairs, LogSelves, Look, Pairs, Selves
from fastimg.transport._solver import Stabilize, as_planes

__all__ = ["transport_distance"]

# Iterations between two looks at the errors
PERIOD = 10


def transport_distance(
    a: ArrayLike,
    b: ArrayLike,
    *,
    sigma: ArrayLike,
    gamma: float = 1.0,
    reference: Literal["uniform", "product"] = "uniform",
    debiased: bool = False,
    tol: float = 1e-9,
    iterations: int = 10000,
    gradient: bool = False,
    stabilize: Stabilize = "auto",
    return_info: bool = False,
) -> Any:
    """Compute the entropy-regularised cost of the transport between measures on a grid.

    W = γ min_φ Σ φ (d² / 2σ² + log φ - 1) over the plans φ with the marginals a and b [1]_: the kernel of γ's
    cost d²·γ / 2σ² is the Gaussian of standard deviation σ.

    Parameters
    ----------
    a, b : array_like of real numbers, ``(..., *grid)``
        Measures: not negative, each pair of equal masses: to 1e-6, or to 0.8 % if one is float16, whose
        rounding changes them. Leading axes broadcast.
    sigma : array_like, (N,)
        Standard deviation in grid steps along each of the last N axes, the grid; along an axis of 0 no mass
        may move.
    gamma : float, optional
        Unit of the result.
    reference : {"uniform", "product"}, optional
        "uniform" is W above, as in equation (4) of [1]_. "product" takes the entropy relative to the product
        of the measures: γ min_φ Σ φ (d² / 2σ² + log(φ / (a ⊗ b))), whose gradient is finite where a is 0.
    debiased : bool, optional
        The Sinkhorn divergence W(a, b) - W(a, a)/2 - W(b, b)/2 [2]_, which is 0 for equal measures; it is the
        same for both references.
    tol : float, optional
        End where the marginals of the plan differ from a and b by at most this part of the mass, summed over
        pixels. The error of W is of its square.
    iterations : int, optional
        After how many to end in any case.
    gradient : bool, optional
        Return the gradient with respect to ``a``, too.
    stabilize : {"auto", "log", False}, optional
        Whether to start over with logarithms of the scalings, which are slow, where these leave the range of
        double precision; or to take logarithms from the start; or never. "auto" decides for each pair.
    return_info : bool, optional
        Return a ``DistanceInfo``, too.

    Returns
    -------
    distance : array, (...)
        float32 if both are of single precision or less, else float64. Computed is in float64 always.
    gradient : array, ``(..., *grid)``
        Only with ``gradient=True``, one for each pair. Measures of the same mass are on a simplex, so it
        is determined but for a constant: its mean is 0. For "uniform" it is -inf where a is 0, and the mean
        is that of the others.
    info : DistanceInfo
        Only with ``return_info=True``.

    Raises
    ------
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.
    ValueError
        If measures are negative, not finite, without mass or of different masses (where sigma is 0, on each
        fibre), shapes do not agree, or an option is not accepted.

    Warns
    -----
    ConvergenceWarning
        If a pair did not come within ``tol``.

    Notes
    -----
    The gradient is γ log u, of "product" γ log(u/a) = -γ log K v, where u = a / K v and v = b / K u are the
    scalings of the plan; of the divergence, that of W(a, b) less that of W(a, a)/2. All pairs advance
    together through the same kernels, and each ends on its own: the batch gives what single calls give.

    References
    ----------
    .. [1] J. Mifdal, B. Coll, N. Courty, J. Froment, B. Vedel, "Hyperspectral and multispectral Wasserstein
       barycenter for image fusion", IGARSS 2017, 3373-3376. https://hal.science/hal-01620601
    .. [2] J. Feydy, T. Séjourné, F.-X. Vialard, S. Amari, A. Trouvé, G. Peyré, "Interpolating between optimal
       transport and MMD using Sinkhorn divergences", AISTATS 2019, PMLR 89, 2681-2690.

    Examples
    --------
    The divergence of a measure and its translate is the squared distance over 2σ²:

    >>> import numpy as np
    >>> from fastimg.transport import transport_distance
    >>> x = np.arange(64.0)
    >>> spots = np.exp(-((x - [[20.0], [28.0]]) ** 2) / 18)
    >>> a, b = spots / spots.sum(1, keepdims=True)
    >>> round(float(transport_distance(a, b, sigma=[4.0], gamma=32.0, debiased=True)), 4)
    64.0
    """
    xp = namespace(a=a, b=b)
    options = _Options(
        as_choice(reference, "reference", ("uniform", "product")),
        bool(debiased),
        as_positive(tol, "tol"),
        as_whole(iterations, "iterations"),
        as_choice(stabilize, "stabilize", ("auto", "log", False)),
    )
    gamma = as_positive(gamma, "gamma")
    given = [as_kernel_array(xp, each, DTYPES, name=name) for each, name in ((a, "a"), (b, "b"))]
    sigmas = _widths(sigma, given)
    leading, grid = _shapes(given, len(sigmas))
    _check(xp, given, leading, sigmas, mass_tolerance(a, b))
    dtype = np.result_type(given[0].dtype, given[1].dtype)
    with np.errstate(all="ignore"):  # a pair that left the range is seen, and starts over
        value, potential, info = _distance(xp, given, leading, grid, sigmas, options)
    result = [(gamma * value).astype(dtype)[()]]
    if gradient:
        result.append((gamma * potential).astype(dtype))
    if not info.converged.all():
        _warn(info, options)
    result += [_as_numbers(info)] if return_info else []
    return tuple(result) if len(result) > 1 else result[0]


@dataclass(frozen=True)
class _Options:
    reference: str
    debiased: bool
    tol: float
    iterations: int
    stabilize: Stabilize


@dataclass(frozen=True)
class _Plans:
    """Transport relative to the product of the measures, per pair: values, potentials, and how they ended."""

    value: Any
    potential: Any
    info: DistanceInfo


def _distance(
    xp: ModuleType,
    given: list[Any],
    leading: tuple[int, ...],
    grid: tuple[int, ...],
    sigma: tuple[float, ...],
    options: _Options,
) -> tuple[Any, Any, DistanceInfo]:
    """Value over γ, (*leading), gradient over γ, (*leading, *grid), and info."""
    a, b = (
        xp.array(xp.broadcast_to(each, leading + grid), dtype=xp.float64, order="C").reshape(-1, *grid)
        for each in given
    )
    fibres = _fibres(xp, (a, b), sigma)
    b *= xp.where(
        fibres[1] > 0, fibres[0] / xp.where(fibres[1] > 0, fibres[1], 1), 1
    )  # equal but for rounding
    plans = _plans(xp, Pairs, LogPairs, (a, b), sigma, options)
    value, potential, info = plans.value, plans.potential, plans.info
    shaped = [value.reshape(leading), potential.reshape(leading + grid)]
    info = _reshaped(info, leading)
    if options.debiased:
        for part, each in enumerate(given):
            alone = xp.ascontiguousarray(each.reshape(-1, *grid), dtype=xp.float64)
            own = _plans(xp, Selves, LogSelves, (alone,), sigma, options)
            before = each.shape[: each.ndim - len(grid)]
            shaped[0] = shaped[0] - own.value.reshape(before) / 2
            if part == 0:
                shaped[1] = shaped[1] - own.potential.reshape(before + grid)
            info = _worst(info, _reshaped(own.info, before))
    elif options.reference == "uniform":
        axes = tuple(range(1, 1 + len(grid)))
        logs = logarithm(xp, a)
        for measure, log in ((a, logs), (b, logarithm(xp, b))):
            entropy = (measure * xp.where(measure > 0, log, 0)).sum(axis=axes)
            shaped[0] = shaped[0] + entropy.reshape(leading)
        shaped[0] = shaped[0] - a.sum(axis=axes).reshape(leading)
        shaped[1] = xp.where(logs > -xp.inf, potential + logs, -xp.inf).reshape(leading + grid)
    return shaped[0], _centred(xp, shaped[1], len(grid)), info


def _plans(
    xp: ModuleType,
    plain: Callable[..., Any],
    on_logs: Callable[..., Any],
    measures: tuple[Any, ...],
    sigma: tuple[float, ...],
    options: _Options,
) -> _Plans:
    """Advance all pairs until each has converged; those that leave the range start over on logarithms."""
    count = len(measures[0])
    planes, rows = zip(*(as_planes(each, [sigma]) for each in measures), strict=True)
    info = DistanceInfo(
        np.zeros(count, int), np.full(count, np.nan), np.zeros(count, bool), np.zeros(count, bool)
    )
    result = _Plans(xp.empty(count), xp.empty_like(planes[0]), info)
    waiting = np.arange(count)
    domains = {"auto": (plain, on_logs), "log": (on_logs,), False: (plain,)}[options.stabilize]
    for make in domains:
        if not waiting.size:
            break
        chosen = xp.asarray(waiting)
        info.is_log[waiting] = make is on_logs
        state = make(xp, rows[0][0], *(each[chosen] for each in planes))
        waiting = _advance(xp, state, waiting, result, options, may_leave=make is not domains[-1])
    return _Plans(result.value, result.potential.reshape(measures[0].shape), info)


def _advance(
    xp: ModuleType, state: Any, pairs: np.ndarray, result: _Plans, options: _Options, *, may_leave: bool
) -> np.ndarray:
    """Iterate the pairs with these numbers, and write their results; return those that left the range."""
    totals = masses(xp, state.measures[0], state.measures[0].ndim - 1)
    done, left = 0, []
    while pairs.size:
        more = min(PERIOD, options.iterations - done)
        state.advance(more - 1)
        done += more
        look: Look = state.look()
        error = np.asarray(look.error.tolist()) / totals
        is_lost = may_leave & ~np.asarray(look.is_sound.tolist(), bool)
        is_converged = error <= options.tol
        ends = ~is_lost & (is_converged | (done >= options.iterations))
        if ends.any():
            where, here = xp.asarray(pairs[ends]), xp.asarray(np.flatnonzero(ends))
            result.value[where], result.potential[where] = look.value[here], look.potential[here]
        for name, values in (("error", error), ("converged", is_converged), ("iterations", done)):
            getattr(result.info, name)[pairs[ends]] = np.broadcast_to(values, ends.shape)[ends]
        left += pairs[is_lost].tolist()
        goes_on = ~(ends | is_lost)
        pairs, totals = pairs[goes_on], totals[goes_on]
        if pairs.size and not goes_on.all():
            state.keep(xp.asarray(np.flatnonzero(goes_on)))
    return np.asarray(left, int)


def _centred(xp: ModuleType, potential: Any, axes: int) -> Any:
    """Subtract the mean over the grid of what is finite."""
    over = tuple(range(-axes, 0))
    is_finite = xp.isfinite(potential)
    count = xp.maximum(is_finite.sum(axis=over, keepdims=True), 1)
    return potential - xp.where(is_finite, potential, 0).sum(axis=over, keepdims=True) / count


def _reshaped(info: DistanceInfo, shape: tuple[int, ...]) -> DistanceInfo:
    each = (info.iterations, info.error, info.converged, info.is_log)
    return DistanceInfo(*(array.reshape(shape) for array in each))


def _as_numbers(info: DistanceInfo) -> DistanceInfo:
    """Numbers in place of arrays without axes."""
    each = (info.iterations, info.error, info.converged, info.is_log)
    return info if np.ndim(each[0]) else DistanceInfo(*(array.item() for array in each))


def _worst(one: DistanceInfo, other: DistanceInfo) -> DistanceInfo:
    return DistanceInfo(
        np.maximum(one.iterations, other.iterations),
        np.maximum(one.error, other.error),
        one.converged & other.converged,
        one.is_log | other.is_log,
    )


def _widths(sigma: Any, given: list[Any]) -> tuple[float, ...]:
    axes = np.shape(sigma.tolist() if hasattr(sigma, "tolist") else sigma)
    if len(axes) != 1 or not 1 <= axes[0] <= min(each.ndim for each in given):
        shapes = f"a and b of shapes {given[0].shape} and {given[1].shape}"
        raise ValueError(f"sigma has shape {axes} for {shapes}; accepted is (N,), for their last N axes")
    return as_sigmas(sigma, 1, axes[0])[0]


def _shapes(given: list[Any], axes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Leading shape of the pairs, and shape of the grid."""
    shapes = [each.shape for each in given]
    grids = [shape[len(shape) - axes :] for shape in shapes]
    try:
        leading = np.broadcast_shapes(*(shape[: len(shape) - axes] for shape in shapes))
    except ValueError:
        leading = None
    if leading is None or grids[0] != grids[1] or 0 in grids[0]:
        raise ValueError(
            f"a and b have the shapes {shapes[0]} and {shapes[1]}; accepted are equal last {axes} axes, "
            "which are not empty, and leading axes that broadcast"
        )
    return leading, grids[0]


def _check(
    xp: ModuleType,
    given: list[Any],
    leading: tuple[int, ...],
    sigma: tuple[float, ...],
    tolerance: float,
) -> None:
    """Refuse what is no measure, and masses that cannot be moved onto each other."""
    for each, name in zip(given, "ab", strict=True):
        check_finite(xp, each, name)
        check_not_negative(xp, each, name)
    totals = [np.broadcast_to(masses(xp, each, len(sigma)), leading) for each in given]
    check_masses(totals[0], totals[0], "a", "a")
    check_masses(totals[1], totals[0], "b", "a", tolerance)
    if 0 in sigma:
        fibres = _fibres(xp, given, sigma)
        if bool((xp.abs(fibres[0] - fibres[1]) > tolerance * xp.maximum(*fibres)).any()):
            raise ValueError(
                f"sigma is {list(sigma)}, and along its axes of 0 a and b have different masses; accepted "
                "are equal ones, as no mass moves there"
            )


def _fibres(xp: ModuleType, measures: Sequence[Any], sigma: tuple[float, ...]) -> list[Any]:
    """Sums of the mass that may move together: over all axes of the grid but those of sigma 0."""
    moving = tuple(place - len(sigma) for place, width in enumerate(sigma) if width)
    return [
        each.sum(axis=moving, keepdims=True, dtype=xp.float64) if moving else each.astype(xp.float64)
        for each in measures
    ]


def _warn(info: DistanceInfo, options: _Options) -> None:
    pairs, missed = np.size(info.converged), int(np.sum(~info.converged))
    count = f"{missed} of {pairs} pairs" if np.ndim(info.converged) else "the plan"
    warnings.warn(
        f"{count} did not come within tol={options.tol:g} of the marginals in {options.iterations} "
        f"iterations (error up to {np.nanmax(info.error, initial=0):.1e}): raise iterations, or sigma",
        ConvergenceWarning,
        stacklevel=3,
    )
