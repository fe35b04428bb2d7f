"""Noise out of the two images before they are fused: a Wiener filter, and total variation."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from fastimg._arrays import as_kernel_array, namespace
from fastimg.fusion._inputs import REAL, as_cube
from fastimg.transport._inputs import as_positive, as_whole, check_finite, check_not_negative

__all__ = [
    "MEDIAN_MODULUS",
    "TV_WEIGHT",
    "Denoise",
    "chambolle",
    "check_denoise",
    "denoise_total_variation",
    "denoise_wiener",
    "denoised",
    "noise_levels",
    "wiener",
]

Denoise = bool | tuple[Callable[[Any], Any] | None, Callable[[Any], Any] | None]

# Of the image's largest value: what takes out the noise of 30 dB without the scene's edges
TV_WEIGHT = 1e-3

# Median of the modulus of a standard normal variable
MEDIAN_MODULUS = 0.6744897501960817


def denoise_wiener(image: Any, *, size: int = 3, noise: Any = None) -> Any:
    """Smooth each channel where its variance is that of noise, and keep it where there is more.

    Parameters
    ----------
    image : array_like of real numbers, (rows, cols, channels)
    size : int, optional
        Odd side of the window in which mean and variance are taken; at the edges the image is mirrored.
    noise : array_like, (channels,), optional
        Standard deviation of the noise; by default it is estimated, from the median modulus of the mixed
        second differences in rows and columns, which texture raises too.

    Returns
    -------
    array, shape of ``image``
        μ + max(v - n², 0) / max(v, n²) · (image - μ), with the mean μ and the variance v of the window.

    Raises
    ------
    ValueError
        If there are not three axes, a value is not finite, ``size`` is even, or ``noise`` is below 0 or not
        one number for each channel.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(5, 1, (64, 64, 1))
    >>> bool(denoise_wiener(noisy).std() < 0.5)
    True
    """
    xp = namespace(image=image, noise=noise)
    channels = as_cube(xp, image, "image")
    size = as_whole(size, "size")
    if size % 2 == 0:
        raise ValueError(f"size is {size}; accepted are odd numbers")
    deviation = noise_levels(xp, channels) if noise is None else _as_noise(xp, noise, channels)
    return wiener(xp, channels, size, deviation)


def _as_noise(xp: ModuleType, noise: Any, channels: Any) -> Any:
    """Return given standard deviations in the precision of the channels."""
    deviation = as_kernel_array(xp, noise, REAL, name="noise")
    expected = (channels.shape[2],)
    if deviation.shape != expected:
        raise ValueError(
            f"noise has shape {deviation.shape}; accepted is {expected}, a number for each channel of image"
        )
    check_finite(xp, deviation, "noise")
    check_not_negative(xp, deviation, "noise")
    return deviation.astype(channels.dtype, copy=False)


def noise_levels(xp: ModuleType, channels: Any) -> Any:
    """Return the standard deviation of the noise of each channel, as far as the scene lets it be seen."""
    if min(channels.shape[:2]) < 3:
        return xp.zeros(channels.shape[2], channels.dtype)
    columns = channels[:-2] - 2 * channels[1:-1] + channels[2:]
    mixed = columns[:, :-2] - 2 * columns[:, 1:-1] + columns[:, 2:]
    flat = xp.abs(mixed).reshape(-1, channels.shape[2])
    # the squares of (1, -2, 1) have the sum 6, those of its product with itself 36
    return (xp.median(flat, axis=0) / (6 * MEDIAN_MODULUS)).astype(channels.dtype)


def wiener(xp: ModuleType, channels: Any, size: int, deviation: Any) -> Any:
    """Return the filtered channels, for known levels of noise; a tile needs size // 2 pixels around it."""
    # in double precision: a variance is what is left of squares that cancel
    values, power = channels.astype(xp.float64), deviation.astype(xp.float64) ** 2
    mean = _box_mean(xp, values, size)
    variance = xp.maximum(_box_mean(xp, values**2, size) - mean**2, 0)
    largest = xp.maximum(variance, power)
    share = xp.maximum(variance - power, 0) / xp.where(largest > 0, largest, 1)
    return (mean + share * (values - mean)).astype(channels.dtype)


