"""A mask of the textured parts of an image, where steps between codes are not quantization's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastimg._arrays import namespace
from fastimg.dequantization._layout import as_plain_array, layout_of
from fastimg.dequantization._numbers import as_real, as_whole, check_finite
from fastimg.dequantization._windows import windowed

__all__ = ["textured_regions"]


def textured_regions(
    image: ArrayLike,
    *,
    threshold: float = 1,
    size: int = 3,
    dilation: int = 1,
    channel_axis: int | None = None,
) -> Any:
    """Find where an image of codes is not a smooth signal: a mask for ``dequantize``, to be looked at first.

    Neighbours that differ by more than one code differ by more than quantization makes of a smooth signal
    [1]_.

    Parameters
    ----------
    image : array_like, (..., H, W)
        Codes, or other real numbers.
    threshold : float, optional
        Textured is where the values in the window have a range above this.
    size : int, optional
        Odd side of the window in pixels, which ends at the edge of the image.
    dilation : int, optional
        Grow the mask by this many pixels to all eight sides.
    channel_axis : int, optional
        Axis of channels; each has a mask of its own.

    Returns
    -------
    array of bool, shape of the image
        True in textured parts.

    References
    ----------
    .. [1] D. Völgyes et al., "Image De-Quantization Using Plate Bending Model", Algorithms 11, 110 (2018),
       section 6.3. :doi:`10.3390/a11080110`

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.dequantization import textured_regions
    >>> image = np.repeat(np.arange(4, dtype=np.uint8), 8) + np.zeros((16, 1), np.uint8)
    >>> image[6:10, 12:20] += 4
    >>> mask = textured_regions(image)
    >>> bool(mask[8, 12]), bool(mask[0].any())
    (True, False)
    """
    xp = namespace(image=image)
    values = as_plain_array(xp, image, "image", "iubf", "real numbers")
    layout = layout_of(values.shape, channel_axis, "image")
    check_finite(xp, values, "image")
    threshold, dilation = as_real(threshold, "threshold", zero=True), as_whole(dilation, "dilation", 0)
    size = as_whole(size, "size", 1)
    if size % 2 == 0:
        raise ValueError(f"size is {size}; accepted are odd sides")
    mask = xp.zeros(layout.shape, bool)
    planes, masks = layout.planes(xp, values), layout.planes(xp, mask)
    for index in layout.indices() if 0 not in layout.image else ():
        plane = _subtractable(planes[index])
        largest, smallest = (windowed(pick, plane, size // 2) for pick in (xp.maximum, xp.minimum))
        masks[index] = windowed(xp.maximum, largest - smallest > threshold, dilation)
    return mask


def _subtractable(values: Any) -> Any:
    """Return values whose differences do not overflow, where the smaller is taken from the larger."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "i" and values.dtype.itemsize < 8:
        return values.astype(np.int64)
    return values
