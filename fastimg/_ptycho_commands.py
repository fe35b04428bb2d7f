"""The commands ``fastimg ptycho …``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fastimg._command_messages import input_errors, plain_warnings

__all__ = ["ptycho"]

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
LENGTH = click.FloatRange(min=0, min_open=True)
COUNT = click.IntRange(min=1)
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")

# What a shell reports of a program that Ctrl-C ended: 128 + SIGINT
_INTERRUPTED = 130


class _Raster(click.ParamType):
    """Rows and columns, as in 10x12."""

    name = "ROWSxCOLUMNS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = re.fullmatch(r"([1-9]\d*)[x×X]([1-9]\d*)", value) if isinstance(value, str) else None
        if found is None:
            self.fail(f"{value!r} is not two numbers from 1, as in 10x12", param, ctx)
        return int(found[1]), int(found[2])


def _options(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Return one decorator that is all of these, in their order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_geometry = _options(
    click.option("--wavelength", type=LENGTH, help="Metres."),
    click.option("--distance", type=LENGTH, help="From sample to detector, metres."),
    click.option("--detector-pixel", type=LENGTH, help="Metres."),
)

_reading = _options(
    click.option("--size", type=COUNT, help="Read a square of so many pixels of each frame."),
    click.option("--center", nargs=2, type=float, metavar="ROW COLUMN", help="Middle of that square."),
    click.option(
        "--axes",
        nargs=2,
        metavar="ROW COLUMN",
        help="Translations along which rows and columns grow, such as -y x; by default as CXI has it.",
    ),
    click.option("--clip", is_flag=True, help="Make negative counts 0."),
    _geometry,
)


def _part_of_update(name: str, most: float, default: float, explained: str) -> Callable[[Any], Any]:
    """Return the option of a number above 0 up to ``most``."""
    kind = click.FloatRange(0, most, min_open=True)
    return click.option(name, type=kind, default=default, show_default=True, help=explained)


@click.group()
def ptycho() -> None:
    """Ptychography: simulate a scan, reconstruct it, look at it."""


@ptycho.command()
@click.argument("scan", type=EXISTING_FILE)
@click.option("-o", "--output", type=NEW_FILE, required=True, help="HDF5 to write.")
@click.option("--iterations", type=COUNT, default=100, show_default=True, help="In all, with --resume too.")
@click.option(
    "--algorithm",
    type=click.Choice(["rpie", "epie"]),
    default="rpie",
    show_default=True,
    help="epie: γ = β = 1.",
)
@click.option("--modes", type=COUNT, default=1, show_default=True, help="Incoherent modes of the probe.")
@click.option("--batch-size", type=COUNT, default=8, show_default=True, help="Positions used at a time.")
@_part_of_update("--alpha-object", 2, 0.75, "Step of the object's update.")
@_part_of_update("--alpha-probe", 2, 0.75, "Step of the probe's update.")
@_part_of_update("--gamma", 1, 0.3, "Regularisation of the object's update.")
@_part_of_update("--beta", 1, 0.5, "Regularisation of the probe's update.")
@click.option(
    "--momentum",
    type=click.FloatRange(0, 1, max_open=True),
    help="Part of the last change that is added again; default: 0.8 where positions are refined, else 0.",
)
@click.option(
    "--refine-positions/--no-refine-positions", default=None, help="Refine the positions; default: keep them."
)
@click.option(
    "--gain", type=click.Choice(["fixed", "adam", "zhang"]), help="What makes moves of their shifts."
)
@click.option(
    "--signal", type=click.Choice(["object", "detector", "gradient"]), help="Where their shifts are measured."
)
@click.option("--refine-step", type=LENGTH, help="Adam: pixels; else what shifts are multiplied by.")
@click.option("--refine-start", type=click.IntRange(min=0), help="Iterations before positions move.")
@click.option("--probe", type=EXISTING_FILE, help="Probe to start from: a result, a CXI file, or .npy.")
@click.option(
    "--probe-start", type=click.IntRange(min=0), default=1, show_default=True, help="Iterations that keep it."
)
@click.option(
    "--subpixel/--no-subpixel", default=True, show_default=True, help="Use the fractions of the positions."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of their order.")
@_reading
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Write OUTPUT every N iterations; 0: at the end only.",
)
@click.option(
    "--resume", is_flag=True, help="Go on from OUTPUT, with its settings where no others are given."
)
@OVERWRITE
@click.pass_context
def reconstruct(ctx: click.Context, scan: Path, output: Path, **options: Any) -> None:
    """Reconstruct object, probe and, if asked for, positions from SCAN, a CXI file.

    OUTPUT is a valid result after every checkpoint. The first Ctrl-C ends the reconstruction after the
    running iteration and writes it, the second ends it at once; the exit code is then 130. --resume goes
    on as if nothing had happened, to the iterations that were asked for at the start, or to others.
    """
    from fastimg import _ptycho_reconstruct as work

    job = work.Job(
        source=scan,
        target=output,
        options=options,
        given=_given(ctx),
        **{name: options[name] for name in ("resume", "overwrite", "checkpoint_every", "device")},
    )
    try:
        with input_errors(), plain_warnings():
            # no bar where standard error is not a terminal
            result = work.run(job, progress=sys.stderr.isatty())
    except work.Diverged as error:
        raise click.ClickException(str(error)) from error
    except work.Stopped as stopped:
        click.echo(str(stopped), err=True)
        ctx.exit(_INTERRUPTED)
    click.echo(f"{output}: {result}")


@ptycho.command()
@click.option("-o", "--output", type=NEW_FILE, required=True, help="CXI file to write.")
@click.option("--truth", type=NEW_FILE, help="HDF5 to write true object, probe and positions to.")
@click.option("--object-image", type=EXISTING_FILE, help="Picture of the object's amplitude.")
@click.option("--phase-image", type=EXISTING_FILE, help="Picture of the object's phase.")
@click.option(
    "--amplitude-range",
    nargs=2,
    type=click.FloatRange(min=0),
    default=(0.5, 1.0),
    show_default=True,
    help="Of the darkest and the brightest pixel.",
)
@click.option(
    "--phase-range",
    nargs=2,
    type=float,
    default=(-1.0, 0.0),
    show_default=True,
    help="The same in radians.",
)
@click.option(
    "--size", type=click.IntRange(min=8), default=128, show_default=True, help="Pixels along a frame."
)
@click.option("--positions", type=_Raster(), default="10x10", show_default=True, help="Rows and columns.")
@click.option("--step", type=LENGTH, help="Pixels between them; default: 0.3 of the probe.")
@click.option("--jitter", type=click.FloatRange(min=0), help="Pixels off the raster; default: step / 4.")
@click.option(
    "--position-error",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="RMS error in pixels of the positions in OUTPUT.",
)
@click.option("--modes", type=COUNT, default=1, show_default=True, help="Incoherent modes of the probe.")
@click.option("--probe-width", type=LENGTH, help="Pixels; default: 3/8 of a frame, near field 1/2.")
@click.option(
    "--start-probe",
    type=click.Choice(["wrong", "true", "none"]),
    default="wrong",
    show_default=True,
    help="Probe in OUTPUT; wrong: one mode, at another distance from the focus or without diffuser.",
)
@click.option("--photons", type=LENGTH, default=1e6, show_default=True, help="Mean counts of a frame.")
@click.option(
    "--background",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Mean counts of a pixel.",
)
@click.option(
    "--propagator", type=click.Choice(["far-field", "near-field"]), default="far-field", show_default=True
)
@_geometry
@click.option("--focus-distance", type=float, help="Near field, divergent beam: metres from focus to sample.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@OVERWRITE
def simulate(
    output: Path,
    truth: Path | None,
    object_image: Path | None,
    phase_image: Path | None,
    positions: tuple[int, int],
    overwrite: bool,
    **options: Any,
) -> None:
    """Simulate the scan of an object made of pictures, and write it as a CXI file.

    The pictures are spread over the field of the scan. One alone makes an object of amplitude or phase only;
    with neither, the amplitude is a Siemens star and the phase a random relief. Lengths are in metres; by
    default those of hard X-rays: 1e-10 m, and 4 m to pixels of 55e-6 m (near field: 0.2 m, 1e-6 m).
    """
    from fastimg import _ptycho_files, _virtual_experiment

    with input_errors(), plain_warnings():
        if truth is not None and truth.absolute() == output.absolute():
            raise ValueError(f"--truth is {truth}, the file of the scan; accepted is another one")
        for target in (output, truth):
            if target is not None:
                _ptycho_files.check_new(target, overwrite)
        amplitude, phase = (
            None if path is None else _ptycho_files.read_picture(path) for path in (object_image, phase_image)
        )
        made = _virtual_experiment.virtual_experiment(amplitude, phase, shape=positions, **options)
        if truth is not None:
            made.truth({"positions": positions, **options}).save(truth)
        made.scan.to_cxi(output)
    click.echo(f"{output}: {made.scan}")


@ptycho.command()
@click.argument("file", type=EXISTING_FILE)
@click.option("-o", "--output", type=NEW_FILE, required=True, help="PNG, PDF or SVG to write.")
@_reading
@click.pass_context
def view(ctx: click.Context, file: Path, output: Path, **options: Any) -> None:
    """Draw FILE: the result of a reconstruction, or the CXI file of a scan."""
    from fastimg import _ptycho_view

    with input_errors(), plain_warnings():
        _ptycho_view.view(file, output, **{name: options[name] for name in _given(ctx) & options.keys()})
    click.echo(f"written: {output}")


def _given(ctx: click.Context) -> frozenset[str]:
    """Return the names of the options that the user gave."""
    return frozenset(
        name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    )
