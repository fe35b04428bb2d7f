"""A reconstruction under way: how it starts, goes on from a result, and becomes a result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastimg.ptychography._iterations import Settings, Solver
from fastimg.ptychography._propagators import scan_transfer
from fastimg.ptychography._reconstruction import Reconstruction
from fastimg.ptychography._refinement import Refiner
from fastimg.ptychography._start import MARGIN, start_object, start_probe

if TYPE_CHECKING:
    from fastimg.ptychography._scan import Scan

__all__ = ["Run", "fresh", "resumed"]


@dataclass
class Run:
    """A reconstruction under way: the solver, where its object lies, and the history."""

    xp: ModuleType
    scan: Scan
    solver: Solver
    origin: tuple[int, int]
    history: dict[str, Any]
    done: int

    def snapshot(self) -> Reconstruction:
        """Return the state as a result that later iterations do not change."""
        return self._result(self.solver.object.copy(), self.solver.probe.copy())

    def finish(self) -> Reconstruction:
        """Return the state as a result, after the last iteration: nothing is copied, workspaces are freed."""
        self.solver.release()
        return self._result(self.solver.object, self.solver.probe)

    def _result(self, object: Any, probe: Any) -> Reconstruction:
        xp, solver = self.xp, self.solver
        history = {name: values[: self.done] for name, values in self.history.items()}
        settings = asdict(solver.settings)
        return Reconstruction(
            object=object, probe=probe,
            positions=solver.positions + xp.asarray(self.origin, np.float64), origin=self.origin,
            history={k: v.copy() if xp is np else v.get() for k, v in history.items()},
            dose=solver.dose(), object_pixel=self.scan.object_pixel, parameters=settings,
            state=solver.state(),
        )  # fmt: skip


def fresh(xp: ModuleType, scan: Scan, settings: Settings, modes: int, probe: Any, object: Any) -> Run:
    """Begin a reconstruction; ``probe`` and ``object`` are starts or None."""
    size, positions = scan.intensities.shape[-1], _on_host(scan.positions)
    dtype = np.result_type(scan.intensities.dtype, np.complex64)
    transfer = scan_transfer(scan)
    margin = 0 if settings.position_refinement is None else MARGIN
    start, origin = start_object(xp, object, positions, size, margin, dtype)
    start_modes = start_probe(xp, scan, probe, modes, transfer, settings.seed)
    places = xp.asarray(positions - np.asarray(origin, np.float64))
    refiner = Refiner.start(xp, len(places))
    solver = Solver(
        xp,
        settings,
        scan.intensities,
        _mask(xp, scan),
        transfer,
        start,
        start_modes,
        places,
        places.copy(),
        refiner,
    )
    if not float(solver.total) > 0:
        raise ValueError("scan.intensities are zero wherever they were measured; accepted are counts")
    return Run(xp, scan, solver, origin, _history(xp, settings.iterations, {}), 0)


def resumed(xp: ModuleType, scan: Scan, settings: Settings, resume: Reconstruction) -> Run:
    """Go on from a result of the same scan."""
    if not isinstance(resume, Reconstruction):
        raise TypeError(f"resume is a {type(resume).__name__}; accepted are Reconstruction and None")
    size = scan.intensities.shape[-1]
    if resume.probe.shape[1:] != (size, size) or len(resume.positions) != len(scan.positions):
        raise ValueError(
            f"resume has {len(resume.positions)} positions and a probe of {resume.probe.shape[1:]}; accepted "
            f"is a result of this scan, with {len(scan.positions)} and {(size, size)}"
        )
    dtype = np.result_type(scan.intensities.dtype, np.complex64)
    object, probe = (xp.array(_on_host(a), dtype, order="C") for a in (resume.object, resume.probe))
    origin = np.asarray(resume.origin, np.float64)
    start = xp.asarray(_on_host(scan.positions) - origin)
    _check_resumable(resume)
    settings = replace(settings, modes=len(resume.probe), seed=int(resume.parameters["seed"]))
    state = {name: _on_host(value) for name, value in resume.state.items()}
    # the state has them in the object's pixels, since adding and subtracting the origin rounds
    places = state["positions"]
    if not np.array_equal(places + origin, _on_host(resume.positions)):
        places = _on_host(resume.positions) - origin
    places = xp.array(places)
    refiner = Refiner.from_arrays(xp, state)
    solver = Solver(
        xp,
        settings,
        scan.intensities,
        _mask(xp, scan),
        scan_transfer(scan),
        object,
        probe,
        places,
        start,
        refiner,
    )
    solver.restore_velocities(state)
    history = _history(xp, max(settings.iterations, resume.iterations), resume.history)
    return Run(xp, scan, solver, resume.origin, history, resume.iterations)


def _check_resumable(resume: Reconstruction) -> None:
    missing = {"positions", "first", "seed"} - {*resume.state, *resume.parameters}
    if missing:
        raise ValueError(
            f"resume lacks {', '.join(sorted(missing))}; accepted is what reconstruct returned, or its file"
        )


def _history(xp: ModuleType, iterations: int, before: Any) -> dict[str, Any]:
    """Return one value per iteration of each quantity, those of earlier iterations filled in."""
    history = {name: xp.full(iterations, np.nan) for name in ("error", "position_change")}
    for name, values in before.items():
        history[name][: len(values)] = xp.asarray(values)
    return history


def _mask(xp: ModuleType, scan: Scan) -> Any:
    size = scan.intensities.shape[-1]
    if scan.mask is None:
        return xp.empty((0, size, size), np.uint8)
    return xp.ascontiguousarray(scan.mask.reshape(-1, size, size)).view(np.uint8)


def _on_host(array: Any) -> np.ndarray:
    return np.asarray(array.get() if hasattr(array, "get") else array)
