"""Times of several callables, taken in turns.

A machine's speed drifts (other processes, clock frequency), so candidates that are to be compared take
turns within each round, and a ratio is the median over the rounds of the ratio within a round.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

__all__ = ["Timing", "interleaved", "median_ratio"]


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, one sample a round.

    Attributes
    ----------
    samples : tuple of float
        Seconds of one call, averaged over the calls of one round.
    calls : int
        Calls that one sample averages over.
    """

    samples: tuple[float, ...]
    calls: int

    @property
    def median(self) -> float:
        """Median over the rounds, in seconds."""
        return median(self.samples)


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 7,
    seconds_per_sample: float = 0.02,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time each candidate once per round, after a first call that is not counted.

    Parameters
    ----------
    candidates : mapping of str to callable
        What to time. A callable that leaves work running on a device has to wait for it.
    rounds : int, optional
        Samples of each candidate.
    seconds_per_sample : float, optional
        A candidate is called as often within one sample as fills this time.
    clock : callable, optional
        ``time.perf_counter``, or ``time.process_time`` for work on one thread on a busy machine.

    Returns
    -------
    dict of str to Timing

    Examples
    --------
    >>> timings = interleaved({"sum": lambda: sum(range(1000))}, rounds=3)
    >>> len(timings["sum"].samples)
    3
    """
    calls = {}
    for name, candidate in candidates.items():
        candidate()
        once = _seconds(candidate, 1, clock)
        calls[name] = max(1, math.ceil(seconds_per_sample / once)) if once > 0 else 1000
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            samples[name].append(_seconds(candidate, calls[name], clock))
    return {name: Timing(tuple(samples[name]), calls[name]) for name in candidates}


def median_ratio(slow: Timing, fast: Timing) -> float:
    """How many times as fast ``fast`` is: the median over the rounds of the ratio within a round.

    Examples
    --------
    >>> median_ratio(Timing((2.0, 3.0, 4.0), 1), Timing((1.0, 1.0, 1.0), 1))
    3.0
    """
    return median(s / f for s, f in zip(slow.samples, fast.samples, strict=True))


def _seconds(candidate: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        candidate()
    return (clock() - start) / calls
