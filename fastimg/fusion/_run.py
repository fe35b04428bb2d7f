"""The iterations of a fusion: how far kernels reach, in what precision, and who watches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from fastimg.fusion._info import FusionInfo
from fastimg.fusion._precision import Plan, Precision, narrowest, precisions_from
from fastimg.fusion._scalings import Scalings, padded_ones
from fastimg.fusion._widths import are_separate
from fastimg.transport._solver import Stabilize, solve

__all__ = ["Measures", "Progress", "Settings", "Watch", "empty_measures", "fuse_measures", "settings_of"]

# Iterations between two looks at the ranges: a look at a device waits for it, and costs nothing on a CPU.
_CHECK_EVERY = {"numpy": 1, "cupy": 5}

# What the solver for any measures calls these; it stays in any other precision
_STABILIZE: dict[str, Stabilize] = {"auto": "auto", "log": "log"}


@dataclass(frozen=True)
class Settings:
    """What is computed: the weight λ of the first measure, how often, and with what kernels."""

    weight: float
    iterations: int
    precision: str
    widths_m: tuple[float, float, float]
    widths_h: tuple[float, float, float]

    @property
    def is_fused(self) -> bool:
        """Whether the fused kernels do it: m moves along bands only, h in the plane only."""
        return are_separate(self.widths_m, self.widths_h) and self.precision != "log"


def settings_of(
    weight: float,
    iterations: int,
    precision: str,
    widths_m: tuple[float, float, float],
    widths_h: tuple[float, float, float],
) -> Settings:
    """Return settings that agree with each other."""
    if precision == "mixed" and not are_separate(widths_m, widths_h):
        raise ValueError(
            "precision is 'mixed' where the kernels are not separate; accepted then are 'auto', 'float32', "
            "'float64' and 'log'"
        )
    return Settings(weight, iterations, precision, widths_m, widths_h)


@dataclass(frozen=True)
class Progress:
    """What a watcher is told after each iteration; ``cube`` is (rows, cols, bands), and not its to keep."""

    iteration: int
    precision: str
    range_m: float
    range_h: float
    cube: Any


Watch = Callable[[Progress], Any]


@dataclass
class Measures:
    """Two measures on one grid, as arrays that a run takes over.

    Attributes
    ----------
    m, h : array, (rows, cols, at least bands)
    bands : int
        Those after are padding.
    stacked : array, (2, rows, cols, bands), optional
        Of which ``m`` and ``h`` are views, where they have no padding.
    growth : float
        Bounds how much the range of a scaling grows in an iteration: the larger of the measures' log-ranges.
    """

    m: Any
    h: Any
    bands: int
    stacked: Any = None
    growth: float = 0.0

    def taken(self) -> tuple[Any, Any]:
        """Give both away, so that their memory can be let go."""
        both = self.m, self.h
        self.m = self.h = None
        return both


def empty_measures(
    xp: ModuleType, shape: tuple[int, int, int], dtype: np.dtype, settings: Settings
) -> Measures:
    """Return arrays for the measures, in the layout that the run of these settings wants."""
    bands = shape[2]
    if not settings.is_fused:
        both = xp.empty((2, *shape), dtype)
        return Measures(both[0], both[1], bands, both)
    first = precisions_from(settings.precision, dtype)[0]
    m, h = padded_ones(xp, shape, first.dtype_m), padded_ones(xp, shape, first.dtype_h)
    return Measures(m, h, bands)


def fuse_measures(
    xp: ModuleType, measures: Measures, dtype: np.dtype, settings: Settings, watch: Watch | None = None
) -> tuple[Any, FusionInfo]:
    """Return the barycenter of two measures, (rows, cols, at least bands), and how it was found.

    ``measures`` are those of ``empty_measures``, filled, with values about 1; they are overwritten.
    """
    if not settings.is_fused:
        return _general(xp, measures.stacked, dtype, settings, watch)
    run = _Run(xp, measures, dtype, settings, watch)
    if run.finish():
        return run.fused, run.info()
    phases, bands = run.phases, measures.bands
    both = xp.stack([run.scalings.measure_m[..., :bands], run.scalings.measure_h[..., :bands]])
    del run
    fused, info = _general(xp, both, dtype, replace(settings, precision="log"), watch)
    return fused, replace(info, phases=(*phases, *info.phases))


class _Run:
    """The iterations with separate kernels."""

    def __init__(
        self, xp: ModuleType, measures: Measures, dtype: np.dtype, settings: Settings, watch: Watch | None
    ) -> None:
        self.settings, self.watch, self.bands = settings, watch, measures.bands
        self.check_every = _CHECK_EVERY[xp.__name__]
        self.formats = precisions_from(settings.precision, dtype)
        self.is_free = settings.precision == "auto"
        self.fused: Any = None if watch is None else xp.ones_like(measures.h)
        self.scalings = Scalings(
            xp,
            *measures.taken(),
            measures.bands,
            settings.widths_m,
            settings.widths_h,
            settings.weight,
            self.formats[0],
        )
        # Ranges grow less and less: five iterations together by less than three first ones.
        self.most = (measures.growth + 2) * (1 if self.check_every == 1 else 3)
        self.patience = 1.0
        self.phases: tuple[tuple[str, int], ...] = ((self.formats[0].name, 1),)
        self.iteration, self.ranges = 0, (0.0, 0.0)
        self.headroom: tuple[float, ...] = (self.most, self.most)
        self.plan = Plan(2 * self.most, 2 * self.most)

    def finish(self) -> bool:
        """Iterate to the end; False where even double precision does not hold the scalings."""
        last = self.settings.iterations
        while self.iteration < last:
            self.iteration += 1
            if self.iteration == last and self.watch is None:
                self.fused = self.scalings.measure_h
            self.scalings.step(self.plan, self.fused)
            is_checked = self.iteration % self.check_every == 0 or self.iteration >= last - 1
            if is_checked:
                self._look()
            if self.iteration < last and is_checked and not self._adapt():
                return False
            # 0: it has just started over
            if self.watch is not None and self.iteration and self._is_stopped(self.watch):
                break
        return True

    def info(self) -> FusionInfo:
        """Return how the run ended."""
        return FusionInfo(self.iteration, self.scalings.precision.name, self.phases, *self.ranges)

    def _is_stopped(self, watch: Watch) -> bool:
        cube = self.fused[..., : self.bands]
        name = self.scalings.precision.name
        return bool(watch(Progress(self.iteration, name, *self.ranges, cube)))

    def _look(self) -> None:
        """Measure the ranges, and guess from their growth how much room they need until the next look."""
        before, self.ranges = self.ranges, self.scalings.ranges()
        self.headroom = tuple(
            self.patience * min(self.most, 1.5 * abs(now - past) + 3)
            for now, past in zip(self.ranges, before, strict=True)
        )

    def _expected(self, steps: int = 1) -> tuple[float, float]:
        (range_m, range_h), (room_m, room_h) = self.ranges, self.headroom
        return range_m + steps * room_m, range_h + steps * room_h

    def _adapt(self) -> bool:
        """Widen what the measured ranges ask to be wider; False where there is nothing wider."""
        precision = self.scalings.precision
        if self.is_free and not precision.holds(*self._expected()):
            is_lost = not precision.holds(*self.ranges)
            wider = narrowest(self._wider(), *self._expected())
            if is_lost and not all(map(math.isfinite, self.ranges)):
                wider = next(iter(self._wider()), None)
            if wider is None:
                return False
            self._widen(wider, is_lost)
        self._replan()
        return True

    def _wider(self) -> list[Precision]:
        return self.formats[self.formats.index(self.scalings.precision) + 1 :]

    def _widen(self, wider: Precision, is_lost: bool) -> None:
        """Go on in a wider precision, or, where digits have been lost, from the start."""
        self.scalings.widen(wider)
        if self.watch is not None:
            self.fused = self.fused.astype(wider.dtype_h, copy=False)
        if is_lost:
            self._restart()
        self.phases = (*self.phases, (wider.name, self.iteration + 1))

    def _replan(self) -> None:
        """Let kernels reach as far as the next iterations need."""
        if not all(map(math.isfinite, self.ranges)):
            return
        if not self.plan.covers(*self.ranges) and self.scalings.is_cut(self.plan):
            # cut too near for what was found: once more, with twice as much room
            self.patience *= 2
            self._restart()
            self.phases = (*self.phases[:-1], (self.scalings.precision.name, 1))
        elif not self.plan.covers(*self._expected()):
            self.plan = Plan(*self._expected(2))

    def _restart(self) -> None:
        self.scalings.restart()
        self.iteration, self.ranges = 0, (0.0, 0.0)
        self.headroom = (self.patience * self.most, self.patience * self.most)
        self.plan = Plan(*self._expected(2))


def _general(
    xp: ModuleType, measures: Any, dtype: np.dtype, settings: Settings, watch: Watch | None
) -> tuple[Any, FusionInfo]:
    """Fuse by the solver for any measures: with kernels that act on all axes, or on logarithms."""
    precision = settings.precision
    wanted = dtype if precision in ("auto", "log") else np.dtype(precision)

    def told(said: Any) -> bool:
        cube = said.state.barycenter.reshape(measures.shape[1:])
        each = Progress(said.iteration, said.domain, said.log_range, said.log_range, cube)
        return watch is not None and bool(watch(each))

    solution = solve(
        xp,
        measures.astype(wanted, copy=False),
        (settings.widths_m, settings.widths_h),
        (settings.weight, 1 - settings.weight),
        iterations=settings.iterations,
        stabilize=_STABILIZE.get(precision, False),
        check_every=_CHECK_EVERY[xp.__name__] if watch is None else 1,
        watch=None if watch is None else told,
    )
    found = solution.info
    phases = ((str(found.domain), 1),)
    info = FusionInfo(found.iterations, found.domain, phases, found.log_range, found.log_range)
    return solution.barycenter, info
