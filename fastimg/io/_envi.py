"""Cubes of ENVI: a header of text, ``.hdr``, and beside it the samples in one of three orders."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.io._atomic import replaced_when_whole
from fastimg.io._cube import Cube, Settings, Windows, in_nanometres
from fastimg.io._places import map_info_of, place_of_map_info

__all__ = ["DATA_SUFFIXES", "created", "files_of", "opened"]

#: What the file of the samples may end in; in capitals too
DATA_SUFFIXES = (".img", ".dat", ".raw", ".bil", ".bip", ".bsq", ".hyspex", "")

# ENVI's numbers for the types of samples; 6 and 9 are complex
_DTYPES = {
    1: "uint8", 2: "int16", 3: "int32", 4: "float32", 5: "float64", 12: "uint16", 13: "uint32", 14: "int64",
    15: "uint64",
}  # fmt: skip

# Axes of the three orders of samples, of rows (0), columns (1) and bands (2)
_ORDERS = {"bil": (0, 2, 1), "bip": (0, 1, 2), "bsq": (2, 0, 1)}

# What a header says of the place and of the bands; for the header of another file
_PLACE_KEYS = ("map info", "coordinate system string", "projection info", "x start", "y start", "interleave")
_BAND_KEYS = ("fwhm", "band names", "bbl", "reflectance scale factor", "data units", "sensor type")


def opened(path: Path, name: str | None) -> Cube:
    """Open a cube by its header or by its samples."""
    _need_spectral(path)
    from spectral.io import envi

    header_path, data_path = files_of(path)
    if header_path is None:
        raise ValueError(f"{path} has no ENVI header {path.with_suffix('.hdr').name} beside it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # names in capitals are read all the same
            header = envi.read_envi_header(str(header_path))
    except (envi.EnviException, UnicodeDecodeError) as error:
        raise ValueError(f"{header_path} is no ENVI header: {error}") from error
    if data_path is None:
        raise FileNotFoundError(
            f"no file of samples stands beside {header_path}; accepted are {header_path.stem} with "
            f"{', '.join(filter(None, DATA_SUFFIXES))} or without suffix"
        )
    shape, dtype, order, offset = _layout(header, header_path)
    stored = tuple(shape[axis] for axis in _ORDERS[order])
    needed, there = offset + int(np.prod(shape)) * dtype.itemsize, data_path.stat().st_size
    if there < needed:
        raise ValueError(f"{data_path} has {there} bytes; its header {header_path.name} asks for {needed}")
    samples = np.memmap(data_path, dtype, "r", offset, stored).transpose(np.argsort(_ORDERS[order]))
    wavelengths, nodata = _numbers(header, "wavelength"), _numbers(header, "data ignore value")
    if wavelengths is not None:
        units = str(header.get("wavelength units", ""))
        wavelengths = in_nanometres(wavelengths, units) if len(wavelengths) == shape[2] else None
    crs, transform = place_of_map_info(header.get("map info"), header.get("coordinate system string"))
    return Cube(
        header_path,
        shape,
        dtype.newbyteorder("="),
        Windows(lambda *parts: samples[parts]),
        wavelengths=wavelengths,
        nodata=None if nodata is None else float(nodata[0]),
        crs=crs,
        transform=transform,
        extras={"envi": {key: header[key] for key in (*_PLACE_KEYS, *_BAND_KEYS) if key in header}},
    )


def files_of(path: Path) -> tuple[Path | None, Path | None]:
    """Return header and samples of the cube that either of them names; None for what is not there."""
    if path.suffix.lower() != ".hdr":
        beside = (path.with_suffix(".hdr"), path.with_suffix(".HDR"), path.with_name(path.name + ".hdr"))
        return next((file for file in beside if file.is_file()), None), path if path.is_file() else None
    for suffix in (suffix for lower in DATA_SUFFIXES for suffix in (lower, lower.upper())):
        data = path.with_suffix(suffix)
        if data.is_file():
            return path, data
    return path, None


def _layout(header: Mapping[str, Any], path: Path) -> tuple[Any, np.dtype[Any], str, int]:
    """Shape, dtype in the order of bytes of the file, order of axes, and where the samples begin."""
    missing = [key for key in ("lines", "samples", "bands", "data type", "interleave") if key not in header]
    if missing:
        raise ValueError(f"the ENVI header {path} lacks {', '.join(missing)}")
    order = str(header["interleave"]).strip().lower()
    try:
        shape = tuple(int(header[key]) for key in ("lines", "samples", "bands"))
        kind, offset = int(header["data type"]), int(header.get("header offset", 0))
        swapped = int(header.get("byte order", 0))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the ENVI header {path} cannot be understood: {error}") from error
    if kind not in _DTYPES:
        raise ValueError(f"{path} has data type {kind}; accepted are {', '.join(map(str, _DTYPES))}")
    if order not in _ORDERS:
        raise ValueError(f"{path} has interleave {order!r}; accepted are {', '.join(_ORDERS)}")
    if min(shape) < 1 or offset < 0:
        raise ValueError(f"{path} has the shape {shape} and offset {offset}; accepted are positive numbers")
    return shape, np.dtype(_DTYPES[kind]).newbyteorder(">" if swapped else "<"), order, offset


def _numbers(header: Mapping[str, Any], key: str) -> NDArray[np.float64] | None:
    values = header.get(key)
    if values is None:
        return None
    try:
        return np.array([float(value) for value in (values if isinstance(values, list) else [values])])
    except ValueError:
        return None


@contextmanager
def created(path: Path, settings: Settings, name: str | None) -> Iterator[Any]:
    """Write header and samples; the samples are moved into place first, and the header says what they are."""
    _need_spectral(path)
    from spectral.io import envi

    header_path = path.with_suffix(".hdr")
    data_path = path if path != header_path else _data_of_new(header_path)
    codes = {dtype: code for code, dtype in _DTYPES.items()}
    order = str(settings.place_extras.get("envi", {}).get("interleave", "bil")).strip().lower()
    shape = tuple(settings.shape[axis] for axis in _ORDERS[order])
    with replaced_when_whole(header_path) as header, replaced_when_whole(data_path) as data:
        samples = np.memmap(data, settings.dtype.newbyteorder("<"), "w+", shape=shape)
        cube = samples.transpose(np.argsort(_ORDERS[order]))

        def put(rows: slice, columns: slice, values: NDArray[Any]) -> None:
            cube[rows, columns] = values

        yield put
        samples.flush()
        fields = {
            "description": "fastimg",
            "lines": settings.shape[0],
            "samples": settings.shape[1],
            "bands": settings.shape[2],
            "header offset": 0,
            "file type": "ENVI Standard",
            "data type": codes[settings.dtype.name],
            "interleave": order,
            "byte order": 0,
        }
        envi.write_envi_header(str(header), fields | _said(settings))


def _data_of_new(header_path: Path) -> Path:
    """The samples that a new header belongs to: those of the header that it replaces, if there is one."""
    existing = files_of(header_path)[1]
    return header_path.with_suffix(".img") if existing is None else existing


def _said(settings: Settings) -> dict[str, Any]:
    """What the header says besides the arrangement of the samples."""
    place, bands = (extras.get("envi", {}) for extras in (settings.place_extras, settings.band_extras))
    said = {key: bands[key] for key in _BAND_KEYS if key in bands}
    if settings.wavelengths is not None:
        said |= {
            "wavelength units": "Nanometers",
            "wavelength": [repr(float(w)) for w in settings.wavelengths],
        }
        # widths in the unit of the wavelengths that they came with would now be in another
        said.pop("fwhm", None)
    if settings.nodata is not None:
        said["data ignore value"] = repr(settings.nodata)
    kept = {key: place[key] for key in _PLACE_KEYS if key in place and key != "interleave"}
    return said | (kept or map_info_of(settings.crs, settings.transform))


def _need_spectral(path: Path) -> None:
    if importlib.util.find_spec("spectral") is None:
        raise ImportError(f"{path} is a cube of ENVI, which needs spectral: pip install 'fastimg[io]'")
