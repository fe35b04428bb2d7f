"""Refinement of the positions during a reconstruction: what is measured, and by how much it moves them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np

__all__ = ["PositionRefinement", "Refiner"]

Gain = Literal["adam", "zhang", "fixed"]
Signal = Literal["object", "detector", "gradient"]
Schedule = Literal["cosine", "constant"]

_CHOICES = {"gain": get_args(Gain), "signal": get_args(Signal), "schedule": get_args(Schedule)}

# Adam's step is a distance; the others multiply a shift that is a small part of the error of the position.
_STEPS: dict[tuple[str, str], float] = {
    ("adam", "object"): 0.2,
    ("adam", "detector"): 0.2,
    ("adam", "gradient"): 0.2,
    ("fixed", "object"): 5.0,
    ("fixed", "detector"): 1.0,
    ("fixed", "gradient"): 1.0,
    ("zhang", "object"): 5.0,
    ("zhang", "detector"): 1.0,
    ("zhang", "gradient"): 1.0,
}

# Zhang et al., Optics Express 21, 13592 (2013): the gain grows while successive shifts agree, and shrinks
# while they oppose each other.
_AGREEMENT, _GROWTH, _DECAY = 0.3, 1.1, 0.9


@dataclass(frozen=True)
class PositionRefinement:
    """How positions are refined during a reconstruction.

    Each time a position is used, a shift s is measured; the position then moves by ``-gain(s)``. The mean
    displacement of all positions is removed after each iteration.

    Parameters
    ----------
    gain : {"fixed", "adam", "zhang"}, optional
        A fixed factor, Adam with one state per position [1]_ [2]_, or a common gain that adapts to the
        correlation of successive shifts [3]_.
    signal : {"gradient", "object", "detector"}, optional
        Where the shift is measured. ``"object"``: between the box of the object before and after its update,
        by matrix-DFT cross-correlation, in the window of the illumination and with the mean there removed
        (XCORR_A of [1]_). ``"detector"``: between the modelled and the measured amplitudes (XCORR_B of [1]_);
        of use in the near field of a smooth beam, while in the far field, and behind a diffuser, it leads
        positions astray.
        ``"gradient"``: the Gauss-Newton step of the exit waves' misfit.
    step : float, optional
        Adam: the distance of a step in pixels, 0.2. Zhang, fixed: what a shift is multiplied by (Zhang: at
        the start); by default 5 for ``"object"``, 1 for the others.
    schedule : {"cosine", "constant"}, optional
        Whether the step falls to zero over the iterations, like half a cosine.
    start : int, optional
        Iterations before the first position moves; until then the object is too far from the truth.
    upsample_factor : float, optional
        Shifts found by cross-correlation are multiples of 1/upsample_factor pixel, up to 0.75 pixel. They are
        a small part of the error of a position, so a coarse grid hides it; a fine one costs nothing more.
    max_step : float, optional
        Longest move along an axis at a time, in pixels.

    Raises
    ------
    ValueError
        If a choice is unknown or a number is outside its range.

    References
    ----------
    .. [1] F. Guzzi et al., PeerJ Computer Science 8, e1036 (2022), equations 8 and 9, algorithm 1.
    .. [2] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR (2015).
    .. [3] F. Zhang et al., "Translation position determination in ptychographic coherent diffraction
       imaging", Optics Express 21, 13592-13606 (2013). :doi:`10.1364/OE.21.013592`

    Examples
    --------
    >>> from fastimg.ptychography import PositionRefinement
    >>> PositionRefinement().step
    1.0
    >>> PositionRefinement("adam", "object").step  # that of [1]_
    0.2
    """

    gain: Gain = "fixed"
    signal: Signal = "gradient"
    step: float | None = None
    schedule: Schedule = "cosine"
    start: int = 5
    upsample_factor: float = 1000
    max_step: float = 2.0

    def __post_init__(self) -> None:
        """Check, and fill in the default step."""
        for name, accepted in _CHOICES.items():
            value = getattr(self, name)
            if value not in accepted:
                listed = ", ".join(map(repr, accepted))
                raise ValueError(f"{name} is {value!r}; accepted are {listed}")
        if self.step is None:
            object.__setattr__(self, "step", _STEPS[self.gain, self.signal])
        for name, least, includes in (
            ("step", 0, False),
            ("start", 0, True),
            ("upsample_factor", 1, True),
            ("max_step", 0, False),
        ):
            value = getattr(self, name)
            number = isinstance(value, int | float | np.number) and math.isfinite(value)
            if not number or value < least or (value == least and not includes):
                bound = f"{'from' if includes else 'above'} {least}"
                raise ValueError(f"{name} is {value!r}; accepted are finite numbers {bound}")
            object.__setattr__(self, name, int(value) if name == "start" else float(value))

    def step_at(self, iteration: int, iterations: int) -> float:
        """Return the step of one iteration, counted from 0, of a reconstruction of ``iterations``."""
        assert self.step is not None
        if self.schedule == "constant":
            return self.step
        done = (iteration - self.start) / max(iterations - self.start, 1)
        return self.step * 0.5 * (1 + math.cos(math.pi * min(max(done, 0.0), 1.0)))


@dataclass
class Refiner:
    """State of the refinement of J positions: what Adam and Zhang's gain remember.

    Attributes
    ----------
    first, second, last, previous : (J, 2) float64
        Adam's moments; the shifts of this and of the previous iteration.
    count : (J,) int64
        Steps that Adam has made.
    factor : (2,) float64
        Zhang's gain relative to the start.
    """

    first: Any
    second: Any
    last: Any
    previous: Any
    count: Any
    factor: Any
    has_previous: bool = field(default=False)

    @classmethod
    def start(cls, xp: ModuleType, positions: int) -> Refiner:
        """Return the state before the first shift."""
        first, second, last, previous = (xp.zeros((positions, 2), np.float64) for _ in range(4))
        return cls(first, second, last, previous, xp.zeros(positions, np.int64), xp.ones(2, np.float64))

    def arrays(self) -> dict[str, Any]:
        """Return copies of the state's arrays, for a file."""
        arrays = {f.name: getattr(self, f.name).copy() for f in fields(self) if f.name != "has_previous"}
        return arrays | {"has_previous": np.array(self.has_previous)}

    @classmethod
    def from_arrays(cls, xp: ModuleType, arrays: dict[str, Any]) -> Refiner:
        """Inverse of ``arrays``."""
        names = [f.name for f in fields(cls) if f.name != "has_previous"]
        return cls(
            **{name: xp.array(arrays[name]) for name in names}, has_previous=bool(arrays["has_previous"])
        )

    def finish_iteration(self, xp: ModuleType, adaptive: bool) -> None:
        """Adapt Zhang's gain to how the shifts of this iteration agree with those of the one before."""
        if adaptive and self.has_previous:
            a = self.last - self.last.mean(axis=0)
            b = self.previous - self.previous.mean(axis=0)
            norm = xp.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
            agreement = (a * b).sum(axis=0) / xp.maximum(norm, 1e-300)
            factor = xp.where(agreement > _AGREEMENT, _GROWTH, 1.0)
            self.factor *= xp.where(agreement < -_AGREEMENT, _DECAY, factor)
        self.previous[...] = self.last
        self.has_previous = True
