"""Cubes in MATLAB's files: versions 4 to 7 by SciPy, which writes version 5, and 7.3 as HDF5."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fastimg.io import _hdf5_cubes
from fastimg.io._cube import WAVELENGTH_NAMES, Cube, Settings, Windows, chosen, in_nanometres

__all__ = ["created", "matrices", "opened"]

# Cubes of fewer bytes are made in memory and written as version 5, which many programs read; that version
# takes whole arrays alone, of less than 4 GiB
_IN_MEMORY = 2**28

# What version 5 calls a variable; other names, such as paths, need HDF5
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_DTYPES = frozenset(
    ("float64", "float32", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
)

_NUMBERS = frozenset(
    ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
)

# What is known of the place stands beside a cube of version 5: names and numbers of values
_PLACE = {"nodata": 1, "transform": 6}


@contextmanager
def created(path: Path, settings: Settings, name: str | None) -> Iterator[Any]:
    """Write a variable: of version 5 from memory, or, if it is large, window by window of version 7.3."""
    key = name or _hdf5_cubes.DATASET
    size = int(np.prod(settings.shape)) * settings.dtype.itemsize
    if size >= _IN_MEMORY or settings.dtype.name not in _DTYPES or not _VARIABLE.fullmatch(key):
        with _hdf5_cubes.created_matlab(path, settings, name) as put:
            yield put
        return
    from scipy.io import savemat

    values = np.zeros(settings.shape, settings.dtype, order="F")

    def put_in_memory(rows: slice, columns: slice, part: NDArray[Any]) -> None:
        values[rows, columns] = part

    yield put_in_memory
    known = {each: getattr(settings, each) for each in ("wavelengths", "nodata", "crs", "transform")}
    beside = {each: value for each, value in known.items() if value is not None}
    with path.open("wb") as stream:
        savemat(stream, beside | {key: values})


def opened(path: Path, name: str | None) -> Cube:
    """Open a variable of three axes. Before version 7.3, the whole variable is read at once."""
    if h5py.is_hdf5(path):
        return _hdf5_cubes.opened(path, name)
    found, texts, read = _variables(path)
    key = chosen(path, found, name)
    values = read(key)
    beside = {other: read(other).ravel() for other, size in _PLACE.items() if _size(found, other) == size}
    crs = read("crs").ravel() if "crs" in texts else np.array([])
    return Cube(
        path,
        values.shape,
        values.dtype.newbyteorder("="),
        Windows(lambda *parts: values[parts]),
        wavelengths=_wavelengths(found, read, values.shape[2]),
        nodata=float(beside["nodata"][0]) if "nodata" in beside else None,
        crs=str(crs[0]) if crs.size == 1 else None,
        transform=tuple(map(float, beside["transform"])) if "transform" in beside else None,
    )


def _size(found: dict[str, tuple[int, ...]], name: str) -> int:
    return int(np.prod(found[name])) if name in found else 0


def _wavelengths(
    found: dict[str, tuple[int, ...]], read: Callable[[str], NDArray[Any]], bands: int
) -> NDArray[np.float64] | None:
    for name in WAVELENGTH_NAMES:
        if _size(found, name) == bands:
            return in_nanometres(read(name))
    return None


def matrices(path: Path) -> tuple[dict[str, tuple[int, ...]], Callable[[str], NDArray[Any]]]:
    """Return the shapes of the arrays of a file, and what reads one of them."""
    if h5py.is_hdf5(path):
        return _hdf5_cubes.matrices(path)
    found, _, read = _variables(path)
    return found, read


def _variables(path: Path) -> tuple[dict[str, tuple[int, ...]], list[str], Callable[[str], NDArray[Any]]]:
    """Return the shapes of the arrays, the names of the texts, and what reads one of them; before 7.3."""
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    def guarded(work: Callable[[], Any]) -> Any:
        try:
            return work()
        # SciPy tells of damage in as many ways as there are places for it
        except (
            MatReadError,
            ValueError,
            TypeError,
            LookupError,
            OSError,
            EOFError,
            NotImplementedError,
        ) as error:
            raise ValueError(f"{path} cannot be read as a MATLAB file: {error}") from error

    listed = guarded(lambda: whosmat(path))
    found = {name: shape for name, shape, kind in listed if kind in _NUMBERS}
    texts = [name for name, _, kind in listed if kind == "char"]

    def read(key: str) -> NDArray[Any]:
        return np.asarray(guarded(lambda: loadmat(path, variable_names=[key]))[key])

    return found, texts, read
