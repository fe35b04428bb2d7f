"""Cubes in MATLAB's files: versions 4 to 7 by SciPy, 7.3 as HDF5."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fastimg.io import _hdf5_cubes
from fastimg.io._cube import WAVELENGTH_NAMES, Cube, Windows, chosen, in_nanometres

__all__ = ["created", "matrices", "opened"]

# Files of SciPy's reach hold whole arrays, compressed or not, so that they are written as HDF5
created = _hdf5_cubes.created_matlab

_NUMBERS = frozenset(
    ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
)


def opened(path: Path, name: str | None) -> Cube:
    """Open a variable of three axes. Before version 7.3, the whole variable is read at once."""
    if h5py.is_hdf5(path):
        return _hdf5_cubes.opened(path, name)
    found, read = matrices(path)
    key = chosen(path, found, name)
    values = read(key)
    return Cube(
        path,
        values.shape,
        values.dtype.newbyteorder("="),
        Windows(lambda *parts: values[parts]),
        wavelengths=_wavelengths(found, read, values.shape[2]),
    )


def _wavelengths(
    found: dict[str, tuple[int, ...]], read: Callable[[str], NDArray[Any]], bands: int
) -> NDArray[np.float64] | None:
    for name in WAVELENGTH_NAMES:
        if name in found and int(np.prod(found[name])) == bands:
            return in_nanometres(read(name))
    return None


def matrices(path: Path) -> tuple[dict[str, tuple[int, ...]], Callable[[str], NDArray[Any]]]:
    """Return the shapes of the arrays of a file, and what reads one of them."""
    if h5py.is_hdf5(path):
        return _hdf5_cubes.matrices(path)
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

    found = {name: shape for name, shape, kind in guarded(lambda: whosmat(path)) if kind in _NUMBERS}

    def read(key: str) -> NDArray[Any]:
        return np.asarray(guarded(lambda: loadmat(path, variable_names=[key]))[key])

    return found, read
