"""The ``fastimg`` command."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO

import click

import fastimg
from fastimg import _warmup
from fastimg._command_messages import input_errors
from fastimg._dequantize_commands import dequantize
from fastimg._fuse_commands import fuse, simulate
from fastimg._ptycho_commands import ptycho
from fastimg.demo import CHAPTERS, run

__all__ = ["main"]

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(fastimg.__version__, prog_name="fastimg")
def main() -> None:
    """Hand-written kernels for computational imaging."""


main.add_command(ptycho)
main.add_command(dequantize)
main.add_command(fuse)
main.add_command(simulate)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def info(as_json: bool) -> None:
    """Show versions, processor, threads, CUDA devices and caches."""
    from fastimg import _environment

    with input_errors():
        facts = _environment.describe()
    click.echo(json.dumps(facts, indent=2) if as_json else "\n".join(_readable(facts)))


def _readable(facts: dict[str, Any]) -> Iterator[str]:
    processor, threads, cuda = facts["processor"], facts["threads"], facts["cuda"]
    lines = dict(facts["versions"])
    lines["processor"] = "{name}, {cores} cores, {simd_bits}-bit vectors".format(**processor)
    layer = f"on Numba's {threads['layer']} layer"
    if threads["layer"] is None:
        layer = f"but Numba can load no layer to run them on: {threads['reason']}"
    lines["threads"] = f"{threads['used']} of {threads['available']}, {layer}"
    for number, device in enumerate(cuda["devices"]):
        memory = device["memory_bytes"] / 2**30
        lines[f"CUDA {number}"] = f"{device['name']}, sm {device['compute_capability']}, {memory:.1f} GiB"
    if not cuda["devices"]:
        lines["CUDA"] = f"none ({cuda['reason']})"
    for name, cache in facts["caches"].items():
        folder = cache["folder"] or "no folder can be written"
        lines[f"{name} cache"] = f"{folder}, {cache['files']} files, {cache['bytes'] / 2**20:.1f} MiB"
    return (f"{name:<12} {value}" for name, value in lines.items())


@main.command()
@click.argument("systems", metavar="[SYSTEM]...", nargs=-1, type=click.Choice(list(_warmup.STEPS)))
def warmup(systems: tuple[str, ...]) -> None:
    """Compile the kernels of each SYSTEM, or of all of them, ahead of their first use.

    Covers registration of images of 64², 128², 256² and 512² in both precisions, real and complex,
    ptychography of frames of 64², 128² and 256² in single precision, with one mode or several, and
    de-quantization of images of 64², 128², 256² and 512² with a plate and with a membrane, with a mask and
    without. Afterwards removes what was compiled from other versions of the kernels.
    """
    from tqdm import tqdm

    from fastimg import _environment
    from fastimg.kernels.cpu import _jit

    start = perf_counter()
    before = _environment.caches()["numba"]
    bar = tqdm(_warmup.steps(systems), unit="step", disable=None)
    for step in bar:
        bar.set_description(step.label)
        step.run()
    after = _environment.caches()["numba"]
    if after["folder"] is None:
        raise click.ClickException("Numba finds no folder that it can write; set NUMBA_CACHE_DIR to one")
    added = after["files"] - before["files"]
    click.echo(
        f"{', '.join(systems or _warmup.STEPS)}: {added} files added in {perf_counter() - start:.1f} s"
    )
    removed = _environment.remove_stale_kernels(after["folder"], _jit._source_digest())
    click.echo(f"{removed} files of other versions removed")
    after = _environment.caches()["numba"]
    click.echo(f"{after['folder']}: {after['files']} files, {after['bytes'] / 2**20:.1f} MiB")


@main.command()
@click.argument("reference", type=EXISTING_FILE)
@click.argument("moving", type=EXISTING_FILE, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV to write; default: standard output.",
)
@click.option(
    "--upsample-factor",
    type=click.FloatRange(min=1),
    default=100,
    show_default=True,
    help="Shifts are multiples of 1/factor pixel.",
)
@click.option(
    "--normalization",
    type=click.Choice(["phase", "none"]),
    default="none",
    show_default=True,
    help="phase: every frequency has the same weight; the error then means little.",
)
@click.option("--dataset", metavar="PATH", help="Dataset to read in HDF5 files.")
@click.option(
    "--apply",
    "registered_folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the registered images to DIR, one TIFF a file.",
)
def register(
    reference: Path,
    moving: tuple[Path, ...],
    output: Path | None,
    upsample_factor: float,
    normalization: str,
    dataset: str | None,
    registered_folder: Path | None,
) -> None:
    """Measure by how many pixels each MOVING image is shifted against REFERENCE.

    Reads TIFF, HDF5, NumPy, and pictures such as PNG and JPEG; colours become luminance, and each image
    of a stack gets a row of its own. In a TIFF, planes are images of a stack; only colours stored pixel by
    pixel are colours.

    The table has the columns file, index, shift_row, shift_column, error and phasediff; the shift is the
    one that brings the image back onto the reference. The error is the normalised RMS difference after the
    shift, whatever the factor between the brightnesses; with --normalization phase it means little.
    """
    from fastimg._register_files import register_files, write_shifts

    with input_errors(), _table(output) as stream:
        rows = register_files(
            reference,
            moving,
            upsample_factor=upsample_factor,
            normalization="phase" if normalization == "phase" else None,
            dataset=dataset,
            registered_folder=registered_folder,
            progress=_file_progress,
        )
        write_shifts(stream, rows)


@contextmanager
def _table(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears once the block has succeeded."""
    from fastimg.io._atomic import replaced_when_whole

    if output is None:
        yield sys.stdout
        return
    with replaced_when_whole(output) as unfinished, unfinished.open("w", encoding="utf-8") as stream:
        yield stream


def _file_progress(paths: Sequence[Path]) -> Iterator[Path]:
    from tqdm import tqdm

    # disable=None: no bar where standard error is not a terminal
    return iter(tqdm(paths, desc="registering", unit="file", disable=None))


@main.command()
@click.argument("systems", metavar="[SYSTEM]...", nargs=-1, type=click.Choice(list(CHAPTERS)))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("fastimg-report"),
    show_default=True,
    help="Folder for the report.",
)
def demo(systems: tuple[str, ...], output: Path) -> None:
    """Run each SYSTEM, or all of them, on real images, and write a report.

    The report, report.html with its pictures and report.json, says what went in, what came out, how far it is
    from the truth, and how long it took beside plain NumPy.
    """
    from tqdm import tqdm

    with input_errors():
        report = run(systems or tuple(CHAPTERS), output, progress=tqdm)
    click.echo(f"report written: {report}")


if __name__ == "__main__":
    main()
