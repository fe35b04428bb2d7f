"""The two phases in which a plate is solved on one image.

Soft phase: semismooth Newton on the energy plus ρ/2 times the squared distance from the envelope, while ρ
grows: contacts are springs, and nothing is clipped. Primal phase: the plate is clipped, and projected
Gauss–Seidel sweeps and Newton steps on the pixels at liberty follow each other; the energy does not increase.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, sqrt
from types import ModuleType
from typing import Any

from fastimg import kernels

__all__ = ["Budget", "Plate", "Result", "linear_phase", "primal_phase", "soft_phase"]

# Stiffness of the springs, in units of the energy's second derivative at a pixel over 20
STIFFNESSES = (0.02, 0.2, 2.0, 20.0)

# Most Newton steps for each stiffness, and for the last
NEWTON_STEPS, LAST_STEPS = 4, 8

# A stiffness is done with when a step promises less than this share of the functional; the last goes on
# longer on the image itself.
SMALLEST_GAIN, LAST_GAIN = 3e-2, 1e-3

# Accuracy of the linear solves, in the energy norm
ACCURACY, PRIMAL_ACCURACY, LAST_ACCURACY = 0.1, 0.3, 1e-3
SOFT_ITERATIONS, PRIMAL_ITERATIONS, LINEAR_ITERATIONS = 8, 12, 50

# A full step is shortened where the slope behind it is over this share of that before it.
OVERSHOOT = 0.3

# Isolated contacts are told from their neighbours in the first steps: forces under this share of the largest
# around are dropped.
THIN_SHARE, THIN_STEPS = 0.1, 10

# That is given up once a step had to be shortened below this, or where over this share of the pixels are
# contacts.
SHORT, CROWDED = 0.3, 0.15

# Sweeps there and back before and after a primal step; more where over this share of the pixels are contacts,
# as in noisy photographs, since there they, not the linear solves, find the contacts.
SWEEPS, DENSE_SWEEPS, DENSE = 2, 8, 0.02

# Times that a step is halved before the solution counts as as good as it gets: it has converged where the
# step promised no more than this share of the energy, or where the forces are below this share of the unit.
HALVINGS, ROUNDING, NO_FORCE = 12, 1e-9, 1e-7

# Share of the energy of one bin's bending that counts as none
NO_ENERGY = 1e-3


class Plate:
    """One image's problem, and the memory of its solver."""

    def __init__(
        self,
        xp: ModuleType,
        lower: Any,
        upper: Any,
        middle: Any,
        cut: Any,
        plate: float,
        membrane: float,
        is_even: bool,
        pull: float,
    ) -> None:
        self.k = kernels.backend(xp).plate
        shape = lower.shape
        self.lower, self.upper, self.middle = lower, upper, middle
        self.unit = (20 * plate + 4 * membrane) / 20
        self.grids = self.k.grids(shape, plate, membrane, is_even, cut, pull)
        # Nothing held; pixels that are cut take no part.
        self.rest = xp.zeros(shape, xp.uint8)
        if cut is not None:
            self.rest[xp.asarray(cut)] = 3
        self.state = self.rest.copy()
        self.pixels = shape[0] * shape[1]
        self.gradient, self.downhill, self.direction, self.search, self.change = (
            xp.zeros(shape, xp.float64) for _ in range(5)
        )
        self.correction = xp.zeros(shape, xp.float32)
        self.sums = xp.zeros(3, xp.float64)
        self.rest_gain = 0.0
        # Bending a plate of this size by a bin takes about the unit over the pixels; less is none.
        self.least_energy = NO_ENERGY * self.unit / self.pixels

    def energy(self, u: Any) -> tuple[float, float]:
        """Put the gradient into ``gradient``; return the energy, and that with the pull, not below 0."""
        self.k.gradient(self.grids, u, self.middle, self.gradient, self.sums[:2])
        bending, pull = (float(value) for value in self.sums[:2])
        return bending, max(bending, 0.0) + pull

    def dot(self, a: Any, b: Any) -> float:
        """Sum of products."""
        self.k.dot(a, b, self.sums[:1])
        return float(self.sums[0])

    def drop(self, u: Any, trial: Any) -> float:
        """By how much the energy at ``trial`` is below that at u, whose gradient is in ``gradient``.

        From their difference: the energies themselves cancel.
        """
        self.search[...] = trial
        self.k.step(self.search, u, -1.0)
        self.k.product(self.grids, self.rest, 0.0, self.search, self.change, self.sums[:1])
        return -float(self.sums[0]) / 2 - self.dot(self.gradient, self.search)

    def newton_step(self, spring: float, accuracy: float, iterations: int, budget: Budget) -> float:
        """Solve for ``direction`` from ``downhill``, by conjugate gradients; return their product.

        The contacts are those of ``state``; ``downhill`` becomes the residual, ``rest_gain`` what the rest of
        the product may be. The product is infinite where the budget ends first.
        """
        k, sums = self.k, self.sums[:1]
        k.set_contacts(self.grids, self.state, spring)
        self.direction[...] = 0
        self.search[...] = 0
        gain, first, product = 0.0, 0.0, 0.0
        for iteration in range(iterations + 1):
            k.precondition(self.grids, self.downhill, self.correction)
            budget.cycles += 1
            before, product = product, self.dot(self.downhill, self.correction)
            first = first or product
            if product <= accuracy**2 * first or iteration == iterations:
                break
            if budget.is_spent():
                # cut short: what there is to gain is not known
                gain = inf
                break
            k.conjugate(self.correction, product / before if before else 0.0, self.search)
            k.product(self.grids, self.state, spring, self.search, self.change, sums)
            length = product / float(sums[0])
            k.advance(length, self.search, self.change, self.direction, self.downhill)
            gain += length * product
        self.rest_gain = product
        return gain


