"""What is known of the cube of a file, and its windows; the formats make it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["WAVELENGTH_NAMES", "Cube", "CubeWriter", "Settings", "Windows", "chosen", "in_nanometres"]

#: Names of an array of wavelengths beside a cube
WAVELENGTH_NAMES = ("wavelengths", "wavelength", "wl", "lambda")

_METRES = {
    "nanometers": 1e-9, "nanometres": 1e-9, "nm": 1e-9, "micrometers": 1e-6, "micrometres": 1e-6,
    "microns": 1e-6, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "millimeters": 1e-3, "mm": 1e-3, "m": 1.0,
    "meters": 1.0, "angstroms": 1e-10,
}  # fmt: skip

# No imaging spectrometer measures below this wavelength in nanometres; smaller numbers are micrometres
_LEAST_NANOMETRES = 30.0


class Windows(NamedTuple):
    """How a format reads: rows, columns and bands as slices from 0 with step 1; and how it is closed."""

    read: Callable[[slice, slice, slice], NDArray[Any]]
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True, eq=False)
class Cube:
    """A cube in a file, of which windows are read as they are asked for.

    Parts are read by `read`, or as of an array: ``cube[10:20, 30:40]``. Used in a ``with`` statement, it is
    closed at the end.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    shape : (int, int, int)
        Rows, columns and bands.
    dtype : numpy.dtype
        Of the file, in the machine's byte order.
    wavelengths : ndarray of float64, (bands,), or None
        Of the middles of the bands, in nanometres.
    nodata : float or None
        The value that marks pixels without a measurement.
    crs : str or None
        Coordinate reference system, as well-known text.
    transform : tuple of 6 floats, or None
        a, b, c, d, e and f, from columns and rows to coordinates: ``x = a·column + b·row + c`` and
        ``y = d·column + e·row + f``, at the corners of the pixels.
    extras : mapping
        What else the file says, by format; for a file of the same format.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    windows: Windows = field(repr=False)
    wavelengths: NDArray[np.float64] | None = None
    nodata: float | None = None
    crs: str | None = None
    transform: tuple[float, ...] | None = None
    extras: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def read(
        self, rows: slice = slice(None), columns: slice = slice(None), bands: slice = slice(None)
    ) -> NDArray[Any]:
        """Return a window, (rows, columns, bands), in the dtype of the file.

        Raises
        ------
        ValueError
            If a slice has a step.
        """
        parts = tuple(
            _bounded(part, length) for part, length in zip((rows, columns, bands), self.shape, strict=True)
        )
        # a copy even of what is mapped, so that nobody writes to the file or holds it open
        return np.array(self.windows.read(*parts), self.dtype, order="C")

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return a window as of an array; only slices, of rows, of rows and columns, or of all three."""
        return self.read(*(key if isinstance(key, tuple) else (key,)))

    def close(self) -> None:
        """Close the file."""
        self.windows.close()

    def __enter__(self) -> Cube:
        """Return the cube."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def __repr__(self) -> str:
        """Say where it is and how large."""
        rows, columns, bands = self.shape
        return f"Cube({str(self.path)!r}, {rows}×{columns} pixels, {bands} bands, {self.dtype})"


class Settings(NamedTuple):
    """What a new file is to hold besides its samples; as in `Cube`."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    wavelengths: NDArray[np.float64] | None = None
    nodata: float | None = None
    crs: str | None = None
    transform: tuple[float, ...] | None = None
    place_extras: Mapping[str, Any] = MappingProxyType({})
    band_extras: Mapping[str, Any] = MappingProxyType({})


class CubeWriter(NamedTuple):
    """A cube that is being written: windows are set as of an array, ``writer[10:20, 30:40] = values``.

    Attributes
    ----------
    shape : (int, int, int)
        Rows, columns and bands.
    dtype : numpy.dtype
        Of the samples; values have to be of it, or of one that it holds.
    put : callable
        Of the format: rows, columns and values.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    put: Callable[[slice, slice, NDArray[Any]], None]

    def __setitem__(self, key: Any, values: ArrayLike) -> None:
        """Write a window, (rows, columns, bands)."""
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        self.write(rows, columns, values)

    def write(self, rows: slice, columns: slice, values: ArrayLike) -> None:
        """Write a window.

        Parameters
        ----------
        rows, columns : slice
            Where, without steps.
        values : array_like, (rows, columns, bands)
            In the dtype of the file, or one that it holds.

        Raises
        ------
        ValueError
            If the shape is not that of the window.
        TypeError
            If the dtype of the file does not hold the values.
        """
        array = np.asarray(values)
        rows, columns = _bounded(rows, self.shape[0]), _bounded(columns, self.shape[1])
        expected = (rows.stop - rows.start, columns.stop - columns.start, self.shape[2])
        if array.shape != expected:
            raise ValueError(f"values have the shape {array.shape}; the window has {expected}")
        if not np.can_cast(array.dtype, self.dtype, "same_kind"):
            raise TypeError(f"values are {array.dtype}; the file holds {self.dtype}")
        self.put(rows, columns, array.astype(self.dtype, copy=False))


def _bounded(part: Any, length: int) -> slice:
    """The same part from 0, within the cube."""
    if not isinstance(part, slice) or part.step not in (None, 1):
        raise ValueError(f"the part {part!r} of a cube is asked for; accepted are slices with step 1")
    start, stop, _ = part.indices(length)
    return slice(start, max(start, stop))


def in_nanometres(values: ArrayLike, units: str | None = None) -> NDArray[np.float64] | None:
    """Return wavelengths in nanometres, or None where the unit is no length.

    Where no known unit is named, numbers below 30 are taken for micrometres and others for nanometres.

    Examples
    --------
    >>> in_nanometres([0.45, 0.55], "Micrometers"), in_nanometres([450, 550])
    (array([450., 550.]), array([450., 550.]))
    """
    array = np.asarray(values, np.float64).ravel()
    known = (units or "").strip().lower()
    if known in _METRES:
        # round takes away what the scale adds to the last digit
        return np.round(array * (_METRES[known] / 1e-9), 9)
    if known in ("wavenumber", "ghz", "mhz", "index"):
        return None
    return np.round(array * 1e3, 9) if np.median(array) < _LEAST_NANOMETRES else array


def chosen(path: Path, found: Mapping[str, tuple[int, ...]], name: str | None, *, dimensions: int = 3) -> str:
    """Return the name of the array to be read, of all that a file holds with their shapes.

    Raises
    ------
    ValueError
        If it is not there, has not so many dimensions, or is one of several and none was named.
    """
    kind = {2: "a matrix", 3: "a cube (rows, columns, bands)"}[dimensions]
    listed = ", ".join(f"{other} {shape}" for other, shape in found.items()) or "no array of numbers"
    if name is not None:
        key = name if name in found else name.strip("/")
        if key not in found:
            raise ValueError(f"{path} holds no {name!r}; it holds {listed}")
        if len(found[key]) != dimensions:
            raise ValueError(
                f"{path}:{name} has {len(found[key])} dimensions, shape {found[key]}; accepted is {kind}"
            )
        return key
    fitting = [other for other, shape in found.items() if len(shape) == dimensions]
    if not fitting:
        raise ValueError(f"{path} holds {listed}; accepted is {kind}")
    if len(fitting) > 1:
        example = f"{path.name}:{fitting[0]}"
        cubes = ", ".join(f"{other} {found[other]}" for other in fitting)
        raise ValueError(f"{path} holds several: {cubes}; name one, such as {example}")
    return fitting[0]
