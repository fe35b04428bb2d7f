"""The command ``fastimg dequantize``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fastimg._command_messages import input_errors, plain_warnings

__all__ = ["dequantize"]

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)

# Options of the solver by the names of its arguments; interpolation of distances has none of them
_SOLVER = {
    "tension_length": "tension", "mask_mode": "mask_mode", "boundary": "boundary", "relax": "relax",
    "anomaly_passes": "anomaly_passes", "tol": "tol", "max_cycles": "max_cycles",
}  # fmt: skip


@click.command()
@click.argument("source", metavar="IN", type=EXISTING_FILE)
@click.argument("target", metavar="OUT", type=NEW_FILE)
@click.option("--bits", type=click.IntRange(1, 16), help="IN holds codes of so many bits.")
@click.option(
    "--step",
    type=click.FloatRange(min=0, min_open=True),
    help="IN holds multiples of this, such as 1 for heights in whole metres.",
)
@click.option(
    "--levels",
    type=EXISTING_FILE,
    help="IN holds codes from 0, whose levels are the rising numbers in this file, one more than codes.",
)
@click.option(
    "--codes",
    type=click.Choice(["auto", "low", "high", "stretched"]),
    default="auto",
    show_default=True,
    help="Where the codes of --bits stand in longer samples; auto: the values tell.",
)
@click.option(
    "--rounding",
    type=click.Choice(["floor", "nearest"]),
    default="floor",
    show_default=True,
    help="How the codes were made: rounded down, or to the nearest.",
)
@click.option(
    "--depth",
    type=click.Choice(["8", "16", "float32", "float64"]),
    help="Of OUT; default: 16 in PNG; in others and with --step float32, or float64 where needed.",
)
@click.option(
    "--model",
    type=click.Choice(["plate", "membrane", "blend", "distance"]),
    default="plate",
    show_default=True,
    help="distance: linear between contours; rough, and fast.",
)
@click.option(
    "--tension",
    type=click.FloatRange(min=0, min_open=True),
    metavar="LENGTH",
    help="Blend: pixels beyond which the plate acts as a membrane; noisy photographs: 4.",
)
@click.option("--mask", type=EXISTING_FILE, help="Image that is not 0 where pixels are left as they are.")
@click.option("--textured", is_flag=True, help="Leave textured regions as they are.")
@click.option(
    "--mask-mode",
    type=click.Choice(["bridge", "cut"]),
    default="bridge",
    show_default=True,
    help="Let the plate span what is left as it is, or end there.",
)
@click.option(
    "--boundary",
    type=click.Choice(["free", "even"]),
    default="free",
    show_default=True,
    help="At the border: a free plate, or a mirror.",
)
@click.option(
    "--relax",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Widen each bin by this part of it to both sides, for dither and noise.",
)
@click.option(
    "--anomaly-passes",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Times to drop pixels that stick out at a contour, and solve again.",
)
@click.option(
    "--tol",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-4,
    show_default=True,
    help="Part by which the energy may lie above the least one.",
)
@click.option("--max-cycles", type=click.IntRange(min=1), default=500, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it is there already.")
@click.pass_context
def dequantize(ctx: click.Context, source: Path, target: Path, **options: Any) -> None:
    """Find smooth values between the levels of IN, and write them to OUT.

    Takes away the false contours of images with few bits: each pixel stays within the bin of its code, and
    over the image the values bend as little as they can. Of an 8-bit photograph, for instance,

        fastimg dequantize sky.png smooth.png --bits 8

    makes one of 16 bits, and of heights in whole metres

        fastimg dequantize dem.tif smooth.tif --step 1 --rounding nearest

    makes fractions of metres. Reads PNG, TIFF, GeoTIFF, NumPy, and pictures such as JPEG and BMP; writes
    the first four. Colours, bands and the images of a stack are worked on one by one; alpha stays as it is,
    and so do the pixels of a GeoTIFF that have no data, its georeferencing, and the colour space and texts
    of a PNG.

    With --bits, integers in OUT span the whole range: codes that were rounded down become its high bits, so
    8 bits in 16 are OUT // 256, and those rounded to the nearest are OUT / 257, rounded. Floats, and
    everything with --step, are on the scale of IN, and with --levels on that of the levels.

    Codes with fewer bits than the samples of IN may be low (12-bit values up to 4095 in 16 bits), high
    (posterised: multiples of 16 for 4 bits in 8) or stretched (multiples of 17, up to 255).
    """
    from fastimg import _dequantize_files as work

    solver = {"model": options.pop("model")}
    arguments = {argument: options.pop(option) for argument, option in _SOLVER.items()}
    if solver["model"] != "distance":
        solver |= arguments
    else:
        _refuse_given(ctx, _SOLVER.values(), "--model distance")
    if solver["model"] == "blend" and solver["tension_length"] is None:
        raise click.UsageError("--model blend needs --tension LENGTH")
    if solver["model"] in ("plate", "membrane"):
        _refuse_given(ctx, ["tension"], f"--model {solver['model']}")
    if ctx.get_parameter_source("mask_mode") is not ParameterSource.COMMANDLINE:
        solver.pop("mask_mode", None)
    if options["bits"] is None:
        _refuse_given(ctx, ["codes"], "no --bits")
    if options["levels"] is not None:
        _refuse_given(ctx, ["rounding"], "--levels, which are the edges of the bins")
    with input_errors(), plain_warnings():
        # no bar where standard error is not a terminal
        summary = work.run(work.Job(source, target, **options, solver=solver), progress=sys.stderr.isatty())
    click.echo(f"{target}: {summary}")


def _refuse_given(ctx: click.Context, names: Any, reason: str) -> None:
    """Refuse options that mean nothing beside others."""
    for name in names:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is given with {reason}")
