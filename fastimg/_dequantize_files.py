"""De-quantization from file to file: what the command ``fastimg dequantize`` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg._dequantize_codes import Codes, codes_of_bits, codes_of_levels, codes_of_steps
from fastimg.dequantization import dequantize, distance_interpolation, textured_regions
from fastimg.io._atomic import check_target
from fastimg.io.images import read_images
from fastimg.io.raster import Raster, format_of, read_raster, write_raster

__all__ = ["DEPTHS", "Job", "Summary", "run"]

DEPTHS = {"8": "uint8", "16": "uint16", "float32": "float32", "float64": "float64"}

_FLOATS = ("float32", "float64")

# The depth that a format gets where none is asked for
_USUAL_DEPTH = {"PNG": "16"}

# Floats have to tell so many values within a bin
_ROOM = 2**8


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes
    ----------
    source, target : pathlib.Path
        Files that `fastimg.io.raster` reads and writes.
    bits, step, levels
        What the values are: codes of so many bits, multiples of a step, or codes of the levels in a file.
        Exactly one is given.
    codes, rounding : str
        Of `fastimg._dequantize_codes.codes_of_bits`.
    depth : {"8", "16", "float32", "float64"} or None
        Of the target; None for its format's own, and the first float that holds the values.
    mask : pathlib.Path or None
        Image of the pixels that are left alone: where it is not 0.
    textured : bool
        Whether textured regions are left alone too.
    overwrite : bool
        Whether the target may be there.
    solver : mapping
        Arguments of `fastimg.dequantization.dequantize`. With ``model="distance"``, distances between
        contours are interpolated, and no others are accepted. ``mask_mode`` is there only where it was
        asked for.
    """

    source: Path
    target: Path
    bits: int | None = None
    step: float | None = None
    levels: Path | None = None
    codes: str = "auto"
    rounding: str = "floor"
    depth: str | None = None
    mask: Path | None = None
    textured: bool = False
    overwrite: bool = False
    solver: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What came out.

    Attributes
    ----------
    shape : (int, int, int)
        Planes, rows and columns.
    dtype : str
        Of the target.
    left_alone : float
        Part of the pixels that is as it was.
    textured, released : int or None
        Pixels that were left alone because they are textured, and those that lost their bins as anomalies;
        None where neither was asked for.
    cycles, energy, converged
        Of all planes together; None where distances were interpolated.
    """

    shape: tuple[int, ...]
    dtype: str
    left_alone: float
    textured: int | None = None
    released: int | None = None
    cycles: int | None = None
    energy: float | None = None
    converged: bool | None = None

    def __str__(self) -> str:
        """Return one line."""
        count, height, width = self.shape
        planes = "" if count == 1 else f"{count} planes of "
        parts = [f"{planes}{height}×{width} pixels, {self.dtype}"]
        if self.left_alone:
            parts.append(f"{100 * self.left_alone:.1f} % left alone")
        if self.textured is not None:
            parts.append(f"{_pixels(self.textured)} left alone as textured")
        if self.released is not None:
            parts.append(f"{_pixels(self.released)} released as anomalies")
        if self.cycles is not None:
            parts.append(f"{self.cycles} cycles, energy {self.energy:.6g}")
            parts.append("converged" if self.converged else "not converged")
        return ", ".join(parts)


def _pixels(count: int) -> str:
    return f"{count} pixel{'' if count == 1 else 's'}"


def run(job: Job, *, progress: bool = False) -> Summary:
    """De-quantize a file.

    Raises
    ------
    ValueError, TypeError, OSError, ImportError
        If something about the job is wrong; nothing has been computed or written then.
    """
    check_target(job.target, job.source, *filter(None, [job.mask, job.levels]), overwrite=job.overwrite)
    depth = _depth(job)
    levels = None if job.levels is None else _read_levels(job.levels)
    raster = read_raster(job.source)
    _check_target_holds(job, raster, depth)
    _check_mask_mode(job, raster)
    left = _left_alone(job, raster)
    with _named(job.source):
        codes = _codes(job, raster, levels, ~left)
        if depth in _FLOATS:
            depth = _float_depth(job, raster, codes)
    if depth not in _FLOATS:
        _check_depth(job, codes, int(depth))
    codes = replace(codes, codes=_filled(codes.codes, left))
    textured = None
    if job.textured:
        more = textured_regions(codes.codes) & ~left
        left, textured = left | more, int(more.sum())
    found, info = _dequantized(job, codes, left, progress)
    removed = None if info is None else info.removed
    result = _result(raster, codes, found, left, depth, _free(job, removed))
    write_raster(job.target, result)
    summary = Summary(raster.planes.shape, DEPTHS[depth], float(left.mean()), textured)
    if info is None:
        return summary
    return replace(
        summary,
        released=int(np.sum(info.removed)) if job.solver.get("anomaly_passes") else None,
        cycles=int(np.sum(info.cycles)),
        energy=float(np.sum(info.energy)),
        converged=bool(np.all(info.converged)),
    )


def _depth(job: Job) -> str:
    """The depth of the target: what was asked for, or what its format and the values call for."""
    given = [name for name in ("bits", "step", "levels") if getattr(job, name) is not None]
    if len(given) != 1:
        raise ValueError(
            f"{', '.join(f'--{name}' for name in given[:-1])} and --{given[-1]} are given; accepted is only "
            "one of --bits, --step and --levels"
            if given
            else "none of --bits, --step and --levels is given; accepted is one of them"
        )
    form = format_of(job.target)
    if form.write is None:
        raise ValueError(
            f"{job.target} would be of a format that is only read; accepted are .png, .tif, .npy"
        )
    usual = "float32" if job.step is not None else _USUAL_DEPTH.get(form.name, "float32")
    depth = job.depth or usual
    if form.dtypes and DEPTHS[depth] not in form.dtypes:
        raise ValueError(
            f"{job.target} cannot hold {DEPTHS[depth]}; accepted in {form.name} are "
            f"{' and '.join(form.dtypes)}, .tif and .npy hold all"
        )
    if job.step is not None and depth not in _FLOATS:
        raise ValueError(
            f"--depth is {depth} with --step; accepted are float32 and float64, in the units of the values"
        )
    if job.bits is not None and depth not in _FLOATS and int(depth) <= job.bits:
        raise ValueError(
            f"--depth is {depth} with codes of {job.bits} bits, which leaves nothing between them; accepted "
            f"are more than {job.bits} bits"
        )
    return depth


def _float_depth(job: Job, raster: Raster, codes: Codes) -> str:
    """The float that was asked for, or the first that holds the values and those between the levels."""
    known = raster.planes if raster.missing is None else raster.planes[~raster.missing]
    reason = ""
    for depth in (job.depth,) if job.depth else _FLOATS:
        dtype = np.dtype(DEPTHS[depth])
        if not _holds(dtype, known):
            reason = f"{depth} does not hold its values exactly"
        elif codes.room(dtype) < _ROOM:
            reason = f"{depth} does not have room for {_ROOM} values between two levels"
        else:
            return depth
    accepted = "is float64" if job.depth == "float32" else "are smaller values and larger steps"
    raise ValueError(f"{reason}; accepted {accepted}")


def _holds(dtype: np.dtype[Any], values: NDArray[Any]) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((values.astype(dtype).astype(values.dtype) == values).all())


def _check_mask_mode(job: Job, raster: Raster) -> None:
    """The mask mode means nothing where no pixel can be left alone."""
    masked = job.mask is not None or job.textured or raster.missing is not None or raster.nodata is not None
    if "mask_mode" in job.solver and not masked:
        raise ValueError(
            f"--mask-mode is given with no --mask and no --textured, and {job.source} has no missing pixels"
        )


def _check_depth(job: Job, codes: Codes, depth: int) -> None:
    """Integers have to hold the levels."""
    if codes.levels is not None and not (codes.levels[0] >= 0 and codes.levels[-1] <= 2**depth):
        raise ValueError(
            f"{job.levels} has levels from {codes.levels[0]:g} to {codes.levels[-1]:g}; --depth {depth} "
            f"holds 0 to {2**depth - 1}"
        )


def _check_target_holds(job: Job, raster: Raster, depth: str) -> None:
    name = format_of(job.target).name
    if name == "PNG" and (len(raster.planes) != 1 and not (raster.interleaved and len(raster.planes) == 3)):
        raise ValueError(
            f"{job.source} holds {len(raster.planes)} planes; {job.target} holds gray or colours, .tif and "
            ".npy hold stacks"
        )
    if raster.is_georeferenced and name != "TIFF":
        raise ValueError(
            f"{job.source} is georeferenced, and {job.target} would not be; accepted is a target .tif"
        )


def _left_alone(job: Job, raster: Raster) -> NDArray[np.bool_]:
    """Pixels that have no value, and those of the mask."""
    left = np.zeros(raster.planes.shape, bool) if raster.missing is None else raster.missing.copy()
    if job.mask is None:
        return left
    mask = read_images(job.mask)
    if len(mask) != 1 or mask.shape[1:] != raster.planes.shape[1:]:
        raise ValueError(
            f"{job.mask} has shape {mask.shape}; accepted is one image of the shape "
            f"{raster.planes.shape[1:]} of {job.source}"
        )
    return left | (mask != 0)


def _codes(job: Job, raster: Raster, levels: NDArray[np.float64] | None, used: NDArray[np.bool_]) -> Codes:
    if levels is not None:
        return codes_of_levels(raster.planes, levels, used=used)
    if job.step is not None:
        return codes_of_steps(raster.planes, job.step, rounding=job.rounding, used=used)
    assert job.bits is not None
    if raster.depth is None:
        raise ValueError(
            f"it holds {raster.planes.dtype}; --bits accepts unsigned samples of up to 16 bits, --step other "
            "numbers"
        )
    return codes_of_bits(
        raster.planes, raster.depth, job.bits, rounding=job.rounding, placement=job.codes, used=used
    )


def _read_levels(path: Path) -> NDArray[np.float64]:
    """Read levels: numbers in a text file, parted by commas or white space, or a NumPy array."""
    try:
        if path.suffix.lower() == ".npy":
            levels = np.load(path, allow_pickle=False)
        else:
            levels = np.array(path.read_text(encoding="utf-8").replace(",", " ").split(), np.float64)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as levels: {error}") from error
    rising = (
        levels.ndim == 1 and levels.size > 1 and levels.dtype.kind in "iuf" and (np.diff(levels) > 0).all()
    )
    if not rising or not np.isfinite(levels).all():
        raise ValueError(f"{path} holds {levels.size} numbers; accepted are two or more, finite and rising")
    return levels.astype(np.float64)


def _filled(codes: NDArray[np.integer], left: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Give pixels that are left alone the code of the nearest one that is not: no edge is seen there."""
    from scipy.ndimage import distance_transform_edt

    filled = codes.copy()
    for plane, empty in zip(filled, left, strict=True):
        if empty.any() and not empty.all():
            rows, columns = distance_transform_edt(empty, return_distances=False, return_indices=True)
            plane[:] = plane[rows, columns]
    return filled


