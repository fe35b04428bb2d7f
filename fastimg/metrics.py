"""How near an image comes to a reference: errors, angles between spectra, correlations, indices of quality.

NumPy arrays or CuPy arrays; cubes are (rows, cols, bands). Sums are taken in double precision.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastimg._arrays import as_kernel_array, namespace
from fastimg.transport._inputs import as_positive, check_finite

__all__ = ["cross_correlation", "ergas", "psnr", "rmse", "sam", "ssim", "uiqi"]


def rmse(estimate: ArrayLike, reference: ArrayLike) -> float:
    """Root of the mean squared error, over all values.

    Parameters
    ----------
    estimate, reference : array_like of real numbers
        Of one shape.

    Returns
    -------
    float
        In the units of the images.

    Raises
    ------
    ValueError
        If shapes differ or are empty, or a value is not finite.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Examples
    --------
    >>> rmse([[[1.0, 2.0]]], [[[1.0, 4.0]]])
    1.4142135623730951
    """
    _, found, expected = _pair(estimate, reference)
    return math.sqrt(float(((found - expected) ** 2).mean()))


def sam(estimate: ArrayLike, reference: ArrayLike) -> float:
    """Mean spectral angle.

    Parameters
    ----------
    estimate, reference : array_like of real numbers, (rows, cols, bands)

    Returns
    -------
    float
        Mean over pixels of the angle between the two spectra, in degrees; 90 where one of them is 0, and 0
        where both are.

    Raises
    ------
    ValueError
        If shapes differ, are empty, or have not three axes, or a value is not finite.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Examples
    --------
    >>> round(sam([[[1.0, 1.0]]], [[[2.0, 0.0]]]), 6)
    45.0
    """
    xp, found, expected = _cubes(estimate, reference)
    lengths = [xp.sqrt((each**2).sum(axis=2)) for each in (found, expected)]
    units = [each / xp.where(length > 0, length, 1)[..., None] for each, length in zip(
        (found, expected), lengths, strict=True
    )]  # fmt: skip
    # half the angle's tangent: the cosine of a small angle has lost its digits
    chord, opposite = (units[0] + sign * units[1] for sign in (-1, 1))
    angle = 2 * xp.arctan2(xp.sqrt((chord**2).sum(axis=2)), xp.sqrt((opposite**2).sum(axis=2)))
    return math.degrees(float(angle.mean()))


def ergas(estimate: ArrayLike, reference: ArrayLike, ratio: float) -> float:
    """Relative error over bands (erreur relative globale adimensionnelle de synthèse).

    Parameters
    ----------
    estimate, reference : array_like of real numbers, (rows, cols, bands)
    ratio : float
        Fine pixels per coarse pixel, on either axis.

    Returns
    -------
    float
        100 / ratio · √(mean over bands of (RMSE / mean of the reference)²).

    Raises
    ------
    ValueError
        If shapes differ, are empty, or have not three axes, a value is not finite, ``ratio`` is not above 0,
        or a band of the reference has the mean 0.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Examples
    --------
    >>> ergas([[[1.0, 2.0]]], [[[1.0, 4.0]]], ratio=4)
    8.838834764831844
    """
    if not 0 < ratio < math.inf:
        raise ValueError(f"ratio is {ratio!r}; accepted are finite numbers above 0")
    _, found, expected = _cubes(estimate, reference)
    means = expected.mean(axis=(0, 1))
    if bool((means == 0).any()):
        raise ValueError("reference has a band of mean 0; accepted are bands whose mean is not 0")
    errors = ((found - expected) ** 2).mean(axis=(0, 1)) / means**2
    return 100 / ratio * math.sqrt(float(errors.mean()))


def cross_correlation(estimate: ArrayLike, reference: ArrayLike) -> float:
    """Correlation of each band with that of the reference; their mean.

    Parameters
    ----------
    estimate, reference : array_like of real numbers, (rows, cols, bands)

    Returns
    -------
    float
        From -1 to 1. A band that is constant in one image counts as 0, in both as 1.

    Raises
    ------
    ValueError
        If shapes differ, are empty, or have not three axes, or a value is not finite.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Examples
    --------
    >>> round(cross_correlation([[[1.0], [2.0], [3.0]]], [[[5.0], [7.0], [9.0]]]), 9)
    1.0
    """
    xp, found, expected = _cubes(estimate, reference)
    found, expected = (each - each.mean(axis=(0, 1)) for each in (found, expected))
    powers = [(each**2).sum(axis=(0, 1)) for each in (found, expected)]
    product = (found * expected).sum(axis=(0, 1))
    norm = xp.sqrt(powers[0]) * xp.sqrt(powers[1])
    both = ((powers[0] == 0) & (powers[1] == 0)).astype(xp.float64)
    return float(xp.where(norm > 0, product / xp.where(norm > 0, norm, 1), both).mean())


def uiqi(estimate: ArrayLike, reference: ArrayLike, *, window: int = 8) -> float:
    """Universal image quality index Q, the mean over windows and bands.

    Parameters
    ----------
    estimate, reference : array_like of real numbers, (rows, cols, bands)
    window : int, optional
        Side of the square windows, at every place where one fits.

    Returns
    -------
    float
        From -1 to 1: the product of correlation, agreement of means and agreement of contrast; 1 where both
        windows are the same.

    Raises
    ------
    ValueError
        If shapes differ, have not three axes, or are smaller than ``window``, or a value is not finite.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Notes
    -----
    Z. Wang, A. C. Bovik, "A universal image quality index", IEEE Signal Processing Letters 9, 81-84 (2002).
    :doi:`10.1109/97.995823`

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).random((16, 16, 2))
    >>> uiqi(image, image)
    1.0
    """
    xp, found, expected = _cubes(estimate, reference)
    if window < 1 or window > min(found.shape[:2]):
        raise ValueError(
            f"window is {window}; accepted for {found.shape[0]} × {found.shape[1]} pixels are 1 to "
            f"{min(found.shape[:2])}"
        )
    total = 0.0
    for band in range(found.shape[2]):
        total += _band_quality(xp, found[..., band], expected[..., band], window)
    return total / found.shape[2]


def psnr(estimate: ArrayLike, reference: ArrayLike, *, peak: float | None = None) -> float:
    """Peak signal to noise, the mean over bands, by scikit-image.

    Parameters
    ----------
    estimate, reference : array_like of real numbers, (rows, cols, bands)
        NumPy arrays.
    peak : float, optional
        The largest value that there may be; by default that of each band of the reference.

    Returns
    -------
    float
        In dB; inf where a band of both images is the same.

    Raises
    ------
    ImportError
        If scikit-image is missing.
    ValueError
        If shapes differ, are empty, or have not three axes, a value is not finite, or ``peak`` is not above
        0; without it, if a band of the reference has nothing above 0 and is not the same in both.
    TypeError
        If arrays are on a GPU.

    Examples
    --------
    >>> import numpy as np
    >>> reference = np.linspace(0, 1, 64).reshape(8, 8, 1)
    >>> round(psnr(reference + 0.1, reference), 6)
    20.0
    """
    from_skimage = _scikit_image("peak_signal_noise_ratio")
    found, expected = _on_host(estimate, reference)
    peak = None if peak is None else as_positive(peak, "peak")
    values = []
    for band in range(found.shape[2]):
        pair = expected[..., band], found[..., band]
        if np.array_equal(*pair):
            values.append(math.inf)
        else:
            largest = _largest(pair[0], f"reference, band {band},") if peak is None else peak
            values.append(from_skimage(*pair, data_range=largest))
    return float(np.mean(values))


def ssim(estimate: ArrayLike, reference: ArrayLike, *, peak: float | None = None) -> float:
    """Structural similarity, the mean over bands, by scikit-image.

    Parameters
    ----------
    estimate, reference : array_like of real numbers, (rows, cols, bands)
        NumPy arrays, of 7 × 7 pixels or more.
    peak : float, optional
        The largest value that there may be; by default that of the reference.

    Returns
    -------
    float
        From -1 to 1; 1 where the images are the same.

    Raises
    ------
    ImportError
        If scikit-image is missing.
    ValueError
        If shapes differ, are empty, have not three axes or are too small, a value is not finite, or ``peak``
        is not above 0; without it, if the reference has nothing above 0 and the images are not the same.
    TypeError
        If arrays are on a GPU.

    Examples
    --------
    >>> import numpy as np
    >>> reference = np.linspace(0, 1, 64).reshape(8, 8, 1)
    >>> float(ssim(reference, reference))
    1.0
    """
    from_skimage = _scikit_image("structural_similarity")
    found, expected = _on_host(estimate, reference)
    if peak is not None:
        largest = as_positive(peak, "peak")
    elif np.array_equal(expected, found):
        largest = float(abs(expected).max()) or 1.0  # any makes 1 of it
    else:
        largest = _largest(expected, "reference")
    return float(from_skimage(expected, found, data_range=largest, channel_axis=-1))


def _pair(estimate: Any, reference: Any) -> tuple[ModuleType, Any, Any]:
    """Return both in double precision."""
    xp = namespace(estimate=estimate, reference=reference)
    found, expected = (
        as_kernel_array(xp, each, ("float64",), name=name)
        for each, name in ((estimate, "estimate"), (reference, "reference"))
    )
    if found.shape != expected.shape or found.size == 0:
        raise ValueError(
            f"estimate has shape {found.shape} and reference {expected.shape}; accepted is one shape, "
            "not empty"
        )
    check_finite(xp, found, "estimate")
    check_finite(xp, expected, "reference")
    return xp, found, expected


def _cubes(estimate: Any, reference: Any) -> tuple[ModuleType, Any, Any]:
    xp, found, expected = _pair(estimate, reference)
    if found.ndim != 3:
        raise ValueError(f"estimate has shape {found.shape}; accepted is (rows, cols, bands)")
    return xp, found, expected


def _band_quality(xp: ModuleType, found: Any, expected: Any, window: int) -> float:
    """Return the mean quality index over the windows of one band."""
    # about the mean of all, so that squares do not cancel
    centre = expected.mean()
    first, second = found - centre, expected - centre
    means = [_window_means(xp, each, window) for each in (first, second)]
    variances = [
        _window_means(xp, each**2, window) - mean**2
        for each, mean in zip((first, second), means, strict=True)
    ]
    covariance = _window_means(xp, first * second, window) - means[0] * means[1]
    brightness = [mean + centre for mean in means]
    spread, level = variances[0] + variances[1], brightness[0] ** 2 + brightness[1] ** 2
    # a flat window in both: only the means are left to compare, as in the authors' program
    tiny = 1e-14 * level
    contrast = xp.where(spread > tiny, 2 * covariance / xp.where(spread > tiny, spread, 1), 1)
    agreement = xp.where(level > 0, 2 * brightness[0] * brightness[1] / xp.where(level > 0, level, 1), 1)
    return float((contrast * agreement).mean())


def _window_means(xp: ModuleType, image: Any, window: int) -> Any:
    """Return the means over all window × window places."""
    for axis in (0, 1):
        count = image.shape[axis] - window + 1
        image = sum(image[(slice(None),) * axis + (slice(start, start + count),)] for start in range(window))
    return image / window**2


def _largest(expected: Any, name: str) -> float:
    """Return the largest value of a reference, which its signal is measured by."""
    largest = float(expected.max())
    if largest <= 0:
        raise ValueError(
            f"{name} has the largest value {largest:g}; accepted is one above 0, or a peak that says it"
        )
    return largest


def _scikit_image(name: str) -> Any:
    try:
        from skimage import metrics
    except ImportError as error:
        raise ImportError("psnr and ssim need scikit-image (pip install fastimg[fusion])") from error
    return getattr(metrics, name)


def _on_host(estimate: Any, reference: Any) -> tuple[Any, Any]:
    xp, found, expected = _cubes(estimate, reference)
    if xp is not np:
        raise TypeError("estimate is on a GPU; psnr and ssim accept NumPy arrays (cupy.asnumpy moves data)")
    return found, expected
