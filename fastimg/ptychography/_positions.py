"""Where the frames of a scan are taken: rasters and spirals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["raster_positions", "spiral_positions"]

# The angle between neighbours of the spiral, which no fraction comes near
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def raster_positions(
    shape: tuple[int, int],
    step: float | tuple[float, float],
    *,
    jitter: float = 0.0,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.float64]:
    """Return the positions of a raster, row by row, with a random offset each.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of positions.
    step : float or (float, float)
        Pixels between neighbours, down and across.
    jitter : float, optional
        Each coordinate is moved by a uniform random number of pixels between -jitter and jitter. A raster
        without it repeats itself, and that shows in a reconstruction.
    rng : numpy.random.Generator, int or None, optional
        Where the random numbers come from: a generator, a seed, or None for other numbers each time.

    Returns
    -------
    ndarray, (rows × columns, 2), float64
        Row and column in pixels, the smallest of either 0.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> from fastimg.ptychography import raster_positions
    >>> raster_positions((2, 3), 10).tolist()
    [[0.0, 0.0], [0.0, 10.0], [0.0, 20.0], [10.0, 0.0], [10.0, 10.0], [10.0, 20.0]]
    >>> raster_positions((10, 10), 7, jitter=1.75, rng=0).min(axis=0)
    array([0., 0.])
    """
    lengths = _pair(shape, "shape", "rows and columns from 1")
    if not (lengths >= 1).all() or (lengths != np.rint(lengths)).any():
        raise ValueError(f"shape is {shape!r}; accepted are two integers from 1")
    steps = _as_steps(step)
    if not 0 <= jitter < math.inf:
        raise ValueError(f"jitter is {jitter!r}; accepted are pixels from 0")
    rows, columns = lengths.astype(int)
    positions = np.indices((rows, columns)).reshape(2, -1).T * steps
    if jitter:
        positions += np.random.default_rng(rng).uniform(-jitter, jitter, positions.shape)
        positions -= positions.min(axis=0)
    return positions


def spiral_positions(
    count: int | None, step: float, *, field: tuple[float, float] | None = None
) -> NDArray[np.float64]:
    """Return the positions of a Fermat spiral, from its centre outwards.

    The spiral covers the plane evenly and never repeats itself: position n is at the radius c √n and the
    angle n × 137.508°, the golden angle.

    Parameters
    ----------
    count : int or None
        Number of positions; None for all that lie in ``field``.
    step : float
        Pixels. The positions are as dense as those of a square raster with this step, one in step² pixels
        (c = step / √π); the next neighbour is 0.96 steps away on average.
    field : (float, float), optional
        Height and width in pixels: positions outside this rectangle around the centre are left out. Without
        it the scan is round.

    Returns
    -------
    ndarray, (count, 2), float64
        Row and column in pixels, the smallest of either 0.

    Raises
    ------
    ValueError
        If a number is out of its range, or the field has no room for so many positions.

    References
    ----------
    X. Huang et al., "Optimization of overlap uniformness for ptychography", Optics Express 22, 12634 (2014).
    :doi:`10.1364/OE.22.012634`

    Examples
    --------
    >>> from fastimg.ptychography import spiral_positions
    >>> spiral_positions(100, 7.0).max(axis=0).round(1)
    array([75.1, 74.9])
    >>> len(spiral_positions(None, 7.0, field=(70, 35)))
    50
    """
    (pixels, _) = _as_steps(step)
    radius = pixels / math.sqrt(math.pi)
    if count is None and field is None:
        raise ValueError("count and field are None; accepted is one of them, or both")
    if count is not None and not (count >= 1 and count == int(count)):
        raise ValueError(f"count is {count!r}; accepted are integers from 1")
    if field is None:
        places = _spiral(int(count or 0), radius)
    else:
        half = _pair(field, "field", "height and width in pixels") / 2
        if not (half >= 0).all():
            raise ValueError(f"field is {field!r}; accepted are height and width in pixels from 0")
        places = _spiral(int((half @ half) / radius**2) + 1, radius)
        places = places[(np.abs(places) <= half).all(axis=1)]
        if count is not None and len(places) < count:
            raise ValueError(
                f"count is {count}, but {len(places)} positions lie in the field {field!r} at a step of "
                f"{step:g} pixels; accepted are fewer positions, a smaller step or a larger field"
            )
        places = places[:count]
    return places - places.min(axis=0)


def _spiral(count: int, radius: float) -> NDArray[np.float64]:
    number = np.arange(count)
    angle, distance = number * _GOLDEN_ANGLE, radius * np.sqrt(number)
    return np.stack([distance * np.sin(angle), distance * np.cos(angle)], axis=-1)


def _as_steps(step: ArrayLike) -> NDArray[np.float64]:
    steps = _pair(step, "step", "pixels above 0")
    if not ((steps > 0) & (steps < math.inf)).all():
        raise ValueError(f"step is {step!r}; accepted are pixels above 0")
    return steps


def _pair(value: Any, name: str, accepted: str) -> NDArray[np.float64]:
    """Return two numbers, one repeated where only one is given."""
    numbers = np.asarray(value, dtype=np.float64)
    if numbers.shape not in ((), (2,)) or not np.isfinite(numbers).all():
        raise ValueError(f"{name} is {value!r}; accepted are {accepted}")
    return np.broadcast_to(numbers, 2)