def _box_mean(xp: ModuleType, image: Any, size: int) -> Any:
    """Return the mean over size × size pixels; beyond the edges the image is mirrored."""
    for axis in (0, 1):
        length = image.shape[axis]
        half = size // 2
        widths = [(half, half) if each == axis else (0, 0) for each in range(image.ndim)]
        padded = xp.pad(image, widths, mode="symmetric")
        shifted = [padded[(slice(None),) * axis + (slice(start, start + length),)] for start in range(size)]
        image = sum(shifted) / size
    return image


def denoise_total_variation(image: Any, *, weight: float = TV_WEIGHT) -> Any:
    """Remove noise from a hyperspectral image by least total variation, of each band by itself.

    It is Chambolle's projection of scikit-image, on a GPU that of cuCIM, applied to the image over its
    largest value.

    Parameters
    ----------
    image : array_like of real numbers, (rows, cols, bands)
    weight : float, optional
        Of the total variation, for an image whose largest value is 1: the larger, the smoother.

    Returns
    -------
    array, shape of ``image``

    Raises
    ------
    ImportError
        If scikit-image, or for arrays on a GPU cuCIM, is missing.

    Examples
    --------
    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(5, 0.1, (32, 32, 4))
    >>> bool(denoise_total_variation(noisy, weight=0.1).std() < 0.05)
    True
    """
    xp = namespace(image=image)
    array = as_cube(xp, image, "image")
    weight = as_positive(weight, "weight")
    smoother = chambolle(xp)
    largest = xp.abs(array).max()
    if not bool(largest > 0):
        return array.copy()
    smooth = smoother(array / largest, weight=weight, channel_axis=-1) * largest
    return smooth.astype(array.dtype, copy=False)


def check_denoise(xp: ModuleType, denoise: Any) -> tuple[Any, Any]:
    """Return the functions for the multispectral and the hyperspectral image; None leaves one as it is."""
    if denoise is True:
        chambolle(xp)
        return denoise_wiener, denoise_total_variation
    if denoise is False:
        return None, None
    is_pair = isinstance(denoise, tuple | list) and len(denoise) == 2
    if not is_pair or not all(each is None or callable(each) for each in denoise):
        raise TypeError(
            f"denoise is {denoise!r}; accepted are True, False and a pair of functions, or None, for the "
            "multispectral and the hyperspectral image"
        )
    return denoise[0], denoise[1]


def denoised(xp: ModuleType, image: Any, function: Any, name: str) -> Any:
    """Return the image without noise, in its shape and dtype."""
    if function is None:
        return image
    clean = as_cube(xp, function(image), f"the denoised {name}")
    if clean.shape != image.shape:
        raise ValueError(f"denoise made {clean.shape} of {name}; accepted is its shape, {image.shape}")
    return clean.astype(image.dtype, copy=False)


def chambolle(xp: ModuleType) -> Any:
    """Return the function for total variation, or say which package is missing."""
    if xp.__name__ == "cupy":
        try:
            from cucim.skimage.restoration import denoise_tv_chambolle
        except ImportError as error:
            raise ImportError(
                "total variation on a GPU needs cuCIM (pip install cucim-cu12); or give denoise=False, or a "
                "pair of functions of your own"
            ) from error
        return denoise_tv_chambolle
    try:
        from skimage.restoration import denoise_tv_chambolle
    except ImportError as error:
        raise ImportError(
            "total variation needs scikit-image (pip install fastimg[fusion]); or give denoise=False, or a "
            "pair of functions of your own"
        ) from error
    return denoise_tv_chambolle
