"""Cubes in HDF5, and in MATLAB's files of version 7.3, which are HDF5 with the axes turned round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fastimg.io._cube import WAVELENGTH_NAMES, Cube, Settings, Windows, chosen, in_nanometres

__all__ = ["DATASET", "created", "created_matlab", "matrices", "opened"]

#: Name of the cube in a new file
DATASET = "cube"

# Rows and columns of a chunk, and bytes that one may have
_CHUNK = 64
_CHUNK_BYTES = 2**20

# A file of MATLAB begins with a text and says there that it is HDF5
_MATLAB_BLOCK = 512
_MATLAB_CLASSES = {"float32": "single", "float64": "double"}


def opened(path: Path, name: str | None) -> Cube:
    """Open a dataset of three axes."""
    file = _file(path)
    try:
        found = {key: shape[::-1] if turned else shape for key, shape, turned in _arrays(file)}
        key = chosen(path, found, name)
        return _cube(path, file, key)
    except BaseException:
        file.close()
        raise


def _file(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        # the file itself can be read, so it is its content
        with path.open("rb"):
            pass
        raise ValueError(f"{path} cannot be read as HDF5: {error}") from error


def _arrays(file: h5py.File) -> list[tuple[str, tuple[int, ...], bool]]:
    """Return name and shape of the datasets of numbers, and whether MATLAB wrote them, axes turned round."""
    found: list[tuple[str, tuple[int, ...], bool]] = []

    def remember(name: str, item: Any) -> None:
        is_array = isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf" and item.ndim >= 2
        if is_array and not name.startswith("#"):
            found.append((name, item.shape, "MATLAB_class" in item.attrs))

    file.visititems(remember)
    return found


def _cube(path: Path, file: h5py.File, key: str) -> Cube:
    data = file[key]
    attributes = data.attrs

    def read(*parts: slice) -> NDArray[Any]:
        try:
            if "MATLAB_class" in attributes:
                return data[parts[::-1]].transpose(2, 1, 0)
            return data[parts]
        except OSError as error:
            raise ValueError(f"{path}:/{key} is damaged: {error}") from error

    shape = data.shape[::-1] if "MATLAB_class" in attributes else data.shape
    nodata = attributes.get("nodata", attributes.get("_FillValue"))
    transform, crs = attributes.get("transform"), attributes.get("crs")
    return Cube(
        path,
        shape,
        data.dtype.newbyteorder("="),
        Windows(read, file.close),
        wavelengths=_wavelengths(data, shape[2]),
        nodata=None if nodata is None else float(np.ravel(nodata)[0]),
        crs=crs.decode() if isinstance(crs, bytes) else crs,
        transform=None if transform is None else tuple(map(float, transform)),
    )


def _wavelengths(data: h5py.Dataset, bands: int) -> NDArray[np.float64] | None:
    """Of an attribute of the cube or of its group, or of a dataset beside it."""
    for holder in (data.attrs, data.parent, data.parent.attrs):
        for name in WAVELENGTH_NAMES:
            values = holder.get(name)
            if isinstance(values, h5py.Dataset):
                units = values.attrs.get("units")
            else:
                units = data.attrs.get("wavelength_units")
            if values is not None and np.size(values) == bands and np.asarray(values).dtype.kind in "iuf":
                text = units.decode() if isinstance(units, bytes) else units
                return in_nanometres(np.asarray(values), text if isinstance(text, str) else None)
    return None


@contextmanager
def created(path: Path, settings: Settings, name: str | None) -> Iterator[Any]:
    """Write a dataset in chunks, with what is known of it in its attributes."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            name or DATASET, settings.shape, settings.dtype, chunks=_chunks(settings.shape, settings.dtype)
        )
        if settings.wavelengths is not None:
            data.attrs["wavelengths"] = settings.wavelengths
            data.attrs["wavelength_units"] = "nm"
        for key in ("nodata", "crs", "transform"):
            value = getattr(settings, key)
            if value is not None:
                data.attrs[key] = value

        def put(rows: slice, columns: slice, values: NDArray[Any]) -> None:
            data[rows, columns] = values

        yield put


@contextmanager
def created_matlab(path: Path, settings: Settings, name: str | None) -> Iterator[Any]:
    """Write a variable of a MATLAB file of version 7.3."""
    with h5py.File(path, "w", userblock_size=_MATLAB_BLOCK) as file:
        _matlab_array(file, name or DATASET, settings.shape, settings.dtype)
        data = file[name or DATASET]
        if settings.wavelengths is not None:
            _matlab_array(file, "wavelengths", (1, settings.shape[2]), np.dtype(np.float64))
            file["wavelengths"][:, 0] = settings.wavelengths
        for key in ("nodata", "crs", "transform"):
            value = getattr(settings, key)
            if value is not None:
                data.attrs[key] = value

        def put(rows: slice, columns: slice, values: NDArray[Any]) -> None:
            data[:, columns, rows] = values.transpose(2, 1, 0)

        yield put
    with path.open("r+b") as stream:
        text = b"MATLAB 7.3 MAT-file, Platform: any, Created by: fastimg HDF5 schema 1.00 ."
        stream.write(text.ljust(124) + b"\x00\x02" + b"IM")


def _matlab_array(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    chunks = _chunks(shape, dtype)[::-1] if len(shape) == 3 else None
    data = file.create_dataset(name, shape[::-1], dtype, chunks=chunks)
    data.attrs["MATLAB_class"] = np.bytes_(_MATLAB_CLASSES.get(dtype.name, dtype.name))


def _chunks(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Squares of the plane, of as many bands as a chunk has room for."""
    rows, columns = (min(length, _CHUNK) for length in shape[:2])
    bands = max(1, min(shape[2], _CHUNK_BYTES // (rows * columns * dtype.itemsize)))
    return rows, columns, bands


def matrices(path: Path) -> tuple[dict[str, tuple[int, ...]], Callable[[str], NDArray[Any]]]:
    """Return the shapes of the arrays of a file, and what reads one of them."""
    with _file(path) as file:
        found: Mapping[str, tuple[int, ...]] = {
            key: shape[::-1] if turned else shape for key, shape, turned in _arrays(file)
        }

    def read(key: str) -> NDArray[Any]:
        with _file(path) as again:
            values = again[key][()]
            return values.T if "MATLAB_class" in again[key].attrs else values

    return dict(found), read
