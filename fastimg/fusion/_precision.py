"""The formats in which the scalings are held, and the distances at which kernels may be cut in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["CHOICES", "Plan", "Precision", "narrowest", "precisions_from"]

CHOICES = ("auto", "float32", "mixed", "float64", "log")


@dataclass(frozen=True)
class Precision:
    """What u_M and u_H are held in.

    Attributes
    ----------
    name : str
    dtype_m, dtype_h : numpy.dtype
    """

    name: str
    dtype_m: np.dtype
    dtype_h: np.dtype

    @property
    def limits(self) -> tuple[float, float]:
        """Largest log-ranges of u_M and u_H with which all sums still have all their digits."""
        return _limit(self.dtype_m), _limit(self.dtype_h)

    def holds(self, range_m: float, range_h: float) -> bool:
        """Whether scalings of these log-ranges keep their digits."""
        return range_m <= self.limits[0] and range_h <= self.limits[1]


_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
_PRECISIONS = (
    Precision("float32", _SINGLE, _SINGLE),
    Precision("mixed", _DOUBLE, _SINGLE),
    Precision("float64", _DOUBLE, _DOUBLE),
)


def _limit(dtype: np.dtype) -> float:
    # A kernel is 0 below the smallest normal number; where a scaling varies by exp(range), what lies further
    # off may weigh exp(range) times that.
    return 70.0 if dtype == _SINGLE else 600.0


def _digits(dtype: np.dtype) -> float:
    # -log of what may be left out: 4e-8 and 1e-16
    return 17.0 if dtype == _SINGLE else 37.0


def precisions_from(choice: str, dtype: np.dtype) -> list[Precision]:
    """Return the formats a run may take, narrowest first, for a result of this dtype."""
    if choice == "auto":
        return [each for each in _PRECISIONS if dtype == _SINGLE or each.dtype_h == _DOUBLE]
    return [each for each in _PRECISIONS if each.name == choice]


def narrowest(formats: Sequence[Precision], range_m: float, range_h: float) -> Precision | None:
    """Return the first format that holds these ranges."""
    return next((each for each in formats if each.holds(range_m, range_h)), None)


@dataclass(frozen=True)
class Plan:
    """How far kernels reach, for scalings whose logarithms range up to ``range_m`` and ``range_h``.

    A tap that is left out weighs exp(-r² / 2σ²), and what it is multiplied by up to exp(range) times what the
    sum has at its centre.
    """

    range_m: float
    range_h: float

    def covers(self, range_m: float, range_h: float) -> bool:
        """Whether it is made for these ranges."""
        return range_m <= self.range_m and range_h <= self.range_h

    def radius_m(self, precision: Precision, width: float) -> int:
        """Return the distance, in bands, up to which the spectral kernel counts."""
        return _radius(width, self.range_m + _digits(precision.dtype_m))

    def radii_h(self, precision: Precision, widths: tuple[float, float]) -> tuple[int, int]:
        """Return the distances, in pixels, up to which the spatial kernels count."""
        exponent = self.range_h + _digits(precision.dtype_h)
        return _radius(widths[0], exponent), _radius(widths[1], exponent)


def _radius(width: float, exponent: float) -> int:
    return math.ceil(width * math.sqrt(2 * exponent))
