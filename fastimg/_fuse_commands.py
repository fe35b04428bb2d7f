"""The commands ``fastimg fuse`` and ``fastimg fuse-simulate``."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fastimg._command_messages import input_errors, plain_warnings

__all__ = ["fuse", "simulate"]

POSITIVE = click.FloatRange(min=0, min_open=True)

# What a shell reports of a program that Ctrl-C ended: 128 + SIGINT
_INTERRUPTED = 130

# Options of the barycenter alone; the other methods have none of them
_BARYCENTER = ("iterations", "gamma_m", "gamma_h", "alpha_m", "alpha_h", "extent", "precision")


class _ExistingArray(click.ParamType):
    """A file that is there, or an array in one, as in scene.h5:/cube."""

    name = "FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from fastimg.io.cubes import split_name

        path, _ = split_name(value)
        if not path.is_file():
            self.fail(f"file {os.fspath(path)!r} does not exist", param, ctx)
        return os.fspath(value)


class _Wavelengths(click.ParamType):
    """Wavelengths of bands: first:last:bands, numbers with commas, or a file of numbers."""

    name = "FIRST:LAST:BANDS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if Path(value).is_file():
            return Path(value)
        try:
            if value.count(":") == 2:
                first, last, bands = value.split(":")
                number = int(bands)
                step = (float(last) - float(first)) / max(number - 1, 1)
                return tuple(float(first) + step * band for band in range(number))
            return tuple(float(number) for number in value.split(","))
        except ValueError:
            self.fail(
                f"{value!r} is neither first:last:bands, as in 430:860:103, nor numbers with commas, nor a "
                "file",
                param,
                ctx,
            )


class _Blur(click.ParamType):
    """What a coarse pixel sees: a name, the width of a Gaussian, or taps."""

    name = "BLUR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from fastimg._fuse_places import BLURS

        if not isinstance(value, str) or value in BLURS:
            return value
        try:
            taps = tuple(float(number) for number in value.split(","))
        except ValueError:
            self.fail(
                f"{value!r} is none of {', '.join(BLURS)}, nor a width in pixels, nor taps such as 1,2,1",
                param,
                ctx,
            )
        return taps[0] if len(taps) == 1 else taps


class _Columns(click.ParamType):
    """Columns of a table: numbers, ranges of them, and names, with commas."""

    name = "COLUMNS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        columns: list[int | str] = []
        for part in (part.strip() for part in value.split(",")):
            found = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
            if found is None:
                columns.append(part)
            else:
                columns += range(int(found[1]), int(found[2] or found[1]) + 1)
        if not columns or "" in columns:
            self.fail(f"{value!r} names no columns; accepted are such as 2-5 and blue,green,red", param, ctx)
        return tuple(columns)


def _options(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Return one decorator that is all of these, in their order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_sensors = _options(
    click.option(
        "--response",
        type=_ExistingArray(),
        required=True,
        help="How the multispectral bands see the hyperspectral ones: a matrix, or curves over wavelengths.",
    ),
    click.option(
        "--response-columns",
        type=_Columns(),
        help="The curves in --response, counted from 1 after the wavelengths, or their names: 2-5; nir,red.",
    ),
    click.option(
        "--wavelengths",
        type=_Wavelengths(),
        help="Of the hyperspectral bands in nm: 430:860:103, numbers with commas, or a file; default: HS's.",
    ),
)

_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace what is there already.")


@click.command()
@click.argument("hyperspectral", metavar="HS", type=_ExistingArray())
@click.argument("multispectral", metavar="MS", type=_ExistingArray())
@click.option("-o", "--output", metavar="FILE", required=True, help="Cube to write.")
@_sensors
@click.option(
    "--ratio", type=click.IntRange(min=2), help="Pixels of MS along one of HS; default: as their shapes say."
)
@click.option(
    "--method",
    type=click.Choice(["hmwb", "gsa", "cnmf", "arithmetic", "geometric"]),
    default="hmwb",
    show_default=True,
    help="hmwb: barycenter of optimal transport.",
)
@click.option(
    "--blur",
    type=_Blur(),
    default="auto",
    show_default=True,
    help="What a pixel of HS sees: block, the pixels of MS that it covers; none, that at its first corner; "
    "starck-murtagh; the width of a Gaussian in pixels of MS; taps, 1,4,6,4,1. auto: block or none, as the "
    "places in the files say, or none; of a simulated pair, give what fuse-simulate says.",
)
@click.option(
    "--inverse",
    type=click.Choice(["pinv", "regression"]),
    default="pinv",
    show_default=True,
    help="How spectra are made of MS: least norm, or as HS follows its own bands of MS.",
)
@click.option("--iterations", type=click.IntRange(min=1), default=150, show_default=True)
@click.option(
    "--weight",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Of MS, between 0 and 1; default: 0.1, of the two means 0.5.",
)
@click.option("--gamma-m", type=POSITIVE, default=1e-6, show_default=True, help="Regularisation of MS.")
@click.option("--gamma-h", type=POSITIVE, default=1e-4, show_default=True, help="Regularisation of HS.")
@click.option(
    "--alpha-m", type=POSITIVE, default=1e-3, show_default=True, help="MS: cost along the spectrum."
)
@click.option(
    "--alpha-h", type=POSITIVE, default=501.0, show_default=True, help="HS: cost along the spectrum."
)
@click.option(
    "--extent",
    type=click.IntRange(min=2),
    metavar="PIXELS",
    help="Pixels of MS over which the plane counts as 1 wide; 128 keeps the kernels' widths on large scenes; "
    "default: the scene.",
)
@click.option(
    "--denoise",
    type=click.Choice(["both", "hs", "ms", "none"]),
    default="both",
    show_default=True,
    help="Which images noise is taken out of first.",
)
@click.option("--no-denoise", is_flag=True, help="Take both images as they are: --denoise none.")
@click.option(
    "--tile",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Fuse squares of so many pixels of MS at a time; default: 256, or the whole if it is smaller.",
)
@click.option(
    "--halo",
    type=click.IntRange(min=0),
    metavar="PIXELS",
    help="Around each square; default: what the kernels reach, 16 at least.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "mixed", "float64"]),
    default="auto",
    show_default=True,
    help="Of the iterations.",
)
@click.option(
    "--format",
    "sample_format",
    type=click.Choice(["float32", "float64", "uint8", "int16", "uint16", "int32"]),
    default="float32",
    show_default=True,
    help="Of the samples; integers are rounded to the nearest and clipped to their range.",
)
@click.option("--nodata", type=float, help="Marks pixels without data in OUTPUT; default: as in HS, or MS.")
@click.option("--reference", metavar="FILE", type=_ExistingArray(), help="True cube to compare OUTPUT with.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_OVERWRITE
@click.pass_context
def fuse(ctx: click.Context, hyperspectral: str, multispectral: str, output: str, **options: Any) -> None:
    """Fuse HS, a hyperspectral cube of coarse pixels, with MS, a multispectral one of fine pixels.

    OUTPUT has the pixels of MS and the bands of HS, on the scale of HS:

        fastimg fuse hs.hdr ms.tif --response camera.csv -o fused.tif

    Reads and writes ENVI (.hdr), GeoTIFF, MATLAB (.mat), HDF5 and NumPy (.npy, .npz); where a file holds
    several arrays, one is named: scene.h5:/group/cube. Axes are rows, columns, bands. The place of MS on
    the Earth and the wavelengths of HS stay. Pixels without data stay so, and a coarse one without data takes
    its fine ones with it.

    --response is a matrix, one row a band of MS and one column a band of HS, or a table whose first column
    are wavelengths; such curves are interpolated at the wavelengths of HS, and each sums to 1.

    Scenes larger than memory are fused square by square, with what has to be known of the whole, as sums and
    noise, found before; the result is that of the whole.
    """
    from fastimg import _fuse_files as work

    method, as_json = options["method"], options.pop("as_json")
    if method != "hmwb":
        _refuse_given(ctx, _BARYCENTER, f"--method {method}")
    if method in ("gsa", "cnmf"):
        _refuse_given(ctx, ("inverse", "weight", "denoise", "no_denoise"), f"--method {method}")
        _refuse_given(ctx, ("tile", "halo"), f"--method {method}, which takes the scene as a whole")
    if options.pop("no_denoise"):
        _refuse_given(ctx, ("denoise",), "--no-denoise")
        options["denoise"] = "none"
    solver = {name: options.pop(name) for name in _BARYCENTER}
    job = work.Job(hyperspectral, multispectral, output, **options, solver=solver if method == "hmwb" else {})
    summary = _unless_interrupted(ctx, output, lambda: work.run(job, progress=sys.stderr.isatty()))
    if as_json:
        click.echo(json.dumps(summary.as_dict(), indent=2))
        return
    click.echo(f"{output}: {summary}")
    for line in summary.table():
        click.echo(line)


@click.command("fuse-simulate")
@click.argument("reference", metavar="CUBE", type=_ExistingArray())
@click.argument("hyperspectral", metavar="HS")
@click.argument("multispectral", metavar="MS")
@_sensors
@click.option("--ratio", type=click.IntRange(min=2), default=4, show_default=True)
@click.option(
    "--blur",
    type=_Blur(),
    default="starck-murtagh",
    show_default=True,
    help="What a pixel of HS sees; as in fuse, which needs the same; auto: none.",
)
@click.option("--snr-h", type=float, default=30.0, show_default=True, help="Of HS in dB, band by band.")
@click.option("--snr-m", type=float, default=40.0, show_default=True, help="Of MS in dB, band by band.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the noise.")
@_OVERWRITE
@click.pass_context
def simulate(
    ctx: click.Context, reference: str, hyperspectral: str, multispectral: str, **options: Any
) -> None:
    """Make of CUBE the pair HS and MS that two instruments would see, to try `fastimg fuse` on.

    HS is CUBE blurred and sampled at every --ratio-th pixel, MS is what --response makes of its spectra, both
    with noise. CUBE is then the --reference of the fusion. The --ratio and --blur that match are printed, and
    HS lies where its samples were taken.
    """
    from fastimg import _fuse_files as work

    made = _unless_interrupted(
        ctx, hyperspectral, lambda: work.simulate(reference, hyperspectral, multispectral, **options)
    )
    for line in made:
        click.echo(line)


def _unless_interrupted(ctx: click.Context, output: str, work: Callable[[], Any]) -> Any:
    """The result of work whose errors are messages, and whose end by Ctrl-C is an exit code."""
    try:
        with input_errors(), plain_warnings():
            return work()
    except (KeyboardInterrupt, RuntimeError) as error:
        # Numba makes a RuntimeError of an interrupt that comes while it loads a kernel
        if not (isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt)):
            raise
        click.echo(f"stopped; {output} was not written", err=True)
        ctx.exit(_INTERRUPTED)


def _refuse_given(ctx: click.Context, names: Any, reason: str) -> None:
    """Refuse options that mean nothing beside others."""
    for name in names:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is given with {reason}")
