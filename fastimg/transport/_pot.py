"""Barycenters of images with the names, parameters and stopping rules of POT, the library."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from numpy.typing import ArrayLike

from fastimg._arrays import as_kernel_array, namespace
from fastimg._warnings import ConvergenceWarning
from fastimg.transport._inputs import (
    DTYPES,
    as_positive,
    as_weights,
    as_whole,
    check_finite,
    check_masses,
    check_not_negative,
    masses,
)
from fastimg.transport._log_domain import LogScalings
from fastimg.transport._scalings import Scalings

__all__ = ["convolutional_barycenter2d", "convolutional_barycenter2d_debiased"]

# Iterations between two looks at the error
PERIOD = 10

# The debiased iteration, whose error does not fall steadily, is not ended before this one.
PATIENCE = 21

MESSAGE = (
    "Convolutional Sinkhorn did not converge. "
    "Try a larger number of iterations `numItermax` "
    "or a larger entropy `reg`."
)


def convolutional_barycenter2d(
    A: ArrayLike,
    reg: float,
    weights: ArrayLike | None = None,
    method: str = "sinkhorn",
    numItermax: int = 10000,
    stopThr: float = 1e-4,
    verbose: bool = False,
    log: bool = False,
    warn: bool = True,
    *,
    stabThr: float | None = None,
) -> Any:
    """Find the entropy-regularised Wasserstein barycenter of images, as ``ot.bregman`` of POT does.

    The parameters, the start, the stopping rule and the result are those of POT 0.9.7 [1]_ [2]_.

    Parameters
    ----------
    A : array_like of real numbers, (n_hists, width, height)
        Images with mass, not negative. Equal masses are what it is made for; others are taken, as by POT.
    reg : float
        Regularisation: the cost is (x - y)² / reg, with coordinates from 0 to 1 along each axis.
    weights : array_like, (n_hists,), optional
        Not negative; by default equal, of sum 1. Another sum is taken as it is.
    method : {"sinkhorn", "sinkhorn_log"}, optional
        On the scalings, or on their logarithms.
    numItermax : int, optional
        Iterations at most, from 1.
    stopThr : float, optional
        End where the error, which is looked at in each tenth iteration, is below this.
    verbose : bool, optional
        Print the errors.
    log : bool, optional
        Return a dict, too.
    warn : bool, optional
        Warn where the error did not come below ``stopThr``.
    stabThr : float, optional
        What is added within logarithms; by default 1e-30.

    Returns
    -------
    a : array, (width, height)
    log : dict
        Only with ``log=True``: "err", a list, "niter", and, but for "sinkhorn_log", the scalings "U" and "V".

    Raises
    ------
    TypeError
        If a dtype is not accepted, weights are no numbers, or arrays are partly on the CPU and partly on a
        GPU.
    ValueError
        If images are negative, not finite or without mass, weights are negative, not finite or all 0, shapes
        do not agree, or an option is not accepted. Nothing has been computed then.

    Warns
    -----
    ConvergenceWarning
        If the iteration did not converge.

    See Also
    --------
    barycenter : any number of axes, a kernel for each measure, and scalings that stay in range.

    References
    ----------
    .. [1] R. Flamary et al., "POT: Python Optimal Transport", Journal of Machine Learning Research 22, 1-8
       (2021). https://pythonot.github.io
    .. [2] J. Solomon, F. de Goes, G. Peyré, M. Cuturi, A. Butscher, A. Nguyen, T. Du, L. Guibas,
       "Convolutional Wasserstein distances: efficient optimal transportation on geometric domains", ACM
       Transactions on Graphics 34, 66 (2015). :doi:`10.1145/2766963`

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.transport import convolutional_barycenter2d
    >>> A = np.zeros((2, 21, 21))
    >>> A[0, 4, 10] = A[1, 16, 10] = 1
    >>> a = convolutional_barycenter2d(A, reg=0.01)
    >>> [int(i) for i in np.unravel_index(a.argmax(), a.shape)]
    [10, 10]
    """
    return _run(A, reg, weights, method, numItermax, stopThr, verbose, log, warn, stabThr, False)


def convolutional_barycenter2d_debiased(
    A: ArrayLike,
    reg: float,
    weights: ArrayLike | None = None,
    method: str = "sinkhorn",
    numItermax: int = 10000,
    stopThr: float = 1e-3,
    verbose: bool = False,
    log: bool = False,
    warn: bool = True,
    *,
    stabThr: float | None = None,
) -> Any:
    """Find the debiased Sinkhorn barycenter of images, as ``ot.bregman`` of POT does [1]_.

    Parameters
    ----------
    A, reg, weights, method, numItermax, stopThr, verbose, log, warn
        As in ``convolutional_barycenter2d``.
    stabThr : float, optional
        By default 1e-15 on the scalings, 1e-30 on their logarithms.

    Returns
    -------
    a : array, (width, height)
    log : dict
        As in ``convolutional_barycenter2d``.

    Raises
    ------
    TypeError, ValueError
        As in ``convolutional_barycenter2d``.

    References
    ----------
    .. [1] H. Janati, M. Cuturi, A. Gramfort, "Debiased Sinkhorn barycenters", Proceedings of the 37th
       International Conference on Machine Learning, PMLR 119, 4692-4701 (2020).

    Examples
    --------
    Two equal images keep their width:

    >>> import numpy as np
    >>> from fastimg.transport import convolutional_barycenter2d_debiased
    >>> x = np.exp(-((np.arange(21) - 10.0) ** 2) / 18)
    >>> A = np.array([np.outer(x, x) / x.sum() ** 2] * 2)
    >>> a = convolutional_barycenter2d_debiased(A, reg=0.02, stopThr=1e-6)
    >>> bool(abs(a - A[0]).sum() < 1e-3)
    True
    """
    return _run(A, reg, weights, method, numItermax, stopThr, verbose, log, warn, stabThr, True)


def _run(
    A: Any,
    reg: Any,
    weights: Any,
    method: str,
    most: Any,
    stop: float,
    verbose: bool,
    log: bool,
    warn: bool,
    floor: float | None,
    debiased: bool,
) -> Any:
    if str(method).lower() not in ("sinkhorn", "sinkhorn_log"):
        raise ValueError(f"Unknown method '{method}'.")
    is_log = method.lower() == "sinkhorn_log"
    xp, images = _images(A)
    sigma = [(size - 1) * math.sqrt(as_positive(reg, "reg") / 2) for size in images.shape[1:]]
    each = as_weights(weights, len(images), is_sum_free=True)
    most = as_whole(most, "numItermax")
    if floor is None:
        floor = 1e-15 if debiased and not is_log else 1e-30
    sigmas = [tuple(sigma)] * len(images)
    state: Scalings | LogScalings
    if is_log:
        logs = xp.log(images.astype(xp.float64) + floor)
        state = LogScalings(xp, logs, sigmas, each, debiased=debiased)
    else:
        state = Scalings(xp, images, sigmas, each, floor=floor, debiased=debiased)
        state.start_uniform()
    run = _Iterations(most, stop, PATIENCE if debiased else 0, verbose)
    is_converged = run.iterate(state)
    if warn and not is_converged:
        warnings.warn(MESSAGE, ConvergenceWarning, stacklevel=3)
    result = xp.asarray(state.barycenter, dtype=images.dtype)
    if not log:
        return result
    record: dict[str, Any] = {"err": run.errors, "niter": run.last}
    if isinstance(state, Scalings):
        record |= {"U": state.dual_scalings(run.scalings), "V": run.scalings}
    return result, record


@dataclass
class _Iterations:
    """POT's loop.

    Attributes
    ----------
    last : int
        Index, from 0, of the last iteration.
    scalings : array, (K, *grid)
        Those with which it began; None on logarithms.
    """

    most: int
    stop: float
    patience: int
    is_verbose: bool
    errors: list[float] = field(default_factory=list)
    last: int = 0
    scalings: Any = None

    def iterate(self, state: Scalings | LogScalings) -> bool:
        """Iterate until the error is below ``stop``, which the result tells, or to the end."""
        for iteration in range(self.most):
            self.last = iteration
            is_measured, is_kept = self._is_measured(iteration), self._is_kept(iteration)
            if isinstance(state, Scalings):
                self.scalings = state.scalings.copy() if is_measured and is_kept else state.scalings
            state.step(is_measured=is_measured, is_kept=is_kept)
            if is_measured:
                self.errors.append(state.error())
                if self.is_verbose:
                    self._report()
                if self.errors[-1] < self.stop and iteration >= self.patience:
                    return True
        return False

    def _is_measured(self, iteration: int) -> bool:
        return iteration % PERIOD == PERIOD - 1

    def _is_kept(self, iteration: int) -> bool:
        """Whether the next iteration needs the scalings: for its error, or because it is the last."""
        return iteration + 1 < self.most and (self._is_measured(iteration + 1) or iteration + 2 == self.most)

    def _report(self) -> None:
        if self.last % 200 == 0:
            print("{:5s}|{:12s}".format("It.", "Err") + "\n" + "-" * 19)
        print(f"{self.last:5d}|{self.errors[-1]:8e}|")


def _images(A: Any) -> tuple[ModuleType, Any]:
    if isinstance(A, list | tuple):
        xp = namespace(**{f"A[{k}]": each for k, each in enumerate(A)})
        A = xp.stack([xp.asarray(each) for each in A])
    xp = namespace(A=A)
    images = as_kernel_array(xp, A, DTYPES, name="A")
    if images.ndim != 3 or images.size == 0:
        raise ValueError(f"A has shape {images.shape}; accepted is (n_hists, width, height)")
    check_finite(xp, images, "A")
    check_not_negative(xp, images, "A")
    totals = masses(xp, images, 2)
    check_masses(totals, totals, "A", "A")
    return xp, images
