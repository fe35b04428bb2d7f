"""Fusion of scenes that are larger than memory, tile by tile."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastimg._arrays import as_kernel_array
from fastimg.fusion._blur import as_blur
from fastimg.fusion._cnmf import cnmf
from fastimg.fusion._denoise import Denoise, chambolle, denoise_total_variation, denoise_wiener
from fastimg.fusion._gsa import gsa
from fastimg.fusion._hmwb import fuse_tile
from fastimg.fusion._inputs import as_matrix, as_response, as_weight
from fastimg.fusion._precision import CHOICES
from fastimg.fusion._scene_images import CoarseImage, coarse_image, fine_image
from fastimg.fusion._scene_measures import SceneMeasures, scene_measures
from fastimg.fusion._spectral_inverse import METHODS, inverse_from_sums, regression_sums
from fastimg.fusion._widths import extended, kernel_widths
from fastimg.transport._inputs import as_choice, as_positive, as_whole

__all__ = ["SceneInfo", "fuse_scene"]

# Fine pixels along a tile, unless others are asked for
_TILE = 256

# Pixels around a tile: at least so many
_HALO = 16

# An edge changes the scalings within a few widths of the kernel at once, and the iterations carry the change
# on as diffusion does, those of a measure of weight λ by the part 1 - λ of a step. Measured on Pavia Centre
# and on a synthetic scene: at 9 + 4.5 √((1 - λ) n) widths, no sample is off by more than 1e-5 of the mean
# in double precision, or 4e-5 in single, where (1 - λ) n is from 1 to 135.
_HALO_AT_ONCE = 9.0
_HALO_DIFFUSION = 4.5

_WEIGHTS = {"hmwb": 0.1, "arithmetic": 0.5, "geometric": 0.5}


class Windows(Protocol):
    """A cube of which windows are read: an array, a map of a file, a dataset of HDF5 or Zarr."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns and bands."""

    @property
    def dtype(self) -> Any:
        """Of the samples."""

    def __getitem__(self, key: tuple[slice, slice]) -> Any:
        """Return a window, (rows, columns, bands)."""


class WritableWindows(Protocol):
    """A cube of which windows are written."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns and bands."""

    def __setitem__(self, key: tuple[slice, slice], values: Any) -> None:
        """Write a window, (rows, columns, bands)."""


@dataclass(frozen=True)
class SceneInfo:
    """How a scene was fused.

    Attributes
    ----------
    tiles : int
        How many.
    halo : int
        Pixels around each of them that were fused with it.
    precisions : tuple of str
        In what the scalings were held at the end, over all tiles; empty for other methods.
    missing : int
        Pixels of the result that are NaN.
    """

    tiles: int
    halo: int
    precisions: tuple[str, ...] = ()
    missing: int = 0


class _Tile(NamedTuple):
    """Rows and columns of a tile, and those with the halo."""

    rows: slice
    cols: slice
    outer_rows: slice
    outer_cols: slice
    halo: int

    @property
    def inner(self) -> tuple[slice, slice]:
        """Where the tile lies in itself with the halo."""
        starts = self.outer_rows.start, self.outer_cols.start
        rows, cols = (
            slice(part.start - start, part.stop - start)
            for part, start in zip((self.rows, self.cols), starts, strict=True)
        )
        return rows, cols


