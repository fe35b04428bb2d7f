"""The run through a batch: one image after the other, its anomalies, and who watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from fastimg.dequantization._anomalies import anomalies
from fastimg.dequantization._info import DequantizationInfo, IterationState
from fastimg.dequantization._problems import Inputs, Problem, Settings, solve_problem
from fastimg.dequantization._results import cast_inside

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """What ``dequantize`` does to each image."""

    xp: ModuleType
    inputs: Inputs
    settings: Settings
    passes: int
    callback: Callable[[IterationState], Any] | None
    progress: bool

    def fill(self, out: Any) -> tuple[DequantizationInfo, int]:
        """Write the results to ``out``, (..., H, W).

        Returns
        -------
        info : DequantizationInfo
        unfinished : int
            Images that neither converged nor were ended by the callback.
        """
        layout = self.inputs.envelopes.layout
        energy, kkt = np.zeros(layout.leading), np.zeros(layout.leading)
        cycles, converged = np.zeros(layout.leading, np.int64), np.ones(layout.leading, bool)
        removed = self.xp.zeros(layout.shape, bool)
        unfinished = 0
        with _progress_bar(self.progress) as bar:
            for index in layout.indices() if 0 not in layout.image else ():
                watcher = _Watcher(bar, self.callback, index)
                solution, dropped = self._image(index, out[index], watcher)
                layout.planes(self.xp, removed)[index] = dropped
                energy[index], kkt[index] = solution.energy, solution.kkt
                cycles[index], converged[index] = watcher.before + solution.cycles, solution.converged
                unfinished += not (solution.converged or watcher.stopped)
        ends = {"energy": energy, "kkt": kkt, "cycles": cycles, "converged": converged}
        numbers = {name: array if layout.leading else array.item() for name, array in ends.items()}
        return DequantizationInfo(**numbers, removed=removed), unfinished

    def _image(self, index: tuple[int, ...], out: Any, watcher: _Watcher) -> tuple[Any, Any]:
        """Solve one image and write it; return its last solution and the pixels dropped as anomalies."""
        xp, inputs = self.xp, self.inputs
        problem = inputs.problem(index)
        solution = solve_problem(xp, problem, self.settings, watcher)
        dropped = xp.zeros(problem.lower.shape, bool)
        for _ in range(self.passes):
            found = self._anomalies(index, problem, solution.values, dropped)
            if watcher.stopped or not bool(found.any()):
                break
            dropped |= found
            problem = replace(problem.without(found), initial=solution.values)
            watcher.before += solution.cycles
            solution = solve_problem(xp, problem, self.settings, watcher)
        values = cast_inside(xp, solution.values, problem.lower, problem.upper, out.dtype)
        if inputs.mask is not None:
            values = xp.where(inputs.mask[index], inputs.envelopes.kept(index).astype(out.dtype), values)
        out[...] = values
        return solution, dropped

    def _anomalies(self, index: tuple[int, ...], problem: Problem, values: Any, dropped: Any) -> Any:
        known = ~dropped
        for excluded in (self.inputs.mask, self.inputs.fixed):
            if excluded is not None:
                known &= ~excluded[index]
        if problem.cut is not None:
            values = self.xp.where(problem.cut, np.nan, values)
        bins = self.inputs.envelopes.bounds(index)[0]
        return anomalies(self.xp, values, problem.lower, problem.upper, bins, known)


class _Watcher:
    """Passes the solver's progress to the bar and the callback.

    Attributes
    ----------
    before : int
        Cycles of earlier passes over this image.
    stopped : bool
        Whether the callback has ended the image.
    """

    def __init__(
        self, bar: Any, callback: Callable[[IterationState], Any] | None, index: tuple[int, ...]
    ) -> None:
        self.bar, self.callback, self.index = bar, callback, index
        self.before, self.stopped, self._shown = 0, False, 0

    def __call__(self, cycles: int, energy: float, kkt: float) -> bool:
        """Take what the solver reports; return whether to stop."""
        state = IterationState(self.before + cycles, float(energy), float(kkt), self.index)
        self.bar.update(state.cycles - self._shown)
        self._shown = state.cycles
        if not self.bar.disable:
            self.bar.set_postfix(energy=f"{state.energy:.6g}", kkt=f"{state.kkt:.1e}")
        if self.callback is not None and not self.stopped:
            self.stopped = bool(self.callback(state))
        return self.stopped


def _progress_bar(shown: bool) -> Any:
    from tqdm import tqdm

    return tqdm(unit="cycle", disable=not shown)
