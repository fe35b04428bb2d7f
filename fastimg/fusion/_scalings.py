"""The scalings u_M and u_H, and one iteration, where one kernel acts on bands and the other in the plane."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np

from fastimg import kernels
from fastimg.fusion._precision import Plan, Precision
from fastimg.kernels._sinkhorn_layout import padded_bands

__all__ = ["Scalings", "padded_ones"]


def padded_ones(xp: ModuleType, shape: tuple[int, int, int], dtype: np.dtype) -> Any:
    """Return a cube (rows, cols, bands), its bands padded to whole vectors, full of ones."""
    rows, cols, bands = shape
    return xp.ones((rows, cols, padded_bands(bands)), dtype)


class Scalings:
    """The state of the iteration.

    Parameters
    ----------
    xp : module
    measure_m, measure_h : array, (rows, cols, padded bands)
        Of the dtypes of ``precision``, ones in the padding.
    bands : int
        Without padding.
    widths_m, widths_h : (float, float, float)
        Only the last of the first and the first two of the second are not 0.
    weight : float
        Of ``measure_m``.
    precision : Precision

    Attributes
    ----------
    u_m, u_h : array
        The scalings, with their free factors (one a pixel, one a band) divided out by powers of two.
    """

    def __init__(
        self,
        xp: ModuleType,
        measure_m: Any,
        measure_h: Any,
        bands: int,
        widths_m: tuple[float, float, float],
        widths_h: tuple[float, float, float],
        weight: float,
        precision: Precision,
    ) -> None:
        self.xp, self.bands, self.weight, self.precision = xp, bands, weight, precision
        self.measure_m, self.measure_h = measure_m, measure_h
        self._width_m, self._widths_h = widths_m[2], (widths_h[0], widths_h[1])
        self._kernels = kernels.backend(xp).sinkhorn
        self.u_m, self.u_h = xp.ones_like(measure_m), xp.ones_like(measure_h)
        self._v_h: Any = xp.ones_like(measure_h)
        self._extremes = xp.ones((2, measure_h.shape[2]), measure_h.dtype)
        self._span = xp.zeros(1, xp.float64)

    def step(self, plan: Plan, fused: Any) -> None:
        """Take one iteration.

        ``fused`` gets the barycenter, or is None; it may be ``measure_h``, which is lost then.
        """
        radius, rows, cols = map(min, self._reach(plan), self._longest())
        radii = rows, cols
        self._kernels.scale_planes(self.u_h, self.measure_h, self._widths_h, radii, self._v_h)
        self._kernels.fuse_spectra(
            self.u_m,
            self.measure_m,
            self._width_m,
            radius,
            self.u_h,
            self._v_h,
            self._widths_h,
            radii,
            self.weight,
            self._gauge(),
            self.bands,
            fused,
            self._extremes,
            self._span,
        )

    def is_cut(self, plan: Plan) -> bool:
        """Whether a kernel ends before the grid does."""
        return any(reach < longest for reach, longest in zip(self._reach(plan), self._longest(), strict=True))

    def ranges(self) -> tuple[float, float]:
        """Return the largest ranges of log u_M and log u_H; inf where there is no positive finite number."""
        low, high = np.asarray(self._extremes.tolist())[:, : self.bands]
        span = float(self._span.tolist()[0])
        if not (math.isfinite(span) and (low > 0).all() and np.isfinite(high).all()):
            return (span if math.isfinite(span) else math.inf), math.inf
        return span, float(np.log(high / low).max())

    def widen(self, precision: Precision) -> None:
        """Go on in a wider format."""
        self.precision = precision
        self._v_h = None  # made anew in each iteration: no memory while others are held twice
        for name in ("u_m", "measure_m"):
            setattr(self, name, getattr(self, name).astype(precision.dtype_m, copy=False))
        for name in ("u_h", "measure_h", "_extremes"):
            setattr(self, name, getattr(self, name).astype(precision.dtype_h, copy=False))
        self._v_h = self.xp.ones_like(self.u_h)

    def restart(self) -> None:
        """Go back to u = 1."""
        for scaling in (self.u_m, self.u_h, self._v_h, self._extremes):
            scaling[...] = 1

    def _reach(self, plan: Plan) -> tuple[int, int, int]:
        """Return the farthest taps over bands, rows and columns."""
        rows, cols = plan.radii_h(self.precision, self._widths_h)
        return plan.radius_m(self.precision, self._width_m), rows, cols

    def _longest(self) -> tuple[int, int, int]:
        rows, cols, _ = self.u_h.shape
        return self.bands - 1, rows - 1, cols - 1

    def _gauge(self) -> Any:
        """Powers of two that bring the largest u_H of each band, as the iteration before left it, near 1."""
        exponents = self.xp.frexp(self._extremes[1])[1]
        return self.xp.ldexp(self.xp.ones_like(self._extremes[1]), 1 - exponents)
