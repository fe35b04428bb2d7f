"""What the values of a file are to the solver: integer codes from 0, and the way back to values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.dequantization._results import cast_inside

__all__ = ["PLACEMENTS", "Codes", "codes_of_bits", "codes_of_levels", "codes_of_steps"]

#: Where codes with fewer bits than the file's samples may stand in them
PLACEMENTS = ("low", "high", "stretched")

# Values that are this part of a step beside a multiple of it are taken for rounding of the file
_ROUNDING = 1e-3

# Where rounding may move values by more than this part of a step, multiples cannot be told from others
_BLUR = 0.1

_MOST_BITS = 32


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes, and what they mean.

    Attributes
    ----------
    codes : ndarray of integers, (N, H, W)
        From 0. Where a pixel is left alone, the code of the value that is nearest to it.
    bits : int or None
        Levels are 0 … 2**bits, or shifted by one half where values were rounded to the nearest.
    levels : ndarray, or None
        The levels, where there are no ``bits``.
    rounding : {"floor", "nearest"}
    step, first : float
        A level l stands for the value ``step * (first + l)`` of the file.
    given : ndarray of float64, or None
        The values themselves where the file may have rounded them off their multiples of the step.
    white : float or None
        The value of the file that becomes white: 2**depth where codes were rounded down, 2**depth - 1 where
        they were rounded to the nearest. None where values are in units of their own.
    """

    codes: NDArray[np.integer]
    bits: int | None = None
    levels: NDArray[np.float64] | None = None
    rounding: str = "floor"
    step: float = 1.0
    first: float = 0.0
    given: NDArray[np.float64] | None = None
    white: float | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `fastimg.dequantization.dequantize` that describe the codes."""
        if self.levels is not None:
            return {"levels": self.levels}
        return {"bits": self.bits, "rounding": self.rounding}

    def values(self, levels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Levels, whole or between, as values of the file."""
        # the sum of whole levels is exact: edges are the same numbers as multiples of the step
        return (np.asarray(levels, np.float64) + self.first) * self.step

    def floats(
        self, levels: NDArray[np.floating], dtype: np.dtype[Any], free: NDArray[np.bool_] | bool
    ) -> NDArray[np.floating]:
        """Levels as floats in units of the file, rounded to the inside of their bins.

        They lie in the bins of the multiples and in those of the values that the file has for them.

        Parameters
        ----------
        levels : ndarray, (N, H, W)
            What became of the codes.
        dtype : {float32, float64}
        free : ndarray of bool or bool
            Where levels may lie outside the bins of their codes.
        """
        lower, upper = (self.values(edge) for edge in self._edges())
        if self.given is not None:
            shift = self._shift
            lower = np.maximum(lower, self.given - shift * self.step)
            upper = np.minimum(upper, self.given + (1 - shift) * self.step)
        lower, upper = np.where(free, -np.inf, lower), np.where(free, np.inf, upper)
        inside: NDArray[np.floating] = cast_inside(
            np, np.clip(self.values(levels), lower, upper), lower, upper, dtype
        )
        return inside

    def room(self, dtype: np.dtype[Any]) -> float:
        """How many numbers of a precision there are in the bin that has the fewest."""
        lower, upper = (self.values(edge) for edge in self._edges())
        farthest = np.maximum(np.abs(lower), np.abs(upper))
        with np.errstate(over="ignore"):
            # numbers just below a power of two are twice as close as those above it
            largest = np.nextafter(farthest.astype(dtype), dtype.type(0))
        return float(((upper - lower) / np.spacing(largest)).min(initial=np.inf))

    def integers(
        self, levels: NDArray[np.floating], depth: int, free: NDArray[np.bool_] | bool
    ) -> NDArray[np.unsignedinteger]:
        """Levels as integers, rounded as the codes were; so the codes can be got back from them.

        Parameters
        ----------
        levels : ndarray, (N, H, W)
            What became of the codes.
        depth : {8, 16}
            Bits of the integers.
        free : ndarray of bool or bool
            Where levels may lie outside the bins of their codes.
        """
        scale = self.scale(depth)
        lower, upper = (self.values(edge) * scale for edge in self._edges())
        scaled = self.values(levels) * scale
        whole = np.floor(scaled) if self.rounding == "floor" and self.levels is None else np.rint(scaled)
        # Bins are half open, so that no integer is in two of them
        inside = np.clip(whole, np.ceil(lower), np.maximum(np.ceil(lower), np.ceil(upper) - 1))
        whole = np.where(free, whole, inside)
        return np.clip(whole, 0, 2**depth - 1).astype(np.uint8 if depth == 8 else np.uint16)

    def scale(self, depth: int) -> float:
        """What the values of the file are multiplied by in integers of ``depth`` bits."""
        if self.white is None:
            return 1.0
        return (2**depth if self.rounding == "floor" else 2**depth - 1) / self.white

    @property
    def middles(self) -> NDArray[np.float64]:
        """The levels in the middle of the bins."""
        lower, upper = self._edges()
        return (lower + upper) / 2

    def _edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.levels is not None:
            return self.levels[self.codes], self.levels[self.codes + 1]
        codes = self.codes.astype(np.float64)
        return codes - self._shift, codes + 1 - self._shift

    @property
    def _shift(self) -> float:
        return 0.5 if self.rounding == "nearest" else 0.0


