"""What a comparison consists of: figures, each with its target, and times, each with its accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Comparison", "Figure", "Options", "Time", "columns", "figure_lines", "printed"]


@dataclass(frozen=True)
class Options:
    """What the command line asks of a comparison.

    Attributes
    ----------
    quick : bool
        Small and few: a check that everything runs, in seconds.
    skimage_tests : pathlib.Path, optional
        scikit-image's source distribution, packed or not.
    """

    quick: bool = False
    skimage_tests: Path | None = None


@dataclass(frozen=True)
class Figure:
    """One figure to reach: what was measured, on what, the value and the target.

    ``met`` is None where the figure was not measured; ``reached`` then says how to. The command fails where a
    binding figure is not met. Not binding are speeds, which depend on what else the machine does, and
    figures whose limit lies in the method.
    """

    name: str
    on: str
    reached: str
    target: str
    met: bool | None
    is_binding: bool = True


@dataclass(frozen=True)
class Time:
    """Time of one way to do one piece of work, the ratio to the way it is compared with, and its accuracy."""

    work: str
    way: str
    seconds: float
    ratio: float
    accuracy: str


@dataclass(frozen=True)
class Comparison:
    """All figures and times of one system; ``data`` holds what else belongs in the JSON.

    ``accuracy`` is the head of the times' last column, where it holds something else.
    """

    system: str
    figures: list[Figure]
    times: list[Time]
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    accuracy: str = "accuracy"


def printed(comparison: Comparison) -> Iterator[str]:
    """Lines of text for a terminal."""
    yield f"{comparison.system}: figures to reach"
    yield from figure_lines(comparison.figures)
    yield ""
    yield f"{comparison.system}: times, and how many times as fast"
    yield from columns(
        ("work", "way", "time", "ratio", comparison.accuracy),
        [(t.work, t.way, _duration(t.seconds), f"{t.ratio:.2f}", t.accuracy) for t in comparison.times],
    )
    yield ""
    yield from comparison.notes


def figure_lines(figures: Sequence[Figure]) -> Iterator[str]:
    """Lines of a table of figures, each with whether it was met."""
    marks = {True: "met", False: "SHORT", None: "not measured"}
    yield from columns(
        ("figure", "on", "reached", "target", ""),
        [(f.name, f.on, f.reached, f.target, marks[f.met]) for f in figures],
    )


def columns(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Lines of a table with columns as wide as their widest cell."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, tuple("-" * width for width in widths), *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _duration(seconds: float) -> str:
    return f"{1e6 * seconds:.1f} µs" if seconds < 1e-2 else f"{seconds:.3f} s"
