"""What the Sinkhorn kernels read besides their arrays: taps, weights and counters, made once and kept.

An iteration calls its kernels with the same few widths again and again, and must not copy to the device each
time. Tables are kept for each device; and for each stream, which orders upload and use.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._module import load_cupy

__all__ = ["CACHES", "Taps", "axis_taps", "counters", "log_taps", "plane_taps", "split_weights"]

# Zeros behind the taps of a line, which tiles and runs read
TILE_MARGIN, RUN_MARGIN = 64, 24
KEPT = 128


class Taps(NamedTuple):
    """Taps by distance, a row of ``table`` numbers each, and how far they reach.

    ``device_radii`` (K,) int64 are on the device, ``radii`` on the host.
    """

    taps: Any
    table: int
    device_radii: Any
    radii: tuple[int, ...]


def axis_taps(length: int, sigmas: Iterable[float], kind: Any, reach: float) -> Taps:
    """Taps exp(-d²/2σ²) of each measure along a line; those beyond reach · σ are 0."""
    return _axis_taps(_place(), length, _floats(sigmas), np.dtype(kind).char, float(reach), False)


def log_taps(length: int, sigmas: Iterable[float], kind: Any) -> Taps:
    """Their logarithms, none of which is left out."""
    return _axis_taps(_place(), length, _floats(sigmas), np.dtype(kind).char, math.inf, True)


def plane_taps(lengths: tuple[int, ...], sigmas: Iterable[float], radii: Iterable[int], kind: Any) -> Taps:
    """Taps along some axes of a cube, up to ``radii`` apart."""
    return _plane_taps(
        _place(), tuple(map(int, lengths)), _floats(sigmas), tuple(map(int, radii)), np.dtype(kind).char
    )


def split_weights(weights: Iterable[float], kind: Any) -> Any:
    """Return the (K, 2) array of weights, and of what they lose in this precision."""
    return _split_weights(_place(), _floats(weights), np.dtype(kind).char)


def counters(padded: int) -> Any:
    """Return what blocks of the fusion share: a kernel leaves it as it found it.

    Least and largest value of each band as ordered bits, the span, and the number of blocks that are done.
    """
    return _counters(_place(), padded)


def _place() -> tuple[int, int]:
    cuda = load_cupy().cuda
    return cuda.get_device_id(), cuda.get_current_stream().ptr


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(map(float, values))


def _gaussian(distance: NDArray[np.float64], sigma: float, kind: str) -> NDArray[np.float64]:
    """Return the taps, of which subnormal ones are 0."""
    if sigma == 0:
        return (distance == 0).astype(np.float64)
    with np.errstate(under="ignore"):
        taps = np.exp(-(distance**2) / (2 * sigma**2))
    return np.where(taps < np.finfo(kind).tiny, 0.0, taps)


def _farthest(taps: NDArray[Any]) -> int:
    """Return how far the taps reach that are not 0."""
    return int(np.flatnonzero(taps).max(initial=0))


@lru_cache(KEPT)
def _axis_taps(
    place: tuple[int, int], length: int, sigmas: tuple[float, ...], kind: str, reach: float, is_log: bool
) -> Taps:
    distance = np.arange(length, dtype=np.float64)
    taps = np.zeros((len(sigmas), length + TILE_MARGIN), kind)
    for own, sigma in zip(taps, sigmas, strict=True):
        if not is_log:
            values = _gaussian(distance, sigma, kind)
            own[:length] = np.where(distance > (reach if math.isinf(reach) else reach * sigma), 0.0, values)
        elif sigma:
            own[:length] = -(distance**2) / (2 * sigma**2)
    farthest = [length - 1 if sigma else 0 for sigma in sigmas] if is_log else map(_farthest, taps)
    return _uploaded(taps, tuple(farthest))


@lru_cache(KEPT)
def _plane_taps(
    place: tuple[int, int],
    lengths: tuple[int, ...],
    sigmas: tuple[float, ...],
    radii: tuple[int, ...],
    kind: str,
) -> Taps:
    farthest = [min(radius, length - 1) for radius, length in zip(radii, lengths, strict=True)]
    taps = np.zeros((len(lengths), max(farthest) + 1 + RUN_MARGIN), kind)
    for own, sigma, radius in zip(taps, sigmas, farthest, strict=True):
        own[: radius + 1] = _gaussian(np.arange(radius + 1.0), sigma, kind)
    return _uploaded(taps, tuple(map(_farthest, taps)))


def _uploaded(taps: NDArray[Any], radii: tuple[int, ...]) -> Taps:
    cupy = load_cupy()
    return Taps(cupy.asarray(taps), taps.shape[1], cupy.asarray(np.array(radii, np.int64)), radii)


@lru_cache(KEPT)
def _split_weights(place: tuple[int, int], weights: tuple[float, ...], kind: str) -> Any:
    exact = np.array(weights)
    rounded = exact.astype(kind)
    return load_cupy().asarray(np.stack([rounded, (exact - rounded).astype(kind)], axis=1))


@lru_cache(KEPT)
def _counters(place: tuple[int, int], padded: int) -> Any:
    state = np.zeros(2 * padded + 2, np.uint64)
    state[:padded] = np.iinfo(np.uint64).max
    return load_cupy().asarray(state)


# All that is kept, for tests that forget it
CACHES = (_axis_taps, _plane_taps, _split_weights, _counters)
