"""Writing the report: an HTML file that needs no other file, the pictures as PNG, the figures as JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastimg import _environment
from fastimg.demo._chapter import Chapter
from fastimg.io._atomic import replaced_when_whole

__all__ = ["write"]


def write(chapters: Mapping[str, tuple[Chapter, float]], folder: Path) -> Path:
    """Write the report of these chapters, each with the seconds it took, and return the HTML file."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = _environment.describe()
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    _write_pictures([chapter for chapter, _ in chapters.values()], folder / "pictures")
    figures = {system: {"seconds": round(s, 2), **chapter.data} for system, (chapter, s) in chapters.items()}
    record = {"made": made, "environment": environment, "systems": figures}
    with replaced_when_whole(folder / "report.json") as path:
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    report = folder / "report.html"
    with replaced_when_whole(report) as path:
        path.write_text(_html(chapters, environment, made), encoding="utf-8")
    return report


def _write_pictures(chapters: list[Chapter], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for chapter in chapters:
        for section in chapter.sections.values():
            for picture in section.pictures:
                with replaced_when_whole(folder / picture.name) as path:
                    path.write_bytes(picture.png)


def _html(chapters: Mapping[str, tuple[Chapter, float]], environment: dict[str, Any], made: str) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("fastimg.demo", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    templates.filters["base64"] = lambda content: b64encode(content).decode()
    return templates.get_template("report.html.j2").render(
        chapters=chapters, environment=environment, made=made
    )
