"""``python -m benchmarks.compare [SYSTEM] [--json F]``: fastimg beside the peers that are installed."""

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

from benchmarks.compare import SYSTEMS
from benchmarks.compare._rows import Options, printed

# What the libraries read when they are loaded
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "FASTIMG_NUM_THREADS",
)


@click.command()
@click.argument("system", required=False, type=click.Choice(list(SYSTEMS)))
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write JSON.")
@click.option("--quick", is_flag=True, help="Small and few: a check that everything runs, in seconds.")
@click.option(
    "--skimage-tests",
    type=click.Path(exists=True, path_type=Path),
    help="scikit-image's source distribution, whose tests of registration are run against ours.",
)
def main(system: str | None, json_file: Path | None, quick: bool, skimage_tests: Path | None) -> None:
    """Compare SYSTEM, or all systems, with the peers that are installed.

    Everything runs on one thread and takes turns in this one process; times are medians of processor time.
    Exits with 1 where a binding figure, of accuracy or memory, is SHORT of its target.
    """
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    # only now, because these import NumPy
    from fastimg import _environment
    from fastimg.io._atomic import replaced_when_whole

    options = Options(quick=quick, skimage_tests=skimage_tests)
    start = perf_counter()
    record: dict[str, Any] = {"environment": _environment.describe(), "quick": quick, "systems": {}}
    short: list[str] = []
    for name in [system] if system else SYSTEMS:
        comparison = import_module(SYSTEMS[name]).compare(options)
        record["systems"][name] = asdict(comparison)
        figures = [f for f in comparison.figures if f.met is False and f.is_binding]
        short += [f"{figure.name}, {figure.on}: {figure.reached}" for figure in figures]
        click.echo("\n".join(printed(comparison)))
    click.echo(f"\n{perf_counter() - start:.0f} s")
    if json_file is not None:
        with replaced_when_whole(json_file) as path:
            path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if short:
        click.echo("\n".join(f"SHORT: {figure}" for figure in short), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
