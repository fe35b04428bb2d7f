"""``python -m benchmarks.studies [STUDY] [--quick] [--json F] [--figures D]``: what the algorithms reach."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from benchmarks.compare.__main__ import THREAD_VARIABLES
from benchmarks.studies import STUDIES


@click.command()
@click.argument("study", required=False, type=click.Choice(list(STUDIES)))
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write JSON.")
@click.option("--quick", is_flag=True, help="Small and few: a check that everything runs, in seconds.")
@click.option("--figures", type=click.Path(file_okay=False, path_type=Path), help="Write pictures here.")
def main(study: str | None, json_file: Path | None, quick: bool, figures: Path | None) -> None:
    """Make STUDY, or all studies, on one thread.

    Exits with 1 where a binding figure is SHORT of its target.
    """
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    # only now, because these import NumPy
    from benchmarks.studies._tables import Options, printed
    from fastimg import _environment
    from fastimg.io._atomic import replaced_when_whole

    if figures is not None:
        figures.mkdir(parents=True, exist_ok=True)
    options = Options(quick=quick, figures=figures)
    start = perf_counter()
    record: dict[str, Any] = {"environment": _environment.describe(), "quick": quick, "studies": {}}
    short: list[str] = []
    for name in [study] if study else STUDIES:
        made = import_module(STUDIES[name]).study(options)
        record["studies"][name] = asdict(made)
        short += [f"{f.name}, {f.on}: {f.reached}" for f in made.figures if f.met is False and f.is_binding]
        click.echo("\n".join(printed(made)))
        click.echo(f"\n{perf_counter() - start:.0f} s\n")
    if json_file is not None:
        with replaced_when_whole(json_file) as path:
            path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if short and not quick:
        click.echo("\n".join(f"SHORT: {figure}" for figure in short), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
