"""Between which two values each pixel lies: from codes and their bins, or from bounds that are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from fastimg._arrays import as_kernel_array
from fastimg.dequantization._layout import Layout, as_plain_array, layout_of
from fastimg.dequantization._numbers import as_choice, as_whole, check_exact, check_finite, first_place

__all__ = [
    "Bins",
    "Bounds",
    "Envelopes",
    "bins_of",
    "bounds_of",
    "check_bounds",
    "check_codes",
    "check_range",
    "check_values",
]

# Offset of the lower edge of a bin from its code
_SHIFTS = {"floor": 0.0, "nearest": -0.5}
_REAL = (np.dtype(np.float32), np.dtype(np.float64))
# Codes of up to 16 bits, and their edges, are exact in single precision
_SHORT = 2
# Codes of bits, those under a mask too, are 64 bits at most
_LARGEST_CODE = 2.0**64


@dataclass(frozen=True)
class Bins:
    """Integer codes; code k lies in the bin between ``levels[k]`` and ``levels[k + 1]``.

    Attributes
    ----------
    codes : (..., H, W) integers
    levels : (K + 1,) float64 or None
        None: the bin is [k + shift, k + shift + 1].
    shift : float
    """

    xp: ModuleType
    layout: Layout
    codes: Any
    levels: Any
    shift: float

    @property
    def dtype(self) -> np.dtype:
        """Precision of the result where none is asked for."""
        return _REAL[self.codes.dtype.itemsize > _SHORT]

    @property
    def arrays(self) -> tuple[Any, ...]:
        """What is read."""
        return (self.codes,)

    def bounds(self, index: tuple[int, ...]) -> tuple[Any, Any]:
        """Return lower and upper bound of one image: (H, W) float64."""
        if self.levels is None:
            lower = self.codes[index].astype(np.float64) + self.shift
            return lower, lower + 1
        place = self.codes[index].astype(np.int64)
        return self.levels[place], self.levels[place + 1]

    def kept(self, index: tuple[int, ...]) -> Any:
        """Return the input in the units of the result: (H, W) float64."""
        if self.levels is None:
            return self.codes[index].astype(np.float64)
        return self.levels[self.codes[index].astype(np.int64)]


@dataclass(frozen=True)
class Bounds:
    """Bounds as they are given.

    Attributes
    ----------
    lower, upper : (..., H, W)
    image : (..., H, W) or None
        What masked pixels keep; None: the middle between their bounds.
    dtype : dtype
        Precision of the result where none is asked for.
    """

    xp: ModuleType
    layout: Layout
    lower: Any
    upper: Any
    image: Any
    dtype: np.dtype

    @property
    def arrays(self) -> tuple[Any, ...]:
        """What is read."""
        return self.lower, self.upper, self.image

    def bounds(self, index: tuple[int, ...]) -> tuple[Any, Any]:
        """Return lower and upper bound of one image: (H, W) float64."""
        return self.lower[index].astype(np.float64), self.upper[index].astype(np.float64)

    def kept(self, index: tuple[int, ...]) -> Any:
        """Return the input in the units of the result: (H, W) float64."""
        if self.image is not None:
            return self.image[index].astype(np.float64)
        lower, upper = self.bounds(index)
        return lower + (upper - lower) / 2


Envelopes = Bins | Bounds


def bins_of(
    xp: ModuleType, image: Any, bits: Any, levels: Any, rounding: str, channel_axis: Any
) -> tuple[Bins, int]:
    """Return the bins of an image of codes, and how many codes there are; the codes are not looked at yet."""
    codes = as_plain_array(
        xp, image, "image", "iub", "integer codes (floats are bounded by lower= and upper= instead)"
    )
    layout = layout_of(codes.shape, channel_axis, "image")
    shift = _SHIFTS[as_choice(rounding, "rounding", _SHIFTS)]
    if bits is not None:
        return Bins(xp, layout, layout.planes(xp, codes), None, shift), 2 ** as_whole(bits, "bits", 1, 32)
    if shift:
        raise ValueError("rounding is 'nearest' with levels, which are the edges of the bins already")
    edges = as_kernel_array(xp, levels, [np.float64], name="levels")
    if edges.ndim != 1 or len(edges) < 2:
        raise ValueError(f"levels has shape {edges.shape}; accepted is one axis with at least 2 edges")
    check_finite(xp, edges, "levels")
    check_exact(as_plain_array(xp, levels, "levels", "iubf", "real numbers"), "levels")
    falling = edges[1:] <= edges[:-1]
    if bool(falling.any()):
        (place,) = first_place(xp, falling)
        raise ValueError(f"levels does not increase after element {place}; accepted are increasing edges")
    with np.errstate(over="ignore"):
        wide = ~xp.isfinite(edges[1:] - edges[:-1])
    if bool(wide.any()):
        (place,) = first_place(xp, wide)
        raise ValueError(
            f"levels has the edges {float(edges[place])} and {float(edges[place + 1])}, too far apart; "
            "accepted are bins whose width is finite"
        )
    return Bins(xp, layout, layout.planes(xp, codes), edges, shift), len(edges) - 1


def check_codes(bins: Bins, count: int, mask: Any) -> None:
    """Raise ``ValueError`` for a code that has no bin; masked pixels need one with ``levels`` only."""
    codes = bins.codes
    if codes.dtype.kind == "b" or not codes.size or (int(codes.min()) >= 0 and int(codes.max()) < count):
        return
    # the largest code as an array of the codes' own dtype: a wider one would make uint64 a float
    wrong = (codes < 0) | (codes > min(count - 1, np.iinfo(codes.dtype).max))
    if mask is not None and bins.levels is None:
        wrong &= ~mask
    if bool(wrong.any()):
        place = first_place(bins.xp, wrong)
        source = (
            f"levels with {count + 1} edges" if bins.levels is not None else f"bits={count.bit_length() - 1}"
        )
        raise ValueError(
            f"image has the code {int(codes[place])} at {place}; accepted are 0 to {count - 1}, by {source}"
        )


def bounds_of(xp: ModuleType, image: Any, lower: Any, upper: Any, channel_axis: Any) -> Bounds:
    """Return the envelopes between two arrays; their values are not looked at yet."""
    given = {"lower": lower, "upper": upper}
    for name, array in given.items():
        if array is None:
            raise ValueError(f"{name} is None; accepted are lower and upper together")
    arrays = {name: as_kernel_array(xp, array, _REAL, name=name) for name, array in given.items()}
    for name, array in given.items():
        check_exact(xp.asarray(array), name)
    # NumPy's rule: a number takes the precision of the arrays
    dtypes = [arrays[name].dtype for name, array in given.items() if not isinstance(array, int | float)]
    if image is not None:
        arrays["image"] = as_plain_array(xp, image, "image", "iubf", "real numbers")
        check_exact(arrays["image"], "image")
        dtypes.append(as_kernel_array(xp, arrays["image"].ravel()[:0], _REAL, name="image").dtype)
    shapes = [array.shape for array in arrays.values()]
    shape = _common_shape(shapes, arrays["image"].shape if image is not None else None)
    layout = layout_of(shape, channel_axis, "image" if image is not None else "the envelope")
    planes = [layout.planes(xp, xp.broadcast_to(array, shape)) for array in arrays.values()]
    kept = planes[2] if image is not None else None
    return Bounds(xp, layout, planes[0], planes[1], kept, np.result_type(*dtypes) if dtypes else _REAL[1])


def _common_shape(shapes: Sequence[tuple[int, ...]], image: tuple[int, ...] | None) -> tuple[int, ...]:
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        shape = None
    if shape is None or (image is not None and shape != image):
        accepted = (
            "shapes that broadcast" if image is None else f"shapes that broadcast to the image's, {image}"
        )
        raise ValueError(f"lower and upper have shapes {shapes[0]} and {shapes[1]}; accepted are {accepted}")
    return shape


def check_bounds(bounds: Bounds, mask: Any) -> None:
    """Raise ``ValueError`` where bounds admit no number, or leave a masked pixel without value."""
    xp, lower, upper = bounds.xp, bounds.lower, bounds.upper
    counts = True if mask is None else ~mask
    for name, array, wrong in (("lower", lower, np.inf), ("upper", upper, -np.inf)):
        invalid = (xp.isnan(array) | (array == wrong)) & counts
        if bool(invalid.any()):
            place = first_place(xp, invalid)
            raise ValueError(
                f"{name} is {float(array[place])} at {place}; accepted are numbers and {-wrong} for no bound"
            )
    crossed = (lower > upper) & counts
    if bool(crossed.any()):
        place = first_place(xp, crossed)
        raise ValueError(
            f"lower is {float(lower[place])} and upper {float(upper[place])} at {place}; "
            "accepted is lower up to upper"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        wide = xp.isinf(upper.astype(np.float64) - lower) & xp.isfinite(lower) & xp.isfinite(upper)
    if bounds.image is not None:
        wide &= counts
    if bool(wide.any()):
        place = first_place(xp, wide)
        raise ValueError(
            f"lower is {float(lower[place])} and upper {float(upper[place])} at {place}, too far apart; "
            "accepted are bounds whose distance is finite"
        )
    if mask is not None and bounds.image is None:
        empty = mask & ~(xp.isfinite(lower) & xp.isfinite(upper))
        if bool(empty.any()):
            raise ValueError(
                f"mask leaves the pixel {first_place(xp, empty)} alone, but its bounds have no middle; "
                "accepted are finite bounds there, or an image whose values masked pixels keep"
            )


def check_range(
    xp: ModuleType, envelopes: Envelopes, index: tuple[int, ...], mask: Any, dtype: np.dtype
) -> None:
    """Raise ``ValueError`` where finite bounds, or what masked pixels keep, are beyond the range of a dtype.

    ``mask`` is that of this image, or None.
    """
    largest = float(np.finfo(dtype).max)
    if isinstance(envelopes, Bins):
        name = "image" if envelopes.levels is None else "levels"
        if envelopes.levels is None and largest > _LARGEST_CODE:
            return
        names = (name, name, name)
    else:
        names = ("lower", "upper", "image" if envelopes.image is not None else "lower")
    lower, upper = envelopes.bounds(index)
    counts = True if mask is None else ~mask
    checked = [(names[0], lower, counts), (names[1], upper, counts)]
    if mask is not None:
        checked.append((names[2], envelopes.kept(index), mask))
    for name, values, where in checked:
        check_values(xp, values, where, name, dtype, index)


def check_values(
    xp: ModuleType, values: Any, where: Any, name: str, dtype: np.dtype, index: tuple[int, ...]
) -> None:
    """Raise ``ValueError`` where finite values are beyond the range of a dtype."""
    largest = float(np.finfo(dtype).max)
    beyond = (xp.abs(values) > largest) & xp.isfinite(values) & where
    if bool(beyond.any()):
        place = first_place(xp, beyond)
        raise ValueError(
            f"{name} has {float(values[place])} at {index + place}, beyond the range of the result's dtype, "
            f"{dtype}; accepted are -{largest:g} to {largest:g}"
        )
