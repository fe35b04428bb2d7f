"""Spectral responses: how much of each band of a hyperspectral cube the bands of a multispectral one see.

A file holds either the matrix itself, or a table of measured curves, wavelengths in its first column, from
which the matrix is interpolated.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastimg.io import _hdf5_cubes, _matlab, _numpy_cubes
from fastimg.io._cube import chosen, in_nanometres
from fastimg.io.cubes import split_name

__all__ = ["read_spectral_response"]

# Where more than this part of a response lies beyond the cube's bands, a warning says so
_MOST_OUTSIDE = 0.5

_TEXTS = (".csv", ".txt", ".tsv", ".dat")
_ARCHIVES = {
    ".npz": _numpy_cubes.matrices,
    ".mat": _matlab.matrices,
    ".h5": _hdf5_cubes.matrices,
    ".hdf5": _hdf5_cubes.matrices,
}


@dataclass(frozen=True)
class _Table:
    """Numbers, and the names of their columns where a text has them."""

    path: str
    values: NDArray[np.float64]
    names: tuple[str, ...] = ()


def read_spectral_response(
    file: str | os.PathLike[str],
    *,
    shape: tuple[int | None, int],
    wavelengths: ArrayLike | None = None,
    columns: Sequence[int | str] | None = None,
) -> NDArray[np.float64]:
    """Read the response of each multispectral band to each hyperspectral band.

    Parameters
    ----------
    file : path-like
        A text (.csv, .txt, .tsv, .dat), .npy, .npz, .mat or .h5. Where it holds several matrices, one is
        named after a colon, ``FILE.mat:name``.
    shape : (int or None, int)
        Multispectral and hyperspectral bands; None for as many as there are. A matrix of this shape is
        returned as it is; any other whose first column rises is a table of curves, with the wavelengths in
        that column.
    wavelengths : array_like of float, (hyperspectral bands,), optional
        Of the hyperspectral bands, in nanometres. A table needs them.
    columns : sequence of int or str, optional
        The curves of the multispectral bands in a table: their numbers, the first column after the
        wavelengths being 1, or their names in the first line of a text. By default all, if they are as many
        as the bands.

    Returns
    -------
    ndarray of float64, (multispectral bands, hyperspectral bands)
        Of a table, each row sums to 1.

    Raises
    ------
    ValueError
        If the file is damaged, is neither such a matrix nor such a table, or a curve does not reach the
        bands.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "camera.csv"
    >>> _ = path.write_text("nm,blue,red\\n400,1,0\\n500,0,0\\n600,0,1\\n")
    >>> read_spectral_response(path, shape=(2, 3), wavelengths=[400, 450, 600])
    array([[0.66666667, 0.33333333, 0.        ],
           [0.        , 0.        , 1.        ]])
    """
    table = _read(file)
    values = table.values
    if columns is None and values.shape[1] == shape[1] and shape[0] in (None, len(values)):
        _check_matrix(table)
        return values
    rising = values.shape[1] > 1 and len(values) > 1 and bool((np.diff(values[:, 0]) > 0).all())
    if not rising:
        turned = " (it is transposed)" if values.shape == tuple(shape)[::-1] else ""
        raise ValueError(
            f"{table.path} holds {values.shape[0]} × {values.shape[1]} numbers{turned}; accepted are "
            f"{shape[0] or 'any'} × {shape[1]}, multispectral × hyperspectral bands, or a table with rising "
            "wavelengths in its first column"
        )
    if wavelengths is None:
        raise ValueError(
            f"{table.path} is a table over wavelengths, but those of the {shape[1]} hyperspectral bands are "
            "not known; give them with wavelengths (--wavelengths)"
        )
    picked = _columns(table, columns, shape[0])
    middles = np.asarray(wavelengths, np.float64)
    if middles.shape != (shape[1],):
        raise ValueError(
            f"wavelengths have the shape {middles.shape}; there are {shape[1]} hyperspectral bands"
        )
    measured = in_nanometres(values[:, 0])
    assert measured is not None  # without a unit, none is refused
    try:
        return _at_bands(measured, values[:, picked], middles)
    except ValueError as error:
        raise ValueError(f"{table.path}: {error}") from error


def _at_bands(
    measured: NDArray[np.float64], curves: NDArray[np.float64], middles: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The curves, (measured, channels), at the middles of the bands; those that lie elsewhere are told of."""
    from fastimg.fusion import resample_response

    if not (np.isfinite(middles).all() and (middles > 0).all()):
        raise ValueError("the wavelengths of the hyperspectral bands hold numbers that are not above 0")
    curves = np.maximum(curves, 0)  # what is below is noise of the measurement
    reach = f"{middles.min():g} to {middles.max():g} nm"
    ends = np.clip([middles.min(), middles.max()], measured[0], measured[-1])
    inside = np.concatenate([ends[:1], measured[(measured > ends[0]) & (measured < ends[1])], ends[1:]])
    for number, curve in enumerate(curves.T, start=1):
        if not np.interp(middles, measured, curve, left=0.0, right=0.0).any():
            raise ValueError(
                f"the response of multispectral band {number}, measured from {measured[0]:g} to "
                f"{measured[-1]:g} nm, is 0 at all wavelengths of the hyperspectral bands, {reach}"
            )
        outside = 1 - _area(np.interp(inside, measured, curve), inside) / _area(curve, measured)
        if outside > _MOST_OUTSIDE:
            warnings.warn(
                f"{100 * outside:.0f} % of the response of multispectral band {number} lie outside the "
                f"hyperspectral bands, {reach}",
                stacklevel=3,
            )
    return resample_response(measured, curves, middles)


