"""The virtual experiment: a hyperspectral and a multispectral image of a known cube."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastimg._arrays import namespace
from fastimg.fusion._blur import as_blur, degrade
from fastimg.fusion._inputs import as_cube, as_response, host_matrix
from fastimg.transport._inputs import as_whole, check_finite

__all__ = ["resample_response", "simulate_pair"]


def simulate_pair(
    cube: ArrayLike,
    spectral_response: ArrayLike,
    *,
    ratio: int,
    blur: ArrayLike | float | None = None,
    snr_h: float | None = None,
    snr_m: float | None = None,
    rng: np.random.Generator | int | None = None,
) -> tuple[Any, Any]:
    """Return the images that a hyperspectral and a multispectral sensor would take of a cube.

    Parameters
    ----------
    cube : array_like of real numbers, (rows, cols, bands)
        The scene; rows and columns are multiples of ``ratio``.
    spectral_response : array_like, (channels, bands)
        What each channel of the multispectral sensor sees of each band, not negative.
    ratio : int
        Pixels of the multispectral image per pixel of the hyperspectral one, on either axis.
    blur : float or array_like, optional
        What the hyperspectral sensor sees around each sample: the width of a Gaussian in pixels, a kernel
        (taps,) for rows and columns, or a kernel (taps, taps); it is divided by its sum. Tap t of L lies
        t - L // 2 pixels from the sample. The scene is periodic.
    snr_h, snr_m : float, optional
        Signal to noise in dB, of each band and of each channel: mean square over variance. None: no noise.
    rng : numpy.random.Generator, int or None, optional
        Where the noise comes from: a generator, a seed, or None for other noise each time. It is drawn on the
        CPU for arrays on a GPU too.

    Returns
    -------
    hyperspectral : array, (rows / ratio, cols / ratio, bands)
        Samples at 0, ratio, 2 ratio …
    multispectral : array, (rows, cols, channels)
        Both float32 for single precision and less, else float64. Noise may make values negative.

    Raises
    ------
    ValueError
        If shapes do not agree, values are not finite, or the response has negative values.
    TypeError
        If a dtype is not accepted.

    Notes
    -----
    Equation 7 of Mifdal et al., "Hyperspectral and multispectral Wasserstein barycenter for image fusion",
    IGARSS 2017: h = I B S + N_h and m = M I + N_m, with white Gaussian noise whose level depends on the band.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.fusion import simulate_pair, starck_murtagh
    >>> cube = np.random.default_rng(0).random((16, 16, 6))
    >>> response = np.repeat(np.eye(2), 3, axis=1) / 3
    >>> h, m = simulate_pair(cube, response, ratio=4, blur=starck_murtagh(), snr_h=30, snr_m=40, rng=0)
    >>> h.shape, m.shape
    ((4, 4, 6), (16, 16, 2))
    """
    xp = namespace(cube=cube)
    scene = as_cube(xp, cube, "cube")
    response = as_response(spectral_response, bands=scene.shape[2])
    ratio, sight = as_whole(ratio, "ratio"), as_blur(blur)
    for length, name in zip(scene.shape, ("rows", "columns"), strict=False):
        if length % ratio:
            raise ValueError(f"cube has {length} {name}; accepted for ratio {ratio} are multiples of it")
    levels = [_decibels(snr, name) for snr, name in ((snr_h, "snr_h"), (snr_m, "snr_m"))]
    coarse = degrade(xp, scene, sight, ratio)
    fine = scene @ xp.asarray(response.T, dtype=scene.dtype)
    generator = np.random.default_rng(rng)
    noisy = [
        _with_noise(xp, image, level, generator) for image, level in zip((coarse, fine), levels, strict=True)
    ]
    return noisy[0], noisy[1]


def resample_response(
    wavelengths: ArrayLike, response: ArrayLike, band_centers: ArrayLike
) -> NDArray[np.float64]:
    """Return the response of a sensor at the bands of another one.

    Parameters
    ----------
    wavelengths : array_like, (n,)
        Where the response is known, increasing.
    response : array_like, (n, channels)
        Relative response of each channel, not negative.
    band_centers : array_like, (bands,)
        In the units of ``wavelengths``; beyond their ends, the response is 0.

    Returns
    -------
    numpy.ndarray, (channels, bands)
        Linearly interpolated; each row has the sum 1.

    Raises
    ------
    ValueError
        If shapes do not agree, wavelengths do not increase, values are negative or not finite, or a channel
        sees none of the bands.

    Examples
    --------
    >>> resample_response([400, 500, 600], [[0, 0], [1, 0], [0, 1]], [450, 500, 550, 600])
    array([[0.25      , 0.5       , 0.25      , 0.        ],
           [0.        , 0.        , 0.33333333, 0.66666667]])
    """
    known = np.asarray(wavelengths, dtype=np.float64)
    centers = np.asarray(band_centers, dtype=np.float64)
    table = host_matrix(response, "response")
    for values, name in ((known, "wavelengths"), (centers, "band_centers")):
        if values.ndim != 1 or values.size == 0:
            raise ValueError(f"{name} has shape {values.shape}; accepted is one axis, not empty")
        check_finite(np, values, name)
    if len(table) != len(known):
        raise ValueError(f"response has shape {table.shape}; accepted is ({len(known)}, channels)")
    if (np.diff(known) <= 0).any():
        raise ValueError("wavelengths do not increase; accepted are increasing ones, each once")
    rows = [np.interp(centers, known, channel, left=0, right=0) for channel in table.T]
    sampled = as_response(np.array(rows))
    return sampled / sampled.sum(axis=1, keepdims=True)


def _decibels(snr: float | None, name: str) -> float | None:
    if snr is None:
        return None
    try:
        number = float(snr)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {snr!r}; accepted are decibels, or None") from None
    if not np.isfinite(number):
        raise ValueError(f"{name} is {snr!r}; accepted are finite decibels, or None")
    return number


def _with_noise(xp: ModuleType, image: Any, decibels: float | None, rng: np.random.Generator) -> Any:
    if decibels is None:
        return image
    power = (image.astype(xp.float64) ** 2).mean(axis=(0, 1))
    deviation = xp.sqrt(power / 10 ** (decibels / 10))
    noise = xp.asarray(rng.standard_normal(image.shape)) * deviation
    return (image + noise).astype(image.dtype)
