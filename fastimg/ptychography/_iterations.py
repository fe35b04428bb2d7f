"""The iterations of a reconstruction: its arrays, and what is done to them batch by batch.

Written once for both backends; all arithmetic on frames is in the kernel family ``pie``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from fastimg import kernels
from fastimg.ptychography._batches import ordered_batches, spread_groups
from fastimg.ptychography._refinement import PositionRefinement, Refiner

__all__ = ["Settings", "Solver", "orthogonalize"]

# The first iterations change the object too much to go on in their direction; the last ones, after this part
# of them, settle the noise that momentum amplifies
_MOMENTUM_FROM, _MOMENTUM_UNTIL = 5, 0.85


@dataclass(frozen=True)
class Settings:
    """The numbers of a reconstruction, as ``reconstruct`` documents them."""

    algorithm: str
    modes: int
    iterations: int
    batch_size: int
    alpha_object: float
    alpha_probe: float
    gamma: float
    beta: float
    momentum: float
    position_refinement: PositionRefinement | None
    subpixel: bool
    probe_start: int
    orthogonalize: bool
    deterministic: bool
    seed: int


class Solver:
    """Object, probe and positions of a running reconstruction, and its workspace.

    Parameters
    ----------
    xp : module
    settings : Settings
    intensities : (J, N, N) T
    mask : (0|1|J, N, N) uint8
    transfer : (0|1, N, N) C
    object : (H, W) C
    probe : (M, N, N) C
    positions : (J, 2) float64
        In pixels of ``object``. Object, probe and positions are changed in place.
    start : (J, 2) float64
        Positions that the mean displacement refers to.
    refiner : Refiner
    """

    def __init__(
        self,
        xp: ModuleType,
        settings: Settings,
        intensities: Any,
        mask: Any,
        transfer: Any,
        object: Any,
        probe: Any,
        positions: Any,
        start: Any,
        refiner: Refiner,
    ) -> None:
        self.xp, self.settings = xp, settings
        self.intensities, self.mask, self.transfer = intensities, mask, transfer
        self.object, self.probe, self.positions, self.start = object, probe, positions, start
        self.refiner = refiner
        self.velocities: dict[str, Any] = {}
        self._kernels = kernels.backend(xp)
        host = start if xp is np else start.get()
        self._groups = spread_groups(host, min(settings.batch_size, len(host)))
        # the amplitudes' sum of squares, which errors are relative to
        self.total = _measured_total(xp, intensities, mask)
        self._allocate()

    def _allocate(self) -> None:
        xp, settings = self.xp, self.settings
        modes, size = self.probe.shape[:2]
        batch, frame = len(self._groups), (size, size)
        real, complex_ = self.intensities.dtype, self.probe.dtype
        own = batch if settings.subpixel else 1
        refinement = settings.position_refinement
        signal = refinement.signal if refinement else None
        self._work = self._kernels.pie.workspace(self.probe, batch, settings.subpixel, len(self.transfer) > 0)
        self._corner, self._fraction = xp.empty((batch, 2), np.int64), xp.empty((batch, 2), np.float64)
        self._numerator = xp.empty((batch, *frame), complex_)
        self._power, self._power_peak = xp.empty((own, *frame), real), xp.empty(own, real)
        self._probe_numerator, self._probe_weight = xp.empty((modes, *frame), complex_), xp.empty(frame, real)
        self._error = xp.empty(len(self.positions), np.float64)
        self._model = xp.empty((batch if signal == "detector" else 0, *frame), real)
        boxes = batch if signal in ("object", "detector") else 0
        kind = real if signal == "detector" else complex_
        self._current, self._updated = (xp.empty((boxes, *frame), kind) for _ in range(2))
        self._shift, self._energy = xp.empty((batch, 2), real), xp.empty((batch, 2), np.float64)
        self._peak, self._value = xp.zeros(batch, np.int64), xp.empty(batch, np.complex128)

    def release(self) -> None:
        """Free the workspaces; there are no iterations after this."""
        self._work = None
        self._numerator = self._power = self._probe_numerator = self._model = None
        self._current = self._updated = None

    def iterate(self, iteration: int) -> tuple[Any, Any]:
        """Use every position once.

        Returns
        -------
        error, position_change : () float64
            Relative misfit of the amplitudes, as they were when each batch was visited; RMS distance that the
            positions moved. Arrays of the backend, so that nothing waits for a device.
        """
        xp, settings = self.xp, self.settings
        order, bounds = ordered_batches(self._groups, np.random.default_rng((settings.seed, iteration)))
        order = xp.asarray(order)
        moving = self._moving()
        at_start = {name: array.copy() for name, array in moving.items()}
        refinement = settings.position_refinement
        if refinement is not None and iteration < refinement.start:
            refinement = None
        before = self.positions.copy()
        for start, stop in bounds:
            self._step(order[start:stop], self._error[start:stop], iteration, refinement)
        if refinement is not None:
            self.positions -= (self.positions - self.start).mean(axis=0)
            self.refiner.finish_iteration(xp, refinement.gain == "zhang")
        if settings.momentum and _MOMENTUM_FROM <= iteration < _MOMENTUM_UNTIL * settings.iterations:
            self._accelerate(moving, at_start)
        if settings.position_refinement is not None:
            self._keep_inside()
        if settings.orthogonalize and len(self.probe) > 1:
            orthogonalize(xp, self._kernels, self.probe, self.velocities.get("probe"))
        change = xp.sqrt(((self.positions - before) ** 2).sum(axis=1).mean())
        return xp.sqrt(self._error.sum() / self.total), change

    def _keep_inside(self) -> None:
        """Keep the boxes of refined positions within the object, where ``place_boxes`` puts them anyway."""
        xp = self.xp
        room = xp.asarray([length - self.probe.shape[-1] for length in self.object.shape])
        self.positions[...] = xp.minimum(xp.maximum(self.positions, -0.5), room + 0.5)

    def _moving(self) -> dict[str, Any]:
        """Return the arrays that momentum acts on; Adam has a momentum of its own."""
        refinement = self.settings.position_refinement
        if not self.settings.momentum:
            return {}
        moving = {"object": self.object, "probe": self.probe, "positions": self.positions}
        if refinement is None or refinement.gain == "adam":
            del moving["positions"]
        return moving

    def _accelerate(self, moving: dict[str, Any], at_start: dict[str, Any]) -> None:
        """Add the velocities, which remember the changes of earlier iterations."""
        for name, array in moving.items():
            velocity = self.velocities.setdefault(name, self.xp.zeros_like(array))
            velocity += array
            velocity -= at_start[name]
            velocity *= self.settings.momentum
            array += velocity

    def state(self) -> dict[str, Any]:
        """Return copies of what an exact continuation needs beside object, probe and positions."""
        velocities = {f"velocity_{name}": array.copy() for name, array in self.velocities.items()}
        return self.refiner.arrays() | velocities | {"positions": self.positions.copy()}

    def restore_velocities(self, state: dict[str, Any]) -> None:
        """Take the velocities from ``state``."""
        for name, array in self._moving().items():
            if f"velocity_{name}" in state:
                self.velocities[name] = self.xp.array(state[f"velocity_{name}"], array.dtype)

    def _step(
        self, selection: Any, error: Any, iteration: int, refinement: PositionRefinement | None
    ) -> None:
        """Update object, probe and positions from one batch."""
        settings, pie, count = self.settings, self._kernels.pie, len(selection)
        corner, fraction = self._corner[:count], self._fraction[:count]
        numerator, power, power_peak = self._numerator[:count], self._power[:count], self._power_peak[:count]
        updates_probe = iteration >= settings.probe_start
        self._place(selection, corner, fraction)
        pie.project(
            self.object, self.probe, corner, fraction if settings.subpixel else fraction[:0],
            self.intensities, selection, self.mask, self.transfer, settings.beta, self._work,
            numerator, power, power_peak,
            self._probe_numerator if updates_probe else self._probe_numerator[:0], self._probe_weight,
            self._model[:count], error,
        )  # fmt: skip
        if refinement is not None:
            self._compare(refinement, selection, corner, numerator, power, power_peak)
        pie.object_update(
            self.object, corner, numerator, power, power_peak,
            settings.alpha_object, settings.gamma, not settings.deterministic,
        )  # fmt: skip
        if updates_probe:
            pie.probe_update(self.probe, self._probe_numerator, self._probe_weight, settings.alpha_probe)
        if refinement is not None:
            self._move(refinement, selection, refinement.step_at(iteration, settings.iterations))

    def _place(self, selection: Any, corner: Any, fraction: Any) -> None:
        (height, width), size = self.object.shape, self.probe.shape[-1]
        self._kernels.pie.place_boxes(
            self.positions, selection, height - size, width - size, self.settings.subpixel, corner, fraction
        )

    def _compare(
        self,
        refinement: PositionRefinement,
        selection: Any,
        corner: Any,
        numerator: Any,
        power: Any,
        power_peak: Any,
    ) -> None:
        """Prepare the shifts of a batch: what needs the object as it was before the batch."""
        settings, pie, count = self.settings, self._kernels.pie, len(selection)
        current, updated = self._current[:count], self._updated[:count]
        if refinement.signal == "gradient":
            pie.gradient_shift(self.object, corner, numerator, power, self._shift[:count])
        elif refinement.signal == "object":
            pie.signal_boxes(
                self.object, corner, numerator, power, power_peak,
                settings.alpha_object, settings.gamma, current, updated,
            )  # fmt: skip
        else:
            pie.detector_boxes(self._model[:count], self.intensities, selection, self.mask, current, updated)

    def _move(self, refinement: PositionRefinement, selection: Any, step: float) -> None:
        """Measure the shifts of a batch and move its positions against them."""
        count, refiner = len(selection), self.refiner
        if refinement.signal != "gradient":
            self._correlate(count, refinement.upsample_factor)
        self._kernels.pie.move_positions(
            self.positions, selection, self._shift[:count], refiner.factor * step,
            refinement.gain == "adam", refinement.max_step,
            refiner.first, refiner.second, refiner.count, refiner.last,
        )  # fmt: skip

    def _correlate(self, count: int, upsample_factor: float) -> None:
        """Find the shift that moves each current box onto the updated one, near zero."""
        fft, registration = self._kernels.fft, self._kernels.registration
        updated = fft.fft2(self._updated[:count], overwrite_x=True)
        current = fft.fft2(self._current[:count], overwrite_x=True)
        product = self._numerator[:count]  # the updates are done with it
        registration.cross_power(updated, current, False, product, self._energy[:count])
        registration.refine_peak(
            product, self._peak[:count], upsample_factor, self._shift[:count], self._value[:count]
        )

    def dose(self) -> Any:
        """Return the illumination of the object's pixels, summed over positions and modes: (H, W) float64."""
        xp, pie, positions = self.xp, self._kernels.pie, len(self.positions)
        out = xp.zeros(self.object.shape, np.float64)
        power = xp.empty((1, *self.probe.shape[1:]), self.intensities.dtype)
        pie.probe_power(self.probe[None], power, xp.empty(1, power.dtype))
        corner, fraction = xp.empty((positions, 2), np.int64), xp.empty((positions, 2), np.float64)
        self._place(xp.arange(positions), corner, fraction)
        pie.dose(corner, power, out)
        return out


