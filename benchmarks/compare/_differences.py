"""Seconds of one iteration, as a difference of two numbers of them: what a call does once is left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fastimg._timing import Timing

__all__ = ["Way", "in_blocks", "in_turns"]


class Way(NamedTuple):
    """A function of the number of iterations, and the two numbers it is called with."""

    run: Callable[[int], Any]
    few: int
    many: int

    def seconds(self, clock: Callable[[], float]) -> float:
        """Time one iteration."""
        start = clock()
        self.run(self.few)
        between = clock()
        self.run(self.many)
        end = clock()
        return ((end - between) - (between - start)) / (self.many - self.few)


def in_turns(
    ways: Mapping[str, Way], *, rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, Timing]:
    """Time each way once a round, after a first call that is not counted."""
    for way in ways.values():
        way.run(way.few)
    samples = [{name: way.seconds(clock) for name, way in ways.items()} for _ in range(rounds)]
    return {name: Timing(tuple(sample[name] for sample in samples), 1) for name in ways}


def in_blocks(
    ways: Mapping[str, Way], *, rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, Timing]:
    """Time all rounds of a way together, then all of the next one, and all of that twice.

    Large products of matrices leave a processor in another state, of caches and clock frequency, than they
    found it in.
    """
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(2):
        for name, way in ways.items():
            way.run(way.few)
            samples[name] += [way.seconds(clock) for _ in range(rounds)]
    return {name: Timing(tuple(each), 1) for name, each in samples.items()}
