"""Between the samples of files and those of a fusion, in which NaN marks what has no data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.io.cubes import Cube, CubeWriter

__all__ = ["Measured", "Rounded"]


class Measured:
    """A cube of a file as floats; windows are read as of an array.

    All bands of a pixel are NaN where it has no data: where a sample is NaN or infinite, or the file's value
    that marks such pixels. If that is 0, which a dark pixel may have in some bands, all bands have to be 0.

    Parameters
    ----------
    cube : Cube
        Of any real samples; those of up to 16 bits become float32, and longer integers float64.
    nodata : float, optional
        The value that marks pixels without data, instead of that of the file.
    """

    def __init__(self, cube: Cube, nodata: float | None = None) -> None:
        self._cube, self._nodata = cube, cube.nodata if nodata is None else nodata
        self.shape = cube.shape
        is_long = cube.dtype == np.float64 or (cube.dtype.kind in "iu" and cube.dtype.itemsize > 2)
        self.dtype = np.dtype(np.float64 if is_long else np.float32)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return a window, (rows, columns, bands)."""
        values = self._cube[key]
        floats = values.astype(self.dtype)
        missing = ~np.isfinite(floats)
        nodata = self._nodata
        if nodata is not None and np.isfinite(nodata):
            marked = values == values.dtype.type(nodata) if _holds(values.dtype, nodata) else np.False_
            missing = missing | marked if nodata else missing | np.all(marked, axis=-1, keepdims=True)
        floats[missing.any(axis=-1)] = np.nan
        return floats

    def samples(self, rows: slice, columns: slice, bands: slice) -> NDArray[Any]:
        """Return samples as they are, of some bands."""
        return self._cube.read(rows, columns, bands).astype(self.dtype)


class Rounded:
    """A cube that is written to a file, from floats in which NaN marks pixels without data.

    Integers are rounded to the nearest, and to the even one of two, and clipped to the range of the file.
    What has data does not get the value that marks pixels without: it gets the next one.

    Parameters
    ----------
    writer : CubeWriter
        Of the file.
    nodata : float or None
        The value that marks pixels without data.

    Attributes
    ----------
    missing : int
        Pixels without data so far.
    clipped : int
        Samples so far that lay beyond the range of integers.
    """

    def __init__(self, writer: CubeWriter, nodata: float | None) -> None:
        self._writer, self._nodata = writer, nodata
        self.shape, self.dtype = writer.shape, writer.dtype
        self.missing = self.clipped = 0

    def __setitem__(self, key: Any, values: NDArray[Any]) -> None:
        """Write a window, (rows, columns, bands)."""
        missing = np.isnan(values).any(axis=-1)
        nodata = self._nodata
        if missing.any() and nodata is None:
            raise ValueError(
                f"{missing.sum()} pixels have no data, and {self.dtype} has no value to mark them; --nodata "
                "gives one"
            )
        if self.dtype.kind == "f":
            samples = values.astype(self.dtype)
        else:
            range_ = np.iinfo(self.dtype)
            rounded = np.rint(np.where(missing[..., None], 0, values))
            self.clipped += int(((rounded < range_.min) | (rounded > range_.max)).sum())
            samples = np.clip(rounded, range_.min, range_.max).astype(self.dtype)
        if nodata is not None:
            mark = self.dtype.type(nodata)
            samples[samples == mark] = _next(mark)
            samples[missing] = mark
            self.missing += int(missing.sum())
        self._writer[key] = samples


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    """Whether samples can have this value; single precision holds the nearest of it."""
    if dtype.kind == "f":
        return True
    return float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def _next(mark: Any) -> Any:
    """The value beside one, towards 1: within the range of any dtype."""
    if isinstance(mark, np.floating):
        return np.nextafter(mark, type(mark)(1 if mark != 1 else 2))
    return mark + type(mark)(1) if mark < np.iinfo(type(mark)).max else mark - type(mark)(1)