def codes_of_bits(
    values: NDArray[np.unsignedinteger],
    depth: int,
    bits: int,
    *,
    rounding: str = "floor",
    placement: str = "auto",
    used: NDArray[np.bool_] | bool = True,
) -> Codes:
    """Find codes of ``bits`` bits in samples of ``depth`` bits.

    They stand low (12-bit samples 0 … 4095 in 16 bits), high (multiples of 16, as posterised and left-aligned
    images have them), or stretched over the whole range (multiples of 17 in 8 bits, as an image of 4 bits is
    shown; or its bits repeated, where bits and depth have no such factor).

    Parameters
    ----------
    values : ndarray, (N, H, W)
    depth, bits : int
    rounding : {"floor", "nearest"}, optional
    placement : {"auto", "low", "high", "stretched"}, optional
        With "auto", the values decide.
    used : ndarray of bool or bool, optional
        Pixels that have to be codes.

    Raises
    ------
    ValueError
        If the values are no such codes, or are codes in several ways.

    Examples
    --------
    >>> found = codes_of_bits(np.array([[[0, 16, 240]]], np.uint8), 8, 4)
    >>> found.codes.tolist(), found.step, found.white
    ([[[0, 1, 15]]], 16.0, 256.0)
    """
    if bits > depth:
        raise ValueError(f"bits is {bits}; accepted are 1 to {depth}, the bits of a sample in this file")
    used = np.broadcast_to(used, values.shape)
    fitting: dict[str, NDArray[np.integer]] = {}
    for name in PLACEMENTS if bits < depth else ("high",):
        if placement not in ("auto", name) and bits < depth:
            continue
        for table in _tables(name, depth, bits):
            if (_inverse(table, depth)[values[used]] >= 0).all():
                fitting[name] = table
                break
    if "high" in fitting:
        # in dark images, stretching moves no value yet: the codes are the same
        fitting.pop("stretched", None)
    if len(fitting) > 1:
        raise ValueError(
            f"its values may be codes of {bits} bits that stand {' or '.join(fitting)}; --codes tells which"
        )
    if not fitting:
        raise ValueError(_no_codes(values[used], depth, bits, placement))
    ((name, table),) = fitting.items()
    codes = _nearest(table, depth)[values]
    step, white = _units(name, depth, bits, rounding)
    return Codes(codes, bits, rounding=rounding, step=step, white=white)


def _units(name: str, depth: int, bits: int, rounding: str) -> tuple[float, float]:
    """The step of the codes in the file, and the value that is white."""
    full = bits if name == "low" else depth
    if rounding == "floor":
        return float(2 ** (full - bits)), float(2**full)
    step = (2**depth - 1) / (2**bits - 1) if name == "stretched" else float(2 ** (full - bits))
    return step, float(2**full - 1)


def _tables(name: str, depth: int, bits: int) -> list[NDArray[np.integer]]:
    """The value of each code in the file."""
    codes = np.arange(2**bits)
    if name == "low":
        return [codes]
    if name == "high":
        return [codes << (depth - bits)]
    repeated = sum(
        codes << shift if shift >= 0 else codes >> -shift for shift in range(depth - bits, -bits, -bits)
    )
    return [np.rint(codes * ((2**depth - 1) / (2**bits - 1))).astype(int), np.asarray(repeated)]


def _inverse(table: NDArray[np.integer], depth: int) -> NDArray[np.integer]:
    """The code of each value, -1 where it is none."""
    inverse = np.full(2**depth, -1)
    inverse[table] = np.arange(len(table))
    return inverse