def orthogonalize(xp: ModuleType, k: ModuleType, probe: Any, velocity: Any = None) -> None:
    """Make modes orthogonal, the strongest first, in place; the intensity that they make stays the same.

    A ``velocity`` of the modes is mixed in the same way.

    The eigenvectors of the modes' Gram matrix are the mixtures (Thibault and Menzel, Nature 494, 68, 2013),
    each with a phase that makes its largest component real.
    """
    products = xp.empty((len(probe), len(probe)), np.complex128)
    k.pie.gram(probe, products)
    # what has diverged cannot be made orthogonal, but its history is still wanted
    _, vectors = xp.linalg.eigh(xp.where(xp.isfinite(products), products, 0))
    vectors = vectors[:, ::-1]
    largest = vectors[xp.argmax(xp.abs(vectors), axis=0), xp.arange(len(probe))]
    vectors = vectors * (xp.conj(largest) / xp.abs(largest))
    for modes in (probe, velocity):
        if modes is not None:
            k.pie.mix_modes(modes.copy(), xp.ascontiguousarray(vectors.T), modes)


def _measured_total(xp: ModuleType, intensities: Any, mask: Any) -> Any:
    """Sum the counts of the measured pixels, frame by frame, without a copy of the data: () float64."""
    total = xp.zeros((), np.float64)
    for j in range(len(intensities)):
        frame = intensities[j]
        if len(mask):
            frame = xp.where(mask[min(j, len(mask) - 1)] != 0, frame, 0)
        total += frame.sum(dtype=np.float64)
    return total
