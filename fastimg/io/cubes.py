"""Hyperspectral and multispectral cubes, larger than memory if need be.

A cube has the axes rows, columns, bands. It is opened, and windows of it are read; a new one is written
window by window beside its target, and moved into place when it is whole. One table, ``CUBE_FORMATS``, says
what is read and written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastimg.io import _envi, _geotiff_cubes, _hdf5_cubes, _matlab, _numpy_cubes
from fastimg.io._atomic import replaced_when_whole
from fastimg.io._cube import Cube, CubeWriter, Settings

__all__ = [
    "CUBE_FORMATS",
    "Cube",
    "CubeFormat",
    "CubeWriter",
    "create_cube",
    "cube_format",
    "open_cube",
    "split_name",
]

_ENVI_DTYPES = (
    "uint8",
    "int16",
    "int32",
    "float32",
    "float64",
    "uint16",
    "uint32",
    "int64",
    "uint64",
)


class CubeFormat(NamedTuple):
    """One family of files: how it is opened and created, and the dtypes that it takes; no names mean all."""

    name: str
    suffixes: tuple[str, ...]
    open: Callable[[Path, str | None], Cube]
    create: Callable[[Path, Settings, str | None], AbstractContextManager[Any]]
    named: bool = False
    dtypes: tuple[str, ...] = ()


CUBE_FORMATS = (
    CubeFormat(
        "ENVI", (".hdr", *filter(None, _envi.DATA_SUFFIXES)), _envi.opened, _envi.created, False, _ENVI_DTYPES
    ),
    CubeFormat("TIFF", (".tif", ".tiff"), _geotiff_cubes.opened, _geotiff_cubes.created),
    CubeFormat("MATLAB", (".mat",), _matlab.opened, _matlab.created, True),
    CubeFormat("HDF5", (".h5", ".hdf5", ".he5"), _hdf5_cubes.opened, _hdf5_cubes.created, True),
    CubeFormat("NumPy", (".npy",), _numpy_cubes.opened, _numpy_cubes.created),
    CubeFormat("NumPy archive", (".npz",), _numpy_cubes.opened_archive, _numpy_cubes.created_archive, True),
)


def split_name(file: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Return path and name of ``FILE:name``, as of an array in an archive; None where none is named.

    Examples
    --------
    >>> split_name("scene.mat:radiance")[1], split_name("scene.tif")[1]
    ('radiance', None)
    """
    text = os.fspath(file)
    head, colon, name = text.rpartition(":")
    if colon and name and not os.path.exists(text):
        suffix = Path(head).suffix.lower()
        if any(form.named and suffix in form.suffixes for form in CUBE_FORMATS):
            return Path(head), name
    return Path(text), None


def cube_format(path: Path) -> CubeFormat:
    """Return the format that a suffix stands for."""
    for form in CUBE_FORMATS:
        if path.suffix.lower() in form.suffixes:
            return form
    accepted = "; ".join(f"{form.name} ({', '.join(form.suffixes)})" for form in CUBE_FORMATS)
    raise ValueError(f"{path} has the suffix {path.suffix!r}; accepted are {accepted}")


def open_cube(file: str | os.PathLike[str]) -> Cube:
    """Open the cube of a file; its samples are read later, window by window.

    Parameters
    ----------
    file : path-like
        The file; its suffix tells the format. Where it holds several arrays, one is named after a colon, as
        in ``scene.h5:/group/cube`` and ``scene.mat:radiance``. Of ENVI, header or samples may be given.

    Returns
    -------
    Cube
        To be closed, or used in a ``with`` statement.

    Raises
    ------
    ImportError
        If the package that reads this file is not installed; the message says what to install.
    ValueError
        If the suffix is not known, the file is damaged or too short, or holds no cube of real numbers, or
        several of which none was named.
    OSError
        If the file cannot be opened.

    Notes
    -----
    Of a MATLAB file before version 7.3 and of a NumPy archive, the whole cube is read; of all others, the
    windows alone. MATLAB's axes are those that MATLAB shows.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cube.npy"
    >>> np.save(path, np.arange(24.0).reshape(2, 3, 4))
    >>> with open_cube(path) as cube:
    ...     cube.shape, cube[1:, :2].ravel()
    ((2, 3, 4), array([12., 13., 14., 15., 16., 17., 18., 19.]))
    """
    path, name = split_name(file)
    form = cube_format(path)
    with path.open("rb"):  # an unreadable file is an OSError that names it, whichever package reads it
        pass
    cube = form.open(path, name)
    try:
        if cube.dtype.kind not in "iuf":
            raise ValueError(f"{path} holds {cube.dtype}; accepted are real numbers")
        if 0 in cube.shape:
            raise ValueError(f"{path} holds an empty cube, shape {cube.shape}")
    except ValueError:
        cube.close()
        raise
    return cube