def _nearest(table: NDArray[np.integer], depth: int) -> NDArray[np.integer]:
    """The code whose value is nearest, for each value."""
    between = (table[1:] + table[:-1]) / 2
    return np.searchsorted(between, np.arange(2**depth)).astype(np.uint16 if len(table) > 256 else np.uint8)


def _no_codes(values: NDArray[Any], depth: int, bits: int, placement: str) -> str:
    names = PLACEMENTS if placement == "auto" else (placement,)
    known = {name: np.concatenate(_tables(name, depth, bits)) for name in names}
    wrong = {name: values[~np.isin(values, table)][0] for name, table in known.items()}
    found = ", ".join(f"{name}: {value}" for name, value in wrong.items())
    return (
        f"its samples of {depth} bits are no codes of {bits} bits; values that do not fit where codes stand "
        f"{found}"
    )


def codes_of_steps(
    values: NDArray[Any],
    step: float,
    *,
    rounding: str = "floor",
    used: NDArray[np.bool_] | bool = True,
) -> Codes:
    """Take values that are multiples of ``step`` for codes: heights in whole metres.

    Parameters
    ----------
    values : ndarray, (N, H, W)
        Integers or floats; negative ones too.
    step : float
        The distance of two levels, in units of the values.
    rounding : {"floor", "nearest"}, optional
    used : ndarray of bool or bool, optional
        Pixels that have to be multiples.

    Raises
    ------
    ValueError
        If a value is no multiple, or values are too large for their precision to tell.

    Examples
    --------
    >>> found = codes_of_steps(np.array([[[-3, 12]]], np.int16), 1.0)
    >>> found.codes.tolist(), found.values(found.codes).tolist()
    ([[[0, 15]]], [[[-3.0, 12.0]]])
    """
    used = np.broadcast_to(used, values.shape)
    if not used.any():
        return Codes(np.zeros(values.shape, np.uint8), 1, rounding=rounding, step=step)
    multiples = np.asarray(values, np.float64) / step
    if not np.isfinite(multiples[used]).all():
        raise ValueError("it holds infinite values; accepted are finite ones, and NaN for missing pixels")
    whole = np.rint(np.where(used, multiples, 0))
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    blur = np.finfo(kind).eps * np.abs(whole)
    beside = used & (np.abs(multiples - whole) > _ROUNDING)
    blurred = beside & (blur / 2 > _BLUR)
    if blurred.any():
        name = {2: "half", 4: "single"}.get(kind.itemsize, "double")
        raise ValueError(
            f"{name} precision cannot tell steps of {step:g} at values of {values[blurred][0]}; accepted are "
            f"steps from {np.finfo(kind).eps / 2 / _BLUR:.1g} of the values"
        )
    wrong = beside & (np.abs(multiples - whole) > _ROUNDING + blur)
    if wrong.any():
        raise ValueError(f"it holds the value {values[wrong][0]}, which is no multiple of the step {step:g}")
    least, most = whole[used].min(), whole[used].max()
    bits = max(1, int(most - least).bit_length())
    if bits > _MOST_BITS:
        raise ValueError(f"its values span {most - least:g} steps of {step:g}; accepted are 2**{_MOST_BITS}")
    whole = np.clip(whole, least, most)
    codes = whole - least
    given = np.where(used, values, whole * step) if values.dtype.kind == "f" else None
    dtype = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.int64
    return Codes(codes.astype(dtype), bits, rounding=rounding, step=step, first=float(least), given=given)


def codes_of_levels(
    values: NDArray[Any], levels: NDArray[np.float64], *, used: NDArray[np.bool_] | bool = True
) -> Codes:
    """Take the values themselves for codes, code k between ``levels[k]`` and ``levels[k + 1]``.

    Parameters
    ----------
    values : ndarray of integers, (N, H, W)
    levels : ndarray, (K,)
    used : ndarray of bool or bool, optional
        Pixels that have to be codes.

    Raises
    ------
    ValueError
        If a value is no code.
    """
    used = np.broadcast_to(used, values.shape)
    most = len(levels) - 2
    whole = np.nan_to_num(np.asarray(values, np.float64), posinf=-1.0, neginf=-1.0)
    wrong = used & ((whole < 0) | (whole > most) | (whole != np.rint(whole)) | (whole != values))
    if wrong.any():
        raise ValueError(
            f"it holds the value {values[wrong][0]}; accepted with {len(levels)} levels are codes from 0 to "
            f"{most}"
        )
    codes = np.clip(np.rint(whole), 0, most)
    return Codes(codes.astype(np.uint16) if most < 2**16 else codes.astype(np.int64), levels=levels)
