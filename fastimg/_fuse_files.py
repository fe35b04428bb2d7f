"""Fusion from file to file: what the commands ``fastimg fuse`` and ``fastimg fuse-simulate`` do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastimg import _fuse_quality
from fastimg._fuse_places import blur_of, coarse_transform
from fastimg._fuse_samples import Measured, Rounded
from fastimg.fusion import denoise_total_variation, denoise_wiener, fuse_scene, simulate_pair
from fastimg.io._atomic import check_target
from fastimg.io._envi import files_of
from fastimg.io.cubes import Cube, create_cube, cube_format, open_cube, split_name
from fastimg.io.responses import read_spectral_response

__all__ = ["Job", "Summary", "run", "simulate"]

# What `fuse_scene` takes, multispectral first
_DENOISE: dict[str, Any] = {
    "both": True,
    "hs": (None, denoise_total_variation),
    "ms": (denoise_wiener, None),
    "none": False,
}


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes
    ----------
    hyperspectral, multispectral, output : str
        Files that `fastimg.io.open_cube` reads and `fastimg.io.create_cube` writes.
    response, response_columns, wavelengths
        As of `fastimg.io.read_spectral_response`; wavelengths may be a file of numbers.
    ratio : int or None
        Fine pixels along a coarse one; None for what the shapes say.
    method, inverse, tile, halo, weight
        As of `fastimg.fusion.fuse_scene`.
    denoise : str
        Images that noise is taken out of: both, hs, ms or none.
    blur : str, float or tuple of float
        As of `fastimg._fuse_places.blur_of`.
    sample_format : str
        Dtype of the output.
    nodata : float or None
        Value that marks pixels without data in the output.
    reference : str or None
        Cube that the output is compared with.
    overwrite : bool
        Whether the output may be there.
    solver : mapping
        More arguments of `fastimg.fusion.fuse_scene`.
    """

    hyperspectral: str
    multispectral: str
    output: str
    response: str
    response_columns: tuple[int | str, ...] | None = None
    wavelengths: tuple[float, ...] | Path | None = None
    ratio: int | None = None
    method: Literal["hmwb", "arithmetic", "geometric", "gsa", "cnmf"] = "hmwb"
    inverse: Literal["pinv", "regression"] = "pinv"
    blur: str | float | tuple[float, ...] = "auto"
    weight: float | None = None
    denoise: Literal["both", "hs", "ms", "none"] = "both"
    tile: int | None = None
    halo: int | None = None
    sample_format: str = "float32"
    nodata: float | None = None
    reference: str | None = None
    overwrite: bool = False
    solver: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What came out.

    Attributes
    ----------
    shape : (int, int, int)
        Rows, columns and bands.
    dtype, method : str
        Of the output, and how it was made.
    tiles : int
        Squares that the scene was fused in.
    halo : int or None
        Pixels around each; None where there is one tile.
    missing : float
        Part of the pixels that has no data.
    clipped : float
        Part of the samples that lay beyond the range of the output's integers.
    quality : dict
        Names and values of what was measured against the reference; empty without one.
    """

    shape: tuple[int, int, int]
    dtype: str
    method: str
    tiles: int
    halo: int | None
    missing: float = 0.0
    clipped: float = 0.0
    quality: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return one line."""
        rows, columns, bands = self.shape
        parts = [f"{rows}×{columns} pixels, {bands} bands, {self.dtype}, {self.method}"]
        if self.tiles > 1:
            parts.append(f"{self.tiles} tiles with a halo of {self.halo} pixels")
        if self.missing:
            parts.append(f"{100 * self.missing:.1f} % of the pixels without data")
        if self.clipped:
            parts.append(f"{100 * self.clipped:.2g} % of the samples clipped to the range of {self.dtype}")
        return ", ".join(parts)

    def table(self) -> list[str]:
        """Return the lines of the table of quality."""
        return [f"{name:<12} {value:.5g}" for name, value in self.quality.items()]

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON holds."""
        return asdict(self)


def run(job: Job, *, progress: bool = False) -> Summary:
    """Fuse two files.

    Raises
    ------
    ValueError, TypeError, OSError, ImportError
        If something about the job is wrong; nothing has been computed or written then.
    """
    _check_output(job.output, job, job.overwrite)
    with ExitStack() as opened:
        hyperspectral = opened.enter_context(open_cube(job.hyperspectral))
        multispectral = opened.enter_context(open_cube(job.multispectral))
        ratio = _ratio(job, hyperspectral, multispectral)
        wavelengths = _wavelengths(job.wavelengths, hyperspectral)
        response = read_spectral_response(
            job.response,
            shape=(multispectral.shape[2], hyperspectral.shape[2]),
            wavelengths=wavelengths,
            columns=job.response_columns,
        )
        shape = (*multispectral.shape[:2], hyperspectral.shape[2])
        if job.reference is not None:
            _check_reference(job.reference, shape)
        blur = blur_of(job.blur, ratio, hyperspectral, multispectral)
        nodata = _nodata(job, hyperspectral, multispectral)
        with create_cube(
            job.output, shape, job.sample_format, like=multispectral, bands_like=hyperspectral,
            wavelengths=wavelengths, nodata=nodata,
        ) as writer:  # fmt: skip
            rounded = Rounded(writer, nodata)
            info = fuse_scene(
                Measured(hyperspectral), Measured(multispectral), rounded, spectral_response=response,
                ratio=ratio, method=job.method, spectral_inverse=job.inverse, denoise=_DENOISE[job.denoise],
                blur=blur, weight=job.weight, tile=job.tile, halo=job.halo, progress=progress, **job.solver,
            )  # fmt: skip
    return Summary(
        shape,
        job.sample_format,
        job.method,
        info.tiles,
        info.halo,
        rounded.missing / (shape[0] * shape[1]),
        rounded.clipped / np.prod(shape),
        {} if job.reference is None else _fuse_quality.quality(job.output, job.reference, ratio, nodata),
    )


def simulate(
    reference: str,
    hyperspectral: str,
    multispectral: str,
    *,
    response: str,
    response_columns: tuple[int | str, ...] | None,
    wavelengths: tuple[float, ...] | Path | None,
    ratio: int,
    blur: str | float | tuple[float, ...],
    snr_h: float,
    snr_m: float,
    seed: int,
    overwrite: bool,
) -> list[str]:
    """Make two files of one, and return a line about each, and one with the options that fuse them.

    The blur "auto" is "none" here.

    Raises
    ------
    ValueError, TypeError, OSError, ImportError
        If something is wrong; nothing has been written then.
    """
    if Path(hyperspectral).absolute() == Path(multispectral).absolute():
        raise ValueError(f"HS and MS are both {hyperspectral}; accepted are two files")
    for target in (hyperspectral, multispectral):
        _check_output(target, (reference, response), overwrite)
    with open_cube(reference) as cube:
        middles = _wavelengths(wavelengths, cube)
        matrix = read_spectral_response(
            response, shape=(None, cube.shape[2]), wavelengths=middles, columns=response_columns
        )
        values = cube.read().astype(Measured(cube).dtype)
        if not np.isfinite(values).all():
            raise ValueError(f"{reference} holds NaN or infinite samples; accepted are finite ones")
        # no places say here what is seen
        blur = "none" if blur == "auto" else blur
        sight = blur_of(blur, ratio, cube, cube)
        pair = simulate_pair(values, matrix, ratio=ratio, blur=sight, snr_h=snr_h, snr_m=snr_m, rng=seed)
        with ExitStack() as both:
            coarse = both.enter_context(
                create_cube(
                    hyperspectral, pair[0].shape, np.float32, like=_coarse(cube, pair[0].shape, ratio, blur),
                    bands_like=cube, wavelengths=middles,
                )
            )  # fmt: skip
            fine = both.enter_context(create_cube(multispectral, pair[1].shape, np.float32, like=cube))
            for writer, made in ((coarse, pair[0]), (fine, pair[1])):
                writer[:] = made.astype(np.float32)
    lines = [
        f"{path}: {made.shape[0]}×{made.shape[1]} pixels, {made.shape[2]} bands"
        for path, made in zip((hyperspectral, multispectral), pair, strict=True)
    ]
    return [*lines, f"fuse them with --ratio {ratio} --blur {_option(blur)}"]


def _coarse(cube: Cube, shape: tuple[int, int, int], ratio: int, blur: Any) -> Cube:
    """The cube as if of the coarse pixels, for their place; what else its file says is of the fine ones."""
    transform = None if cube.transform is None else coarse_transform(cube.transform, ratio, blur)
    return replace(cube, shape=shape, transform=transform, extras={})


def _option(blur: str | float | tuple[float, ...]) -> str:
    """A blur as it is given to the command."""
    if isinstance(blur, str):
        return blur
    return ",".join(map(repr, blur)) if isinstance(blur, tuple) else repr(blur)


def _check_output(output: str, sources: Any, overwrite: bool) -> None:
    """See whether a cube can be written, before the work that makes it."""
    path, _ = split_name(output)
    form = cube_format(path)
    if isinstance(sources, Job):
        named = (sources.hyperspectral, sources.multispectral, sources.response, sources.reference)
        sources = [name for name in named if name is not None]
    read = [split_name(source)[0] for source in sources]
    targets = {path}
    if form.name == "ENVI":
        # header and samples, of what is read too
        targets |= {file for file in (path.with_suffix(".hdr"), *files_of(path)) if file is not None}
        read += [file for source in read for file in files_of(source) if file is not None]
    for target in sorted(targets):
        check_target(target, *read, overwrite=overwrite)


def _ratio(job: Job, hyperspectral: Cube, multispectral: Cube) -> int:
    """Fine pixels along a coarse one, as asked for or as the shapes say."""
    coarse, fine = hyperspectral.shape[:2], multispectral.shape[:2]
    ratio = job.ratio or max(1, round(fine[0] / coarse[0]))
    if ratio < 2 or fine != tuple(ratio * length for length in coarse):
        if job.ratio is None:
            accepted = "fine pixels that are a multiple of the coarse ones, and not the same"
        else:
            accepted = "×".join(str(length * ratio) for length in coarse)
        raise ValueError(
            f"{job.multispectral} has {fine[0]}×{fine[1]} pixels and {job.hyperspectral} "
            f"{coarse[0]}×{coarse[1]}; accepted are {accepted} (axes are rows, columns, bands)"
        )
    return ratio


def _wavelengths(given: tuple[float, ...] | Path | None, cube: Cube) -> NDArray[np.float64] | None:
    """The wavelengths that were given, or those of the file."""
    if given is None:
        return cube.wavelengths
    if isinstance(given, Path):
        try:
            text = given.read_text(encoding="utf-8-sig").replace(",", " ").replace(";", " ")
            given = tuple(float(word) for word in text.split())
        except ValueError as error:  # an undecodable file too
            raise ValueError(f"--wavelengths: {given} holds more than numbers: {error}") from error
    if len(given) != cube.shape[2]:
        raise ValueError(
            f"--wavelengths are {len(given)}; {cube.path} has {cube.shape[2]} bands; accepted are "
            f"{cube.shape[2]}, one for each band"
        )
    middles = np.array(given)
    if not (np.isfinite(middles).all() and (middles > 0).all()):
        raise ValueError("--wavelengths hold numbers that are not above 0; accepted are nanometres")
    return middles


def _nodata(job: Job, hyperspectral: Cube, multispectral: Cube) -> float | None:
    """The value that marks pixels without data in the output."""
    dtype = np.dtype(job.sample_format)
    known = (job.nodata, hyperspectral.nodata, multispectral.nodata)
    nodata = next((value for value in known if value is not None), None)
    if nodata is None:
        return float("nan") if dtype.kind == "f" else None
    if dtype.kind in "iu":
        range_ = np.iinfo(dtype)
        if not (float(nodata).is_integer() and range_.min <= nodata <= range_.max):
            raise ValueError(
                f"pixels without data are marked by {nodata:g}, which {dtype} does not hold; accepted for "
                f"--nodata are integers from {range_.min} to {range_.max}"
            )
    return nodata


def _check_reference(name: str, shape: tuple[int, ...]) -> None:
    _fuse_quality.check_packages()
    with open_cube(name) as reference:
        if reference.shape != shape:
            raise ValueError(
                f"{name} has the shape {reference.shape}; accepted is that of the result, {shape}"
            )
