"""What a scan's arguments have to be, and how they become its arrays."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from fastimg._arrays import as_kernel_array
from fastimg.registration._inputs import COMPLEX, REAL, check_finite

__all__ = [
    "as_array",
    "as_index",
    "as_intensities",
    "as_mask",
    "as_probe",
    "check_shapes",
    "check_values",
    "corner_ordered",
    "counts_dtype",
]

# A search for wrong counts makes boolean arrays: it looks at this many counts at a time
_BLOCK = 1 << 22


def as_array(xp: ModuleType, a: Any, name: str) -> Any:
    """Return an array of ``xp``, of whatever dtype."""
    if isinstance(a, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; accepted are plain arrays, with the argument mask")
    if isinstance(a, xp.ndarray):
        return a
    try:
        return xp.asarray(a)
    except ValueError as error:
        raise ValueError(f"{name} is not an array of numbers: {error}") from error


def counts_dtype(given: np.dtype) -> np.dtype:
    """Return what counts of this dtype are held in."""
    if given.kind in "biu" or given == np.float16:
        return np.dtype(np.float32)
    native = np.dtype(given.type)
    if native in REAL:
        return native
    raise TypeError(f"intensities has dtype {given}; accepted are float32, float64 and integers")


def as_intensities(xp: ModuleType, a: Any) -> Any:
    counts = as_array(xp, a, "intensities")
    dtype = counts_dtype(counts.dtype)
    return as_kernel_array(xp, xp.asarray(counts, dtype=dtype), [dtype], name="intensities")


def as_mask(xp: ModuleType, a: Any) -> Any:
    if a is None:
        return None
    mask = as_array(xp, a, "mask")
    if mask.dtype != np.bool_:
        raise TypeError(f"mask has dtype {mask.dtype}; accepted is bool, True where a pixel was measured")
    return xp.ascontiguousarray(mask)


def as_probe(xp: ModuleType, a: Any) -> Any:
    if a is None:
        return None
    probe = as_kernel_array(xp, a, COMPLEX, name="probe")
    return probe[None] if probe.ndim == 2 else probe


def check_shapes(intensities: Any, positions: Any, mask: Any, probe: Any) -> None:
    shape = intensities.shape
    if len(shape) != 3 or 0 in shape or shape[1] != shape[2]:
        raise ValueError(f"intensities has shape {shape}; accepted is (J, N, N), square frames, at least one")
    if positions.shape != (shape[0], 2):
        raise ValueError(
            f"positions has shape {positions.shape}; accepted is {(shape[0], 2)}, row and column for each "
            "frame of intensities"
        )
    if mask is not None and mask.shape not in (shape, shape[1:]):
        raise ValueError(f"mask has shape {mask.shape}; accepted are {shape[1:]} and {shape}")
    if probe is not None and (probe.ndim != 3 or len(probe) == 0 or probe.shape[1:] != shape[1:]):
        raise ValueError(
            f"probe has shape {probe.shape}; accepted are {shape[1:]} and (M, {shape[1]}, {shape[2]})"
        )


def check_values(xp: ModuleType, intensities: Any, positions: Any, mask: Any, probe: Any) -> None:
    check_finite(xp, positions, "positions")
    if probe is not None:
        check_finite(xp, probe, "probe")
    if mask is not None and not bool(mask.any()):
        raise ValueError(
            "mask is False everywhere; accepted are masks that are True where a pixel was measured"
        )
    # NaN makes either of the two NaN
    low, high = float(intensities.min()), float(intensities.max())
    if low >= 0 and high < np.inf:
        return
    step = max(1, _BLOCK // intensities[0].size)
    for start in range(0, len(intensities), step):
        block = intensities[start : start + step]
        wrong = ~((block >= 0) & (block < np.inf))
        if mask is not None:
            wrong &= mask if mask.ndim == 2 else mask[start : start + step]
        if bool(wrong.any()):
            frame = start + int(wrong.any(axis=(1, 2)).argmax())
            raise ValueError(
                f"intensities has negative, NaN or infinite counts at measured pixels, first in frame {frame}"
                "; accepted are finite counts from 0, or a mask that is False there"
            )


def corner_ordered(xp: ModuleType, frames: Any, dtype: np.dtype) -> Any:
    """Return a copy whose zero frequency is in the corner."""
    moved = xp.empty(frames.shape, dtype)
    rows, columns = ((length // 2, length) for length in frames.shape[-2:])
    for to_rows, from_rows in _halves(*rows):
        for to_columns, from_columns in _halves(*columns):
            moved[..., to_rows, to_columns] = frames[..., from_rows, from_columns]
    return moved


def _halves(middle: int, length: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    rest = length - middle
    return (slice(0, rest), slice(middle, length)), (slice(rest, length), slice(0, middle))


def as_index(xp: ModuleType, selection: Any, count: int) -> Any:
    """Return a slice, or an array of ``xp`` of frame numbers from 0."""
    if isinstance(selection, slice):
        return selection
    chosen = np.asarray(selection.get() if hasattr(selection, "get") else selection)
    if chosen.ndim != 1 or (chosen.dtype.kind not in "biu" and chosen.size):
        raise TypeError(f"the selection is {selection!r}; accepted are slices, and one axis of int or bool")
    if chosen.dtype == np.bool_:
        if len(chosen) != count:
            raise IndexError(
                f"the selection has {len(chosen)} truth values; accepted are {count}, one a frame"
            )
        return xp.asarray(np.flatnonzero(chosen))
    chosen = chosen.astype(np.int64)
    if chosen.size and not (-count <= chosen.min() and chosen.max() < count):
        raise IndexError(f"the selection has frames beyond the {count} of the scan")
    return xp.asarray(chosen % count)
