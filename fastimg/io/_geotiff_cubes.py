"""Cubes of TIFF and GeoTIFF by rasterio, window by window."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.io._cube import Cube, Settings, Windows, in_nanometres
from fastimg.io._geotiff import COMPRESSIONS, described, quiet_rasterio

__all__ = ["created", "opened"]

# Rows and columns of a tile in a new file; tiles of a fusion are multiples of it
_BLOCK = 64


def opened(path: Path, name: str | None) -> Cube:
    """Open a cube of bands."""
    _need_rasterio(path)
    import rasterio
    from rasterio.enums import ColorInterp

    try:
        with quiet_rasterio():
            file = rasterio.open(path)
    except rasterio.errors.RasterioError as error:
        raise ValueError(f"{path} cannot be read as a TIFF: {error}") from error
    try:
        if file.count == 1 and file.subdatasets:
            raise ValueError(f"{path} holds {len(file.subdatasets)} images; accepted is one, with bands")
        is_alpha = np.array([kind == ColorInterp.alpha for kind in file.colorinterp])
        numbers = [int(band) + 1 for band in np.flatnonzero(~is_alpha)]
        if not numbers:
            raise ValueError(f"{path} has only alpha bands")
        kinds = {file.dtypes[number - 1] for number in numbers}
        if len(kinds) > 1:
            raise ValueError(
                f"{path} has bands of several types, {', '.join(sorted(kinds))}; accepted is one"
            )
        return _cube(path, file, numbers, is_alpha)
    except BaseException:
        file.close()
        raise


def _cube(path: Path, file: Any, numbers: list[int], is_alpha: NDArray[np.bool_]) -> Cube:
    from rasterio.errors import RasterioError

    def read(rows: slice, columns: slice, bands: slice) -> NDArray[Any]:
        window = ((rows.start, rows.stop), (columns.start, columns.stop))
        shape = (rows.stop - rows.start, columns.stop - columns.start, bands.stop - bands.start)
        if 0 in shape:
            return np.empty(shape)
        try:
            return np.moveaxis(file.read(numbers[bands], window=window), 0, -1)
        except RasterioError as error:
            raise ValueError(f"{path} is damaged: {error}") from error

    has_place = not file.transform.is_identity
    return Cube(
        path,
        (file.height, file.width, len(numbers)),
        np.dtype(file.dtypes[numbers[0] - 1]),
        Windows(read, file.close),
        wavelengths=_wavelengths(file, numbers),
        nodata=None if file.nodata is None else float(file.nodata),
        crs=file.crs.to_wkt() if file.crs else None,
        transform=tuple(file.transform)[:6] if has_place else None,
        extras={"geotiff": described(file, is_alpha)},
    )


def _wavelengths(file: Any, numbers: list[int]) -> NDArray[np.float64] | None:
    """Of the bands' tags: GDAL's own, in micrometres, or those that it copies from ENVI headers."""
    found = []
    for number in numbers:
        micrometres = file.tags(number, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM")
        tags = {key.lower(): value for key, value in file.tags(number).items()}
        value, units = (
            (micrometres, "um") if micrometres else (tags.get("wavelength"), tags.get("wavelength_units"))
        )
        try:
            found.append(float(value or "none"))
        except ValueError:
            return None
    return in_nanometres(found, units)


@contextmanager
def created(path: Path, settings: Settings, name: str | None) -> Iterator[Any]:
    """Write a GeoTIFF, or a plain TIFF where nothing is known of the place."""
    _need_rasterio(path)
    import rasterio

    rows, columns, bands = settings.shape
    said = settings.place_extras.get("geotiff", {})
    profile: dict[str, Any] = {"driver": "GTiff", "height": rows, "width": columns, "count": bands}
    if min(rows, columns) >= _BLOCK:
        profile |= {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK}
    compression = said.get("profile", {}).get("compress")
    if compression in COMPRESSIONS:
        profile["compress"] = compression
    if settings.crs is not None:
        profile["crs"] = rasterio.CRS.from_user_input(settings.crs)
    if settings.transform is not None:
        profile["transform"] = rasterio.Affine(*settings.transform)
    with (
        quiet_rasterio(),
        rasterio.open(
            path, "w", dtype=settings.dtype, nodata=settings.nodata, interleave="band", BIGTIFF="IF_SAFER",
            **profile,
        ) as file,
    ):  # fmt: skip
        file.update_tags(**said.get("tags", {}))
        if said.get("gcps") is not None:
            file.gcps = said["gcps"]
        if said.get("rpcs") is not None:
            file.rpcs = said["rpcs"]
        _describe(file, settings)

        def put(part_rows: slice, part_columns: slice, values: NDArray[Any]) -> None:
            window = ((part_rows.start, part_rows.stop), (part_columns.start, part_columns.stop))
            file.write(np.ascontiguousarray(np.moveaxis(values, -1, 0)), window=window)

        yield put


def _describe(file: Any, settings: Settings) -> None:
    """Name the bands: as they were named, and by their wavelengths."""
    names = settings.band_extras.get("geotiff", {}).get("descriptions") or ()
    for number in range(1, settings.shape[2] + 1):
        text = names[number - 1] if number <= len(names) else None
        if settings.wavelengths is not None:
            wavelength = f"{settings.wavelengths[number - 1]:.6g}"
            file.update_tags(number, wavelength=wavelength, wavelength_units="Nanometers")
            text = text or f"{wavelength} nm"
        if text:
            file.set_band_description(number, text)


def _need_rasterio(path: Path) -> None:
    if importlib.util.find_spec("rasterio") is None:
        raise ImportError(f"{path} is a TIFF; cubes of TIFF need rasterio: pip install 'fastimg[io]'")