@contextmanager
def create_cube(
    file: str | os.PathLike[str],
    shape: tuple[int, int, int],
    dtype: DTypeLike = np.float32,
    *,
    like: Cube | None = None,
    bands_like: Cube | None = None,
    wavelengths: ArrayLike | None = None,
    nodata: float | None = None,
) -> Iterator[CubeWriter]:
    """Create the cube of a file, to be written window by window; all of it or nothing.

    Parameters
    ----------
    file : path-like
        The file to be written; its suffix tells the format. An existing file is replaced when the block has
        succeeded, and stays as it was if the block raises or the process dies.
    shape : (int, int, int)
        Rows, columns and bands.
    dtype : dtype, optional
        Of the samples.
    like : Cube, optional
        A cube on the same pixels, whose georeferencing the file gets.
    bands_like : Cube, optional
        A cube of the same bands, whose wavelengths the file gets.
    wavelengths : array_like of float, (bands,), optional
        Of the middles of the bands, in nanometres; instead of those of ``bands_like``.
    nodata : float, optional
        The value that marks pixels without a measurement.

    Yields
    ------
    CubeWriter
        Takes windows, ``writer[10:20, 30:40] = values``. What is never written is 0.

    Raises
    ------
    ImportError
        If the package that writes this file is not installed.
    ValueError
        If the suffix is not known, or the format does not hold such samples.
    FileNotFoundError
        If the folder does not exist.

    Notes
    -----
    Wavelengths are kept by all formats but .npy, places by ENVI, TIFF, HDF5 and MATLAB files. Those of MATLAB
    are of version 5, made in memory, where the cube has less than 256 MiB, and of version 7.3 beyond, or
    where version 5 has no such dtype or name (float16, ``scene.mat:/group/cube``). A cube of ENVI is two
    files, of which the samples are moved into place first.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cube.npy"
    >>> with create_cube(path, (4, 4, 2)) as writer:
    ...     writer[:2, 1:] = np.ones((2, 3, 2))
    >>> np.load(path).sum()
    np.float32(12.0)
    """
    path, name = split_name(file)
    form = cube_format(path)
    settings = _settings(shape, np.dtype(dtype), like, bands_like, wavelengths, nodata)
    if settings.dtype.kind not in "iuf" or (form.dtypes and settings.dtype.name not in form.dtypes):
        accepted = ", ".join(form.dtypes) or "real numbers"
        raise ValueError(f"{path} cannot hold {settings.dtype}; accepted in {form.name} are {accepted}")
    # of ENVI's two files, each has its own place beside its target
    unfinished = nullcontext(path) if form.name == "ENVI" else replaced_when_whole(path)
    with unfinished as part, form.create(part, settings, name) as put:
        yield CubeWriter(settings.shape, settings.dtype, put)


def _settings(
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    like: Cube | None,
    bands_like: Cube | None,
    wavelengths: ArrayLike | None,
    nodata: float | None,
) -> Settings:
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape is {shape}; accepted are three positive numbers: rows, columns, bands")
    if like is not None and like.shape[:2] != tuple(shape[:2]):
        raise ValueError(f"like has the pixels {like.shape[:2]}; the new cube has {tuple(shape[:2])}")
    if bands_like is not None and bands_like.shape[2] != shape[2]:
        raise ValueError(f"bands_like has {bands_like.shape[2]} bands; the new cube has {shape[2]}")
    known = None if bands_like is None else bands_like.wavelengths
    middles = known if wavelengths is None else np.asarray(wavelengths, np.float64)
    if middles is not None and middles.shape != (shape[2],):
        raise ValueError(f"wavelengths have the shape {middles.shape}; the new cube has {shape[2]} bands")
    return Settings(
        (int(shape[0]), int(shape[1]), int(shape[2])),
        dtype.newbyteorder("="),
        middles,
        nodata,
        None if like is None else like.crs,
        None if like is None else like.transform,
        {} if like is None else like.extras,
        {} if bands_like is None else bands_like.extras,
    )
