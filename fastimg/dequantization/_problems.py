"""The bounded plate of one image: its envelope, what is fixed, masked and relaxed, and its solution."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from fastimg.dequantization._envelopes import Bins, Envelopes, check_range, check_values
from fastimg.dequantization._layout import Layout, as_plain_array
from fastimg.dequantization._numbers import (
    as_choice,
    as_real,
    as_whole,
    check_exact,
    check_finite,
    first_place,
)

__all__ = ["Inputs", "Problem", "Settings", "inputs_of", "mask_of", "settings_of", "solve_problem"]

_BOUNDARIES = ("free", "even")
_MASK_MODES = ("bridge", "cut")
_MODELS = ("plate", "membrane", "blend")
_TENSION_LENGTHS = (1e-6, 1e6)
_MOST_RELAXED = 1e6
# A unit is not smaller than this part of the largest bound, which it would make infinite
_SMALLEST_PART = 2.0**-60


@dataclass(frozen=True)
class Settings:
    """What is minimised, and for how long."""

    plate: float
    membrane: float
    boundary: str
    tol: float
    max_cycles: int


@dataclass(frozen=True)
class Problem:
    """One image: find the flattest surface with ``lower <= surface <= upper``.

    Attributes
    ----------
    lower, upper : (H, W) float64
        ±inf where there is no bound; one value where it is known.
    cut : (H, W) bool or None
        What takes no part.
    initial : (H, W) float64 or None
    """

    lower: Any
    upper: Any
    cut: Any = None
    initial: Any = None

    def without(self, dropped: Any) -> Problem:
        """Return the problem without the bounds of the pixels ``dropped``: (H, W) bool."""
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[dropped], upper[dropped] = -np.inf, np.inf
        return replace(self, lower=lower, upper=upper)

    def in_units(self, unit: float) -> Problem:
        """Return the problem with all values divided by ``unit``."""
        initial = None if self.initial is None else self.initial / unit
        return replace(self, lower=self.lower / unit, upper=self.upper / unit, initial=initial)


@dataclass(frozen=True)
class Inputs:
    """The arguments of ``dequantize`` as views with images in their last two axes.

    Attributes
    ----------
    mask, fixed : (..., H, W) bool or None
    values, relax, initial : (..., H, W) or None
    """

    xp: ModuleType
    envelopes: Envelopes
    mask: Any
    cuts: bool
    fixed: Any
    values: Any
    relax: Any
    initial: Any

    def check_range(self, dtype: np.dtype) -> None:
        """Raise ``ValueError`` where values are beyond the range of a dtype, or relaxed bounds infinite."""
        xp, envelopes = self.xp, self.envelopes
        for index in envelopes.layout.indices():
            mask = self.mask[index] if self.mask is not None else None
            places = self.fixed[index] if self.fixed is not None else None
            check_range(xp, envelopes, index, mask, dtype)
            if places is not None:
                check_values(xp, self.values[index].astype(np.float64), places, "fixed[1]", dtype, index)
            if self.relax is None or (isinstance(envelopes, Bins) and envelopes.levels is None):
                continue
            with np.errstate(over="ignore", invalid="ignore"):
                lower, upper = envelopes.bounds(index)
                margin = (upper - lower) * self.relax[index]
                widened = (upper - lower) + 2 * margin
                wide = xp.isfinite(upper) & xp.isfinite(lower) & ~xp.isfinite(widened)
                wide |= ~(xp.isfinite(lower - margin) & xp.isfinite(upper + margin)) & xp.isfinite(
                    upper - lower
                )
            if mask is not None:
                wide &= ~mask
            if bool(wide.any()):
                place = first_place(xp, wide)
                raise ValueError(
                    f"relax is {float(self.relax[index][place]):g} at {index + place}, where it widens the "
                    "bounds beyond double precision; accepted are numbers that leave their distance finite"
                )

    def problem(self, index: tuple[int, ...]) -> Problem:
        """Return the problem of one image."""
        xp = self.xp
        lower, upper = self.envelopes.bounds(index)
        if self.relax is not None:
            width = upper - lower
            margin = xp.where(xp.isfinite(width), width, 0) * self.relax[index]
            lower, upper = lower - margin, upper + margin
        mask = self.mask[index] if self.mask is not None else None
        if mask is not None:
            lower, upper = xp.where(mask, -np.inf, lower), xp.where(mask, np.inf, upper)
        if self.fixed is not None:
            places, values = self.fixed[index], self.values[index]
            lower, upper = xp.where(places, values, lower), xp.where(places, values, upper)
        initial = self._start(index, lower, upper) if self.initial is not None else None
        return Problem(lower, upper, mask if self.cuts else None, initial)

    def _start(self, index: tuple[int, ...], lower: Any, upper: Any) -> Any:
        """Return where to start: ``initial`` within the bounds; what it lacks under the mask is its mean."""
        xp = self.xp
        start = self.initial[index].astype(np.float64)
        known = xp.isfinite(start)
        mean = (xp.where(known, start, 0) / xp.maximum(known.sum(), 1)).sum()
        return xp.minimum(xp.maximum(xp.where(known, start, mean), lower), upper)


def solve_problem(
    xp: ModuleType,
    problem: Problem,
    settings: Settings,
    callback: Callable[[int, float, float], bool] | None = None,
) -> Any:
    """Return the solver's ``Solution`` of one problem, in the problem's units."""
    from fastimg.dequantization._solver import solve

    unit, bounds = _unit(xp, problem), (problem.lower, problem.upper)
    if unit != 1:
        problem = problem.in_units(unit)
    if problem.initial is not None:
        # a start that far off would leave nothing of the bounds
        problem = replace(problem, initial=xp.clip(problem.initial, -1 / _SMALLEST_PART, 1 / _SMALLEST_PART))

    def report(cycles: int, energy: float, kkt: float) -> bool:
        return callback is not None and callback(cycles, energy * unit * unit, kkt * unit)

    lower, upper, initial, cut = (
        None if array is None else xp.ascontiguousarray(array)
        for array in (problem.lower, problem.upper, problem.initial, problem.cut)
    )
    solution = solve(
        xp, lower, upper, cut=cut, plate=settings.plate, membrane=settings.membrane,
        boundary=settings.boundary, initial=initial, tol=settings.tol, max_cycles=settings.max_cycles,
        callback=report,
    )  # fmt: skip
    if unit == 1:
        return solution
    energy, kkt = solution.energy * unit * unit, solution.kkt * unit
    # where there is no bound, the plate may rise beyond the range of its numbers
    largest = sys.float_info.max / unit if unit > 1 else math.inf
    values = xp.clip(solution.values, -largest, largest) * unit
    return replace(solution, values=xp.clip(values, *bounds), energy=energy, kkt=kkt)


def _unit(xp: ModuleType, problem: Problem) -> float:
    """Return the power of two near the width of the bins, or, without any, near the range of what is known.

    In its units the solver's single precision neither overflows nor vanishes, and the bounds keep their bits.
    """
    width = problem.upper - problem.lower
    known = [bound[xp.isfinite(bound)] for bound in (problem.lower, problem.upper)]
    ends = [(float(values.min()), float(values.max())) for values in known if values.size]
    bins = xp.isfinite(width) & (width > 0)
    count = int(bins.sum())
    if not ends:
        return 1.0
    if count:
        widest = float(xp.where(bins, width, 0).max())
        typical = widest * float((xp.where(bins, width, 0) / widest).sum() / count)
    else:
        lowest, highest = min(low for low, _ in ends), max(high for _, high in ends)
        typical = min(highest - lowest, sys.float_info.max)
    unit = _power_of_two(typical) if typical > 0 else 1.0
    largest = max(abs(end) for pair in ends for end in pair)
    return max(unit, _power_of_two(largest * _SMALLEST_PART))


def _power_of_two(number: float) -> float:
    """Return the power of two near a number; those whose inverse is not a normal number are not used."""
    return 2.0 ** min(max(round(math.log2(number)), -1022), 1022) if number > 0 else 0.0


def settings_of(model: str, tension_length: Any, boundary: str, tol: Any, max_cycles: Any) -> Settings:
    """Return the checked settings; ``tension_length`` weighs the membrane of a blend."""
    model = as_choice(model, "model", _MODELS)
    if (tension_length is not None) != (model == "blend"):
        raise ValueError(
            f"tension_length is {tension_length!r} with model={model!r}; accepted is a length in pixels with "
            "model='blend', and None with the others"
        )
    membrane = 0.0 if model == "plate" else 1.0
    if model == "blend":
        membrane = as_real(tension_length, "tension_length", *_TENSION_LENGTHS) ** -2
    return Settings(
        plate=0.0 if model == "membrane" else 1.0,
        membrane=membrane,
        boundary=as_choice(boundary, "boundary", _BOUNDARIES),
        tol=as_real(tol, "tol"),
        max_cycles=as_whole(max_cycles, "max_cycles", 1),
    )


def mask_of(xp: ModuleType, layout: Layout, mask: Any, name: str = "mask") -> Any:
    """Return a mask as a view (..., H, W), or None."""
    if mask is None:
        return None
    return layout.spread(xp, as_plain_array(xp, mask, name, "b", "bools"), name)


def inputs_of(
    xp: ModuleType, envelopes: Envelopes, mask: Any, mask_mode: str, fixed: Any, relax: Any, initial: Any
) -> Inputs:
    """Return the checked arguments; ``mask`` is a view (..., H, W) already."""
    layout, counts = envelopes.layout, True if mask is None else ~mask
    cuts = as_choice(mask_mode, "mask_mode", _MASK_MODES) == "cut"
    places, values = _fixed_points(xp, layout, fixed, mask)
    if not (isinstance(relax, int | float) and relax == 0):
        accepted = f"from 0 to {_MOST_RELAXED:g}, in bins"
        relax = _real_planes(xp, layout, relax, "relax")
        check_finite(xp, relax, "relax", counts)
        if bool((relax < 0).any()):
            raise ValueError(f"relax has negative values; accepted are numbers {accepted}")
        if bool(((relax > _MOST_RELAXED) & counts).any()):
            place = first_place(xp, (relax > _MOST_RELAXED) & counts)
            raise ValueError(f"relax is {float(relax[place]):g} at {place}; accepted are numbers {accepted}")
    else:
        relax = None
    if initial is not None:
        initial = as_plain_array(xp, initial, "initial", "iubf", "real numbers")
        if initial.shape != layout.shape:
            raise ValueError(f"initial has shape {initial.shape}; accepted is the image's, {layout.shape}")
        initial = layout.planes(xp, initial)
        check_finite(xp, initial, "initial", counts)
    return Inputs(xp, envelopes, mask, cuts, places, values, relax, initial)


def _real_planes(xp: ModuleType, layout: Layout, array: Any, name: str) -> Any:
    return layout.spread(xp, as_plain_array(xp, array, name, "iubf", "real numbers"), name)


def _fixed_points(xp: ModuleType, layout: Layout, fixed: Any, mask: Any) -> tuple[Any, Any]:
    if fixed is None:
        return None, None
    try:
        places, values = fixed
    except (TypeError, ValueError):
        raise TypeError("fixed is no pair; accepted are (mask, values) and None") from None
    places = mask_of(xp, layout, places, "fixed[0]")
    check_exact(xp.asarray(values), "fixed[1]")
    values = _real_planes(xp, layout, values, "fixed[1]")
    check_finite(xp, values, "fixed[1]", places)
    if mask is not None and bool((places & mask).any()):
        place = first_place(xp, places & mask)
        raise ValueError(f"fixed and mask share the pixel {place}; accepted are points that are not masked")
    return places, values
