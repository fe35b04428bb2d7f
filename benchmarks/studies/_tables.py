"""What a study consists of: tables of what was measured, and the figures to reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.compare._rows import Figure, columns, figure_lines

__all__ = ["Options", "Study", "Table", "printed"]


@dataclass(frozen=True)
class Options:
    """What the command line asks of a study.

    Attributes
    ----------
    quick : bool
        Small and few: a check that everything runs, in seconds. Figures then mean nothing.
    figures : pathlib.Path, optional
        The folder that pictures are written to.
    """

    quick: bool = False
    figures: Path | None = None


@dataclass(frozen=True)
class Table:
    """One table: its title, the names of its columns, and its rows of text."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class Study:
    """What one study found.

    ``setting`` tells exactly what was measured; ``data`` holds the numbers themselves, for the JSON. A study
    that was not made has neither tables nor figures, and ``skipped`` says why.
    """

    name: str
    setting: str
    tables: list[Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    skipped: str | None = None


def printed(study: Study) -> Iterator[str]:
    """Lines of text for a terminal."""
    yield study.name
    yield study.setting
    if study.skipped is not None:
        yield f"\nnot made: {study.skipped}"
        return
    for table in study.tables:
        yield ""
        yield table.title
        yield from columns(table.head, table.rows)
    yield ""
    yield f"{study.name}: figures to reach"
    yield from figure_lines(study.figures)