def _area(row: NDArray[np.float64], at: NDArray[np.float64]) -> float:
    return float(np.sum(np.diff(at) * (row[1:] + row[:-1])) / 2)


def _read(file: str | os.PathLike[str]) -> _Table:
    path, name = split_name(file)
    suffix = path.suffix.lower()
    with path.open("rb"):  # an unreadable file is an OSError that names it, whichever package reads it
        pass
    if suffix in _TEXTS:
        table = _read_text(path)
    elif suffix == ".npy":
        table = _Table(str(path), _matrix(path, _load(path)))
    elif suffix in _ARCHIVES:
        found, read = _ARCHIVES[suffix](path)
        table = _Table(os.fspath(file), _matrix(path, read(chosen(path, found, name, dimensions=2))))
    else:
        accepted = ", ".join((*_TEXTS, ".npy", *_ARCHIVES))
        raise ValueError(f"{path} has the suffix {path.suffix!r}; accepted for a response are {accepted}")
    if not np.isfinite(table.values).all():
        raise ValueError(f"{path} holds NaN or infinity; accepted are finite numbers")
    return table


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as a NumPy file: {error}") from error


def _matrix(path: Path, values: Any) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "iuf" or 0 in array.shape:
        raise ValueError(
            f"{path} holds {array.dtype} of shape {array.shape}; accepted is a matrix of numbers"
        )
    return array.astype(np.float64)


def _read_text(path: Path) -> _Table:
    """Numbers in lines, apart by commas, semicolons, tabs or spaces; # begins a comment."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: {error}") from error
    lines = [(number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1)]
    rows: list[list[float]] = []
    names: tuple[str, ...] = ()
    for number, line in lines:
        cells = [cell.strip().strip('"') for cell in re.split(r"\s*[,;\t]\s*|\s+", line) if cell]
        if not cells:
            continue
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            if rows or names:
                raise ValueError(f"{path}, line {number}: {line!r} are no numbers") from None
            # names may have spaces in them where commas part them
            names = tuple(cell.strip().strip('"') for cell in re.split(r"[,;\t]", line))
            names = names if len(names) > 1 else tuple(cells)
            continue
        if rows and len(row) != len(rows[0]):
            raise ValueError(
                f"{path}, line {number}: {len(row)} numbers; the lines before have {len(rows[0])}"
            )
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds no numbers")
    return _Table(str(path), np.array(rows), names if len(names) == len(rows[0]) else ())


def _columns(table: _Table, columns: Sequence[int | str] | None, bands: int | None) -> list[int]:
    curves = table.values.shape[1] - 1
    listed = f"1 to {curves}" + (f" ({', '.join(table.names[1:])})" if table.names else "")
    if columns is None:
        if bands is not None and curves != bands:
            raise ValueError(
                f"{table.path} has {curves} responses for {bands} multispectral bands; name those of the "
                f"bands with columns (--response-columns), of {listed}"
            )
        return list(range(1, curves + 1))
    picked = []
    for column in columns:
        known = column in table.names[1:] if isinstance(column, str) else 1 <= column <= curves
        if not known:
            raise ValueError(f"{table.path} has no column {column}; accepted are {listed}")
        picked.append(table.names.index(column) if isinstance(column, str) else column)
    if bands is not None and len(picked) != bands:
        raise ValueError(
            f"{len(picked)} columns are named for {bands} multispectral bands; accepted are as many"
        )
    return picked


def _check_matrix(table: _Table) -> None:
    empty = ~(table.values > 0).any(axis=1)
    if empty.any() or (table.values < 0).any():
        what = (
            "negative numbers" if (table.values < 0).any() else f"no response in row {np.argmax(empty) + 1}"
        )
        raise ValueError(
            f"{table.path} holds {what}; accepted are rows of numbers from 0, some of them above"
        )