@dataclass
class Budget:
    """How many cycles are allowed and were used, and who is told."""

    max_cycles: int
    callback: Callable[[int, float, float], bool | None] | None
    cycles: int = 0
    is_stopped: bool = False

    def is_spent(self) -> bool:
        """Whether the solver has to stop."""
        return self.is_stopped or self.cycles >= self.max_cycles

    def report(self, energy: float, kkt: float) -> None:
        """Tell the caller of a plate inside its envelope; he may stop the solver."""
        if self.callback is not None and not self.is_stopped:
            self.is_stopped = bool(self.callback(self.cycles, energy, kkt))


@dataclass(frozen=True)
class Result:
    """What the primal phase reached."""

    energy: float
    kkt: float
    converged: bool


def soft_phase(plate: Plate, u: Any, budget: Budget, is_finest: bool) -> None:
    """Bring u near the solution, in place; it may stay outside its envelope."""
    k = plate.k
    for last, stiffness in zip((False, False, False, True), STIFFNESSES, strict=True):
        rho = stiffness * plate.unit
        for _ in range(LAST_STEPS if last else NEWTON_STEPS):
            _, energy = plate.energy(u)
            k.soft_contacts(
                u, plate.lower, plate.upper, plate.gradient, rho, plate.state, plate.downhill, plate.sums[:2]
            )
            squares, outside = (float(value) for value in plate.sums[:2])
            if not outside or budget.is_spent():
                return
            functional = energy + rho * squares / 2
            gain = plate.newton_step(rho, ACCURACY, SOFT_ITERATIONS, budget)
            if gain == inf:
                return
            k.step(u, plate.direction, _length(plate, u, rho, gain))
            if gain < (LAST_GAIN if last and is_finest else SMALLEST_GAIN) * functional:
                break


def _length(plate: Plate, u: Any, rho: float, gain: float) -> float:
    """Length of a step along ``direction`` at which the functional stops falling.

    Regula falsi on its slope, and only when the full step goes too far.
    """
    k, sums = plate.k, plate.sums[:1]
    along = plate.dot(plate.gradient, plate.direction)
    k.product(plate.grids, plate.state, 0.0, plate.direction, plate.change, sums)
    curvature = float(sums[0])

    def slope(t: float) -> float:
        k.slope(u, plate.direction, t, plate.lower, plate.upper, sums)
        return along + t * curvature + rho * float(sums[0])

    start, t, value = -gain, 1.0, slope(1.0)
    if value <= OVERSHOOT * abs(start):
        return t
    low, low_slope, high, high_slope = 0.0, start, 1.0, value
    for _ in range(6):
        guess = low - low_slope * (high - low) / (high_slope - low_slope)
        margin = 0.1 * (high - low)
        t = min(max(guess, low + margin), high - margin)
        value = slope(t)
        if abs(value) < 0.1 * abs(start):
            break
        if value < 0:
            low, low_slope = t, value
        else:
            high, high_slope = t, value
    return t


