"""The plate between two envelopes that bends least, from coarse images to fine ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from fastimg import kernels
from fastimg.dequantization._phases import Budget, Plate, linear_phase, primal_phase, soft_phase

__all__ = ["Solution", "solve"]

# The coarsest image of the pyramid, where the solver starts
SMALLEST_IMAGE = 16

# Pull to the middle of the envelope, over the square of the number of pixels: far below the stiffness of the
# slowest motion, and not below what rounding leaves of it in large images.
PULL, SMALLEST_PULL = 0.01, 1e-14


@dataclass(frozen=True)
class Solution:
    """A plate, ``values`` (n, m) float64, its energy, and how it was found.

    ``kkt`` is the root mean square of the projected gradient, ``cycles`` counts those on the finest grid.
    """

    values: Any
    energy: float
    kkt: float
    cycles: int
    converged: bool


def solve(
    xp: ModuleType,
    lower: Any,
    upper: Any,
    *,
    cut: Any = None,
    plate: float = 1.0,
    membrane: float = 0.0,
    boundary: str = "free",
    initial: Any = None,
    tol: float = 1e-4,
    max_cycles: int = 500,
    callback: Callable[[int, float, float], bool | None] | None = None,
) -> Solution:
    """Minimise the energy of a plate between ``lower`` and ``upper``.

    ½ Σ plate (f_xx² + 2 f_xy² + f_yy²) + ½ Σ membrane (f_x² + f_y²), over the differences that fit into the
    image.

    Parameters
    ----------
    xp : module
        ``numpy`` or ``cupy``.
    lower, upper : (n, m) float64
        Bounds, ±inf where there is none; pixels where both are equal are fixed.
    cut : (n, m) bool, optional
        Pixels without a part; their values are not determined.
    plate, membrane : float
        Weights of bending and of stretching.
    boundary : {"free", "even"}
        Free edges, or the image mirrored with its edge pixels repeated.
    initial : (n, m) float64, optional
        Where to start, in place of coarser images.
    tol : float
        Relative energy above the minimum at which to stop, estimated.
    max_cycles : int
        Multigrid cycles on the finest grid after which to stop.
    callback : callable, optional
        Called with cycles, energy and KKT residual of each plate inside the envelope; stops the solver
        where it returns True.
    """
    # Around 0, so that sums of large values do not cancel
    center = _center(xp, lower, upper)
    bounds, lower, upper = (lower, upper), lower - center, upper - center
    host_cut = None if cut is None else np.asarray(cut if xp is np else xp.asnumpy(cut), dtype=bool)
    images = [_Image(lower, upper, host_cut)]
    is_linear = bool(((lower == upper) | (xp.isinf(lower) & xp.isinf(upper))).all())
    if initial is None and not is_linear:
        while max(images[-1].lower.shape) > SMALLEST_IMAGE:
            images.append(images[-1].coarser(xp))
    middles = _middles(xp, images[0])
    start = middles[len(images) - 1] if initial is None else initial - center
    options = (plate, membrane, boundary == "even")
    for level in range(len(images) - 1, -1, -1):
        problem = _plate_of(xp, images[level], middles[level], level, *options)
        if level == len(images) - 1:
            u = xp.array(start, dtype=xp.float64)
        else:
            coarse, u = u, xp.empty(problem.lower.shape, xp.float64)
            kernels.backend(xp).plate.upsample(coarse, u)
        u = xp.where(problem.lower == problem.upper, problem.lower, u)
        budget = Budget(max_cycles, callback if level == 0 else None)
        if not is_linear:
            soft_phase(problem, u, budget, level == 0)
    u, result = (linear_phase if is_linear else primal_phase)(problem, u, budget, tol)
    u += center
    values = xp.clip(u, *bounds, out=u)
    return Solution(values, max(result.energy, 0.0), result.kkt, budget.cycles, result.converged)


def _plate_of(
    xp: ModuleType, image: _Image, middle: Any, level: int, plate: float, membrane: float, is_even: bool
) -> Plate:
    """Set up the problem of one image of the pyramid."""
    scale = 0.25**level
    unit = (20 * plate * scale + 4 * membrane) / 20
    pull = max(PULL / image.lower.size**2, SMALLEST_PULL) * unit
    return Plate(xp, image.lower, image.upper, middle, image.cut, plate * scale, membrane, is_even, pull)


@dataclass(frozen=True)
class _Image:
    """Envelopes of one image of the pyramid, and its pixels without a part."""

    lower: Any
    upper: Any
    cut: Any

    def coarser(self, xp: ModuleType) -> _Image:
        """Mean of the envelopes over 2 × 2 pixels; a pixel is cut where all of them are."""
        cut = None
        if self.cut is not None:
            padded = np.pad(self.cut, [(0, n % 2) for n in self.cut.shape], mode="edge")
            cut = padded[::2, ::2] & padded[1::2, ::2] & padded[::2, 1::2] & padded[1::2, 1::2]
        return _Image(_pooled(xp, self.lower), _pooled(xp, self.upper), cut)


def _pooled(xp: ModuleType, fine: Any) -> Any:
    coarse = xp.empty(tuple((n + 1) // 2 for n in fine.shape), xp.float64)
    kernels.backend(xp).plate.pool(fine, coarse)
    return coarse


def _center(xp: ModuleType, lower: Any, upper: Any) -> float:
    finite = [bound[xp.isfinite(bound)] for bound in (lower, upper)]
    means = [float(values.mean()) for values in finite if values.size]
    return sum(means) / len(means) if means else 0.0


def _middles(xp: ModuleType, image: _Image) -> list[Any]:
    """Middle of the envelope on every image down to one pixel; where there is none, that of coarser ones."""
    has_lower, has_upper = xp.isfinite(image.lower), xp.isfinite(image.upper)
    lower, upper = (
        xp.where(has_lower, image.lower, image.upper),
        xp.where(has_upper, image.upper, image.lower),
    )
    has_any = has_lower | has_upper
    middle = xp.where(has_any, xp.where(has_any, lower, 0.0) / 2 + xp.where(has_any, upper, 0.0) / 2, xp.inf)
    pyramid = [xp.ascontiguousarray(middle)]
    while max(pyramid[-1].shape) > 1:
        pyramid.append(_pooled(xp, pyramid[-1]))
    pyramid[-1] = xp.where(xp.isfinite(pyramid[-1]), pyramid[-1], 0.0)
    for level in range(len(pyramid) - 2, -1, -1):
        fine = pyramid[level]
        filled = pyramid[level + 1].repeat(2, 0)[: fine.shape[0]].repeat(2, 1)[:, : fine.shape[1]]
        pyramid[level] = xp.ascontiguousarray(xp.where(xp.isfinite(fine), fine, filled))
    return pyramid