def fuse_scene(
    hyperspectral: Windows,
    multispectral: Windows,
    out: WritableWindows,
    *,
    spectral_response: ArrayLike,
    ratio: int,
    method: Literal["hmwb", "arithmetic", "geometric", "gsa", "cnmf"] = "hmwb",
    blur: ArrayLike | float | None = None,
    weight: float | None = None,
    gamma_m: float = 1e-6,
    gamma_h: float = 1e-4,
    alpha_m: float = 1e-3,
    alpha_h: float = 501.0,
    iterations: int = 150,
    spectral_inverse: Literal["pinv", "regression"] | ArrayLike = "pinv",
    denoise: Denoise = True,
    precision: Literal["auto", "float32", "mixed", "float64", "log"] = "auto",
    extent: int | None = None,
    tile: int | None = None,
    halo: int | None = None,
    progress: bool = False,
) -> SceneInfo:
    """Fuse two images of a scene, of which only a tile has to fit into memory.

    Passes over the scene find what depends on all of it: noise, the spectral inverse, and the masses of the
    two estimates. Then each tile is fused with a halo around it. The result is that of the scene in one
    piece, as far as the halo is wide enough for the kernels.

    Parameters
    ----------
    hyperspectral : array-like by windows, (rows / ratio, cols / ratio, bands)
        Anything that has ``shape`` and ``dtype`` and gives windows for two slices: an array or a map of a
        file into memory, a dataset of HDF5 or Zarr, a `fastimg.io.Cube`. Pixels in which a band is NaN have
        no data.
    multispectral : array-like by windows, (rows, cols, channels)
        The same.
    out : array-like by windows, (rows, cols, bands)
        Takes floats, ``out[rows, cols] = values``, in the units of ``hyperspectral``; its ``dtype``,
        where it has one, is of floats, unless ``out`` can only be written and rounds by itself. They are NaN
        where ``multispectral``, or the sample of ``hyperspectral`` that lies nearest, has no data.
    spectral_response, ratio, blur, gamma_m, gamma_h, alpha_m, alpha_h, iterations, spectral_inverse
        As in ``hmwb``.
    method : {"hmwb", "arithmetic", "geometric", "gsa", "cnmf"}, optional
        The function that is computed: ``hmwb``, ``arithmetic_mean``, ``geometric_mean``, ``gsa`` or ``cnmf``.
        The last two take the scene as a whole, and every pixel needs data. They use none of the options
        below; all are checked, and ``weight``, ``tile`` and ``halo`` are refused.
    weight : float, optional
        λ as in ``hmwb``; by default 0.1, and 0.5 for the two means.
    denoise : bool or (callable or None, callable or None), optional
        As in ``hmwb``, but of functions only the library's own: ``denoise_wiener`` for m and
        ``denoise_total_variation`` for h, each or None. The hyperspectral image
        is kept in a temporary file if it is large.
    precision : {"auto", "float32", "mixed", "float64", "log"}, optional
        As in ``hmwb``, for each tile.
    extent : int, optional
        Fine pixels that the coordinates from 0 to 1 span on both axes of the plane; by default those of the
        scene, as in ``hmwb``. See Notes.
    tile : int, optional
        Fine pixels along a tile; by default 256.
    halo : int, optional
        Fine pixels around a tile; by default 16, or what tiles in double precision need to be off by less
        than 1e-5 of the mean: 9 + 4.5 √(λ iterations) widths of the kernel in the plane.
    progress : bool, optional
        Show a bar of the tiles.

    Returns
    -------
    SceneInfo

    Raises
    ------
    TypeError
        If a dtype is not accepted, an image or ``out`` is no array, or ``denoise`` is something else.
    ValueError
        If shapes do not agree, values are infinite, an image has no pixel with data, an estimate has no
        positive mean, or an option is not accepted.

    Notes
    -----
    In memory are about ten cubes of a tile with its halo, and of the hyperspectral image not more than 64 MB.

    The parameters' defaults were found on 128 × 128 pixels, where the kernel of the hyperspectral image has a
    width of 0.9 pixels. The kernels, and with them the halo, are as many times wider as a scene has more
    pixels along an axis; ``extent=128`` keeps their widths in pixels, whatever the scene.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.fusion import fuse_scene, simulate_pair
    >>> cube = np.random.default_rng(0).random((16, 16, 6)) + 1
    >>> response = np.repeat(np.eye(2), 3, axis=1) / 3
    >>> h, m = simulate_pair(cube, response, ratio=4)
    >>> fused = np.empty(cube.shape)
    >>> info = fuse_scene(h, m, fused, spectral_response=response, ratio=4, iterations=10, denoise=False)
    >>> info.tiles, bool(np.isfinite(fused).all())
    (1, True)
    """
    as_choice(method, "method", (*_WEIGHTS, *_WHOLE))
    _check_windows(hyperspectral, multispectral, out)
    dtype = np.result_type(_float(hyperspectral, "hyperspectral"), _float(multispectral, "multispectral"))
    ratio = as_whole(ratio, "ratio")
    shape = _shape(hyperspectral, multispectral, out, ratio)
    response = as_response(spectral_response, multispectral.shape[2], shape[2])
    if method in _WHOLE:
        if tile is not None or halo is not None:
            raise ValueError(f"tile or halo is given with {method!r}, which takes the scene as a whole")
        if weight is not None:
            raise ValueError(f"weight is {weight!r}; accepted with {method!r}, which has none, is None")
    grid = extended(shape, extent)
    settings: dict[str, Any] = {
        "weight": as_weight(_WEIGHTS.get(method, 0.5) if weight is None else weight),
        "widths_m": kernel_widths(grid, as_positive(gamma_m, "gamma_m"), as_positive(alpha_m, "alpha_m")),
        "widths_h": kernel_widths(grid, as_positive(gamma_h, "gamma_h"), as_positive(alpha_h, "alpha_h")),
        "iterations": as_whole(iterations, "iterations"),
        "precision": as_choice(precision, "precision", CHOICES),
    }
    reach = _reach(method, settings) if halo is None else _halo(halo)
    tiles = list(_tiles(shape, as_whole(_TILE if tile is None else tile, "tile"), reach))
    if not isinstance(spectral_inverse, str):
        spectral_inverse = as_matrix(spectral_inverse, response)
    elif as_choice(spectral_inverse, "spectral_inverse", METHODS) == "pinv":
        spectral_inverse = np.linalg.pinv(response)
    offsets = as_blur(blur).centre
    denoise_m, denoise_h = _denoised_images(denoise)
    if method in _WHOLE:
        images = (
            _all_of(hyperspectral, dtype, "hyperspectral"),
            _all_of(multispectral, dtype, "multispectral"),
        )
        out[: shape[0], : shape[1]] = _WHOLE[method](*images, response, ratio, blur)
        return SceneInfo(1, 0)
    if denoise_h:
        chambolle(np)  # so that what is missing is known before the work
    coarse = coarse_image(hyperspectral, dtype, denoise_h)
    fine = fine_image(multispectral, dtype, denoise_m)
    inverse = (
        _regression(coarse, response)
        if isinstance(spectral_inverse, str)
        else np.asarray(spectral_inverse, np.float64)
    )
    measures = scene_measures(coarse, fine, ratio, offsets, inverse, (each[:2] for each in tiles))
    return _fused_tiles(measures, tiles, out, method, settings, progress)