def _dequantized(job: Job, codes: Codes, left: NDArray[np.bool_], progress: bool) -> tuple[Any, Any]:
    """The levels, and what the solver says of them, or None."""
    arguments = {**job.solver}
    with _named(job.source):
        if arguments.get("model") != "distance":
            return dequantize(
                codes.codes, **codes.settings, **arguments, mask=left if left.any() else None,
                dtype=np.float64, progress=progress, return_info=True,
            )  # fmt: skip
        return distance_interpolation(codes.codes, **codes.settings, dtype=np.float64), None


def _free(job: Job, removed: Any) -> NDArray[np.bool_] | bool:
    """Where the result may lie outside the bins of its codes."""
    if job.solver.get("relax"):
        return True
    return False if removed is None else np.asarray(removed)


def _result(
    raster: Raster,
    codes: Codes,
    found: NDArray[np.float64],
    left: NDArray[np.bool_],
    depth: str,
    free: NDArray[np.bool_] | bool,
) -> Raster:
    """The raster to be written: the levels found, and the values of the file where it was left alone."""
    dtype = np.dtype(DEPTHS[depth])
    scale = 1.0 if dtype.kind == "f" else codes.scale(int(depth))
    nodata = None if raster.nodata is None else _scaled(np.array(raster.nodata), scale, dtype)[()]
    values: NDArray[Any] = (
        codes.floats(found, dtype, free) if dtype.kind == "f" else codes.integers(found, int(depth), free)
    )
    planes = np.where(left, _scaled(raster.planes, scale, dtype), values)
    if nodata is not None:
        planes[raster.planes == raster.nodata] = nodata
        # a pixel that has a value must not become the one that marks those that have none
        clash = ~left & (planes == nodata)
        middle = codes.values(codes.middles)[clash]
        planes[clash] = np.nextafter(nodata, np.where(middle == nodata, np.inf, middle).astype(dtype))
    alpha = raster.alpha
    if alpha is not None:
        full = 1.0 if dtype.kind == "f" or raster.depth is None else 2**raster.depth - 1
        alpha = _scaled(alpha, (1.0 if dtype.kind == "f" else np.iinfo(dtype).max) / full, dtype)
    return replace(
        raster,
        planes=planes,
        depth=None,
        alpha=alpha,
        missing=None,
        nodata=None if nodata is None else float(nodata),
    )


def _scaled(values: NDArray[Any], scale: float, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            floats = values.astype(dtype)
        # what marks missing pixels in double precision may be too large
        return np.where(np.isinf(floats) & np.isfinite(values), dtype.type(np.nan), floats)
    return np.clip(np.rint(np.nan_to_num(values * scale)), 0, np.iinfo(dtype).max).astype(dtype)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the file's name into errors that lack it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
