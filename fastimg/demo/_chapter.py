"""What a chapter of the report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Chapter", "Picture", "Section", "Table"]


@dataclass(frozen=True)
class Table:
    """A table, its cells already formatted; the first column names the row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A PNG, the file name it gets, what it shows, and a description for those who cannot see it."""

    name: str
    png: bytes
    caption: str
    alternative: str


@dataclass(frozen=True)
class Section:
    """Paragraphs, then tables, then pictures."""

    text: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """One system's part of the report.

    Attributes
    ----------
    title, summary : str
        Heading, and what the system does in one or two sentences.
    headline : mapping of str to str
        Two to four figures that sum the chapter up, each under its label.
    went_in, came_out, accuracy, speed : Section
        The input; the result; its error against the truth; its time against plain NumPy.
    data : mapping
        The figures behind the chapter for ``report.json``.
    """

    title: str
    summary: str
    headline: Mapping[str, str]
    went_in: Section
    came_out: Section
    accuracy: Section
    speed: Section
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sections(self) -> dict[str, Section]:
        """The four sections under their headings."""
        return {
            "What went in": self.went_in,
            "What came out": self.came_out,
            "Error against the truth": self.accuracy,
            "Time against plain NumPy": self.speed,
        }