def _smooth(plate: Plate, u: Any, held: float = 0) -> None:
    """Find which pixels are pressed against their bounds, by sweeps there and back."""
    is_dense = held > DENSE * plate.pixels
    for is_backward in (False, True) * (DENSE_SWEEPS if is_dense else SWEEPS):
        plate.k.projected_sweep(plate.grids, u, plate.lower, plate.upper, is_backward)


def primal_phase(plate: Plate, u: Any, budget: Budget, tol: float) -> tuple[Any, Result]:
    """Bring u to the solution within its envelope; u is written."""
    k = plate.k
    k.clipped_step(u, plate.direction, 0.0, plate.lower, plate.upper, u)
    _smooth(plate, u)
    trial = u.copy()
    steps, is_thinning, is_done = 0, True, False
    while True:
        energy, total = plate.energy(u)
        k.active_contacts(
            u, plate.lower, plate.upper, plate.gradient, plate.state, plate.downhill, plate.sums
        )
        squares, held, changed = (float(value) for value in plate.sums)
        kkt = sqrt(squares / plate.pixels)
        budget.report(energy, kkt)
        is_done = is_done or kkt == 0
        if is_done or budget.is_spent():
            return u, Result(energy, kkt, is_done)
        is_same = steps > 0 and not changed
        if is_thinning and steps < THIN_STEPS and not is_same:
            k.thin_contacts(plate.gradient, plate.lower, plate.upper, THIN_SHARE, plate.state, plate.downhill)
        gain = plate.newton_step(
            0.0, LAST_ACCURACY if is_same else PRIMAL_ACCURACY, PRIMAL_ITERATIONS, budget
        )
        length = _accepted_length(plate, u, trial, held)
        scale = total + plate.least_energy
        if length:
            u, trial = trial, u
            is_done = gain / 2 <= tol * scale and length == 1
        elif not is_thinning:
            is_good = gain / 2 <= max(tol, ROUNDING) * scale or kkt <= NO_FORCE * plate.unit
            return u, Result(energy, kkt, is_good)
        is_thinning = is_thinning and length > SHORT and held < CROWDED * plate.pixels
        steps += 1


def linear_phase(plate: Plate, u: Any, budget: Budget, tol: float) -> tuple[Any, Result]:
    """Solve where each pixel is either fixed or free of bounds; u is written."""
    k = plate.k
    is_small = False
    while True:
        energy, total = plate.energy(u)
        k.active_contacts(
            u, plate.lower, plate.upper, plate.gradient, plate.state, plate.downhill, plate.sums
        )
        kkt = sqrt(float(plate.sums[0]) / plate.pixels)
        budget.report(energy, kkt)
        scale = total + plate.least_energy
        is_done = is_small or kkt == 0 or (plate.rest_gain > 0 and plate.rest_gain / 2 <= tol * scale)
        if is_done or budget.is_spent():
            return u, Result(energy, kkt, is_done)
        gain = plate.newton_step(0.0, sqrt(tol) / 3, LINEAR_ITERATIONS, budget)
        k.step(u, plate.direction, 1.0)
        is_small = gain / 2 <= tol * scale


def _accepted_length(plate: Plate, u: Any, trial: Any, held: float) -> float:
    """Put the step, halved until the energy falls, into ``trial``; return its length, or 0."""
    length = 1.0
    for _ in range(HALVINGS):
        plate.k.clipped_step(u, plate.direction, length, plate.lower, plate.upper, trial)
        _smooth(plate, trial, held)
        if plate.drop(u, trial) > 0:
            return length
        length /= 2
    return 0.0
