"""Where the images lie in an array: its channels, its batches, and what belongs to each image."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["Layout", "as_plain_array", "layout_of"]


@dataclass(frozen=True)
class Layout:
    """Which axes of an array are images.

    Attributes
    ----------
    shape : tuple of int
        Shape of the array.
    channel_axis : int or None
        Axis of channels, from 0; the last two of the other axes are the image's, those before them batches.
    """

    shape: tuple[int, ...]
    channel_axis: int | None

    @property
    def planes_shape(self) -> tuple[int, ...]:
        """Shape with the channels in front of the images: (..., H, W)."""
        axes = list(range(len(self.shape)))
        if self.channel_axis is not None:
            axes.insert(len(axes) - 3, axes.pop(self.channel_axis))
        return tuple(self.shape[axis] for axis in axes)

    @property
    def leading(self) -> tuple[int, ...]:
        """Batches, then channels."""
        return self.planes_shape[:-2]

    @property
    def image(self) -> tuple[int, ...]:
        """Height and width."""
        return self.planes_shape[-2:]

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Go through the images."""
        return np.ndindex(self.leading)

    def planes(self, xp: ModuleType, array: Any) -> Any:
        """Return a view (..., H, W) of an array of ``shape``."""
        return array if self.channel_axis is None else xp.moveaxis(array, self.channel_axis, -3)

    def spread(self, xp: ModuleType, array: Any, name: str) -> Any:
        """Return a view (..., H, W) of a number, of one image for all, or of an array of ``shape``."""
        if array.shape == self.shape:
            return self.planes(xp, array)
        if array.ndim == 0 or array.shape == self.image:
            return xp.broadcast_to(array, self.planes_shape)
        also = "" if self.shape == self.image else f", and {self.image} for all images"
        raise ValueError(f"{name} has shape {array.shape}; accepted is that of the image, {self.shape}{also}")


def layout_of(shape: tuple[int, ...], channel_axis: Any, name: str) -> Layout:
    """Return the layout of an array of images, or raise ``ValueError`` where it cannot be one."""
    least = 2 if channel_axis is None else 3
    if len(shape) < least:
        accepted = "(..., height, width)" + ("" if channel_axis is None else " and the axis of channels")
        raise ValueError(f"{name} has shape {shape}; accepted is {accepted}")
    if channel_axis is None:
        return Layout(shape, None)
    try:
        axis = operator.index(channel_axis)
    except TypeError:
        raise TypeError(f"channel_axis is {channel_axis!r}; accepted are an axis and None") from None
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"channel_axis is {axis}; accepted are axes of {name}, whose shape is {shape}")
    return Layout(shape, axis % len(shape))


def as_plain_array(xp: ModuleType, array: Any, name: str, kinds: str, accepted: str) -> Any:
    """Return an array of ``xp`` as it is, or raise ``TypeError`` where its dtype is of none of ``kinds``."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost; accepted are plain arrays")
    if not isinstance(array, xp.ndarray):
        try:
            array = xp.asarray(array)
        except ValueError as error:
            raise ValueError(f"{name} is not an array of numbers: {error}") from error
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name} has dtype {array.dtype}; accepted are {accepted}")
    return array
