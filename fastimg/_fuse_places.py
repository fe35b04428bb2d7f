"""Where the samples of a hyperspectral file lie on the pixels of a multispectral one."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from fastimg.fusion import starck_murtagh
from fastimg.io.cubes import Cube

__all__ = ["BLURS", "blur_of", "coarse_transform", "sample_places"]

#: Names of blurs
BLURS = ("auto", "none", "block", "starck-murtagh")

# Fine pixels by which files may be off from what is taken for their place
_TOLERANCE = 0.25


def blur_of(given: str | float | tuple[float, ...], ratio: int, coarse: Cube, fine: Cube) -> Any:
    """Return a blur as `fastimg.fusion.hmwb` takes it.

    Parameters
    ----------
    given : str, float or tuple of float
        One of ``BLURS``, the width of a Gaussian, or taps for rows and columns. "block" is the mean of the
        fine pixels that a coarse one covers, "none" the pixel at its first corner, and "auto" that of the two
        which the places of the files say, or "none" where they say nothing.
    ratio : int
        Fine pixels along a coarse one.
    coarse, fine : Cube

    Raises
    ------
    ValueError
        If the files do not lie on one another.
    """
    if given == "auto":
        places = sample_places(coarse, fine)
        if places is None:
            return None
        given = _blur_at(places, ratio, coarse, fine)
    if given == "block":
        # tap t lies t - ratio pixels from the sample
        return np.repeat([0.0, 1.0], ratio)
    if given == "none":
        return None
    return starck_murtagh() if given == "starck-murtagh" else np.asarray(given, np.float64)


def _blur_at(places: tuple[Any, Any], ratio: int, coarse: Cube, fine: Cube) -> str:
    """The blur whose samples lie where the first and the last one do."""
    first, last = places
    steps = ratio * (np.array(coarse.shape[:2]) - 1)
    for blur, offset in (("block", (ratio - 1) / 2), ("none", 0.0)):
        if max(np.abs(first - offset).max(), np.abs(last - steps - offset).max()) <= _TOLERANCE:
            return blur
    raise ValueError(
        f"the middles of the first and the last pixel of {coarse.path} lie at {_text(first)} and "
        f"{_text(last)} of the pixels of {fine.path}; accepted are blocks of {ratio} × {ratio} pixels, or "
        f"every {ratio}th pixel from the first; --blur says what is seen instead"
    )


def _text(place: Any) -> str:
    return f"row {place[0]:.4g}, column {place[1]:.4g}"


def sample_places(coarse: Cube, fine: Cube) -> tuple[Any, Any] | None:
    """Return row and column of the first and of the last coarse sample among the middles of fine pixels.

    None where a file does not say where it lies.

    Raises
    ------
    ValueError
        If the files are in different coordinate reference systems.
    """
    if coarse.transform is None or fine.transform is None:
        return None
    if coarse.crs != fine.crs and None not in (coarse.crs, fine.crs) and not _same(coarse.crs, fine.crs):
        raise ValueError(
            f"{coarse.path} and {fine.path} are in different coordinate reference systems; accepted is one"
        )
    to_map, from_map = _matrix(coarse.transform), np.linalg.inv(_matrix(fine.transform))
    rows, columns, _ = coarse.shape
    middles = np.array([[0.5, 0.5, 1], [columns - 0.5, rows - 0.5, 1]])
    found = (from_map @ to_map @ middles.T)[:2].T - 0.5
    return found[0, ::-1], found[1, ::-1]


def coarse_transform(transform: tuple[float, ...], ratio: int, blur: Any) -> tuple[float, ...]:
    """Return the transform of an image that is sampled at every ratio-th pixel of one with ``transform``.

    The middles of its pixels lie on those of the first, the ratio-th and so on; under "block", which sees the
    fine pixels that it covers, on the middles of the blocks. So "auto" of `blur_of` finds them.
    """
    a, b, c, d, e, f = transform
    shift = 0.0 if isinstance(blur, str) and blur == "block" else (1 - ratio) / 2
    return a * ratio, b * ratio, c + (a + b) * shift, d * ratio, e * ratio, f + (d + e) * shift


def _matrix(transform: tuple[float, ...]) -> Any:
    return np.array([transform[:3], transform[3:6], (0, 0, 1)])


def _same(one: str | None, other: str | None) -> bool:
    if importlib.util.find_spec("rasterio") is None:
        return True  # two texts may mean the same
    from rasterio.crs import CRS

    return bool(CRS.from_user_input(one) == CRS.from_user_input(other))
