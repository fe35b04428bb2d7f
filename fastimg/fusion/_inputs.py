"""Checks of images, responses and blurs, and how they become the arrays that are computed with."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastimg._arrays import as_kernel_array, namespace
from fastimg.transport._inputs import as_whole, check_finite

__all__ = ["Pair", "as_cube", "as_matrix", "as_pair", "as_response", "as_weight", "check_light", "check_mean"]

REAL = ("float32", "float64")

# Far enough from the ends of single precision for floors and quotients
LEAST_MEAN, LARGEST_MEAN = 1e-30, 1e30


@dataclass(frozen=True)
class Pair:
    """A checked pair of images: arrays of one dtype, which is that of the fused cube."""

    xp: ModuleType
    hyperspectral: Any
    multispectral: Any
    ratio: int

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self.hyperspectral.dtype

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and bands of the fused cube."""
        rows, cols, _ = self.multispectral.shape
        return rows, cols, self.hyperspectral.shape[2]


def as_cube(xp: ModuleType, cube: Any, name: str) -> Any:
    """Return a finite cube of real numbers."""
    array = as_kernel_array(xp, cube, REAL, name=name)
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; accepted is (rows, cols, bands), not empty")
    check_finite(xp, array, name)
    return array


def as_pair(hyperspectral: ArrayLike, multispectral: ArrayLike, ratio: Any, **others: Any) -> Pair:
    """Return both images in the wider of their precisions; ``others`` have to be arrays of the same kind."""
    xp = namespace(hyperspectral=hyperspectral, multispectral=multispectral, **others)
    ratio = as_whole(ratio, "ratio")
    coarse = as_cube(xp, hyperspectral, "hyperspectral")
    fine = as_cube(xp, multispectral, "multispectral")
    expected = tuple(ratio * length for length in coarse.shape[:2])
    if fine.shape[:2] != expected:
        raise ValueError(
            f"multispectral has {fine.shape[0]} × {fine.shape[1]} pixels; accepted for a hyperspectral image "
            f"of {coarse.shape[0]} × {coarse.shape[1]} and ratio {ratio} are {expected[0]} × {expected[1]}"
        )
    dtype = np.result_type(coarse.dtype, fine.dtype)
    return Pair(xp, coarse.astype(dtype, copy=False), fine.astype(dtype, copy=False), ratio)


def check_light(pair: Pair) -> None:
    """Refuse images without mass; that noise makes single values negative is no reason."""
    for name in ("hyperspectral", "multispectral"):
        check_mean(float(getattr(pair, name).mean(dtype=pair.xp.float64)), name)


def check_mean(mean: float, name: str) -> None:
    """Refuse what has no mass, or is in units in which single precision comes to an end."""
    if not mean > 0:
        raise ValueError(f"{name} has the mean {mean:g}; accepted are images whose mean is above 0")
    if not LEAST_MEAN <= mean <= LARGEST_MEAN:
        raise ValueError(
            f"{name} has the mean {mean:g}; accepted are means from {LEAST_MEAN:g} to {LARGEST_MEAN:g}, "
            "which other units give"
        )


def as_response(
    spectral_response: ArrayLike, channels: int | None = None, bands: int | None = None
) -> NDArray[np.float64]:
    """Return a response (channels, bands) on the host, checked against the images where they are known."""
    response = host_matrix(spectral_response, "spectral_response")
    expected = tuple(known or given for known, given in zip((channels, bands), response.shape, strict=True))
    if response.shape != expected:
        raise ValueError(
            f"spectral_response has shape {response.shape}; accepted is {expected}: a row for each "
            "channel of multispectral, a column for each band of hyperspectral"
        )
    if (response < 0).any():
        raise ValueError(f"spectral_response has {response.min():g}; accepted are values from 0")
    dark = np.flatnonzero(response.sum(axis=1) == 0)
    if dark.size:
        raise ValueError(
            f"spectral_response has only zeros in row {dark[0]}; accepted are channels that see a band"
        )
    return response


def as_matrix(inverse: Any, response: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a given spectral inverse, (bands, channels), on the host."""
    matrix = host_matrix(inverse, "spectral_inverse")
    if matrix.shape != response.shape[::-1]:
        raise ValueError(
            f"spectral_inverse has shape {matrix.shape}; accepted are 'pinv', 'regression' and a matrix "
            f"{response.shape[::-1]} (bands, channels)"
        )
    return matrix


def host_matrix(matrix: Any, name: str) -> NDArray[np.float64]:
    """Return a small matrix of finite real numbers on the host."""
    values = matrix.get() if hasattr(matrix, "get") else matrix
    array = as_kernel_array(np, values, ("float64",), name=name)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; accepted is a matrix, not empty")
    check_finite(np, array, name)
    return array


def as_weight(weight: Any) -> float:
    """Return a number above 0 and below 1."""
    try:
        number = float(weight)
    except (TypeError, ValueError):
        raise TypeError(f"weight is {weight!r}; accepted are numbers above 0 and below 1") from None
    if not 0 < number < 1:
        raise ValueError(f"weight is {weight!r}; accepted are numbers above 0 and below 1")
    return number
