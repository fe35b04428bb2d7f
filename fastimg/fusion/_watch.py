"""Who watches a fusion: the caller's function, and the progress bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastimg.fusion._info import FusionState
from fastimg.fusion._run import Progress, Watch

__all__ = ["Watcher"]


class Watcher:
    """Passes progress to the bar and the callback."""

    def __init__(self, iterations: int, callback: Callable[[FusionState], Any] | None, shown: bool) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=iterations, unit="iteration", disable=not shown)
        self._callback, self._scale = callback, 1.0

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def of(self, scale: float) -> Watch | None:
        """Return what the run is to call, for a cube in units of ``scale``; None where nobody watches."""
        self._scale = scale
        return None if self._callback is None and self._bar.disable else self

    def __call__(self, said: Progress) -> bool:
        """Take what the run says; return whether it is to end."""
        if not self._bar.disable:
            if said.iteration <= self._bar.n:  # it has started over
                self._bar.reset()
            self._bar.update(said.iteration - self._bar.n)
            self._bar.set_postfix(precision=said.precision)
        if self._callback is None:
            return False
        state = FusionState(
            said.iteration, said.precision, said.range_m, said.range_h, said.cube, self._scale
        )
        return bool(self._callback(state))
