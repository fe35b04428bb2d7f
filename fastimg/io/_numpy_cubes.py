"""Cubes in NumPy's files: one array, mapped into memory, or the arrays of an archive."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.io._cube import WAVELENGTH_NAMES, Cube, Settings, Windows, chosen, in_nanometres

__all__ = ["created", "created_archive", "matrices", "opened", "opened_archive"]

# What NumPy raises of a damaged file
_DAMAGE = (ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError)


def opened(path: Path, name: str | None) -> Cube:
    """Open the one array of a .npy file; nothing of it is read before it is asked for."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGE as error:
        raise ValueError(f"{path} cannot be read as a NumPy file: {error}") from error
    if values.ndim != 3:
        raise ValueError(
            f"{path} has {values.ndim} dimensions, shape {values.shape}; accepted is a cube (rows, columns, "
            "bands)"
        )
    return Cube(path, values.shape, values.dtype.newbyteorder("="), Windows(lambda *parts: values[parts]))


def opened_archive(path: Path, name: str | None) -> Cube:
    """Open an array of a .npz file, which is read as a whole at the first window."""
    found, read = matrices(path)
    key = chosen(path, found, name)
    whole = cache(lambda: read(key))
    with zipfile.ZipFile(path) as archive:
        dtype = _header(archive, f"{key}.npy")[1]
    wavelengths = None
    for other in WAVELENGTH_NAMES:
        if other in found and int(np.prod(found[other])) == found[key][2]:
            wavelengths = in_nanometres(read(other))
            break
    rows, columns, bands = found[key]
    return Cube(
        path,
        (rows, columns, bands),
        dtype.newbyteorder("="),
        Windows(lambda *parts: whole()[parts], whole.cache_clear),
        wavelengths=wavelengths,
    )


def matrices(path: Path) -> tuple[dict[str, tuple[int, ...]], Callable[[str], NDArray[Any]]]:
    """Return the shapes of the arrays of a .npz file, and what reads one of them."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            headers = {name.removesuffix(".npy"): _header(archive, name) for name in names}
    except _DAMAGE as error:
        raise ValueError(f"{path} cannot be read as a NumPy archive: {error}") from error

    def read(key: str) -> NDArray[Any]:
        try:
            with np.load(path, allow_pickle=False) as archive:
                return archive[key]
        except _DAMAGE as error:
            raise ValueError(f"{path} cannot be read as a NumPy archive: {error}") from error

    return {key: shape for key, (shape, dtype) in headers.items() if dtype.kind in "iuf"}, read


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of an array, without its values."""
    with archive.open(name) as stream:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    return shape, dtype


@contextmanager
def created(path: Path, settings: Settings, name: str | None) -> Iterator[Any]:
    """Write a .npy file through a map of it; it has no place for anything but the samples."""
    values = np.lib.format.open_memmap(path, "w+", settings.dtype, settings.shape)

    def put(rows: slice, columns: slice, part: NDArray[Any]) -> None:
        values[rows, columns] = part

    yield put
    values.flush()


@contextmanager
def created_archive(path: Path, settings: Settings, name: str | None) -> Iterator[Any]:
    """Write a .npz file; windows go to a file beside it first, because an archive takes no windows."""
    with TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        samples = Path(folder) / "samples.npy"
        with created(samples, settings, None) as put:
            yield put
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.write(samples, f"{name or 'cube'}.npy")
            if settings.wavelengths is not None:
                with archive.open("wavelengths.npy", "w") as stream:
                    np.lib.format.write_array(stream, settings.wavelengths)