def _fused_tiles(
    measures: SceneMeasures,
    tiles: list[_Tile],
    out: WritableWindows,
    method: str,
    settings: dict[str, Any],
    progress: bool,
) -> SceneInfo:
    """Fuse and write one tile after the other."""
    from tqdm import tqdm

    precisions: set[str] = set()
    missing_pixels = 0
    for tile in tqdm(tiles, desc="fusing", unit="tile", disable=not progress):
        estimates, outer_missing = measures.both(tile.outer_rows, tile.outer_cols)
        if method == "hmwb":
            fused, info = fuse_tile(*estimates, mass_ratio=measures.mass_ratio, **settings)
            precisions.add(info.precision)
        else:
            fused = _MEANS[method](*estimates, measures.mass_ratio, settings["weight"])
        values = fused[tile.inner]
        missing = outer_missing[tile.inner]
        if missing.any():
            values[missing] = np.nan
            missing_pixels += int(missing.sum())
        out[tile.rows, tile.cols] = values
    return SceneInfo(len(tiles), tiles[0].halo, tuple(sorted(precisions)), missing_pixels)


def _arithmetic(of_fine: Any, of_coarse: Any, mass_ratio: float, weight: float) -> Any:
    return weight * mass_ratio * of_fine + (1 - weight) * of_coarse


def _geometric(of_fine: Any, of_coarse: Any, mass_ratio: float, weight: float) -> Any:
    return (mass_ratio * of_fine) ** weight * of_coarse ** (1 - weight)


def _gsa(coarse: Any, fine: Any, response: Any, ratio: int, blur: Any) -> Any:
    return gsa(coarse, fine, ratio=ratio, blur=blur)


def _cnmf(coarse: Any, fine: Any, response: Any, ratio: int, blur: Any) -> Any:
    return cnmf(coarse, fine, spectral_response=response, ratio=ratio, blur=blur)


_MEANS = {"arithmetic": _arithmetic, "geometric": _geometric}
_WHOLE = {"gsa": _gsa, "cnmf": _cnmf}


def _regression(coarse: CoarseImage, response: NDArray[np.float64]) -> NDArray[np.float64]:
    """The regression of spectra on their channels; its sums add up over blocks."""
    gram, cross = np.zeros((len(response),) * 2), np.zeros(response.shape)
    for block in coarse.rows():
        more = regression_sums(np, block, response)
        gram += more[0]
        cross += more[1]
    return inverse_from_sums(gram, cross)


