"""Barycenters of measures on a grid."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike

from fastimg._arrays import allocate_out, namespace
from fastimg._warnings import ConvergenceWarning
from fastimg.transport._info import BarycenterInfo, BarycenterState
from fastimg.transport._inputs import (
    as_choice,
    as_measures,
    as_positive,
    as_sigmas,
    as_weights,
    as_whole,
)
from fastimg.transport._solver import CHECK_EVERY, Progress, Stabilize, solve

__all__ = ["barycenter"]


def barycenter(
    measures: ArrayLike,
    *,
    sigma: ArrayLike,
    weights: ArrayLike | None = None,
    iterations: int = 100,
    tol: float | None = None,
    debiased: bool = False,
    stabilize: Stabilize = "auto",
    out: Any = None,
    callback: Callable[[BarycenterState], Any] | None = None,
    progress: bool = False,
    return_info: bool = False,
) -> Any:
    """Find the measure whose transport to all the given ones costs least.

    It minimises Σ_k w_k W_k(barycenter, measure_k), where W_k is the entropy-regularised transport with the
    Gaussian kernel of measure k [1]_ [2]_. Each measure may have its own kernel, of another width on each
    axis: along an axis of width 0 it moves no mass.

    Parameters
    ----------
    measures : array_like of real numbers, ``(K, *grid)``
        K measures on a grid of one or more axes, or a list of them; not negative, of equal masses: to
        1e-6, or to 0.8 % of float16, whose rounding changes them; these are brought to the mass of the first.
    sigma : float or array_like, (N,) or (K, N)
        Standard deviation of the kernel exp(-d² / 2σ²) in grid steps: one for all, one for each of the N axes
        of the grid, or for each measure and axis. Widths below 0.108, whose nearest tap is under 2e-19, are
        0.
    weights : array_like, (K,), optional
        Not negative, of sum 1; by default equal.
    iterations : int, optional
        Exactly as many; with ``tol``, at most as many.
    tol : float, optional
        End where the K marginals agree: where their standard deviation over k, summed over the pixels, is at
        most this part of the mass. Looked at in every fifth iteration. It takes two measures of positive
        weight at least, as one alone agrees from the start.
    debiased : bool, optional
        Leave out the transport of the barycenter to itself, and so the blur of the regularisation [3]_.
    stabilize : {"auto", "log", False}, optional
        The scalings' logarithms grow with distance² / σ². "auto" measures their range; where it comes near
        the end of single or double precision, the run starts over in double precision, or on logarithms.
        "log" takes logarithms, which are slow, from the start; False stays with the precision of the
        measures, whatever happens.
    out : array, grid, optional
        Where to write the result.
    callback : callable, optional
        Called with a ``BarycenterState`` after each iteration; a true result ends the run. Error and range
        are then measured in each iteration.
    progress : bool, optional
        Show a progress bar.
    return_info : bool, optional
        Return a ``BarycenterInfo``, too.

    Returns
    -------
    result : array, grid
        float32 for measures of single precision and less, else float64.
    info : BarycenterInfo
        Only with ``return_info=True``.

    Raises
    ------
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.
    ValueError
        If measures are negative, not finite, without mass or of different masses, shapes do not agree, a
        ``tol`` is given for one measure of positive weight, or an option is not accepted. Nothing has been
        computed then.

    Warns
    -----
    ConvergenceWarning
        If ``tol`` was not reached, numbers overflowed with ``stabilize=False``, or a sigma of 0 keeps mass
        from reaching the other measures.

    See Also
    --------
    convolutional_barycenter2d : the same under the name and with the parameters of POT.

    Notes
    -----
    An iteration is v_k = measure_k / K_k u_k, barycenter = Π_k (u_k K_k v_k)^w_k, u_k = barycenter / K_k v_k,
    from u_k = 1; K_k is the product of the Gaussians along the axes, without truncation. Where a kernel
    leaves axes out, u_k has a free factor on each of their fibres, which is divided out where it grows; the
    barycenter does not depend on it. With ``debiased``, the barycenter is multiplied by Π_k d_k^w_k, where
    ten times an iteration d_k ← √(d_k · barycenter / K_k d_k).

    Width and the cost's regularisation: with coordinates x on a line from 0 to 1 of n pixels and a cost of
    (x - y)² / γ, σ = (n - 1) √(γ/2).

    References
    ----------
    .. [1] J.-D. Benamou, G. Carlier, M. Cuturi, L. Nenna, G. Peyré, "Iterative Bregman projections for
       regularized transportation problems", SIAM Journal on Scientific Computing 37, A1111-A1138 (2015).
       :doi:`10.1137/141000439`
    .. [2] J. Solomon, F. de Goes, G. Peyré, M. Cuturi, A. Butscher, A. Nguyen, T. Du, L. Guibas,
       "Convolutional Wasserstein distances: efficient optimal transportation on geometric domains", ACM
       Transactions on Graphics 34, 66 (2015). :doi:`10.1145/2766963`
    .. [3] H. Janati, M. Cuturi, A. Gramfort, "Debiased Sinkhorn barycenters", Proceedings of the 37th
       International Conference on Machine Learning, PMLR 119, 4692-4701 (2020).

    Examples
    --------
    Half way between two spots is one spot, not two:

    >>> import numpy as np
    >>> from fastimg.transport import barycenter
    >>> x = np.arange(41.0)
    >>> spots = np.exp(-((x - [[10], [24]]) ** 2) / 8)
    >>> middle = barycenter(spots / spots.sum(1, keepdims=True), sigma=2.0)
    >>> int(middle.argmax()), round(float(middle.sum()), 9)
    (17, 1.0)
    """
    given = {"measures": measures}
    if isinstance(measures, list | tuple):
        given = {f"measures[{k}]": each for k, each in enumerate(measures)}
    xp = namespace(**given, out=out)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {callback!r}; accepted are functions of a BarycenterState, and None")
    array = as_measures(xp, measures)
    sigmas, each = as_sigmas(sigma, len(array), array.ndim - 1), as_weights(weights, len(array))
    iterations = as_whole(iterations, "iterations")
    tol = None if tol is None else as_positive(tol, "tol")
    stabilize = as_choice(stabilize, "stabilize", ("auto", "log", False))
    kept = [k for k, weight in enumerate(each) if weight]
    if tol is not None and len(kept) < 2:
        raise ValueError(
            f"tol is {tol:g} for one measure of positive weight, which agrees from the start; tol needs at "
            "least two measures of positive weight (give iterations)"
        )
    work, deliver = allocate_out(xp, out, array.shape[1:], array.dtype, array)
    if len(kept) < len(each):
        array, sigmas, each = array[kept], [sigmas[k] for k in kept], [each[k] for k in kept]
    with _Watcher(iterations, array.shape[1:], callback, progress) as watcher:
        solution = solve(
            xp,
            array,
            sigmas,
            each,
            iterations=iterations,
            tol=tol,
            debiased=bool(debiased),
            stabilize=stabilize,
            check_every=CHECK_EVERY if callback is None else 1,
            watch=watcher if callback is not None or progress else None,
        )
    work[...] = solution.barycenter
    _warn(solution.info, tol, solution.is_stopped)
    return (deliver(), solution.info) if return_info else deliver()


class _Watcher:
    """Passes progress to the bar and the callback."""

    def __init__(self, iterations: int, grid: tuple[int, ...], callback: Any, shown: bool) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=iterations, unit="iteration", disable=not shown)
        self._grid, self._callback = grid, callback

    def __enter__(self) -> _Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, said: Progress) -> bool:
        if not self._bar.disable:
            if said.iteration <= self._bar.n:  # it has started over
                self._bar.reset()
            self._bar.update(said.iteration - self._bar.n)
            self._bar.set_postfix(error=f"{said.error:.1e}", domain=said.domain)
        if self._callback is None:
            return False
        grid = said.state.barycenter.reshape(self._grid)
        return bool(
            self._callback(BarycenterState(said.iteration, said.error, said.log_range, said.domain, grid))
        )


def _warn(info: BarycenterInfo, tol: float | None, is_stopped: bool) -> None:
    if math.isinf(info.log_range) and info.domain == "log":
        warnings.warn(
            "mass of one measure cannot reach that of the others, by axes of sigma 0, and the barycenter is "
            "0 there",
            ConvergenceWarning,
            3,
        )
    elif math.isinf(info.log_range) or math.isnan(info.error):
        warnings.warn(
            f"the scalings left the range of {info.domain}: take stabilize='auto'", ConvergenceWarning, 3
        )
    elif tol is not None and not (info.converged or is_stopped):
        warnings.warn(
            f"the marginals differ by {info.error:.1e} of the mass after {info.iterations} iterations, not "
            f"by tol={tol:g}: raise iterations",
            ConvergenceWarning,
            3,
        )
