"""Biharmonic inpainting, with the interface of scikit-image."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastimg._arrays import namespace
from fastimg._warnings import ConvergenceWarning
from fastimg.dequantization._layout import as_plain_array
from fastimg.dequantization._numbers import as_whole, check_finite
from fastimg.dequantization._problems import Problem, Settings, solve_problem
from fastimg.dequantization._windows import windowed

__all__ = ["inpaint_biharmonic"]

# The stencil of the biharmonic equation reaches two pixels far
_REACH = 2
# Floats of up to 4 bytes stay in single precision
_SINGLE = 4
# scikit-image's equation at the edge is that of the evenly mirrored image
_SETTINGS = Settings(plate=1.0, membrane=0.0, boundary="even", tol=1e-10, max_cycles=500)


def inpaint_biharmonic(
    image: ArrayLike, mask: ArrayLike, *, split_into_regions: bool = False, channel_axis: int | None = None
) -> Any:
    """Fill masked pixels by the biharmonic equation, with scikit-image's interface.

    Parameters
    ----------
    image : array_like, (H, W) or (N,), and an axis of channels
        Real numbers of any kind; masked pixels may be NaN or infinite.
    mask : array_like, (H, W) or (N,)
        Not zero where a pixel is unknown.
    split_into_regions : bool, optional
        Solve for each hole by itself, with its surroundings: the same values in less memory, and, where there
        are many holes, in more time.
    channel_axis : int, optional
        Axis of channels, which share the mask.

    Returns
    -------
    array, shape of the image
        Known pixels as they were; unknown ones within the range of the known ones of their channel. In single
        precision for float16 and float32, else in double precision, integers scaled as by ``img_as_float``:
        the largest of their dtype becomes 1.

    Raises
    ------
    TypeError
        If the image is complex or a masked array, or arrays are partly on the CPU and partly on a GPU.
    ValueError
        If shapes do not agree, no pixel is known, or a known one is not finite.

    Warns
    -----
    ConvergenceWarning
        If the solver did not converge.

    Notes
    -----
    The equation is that of [1]_, Δ²u = 0 at each unknown pixel, mirrored at the edge of the image.
    scikit-image factorises its matrix; here it is the bended plate whose known pixels are fixed, solved by
    multigrid in memory and time proportional to the number of pixels. Unlike scikit-image's, this function
    refuses NaN and infinity in known pixels, and images of three and more dimensions.

    References
    ----------
    .. [1] S. B. Damelin, N. S. Hoang, "On surface completion and image inpainting by biharmonic functions:
       numerical aspects", International Journal of Mathematics and Mathematical Sciences 2018, 3950312.
       :doi:`10.1155/2018/3950312`

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.dequantization import inpaint_biharmonic
    >>> image = np.add.outer(np.linspace(0, 0.5, 32), np.linspace(0, 0.5, 32))
    >>> mask = np.zeros(image.shape, bool)
    >>> mask[10:20, 8:24] = True
    >>> filled = inpaint_biharmonic(np.where(mask, np.nan, image), mask)
    >>> bool(np.abs(filled - image).max() < 1e-4)
    True
    """
    xp = namespace(image=image, mask=mask)
    given = as_plain_array(xp, image, "image", "iubf", "real numbers")
    hole = as_plain_array(xp, mask, "mask", "iubf", "bools and numbers") != 0
    channels = _channels_first(xp, given, hole, channel_axis)
    if not bool((~hole).any()):
        raise ValueError("mask has no known pixel; accepted are masks that are 0 at one at least")
    check_finite(xp, channels, "image", ~hole)
    out = _as_float(xp, channels)
    # a line of pixels is an image of one row: its mirror adds nothing to the equation
    planes, hole = out.reshape(len(out), -1, out.shape[-1]), hole.reshape(-1, hole.shape[-1])
    regions, boxes = _regions(xp, hole, bool(split_into_regions))
    ended = []
    for plane in planes:
        known = plane[~hole]
        least, most = known.min(), known.max()
        for n, box in enumerate(boxes, 1):
            ended.append(_fill(xp, plane[box], regions[box] == n, least, most))
    if not all(ended):
        warnings.warn(f"{ended.count(False)} of {len(ended)} holes did not converge", ConvergenceWarning, 2)
    return out[0] if channel_axis is None else xp.moveaxis(out, 0, channel_axis)


def _channels_first(xp: ModuleType, image: Any, hole: Any, channel_axis: Any) -> Any:
    if channel_axis is None:
        channels = image[None]
    else:
        axis = as_whole(channel_axis, "channel_axis", -image.ndim, image.ndim - 1)
        channels = xp.moveaxis(image, axis, 0)
    if channels.ndim not in (2, 3):
        raise ValueError(
            f"image has shape {image.shape}; accepted are one and two axes, and channel_axis beside them"
        )
    if channels.shape[1:] != hole.shape:
        raise ValueError(f"mask has shape {hole.shape}; accepted is that of the image, {channels.shape[1:]}")
    return channels


def _as_float(xp: ModuleType, image: Any) -> Any:
    """Return a contiguous copy in scikit-image's precision, integers scaled as by its ``img_as_float``."""
    single = image.dtype.kind == "f" and image.dtype.itemsize <= _SINGLE
    values = xp.array(image, dtype=np.float32 if single else np.float64, order="C")
    if image.dtype.kind in "iu":
        # multiplied, as there, so that the known pixels have the same bits
        values = xp.maximum(values * (1 / np.iinfo(image.dtype).max), -1.0)
    return values


def _regions(xp: ModuleType, hole: Any, split: bool) -> tuple[Any, list[tuple[slice, ...]]]:
    """Return holes that share no equation, numbered from 1, and what of the image each of them needs."""
    from scipy.ndimage import find_objects, label

    regions = hole.astype(np.int32)
    host = regions if xp is np else regions.get()
    if not split:
        rows, columns = (np.flatnonzero(host.any(axis)) for axis in (1, 0))
        found = (
            [tuple(slice(int(line[0]), int(line[-1]) + 1) for line in (rows, columns))] if rows.size else []
        )
    else:
        # two holes are one region where the surroundings of both meet
        near = windowed(np.maximum, host, _REACH)
        host = label(near, structure=np.ones((3, 3)))[0] * host
        regions, found = xp.asarray(host), find_objects(host)
    boxes = [
        tuple(
            slice(max(part.start - _REACH, 0), min(part.stop + _REACH, length))
            for part, length in zip(box, host.shape, strict=True)
        )
        for box in found
    ]
    return regions, boxes


def _fill(xp: ModuleType, plane: Any, unknown: Any, least: Any, most: Any) -> bool:
    """Fill unknown pixels in place, clipped to the range of the known ones; return whether that converged."""
    values = xp.where(unknown, 0, plane).astype(np.float64)
    lower, upper = xp.where(unknown, -np.inf, values), xp.where(unknown, np.inf, values)
    solution = solve_problem(xp, Problem(lower, upper), _SETTINGS)
    plane[...] = xp.where(unknown, xp.clip(solution.values, least, most), plane)
    return solution.converged