def _tiles(shape: tuple[int, int, int], side: int, halo: int) -> Iterator[_Tile]:
    """Squares from the first corner, row by row; halos end at the edges of the scene."""
    if max(shape[:2]) <= side:
        halo = 0
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            rows, cols = slice(top, min(shape[0], top + side)), slice(left, min(shape[1], left + side))
            outer_rows, outer_cols = (
                slice(max(0, part.start - halo), min(length, part.stop + halo))
                for part, length in zip((rows, cols), shape, strict=False)
            )
            yield _Tile(rows, cols, outer_rows, outer_cols, halo)


def _halo(halo: Any) -> int:
    """Return a whole number from 0."""
    try:
        number = operator.index(halo)
    except TypeError:
        raise TypeError(f"halo is {halo!r}; accepted are whole numbers from 0") from None
    if isinstance(halo, bool) or number < 0:
        raise ValueError(f"halo is {halo!r}; accepted are whole numbers from 0")
    return number


def _denoised_images(denoise: Any) -> tuple[bool, bool]:
    """Whether noise is taken out of the multispectral and of the hyperspectral image."""
    if isinstance(denoise, bool):
        return denoise, denoise
    own = denoise_wiener, denoise_total_variation
    is_pair = isinstance(denoise, tuple | list) and len(denoise) == 2
    if not is_pair or not all(each is None or each is mine for each, mine in zip(denoise, own, strict=True)):
        raise TypeError(
            f"denoise is {denoise!r}; accepted for scenes are True, False and a pair of denoise_wiener or "
            "None, for the multispectral image, and denoise_total_variation or None, for the other one"
        )
    return denoise[0] is not None, denoise[1] is not None


def _reach(method: str, settings: dict[str, Any]) -> int:
    """The halo that the kernels in the plane ask for; the means have none."""
    if method != "hmwb":
        return 0
    steps = [settings["iterations"] * part for part in (1 - settings["weight"], settings["weight"])]
    reaches = (
        max(widths[:2]) * (_HALO_AT_ONCE + _HALO_DIFFUSION * math.sqrt(count))
        for widths, count in zip((settings["widths_m"], settings["widths_h"]), steps, strict=True)
    )
    return max(_HALO, math.ceil(max(reaches)))


def _check_windows(hyperspectral: Any, multispectral: Any, out: Any) -> None:
    """Refuse what windows cannot be read from or floats written to."""
    needed = ("shape", "dtype", "__getitem__")
    for cube, name, parts in (
        (hyperspectral, "hyperspectral", needed),
        (multispectral, "multispectral", needed),
        (out, "out", ("shape", "__setitem__")),
    ):
        lacking = [part for part in parts if not hasattr(cube, part)]
        if lacking:
            raise TypeError(
                f"{name} is of type {type(cube).__name__}, without {lacking[0]}; accepted are arrays, maps "
                "of files, datasets of HDF5 and Zarr, and what else has windows"
            )
    dtype = getattr(out, "dtype", None)
    # what cannot be read, as the command's writer, makes samples of floats by itself
    if dtype is not None and hasattr(out, "__getitem__") and np.dtype(dtype).kind != "f":
        raise TypeError(f"out has dtype {dtype}; accepted are floats, as others would wrap or lose values")


def _float(source: Any, name: str) -> np.dtype[Any]:
    """The precision that samples of this dtype are computed in."""
    return as_kernel_array(np, np.empty(0, source.dtype), ("float32", "float64"), name=name).dtype


def _shape(
    hyperspectral: Windows, multispectral: Windows, out: WritableWindows, ratio: int
) -> tuple[int, int, int]:
    """Rows, columns and bands of the result, with which all images have to agree."""
    for cube, name in ((hyperspectral, "hyperspectral"), (multispectral, "multispectral")):
        if len(cube.shape) != 3 or 0 in cube.shape:
            raise ValueError(
                f"{name} has shape {tuple(cube.shape)}; accepted is (rows, cols, bands), not empty"
            )
    rows, cols, bands = hyperspectral.shape
    expected = (ratio * rows, ratio * cols)
    if tuple(multispectral.shape[:2]) != expected:
        raise ValueError(
            f"multispectral has {multispectral.shape[0]} × {multispectral.shape[1]} pixels; accepted for a "
            f"hyperspectral image of {rows} × {cols} and ratio {ratio} are {expected[0]} × {expected[1]}"
        )
    if tuple(out.shape) != (*expected, bands):
        raise ValueError(f"out has shape {tuple(out.shape)}; accepted is {(*expected, bands)}")
    return *expected, bands


def _all_of(source: Windows, dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    values = np.asarray(source[:, :], dtype=dtype)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{name} has pixels without data, or infinite ones; gsa and cnmf need data everywhere"
        )
    return values
