"""Images sample by sample, with what their files say besides: alpha, missing pixels, georeferencing.

`fastimg.io.images` reads gray images to be computed with; this module reads what has to come back as a file
of the same kind. One table, ``RASTER_FORMATS``, says what is read and written.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastimg.io import _geotiff, png
from fastimg.io._atomic import replaced_when_whole

__all__ = ["RASTER_FORMATS", "Raster", "RasterFormat", "format_of", "read_raster", "write_raster"]


@dataclass(frozen=True, eq=False)
class Raster:
    """The image of a file.

    Attributes
    ----------
    planes : ndarray, (N, H, W)
        The channels, bands or images of a stack, in the dtype of the file.
    depth : int or None
        Bits of a sample where these are unsigned integers; 12 in a TIFF of 12 bits, whose dtype is uint16.
    interleaved : bool
        Whether the planes are the colours of one image rather than images of their own.
    stacked : bool
        Whether the file has an axis for the planes; one gray image has none.
    alpha : ndarray, (H, W), or None
        In the dtype of the file.
    missing : ndarray of bool, (N, H, W), or None
        True where a pixel has no value: nodata of a GeoTIFF, or NaN.
    nodata : float or None
        The value that marks them.
    extras : mapping
        What else the file says, for a file of the same format: colour space, resolution, georeferencing.
    """

    planes: NDArray[Any]
    depth: int | None = None
    interleaved: bool = False
    stacked: bool = False
    alpha: NDArray[Any] | None = None
    missing: NDArray[np.bool_] | None = None
    nodata: float | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_georeferenced(self) -> bool:
        """Whether the file is a GeoTIFF."""
        return "geotiff" in self.extras


class RasterFormat(NamedTuple):
    """One family of files: how it is read, and how and in which dtypes it is written, if it is."""

    name: str
    suffixes: tuple[str, ...]
    package: str
    read: Callable[[Path], Raster]
    write: Callable[[Path, Raster], None] | None = None
    dtypes: tuple[str, ...] = ()


def read_raster(path: str | os.PathLike[str]) -> Raster:
    """Read the image of a file.

    Parameters
    ----------
    path : path-like
        The file; its suffix tells the format.

    Returns
    -------
    Raster

    Raises
    ------
    ImportError
        If the package that reads this file is not installed; the message says what to install. A GeoTIFF
        needs rasterio, because without it the georeferencing would be lost.
    ValueError
        If the suffix is not known, the file is damaged, or what it holds is neither an image nor a stack.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_raster(path, Raster(np.arange(6, dtype=np.uint8).reshape(1, 2, 3)))
    >>> read_raster(path).planes.shape, read_raster(path).depth
    ((1, 2, 3), 8)
    """
    path = Path(path)
    form = format_of(path)
    if importlib.util.find_spec(form.package) is None:
        raise ImportError(f"reading {form.name} files needs {form.package}: pip install 'fastimg[io]'")
    with path.open("rb"):  # an unreadable file is an OSError that names it, whichever package reads it
        pass
    try:
        raster = form.read(path)
    # Pillow reports a damaged file as SyntaxError, NumPy an empty one as EOFError
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if raster.planes.dtype.kind not in "iuf":
        raise ValueError(f"{path} holds {raster.planes.dtype}; accepted are real numbers")
    if 0 in raster.planes.shape:
        raise ValueError(f"{path} holds an empty image, shape {raster.planes.shape}")
    return raster


def write_raster(path: str | os.PathLike[str], raster: Raster) -> None:
    """Write an image to a file; all of it or nothing.

    Parameters
    ----------
    path : path-like
        The file to be written; its suffix tells the format. An existing file is replaced.
    raster : Raster
        Of ``extras``, those that the format has a place for are written.

    Raises
    ------
    ImportError
        If the package that writes this file is not installed.
    ValueError
        If the suffix is not known, or the format does not hold such planes.
    """
    path = Path(path)
    form = format_of(path)
    if form.write is None or (form.dtypes and raster.planes.dtype.name not in form.dtypes):
        accepted = ", ".join(form.dtypes) if form.write else "no dtype; it is only read"
        raise ValueError(f"{path} cannot hold {raster.planes.dtype}; {form.name} accepts {accepted}")
    if importlib.util.find_spec(form.package) is None:
        raise ImportError(f"writing {form.name} files needs {form.package}: pip install 'fastimg[io]'")
    with replaced_when_whole(path) as unfinished:
        form.write(unfinished, raster)


def format_of(path: Path) -> RasterFormat:
    """Return the format that a suffix stands for."""
    for form in RASTER_FORMATS:
        if path.suffix.lower() in form.suffixes:
            return form
    accepted = "; ".join(f"{form.name} ({', '.join(form.suffixes)})" for form in RASTER_FORMATS)
    raise ValueError(f"{path} has the suffix {path.suffix!r}; accepted are {accepted}")


def _read_png(path: Path) -> Raster:
    image = png.read_png(path)
    has_alpha = image.samples.shape[-1] in (2, 4)
    return _of_samples(image.samples, image.depth, {"chunks": image.chunks}, has_alpha=has_alpha)


def _write_png(path: Path, raster: Raster) -> None:
    if len(raster.planes) not in (1, 3) or (len(raster.planes) == 3 and not raster.interleaved):
        raise ValueError(
            f"a PNG cannot hold {len(raster.planes)} planes; accepted are gray and colours, stacks need TIFF "
            "or NumPy"
        )
    png.write_png(path, _array(raster), chunks=raster.extras.get("chunks", ()))


def _read_picture(path: Path) -> Raster:
    from imageio import v3 as imageio

    array = imageio.imread(path, plugin="pillow")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] > 4:
        raise ValueError(f"it holds an array of shape {array.shape}; accepted are gray and colours")
    depth = 8 * array.itemsize if array.dtype.kind == "u" else None
    return _of_samples(array, depth, has_alpha=array.shape[-1] in (2, 4))


def _read_tiff(path: Path) -> Raster:
    import tifffile

    with _geotiff.quiet_tifffile(), tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        if _geotiff.TAGS & {tag.code for tag in page.tags}:
            return Raster(**_geotiff.read(path))
        if len(file.series) > 1:
            raise ValueError(f"it holds {len(file.series)} series of images; accepted is one")
        if page.photometric.name not in ("MINISBLACK", "MINISWHITE", "RGB"):
            raise ValueError(f"its pixels are {page.photometric.name}; accepted are gray and RGB")
        series = file.series[0]
        array, axes = series.asarray(), series.axes
        depth = page.bitspersample if page.bitspersample <= 16 and array.dtype.kind == "u" else None
        extras = {"tiff": _tiff_extras(page)}
        more = [sample.name.lower() for sample in page.extrasamples]
    if axes.endswith("S"):
        if array.ndim != 3 or "unassalpha" in more[:-1] or "assocalpha" in more[:-1]:
            raise ValueError(f"it holds an array of shape {array.shape}; accepted is one image, alpha last")
        extras["tiff"]["extrasamples"] = more
        return _of_samples(array, depth, extras, has_alpha=more[-1:] in (["unassalpha"], ["assocalpha"]))
    return _of_stack(array, depth, extras)


def _tiff_extras(page: Any) -> dict[str, Any]:
    """What a page says of its image, as arguments of ``tifffile.imwrite``."""
    extras: dict[str, Any] = {"photometric": page.photometric.name.lower()}
    for name, key in (("InterColorProfile", "iccprofile"), ("ResolutionUnit", "resolutionunit")):
        if name in page.tags:
            extras[key] = page.tags[name].value
    if {"XResolution", "YResolution"} <= {tag.name for tag in page.tags}:
        extras["resolution"] = tuple(page.tags[name].value for name in ("XResolution", "YResolution"))
    # what describes the arrangement of the old samples would contradict the new ones
    if page.description and not page.is_imagej and not page.is_ome and not page.description.startswith("{"):
        extras |= {"description": page.description, "metadata": None}
    return extras


def _write_tiff(path: Path, raster: Raster) -> None:
    if raster.is_georeferenced:
        _geotiff.write(path, raster.planes, raster.alpha, raster.nodata, raster.extras["geotiff"])
        return
    import tifffile

    colours = raster.interleaved and len(raster.planes) == 3
    settings: dict[str, Any] = {"photometric": "rgb" if colours else "minisblack"}
    if raster.alpha is not None:
        settings["extrasamples"] = ["unassalpha"]
    settings |= raster.extras.get("tiff", {})
    if raster.interleaved or raster.alpha is not None:
        settings["planarconfig"] = "contig"
    tifffile.imwrite(path, _array(raster), **settings)


def _read_numpy(path: Path) -> Raster:
    array = np.load(path, allow_pickle=False)
    return _of_stack(array, 8 * array.itemsize if array.dtype in (np.uint8, np.uint16) else None)


def _write_numpy(path: Path, raster: Raster) -> None:
    np.save(path, _array(raster))


def _of_samples(
    array: NDArray[Any], depth: int | None, extras: Mapping[str, Any] | None = None, *, has_alpha: bool
) -> Raster:
    """An image (H, W, C), whose last sample may be its alpha."""
    samples = np.moveaxis(array, -1, 0)
    planes, alpha = (samples[:-1], samples[-1]) if has_alpha else (samples, None)
    interleaved = len(planes) > 1
    return Raster(planes, depth, interleaved, alpha=alpha, **_missing(planes), extras=extras or {})


def _of_stack(array: NDArray[Any], depth: int | None, extras: Mapping[str, Any] | None = None) -> Raster:
    if array.ndim not in (2, 3):
        raise ValueError(
            f"it holds an array of shape {array.shape}; accepted are an image (H, W) and a stack (N, H, W)"
        )
    planes = array[None] if array.ndim == 2 else array
    return Raster(planes, depth, stacked=array.ndim == 3, **_missing(planes), extras=extras or {})


def _missing(planes: NDArray[Any]) -> dict[str, Any]:
    """Where there is NaN, and that it marks missing pixels."""
    if planes.dtype.kind != "f" or not np.isnan(planes).any():
        return {}
    return {"missing": np.isnan(planes), "nodata": float("nan")}


def _array(raster: Raster) -> NDArray[Any]:
    """One image (H, W), samples (H, W, C) with the alpha last, or a stack (N, H, W)."""
    if raster.interleaved or raster.alpha is not None:
        planes = list(raster.planes) if raster.alpha is None else [*raster.planes, raster.alpha]
        return np.stack(planes, axis=-1)
    return raster.planes if raster.stacked else raster.planes[0]


RASTER_FORMATS = (
    RasterFormat("PNG", (".png",), "numpy", _read_png, _write_png, ("uint8", "uint16")),
    RasterFormat("TIFF", (".tif", ".tiff"), "tifffile", _read_tiff, _write_tiff),
    RasterFormat("NumPy", (".npy",), "numpy", _read_numpy, _write_numpy),
    RasterFormat(
        "picture, only read",
        (".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".webp"),
        "imageio",
        _read_picture,
    ),
)
