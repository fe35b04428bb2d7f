"""Registration of images of which only a part is valid, after Padfield (2012)."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastimg import kernels
from fastimg._arrays import as_kernel_array, namespace
from fastimg.registration._inputs import REAL, check_finite


def cross_correlate_masked(
    arr1: ArrayLike,
    arr2: ArrayLike,
    m1: ArrayLike,
    m2: ArrayLike,
    mode: Literal["full", "same"] = "full",
    axes: Sequence[int] = (-2, -1),
    overlap_ratio: float = 0.3,
) -> Any:
    """Compute the masked normalised cross-correlation of real arrays, with scikit-image's interface.

    For each displacement this is Pearson's correlation coefficient of the pixels that are valid in both.

    Parameters
    ----------
    arr1, arr2 : array_like
        Real arrays; their shapes may differ along ``axes``.
    m1, m2 : array_like
        Their masks, of the same shapes: True or nonzero on valid pixels.
    mode : {"full", "same"}, optional
        All displacements with any overlap, or the central ones, as many as ``arr1`` has pixels.
    axes : sequence of int, optional
        The axes along which to correlate.
    overlap_ratio : float, optional
        Displacements that leave less than this fraction of the largest overlap get 0.

    Returns
    -------
    array
        From -1 to 1; in single precision where both arrays have it (8- and 16-bit integers do). Along
        ``axes`` the length is the sum of both lengths less 1 ("full") or that of ``arr1`` ("same").

    Raises
    ------
    ValueError
        If an option is not known, shapes do not agree, an array is complex, or a valid pixel is NaN or
        infinite.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Notes
    -----
    D. Padfield, IEEE Transactions on Image Processing 21, 2706 (2012), equations for the masked numerator and
    denominator: six real FFTs forward and six back. All is computed in double precision and after subtraction
    of the mean valid pixel, which changes no coefficient but avoids the cancellation of large sums of
    squares.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.registration import cross_correlate_masked
    >>> image = np.random.default_rng(0).random((8, 8))
    >>> valid = np.ones((8, 8), bool)
    >>> correlation = cross_correlate_masked(image, image, valid, valid)
    >>> correlation.shape, np.unravel_index(correlation.argmax(), correlation.shape)
    ((15, 15), (np.int64(7), np.int64(7)))
    """
    xp = namespace(arr1=arr1, arr2=arr2, m1=m1, m2=m2)
    if mode not in ("full", "same"):
        raise ValueError(f"mode is {mode!r}; accepted are 'full' and 'same'")
    first, first_valid = _as_masked(xp, arr1, m1, ("arr1", "m1"))
    second, second_valid = _as_masked(xp, arr2, m2, ("arr2", "m2"))
    dtype = np.result_type(first.dtype, second.dtype)
    axes = _checked_axes(axes, first.shape, second.shape)
    correlation = _normalized_correlation(
        xp, first, second, first_valid, second_valid, mode, axes, overlap_ratio
    )
    return correlation.astype(dtype)


def masked_shift(
    xp: ModuleType,
    reference_image: ArrayLike,
    moving_image: ArrayLike,
    reference_mask: ArrayLike | None,
    moving_mask: ArrayLike | None,
    overlap_ratio: float,
) -> Any:
    """Return the whole-pixel shift at which the masked normalised cross-correlation is largest.

    Several equal maxima give their mean. Images of different shapes are taken to be aligned by their centres.
    """
    if reference_mask is None:
        reference_mask = xp.ones(np.shape(reference_image), bool)
    reference, reference_valid = _as_masked(
        xp, reference_image, reference_mask, ("reference_image", "reference_mask")
    )
    if moving_mask is None:
        if np.shape(moving_image) != reference.shape:
            raise ValueError(
                f"moving_image has shape {np.shape(moving_image)} and reference_image {reference.shape}; "
                "accepted without moving_mask are images of the same shape"
            )
        moving_mask = reference_valid
    moving, moving_valid = _as_masked(xp, moving_image, moving_mask, ("moving_image", "moving_mask"))
    if moving.ndim != reference.ndim:
        raise ValueError(
            f"moving_image has {moving.ndim} dimensions and reference_image {reference.ndim}; "
            "accepted are as many in both"
        )
    correlation = _normalized_correlation(
        xp,
        moving,
        reference,
        moving_valid,
        reference_valid,
        "full",
        tuple(range(reference.ndim)),
        overlap_ratio,
    )
    peak = xp.stack(xp.nonzero(correlation == correlation.max())).mean(axis=1)
    # at this index of the full correlation the centres of both images lie on each other
    aligned = (xp.asarray(reference.shape) + xp.asarray(moving.shape)) / 2 - 1
    return (aligned - peak).astype(np.result_type(reference.dtype, moving.dtype))


def _as_masked(xp: ModuleType, image: ArrayLike, mask: ArrayLike, names: tuple[str, str]) -> tuple[Any, Any]:
    """Return a real image that is zero where it is not valid, and its Boolean mask."""
    array = xp.asarray(image)
    if array.dtype.kind == "c":
        raise ValueError(f"{names[0]} has dtype {array.dtype}; accepted with masks are real images")
    array = as_kernel_array(xp, image, REAL, name=names[0])
    valid = xp.asarray(mask, dtype=bool)
    if valid.shape != array.shape:
        raise ValueError(f"{names[1]} has shape {valid.shape}; accepted is that of {names[0]}, {array.shape}")
    if array.size == 0 or array.ndim == 0:
        raise ValueError(f"{names[0]} has shape {array.shape}; accepted are non-empty images")
    array = xp.where(valid, array, array.dtype.type(0))
    check_finite(xp, array, f"{names[0]}, where {names[1]} is True,")
    return array, valid


def _checked_axes(axes: Sequence[int], first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes as non-negative numbers; the arrays must agree along all others."""
    ndim = len(first)
    if len(second) != ndim:
        raise ValueError(f"arr1 has {ndim} dimensions and arr2 {len(second)}; accepted are as many in both")
    if np.ndim(axes) != 1:
        raise TypeError(f"axes is {axes!r}; accepted is a sequence of whole numbers")
    if not all(-ndim <= axis < ndim for axis in axes) or len({axis % ndim for axis in axes}) != len(axes):
        raise ValueError(f"axes is {axes!r}; accepted are different axes from {-ndim} to {ndim - 1}")
    numbers = tuple(axis % ndim for axis in axes)
    for axis in set(range(ndim)) - set(numbers):
        if first[axis] != second[axis]:
            raise ValueError(
                f"arr1 and arr2 have lengths {first[axis]} and {second[axis]} along axis {axis}; "
                "accepted are equal lengths along axes that are not correlated"
            )
    return numbers


def _normalized_correlation(
    xp: ModuleType,
    first: Any,
    second: Any,
    first_valid: Any,
    second_valid: Any,
    mode: str,
    axes: tuple[int, ...],
    overlap_ratio: float,
) -> Any:
    """Return the coefficients in double precision.

    Reversing the second array turns its convolution with the first, a product of spectra, into a correlation.
    """
    if not 0 <= overlap_ratio <= 1:
        raise ValueError(f"overlap_ratio is {overlap_ratio!r}; accepted are numbers from 0 to 1")
    rotation = tuple(slice(None, None, -1) if axis in axes else slice(None) for axis in range(second.ndim))
    numerator, variances, overlap = _local_moments(
        xp,
        _centred(xp, first, first_valid, axes),
        _centred(xp, second, second_valid, axes)[rotation],
        first_valid.astype(np.float64),
        second_valid[rotation].astype(np.float64),
        axes,
        first.shape if mode == "same" else None,
    )
    # Where a denominator is rounding error, so is the coefficient; one pixel has no variance
    tolerance = 1e3 * np.finfo(np.float64).eps * variances.max(axis=axes, keepdims=True)
    enough = xp.maximum(overlap_ratio * overlap.max(axis=axes, keepdims=True), 2.0)
    usable = (variances > tolerance) & (overlap >= enough)
    coefficients = xp.where(usable, numerator / xp.where(usable, variances, 1.0), 0.0)
    return xp.clip(coefficients, -1.0, 1.0)


def _centred(xp: ModuleType, image: Any, valid: Any, axes: tuple[int, ...]) -> Any:
    """Return the image in double precision, less its mean valid pixel, and zero elsewhere."""
    total = image.sum(axis=axes, keepdims=True, dtype=np.float64)
    pixels = xp.maximum(valid.sum(axis=axes, keepdims=True), 1)
    return xp.where(valid, image - total / pixels, 0.0)


def _local_moments(
    xp: ModuleType,
    first: Any,
    second: Any,
    first_valid: Any,
    second_valid: Any,
    axes: tuple[int, ...],
    centre: tuple[int, ...] | None,
) -> tuple[Any, Any, Any]:
    """Return covariance, geometric mean of the variances, and overlap in pixels, of each displacement."""
    fft = kernels.backend(xp).fft
    full = [first.shape[axis] + second.shape[axis] - 1 for axis in axes]
    padded = [fft.next_fast_len(length) for length in full]
    wanted = [slice(None)] * first.ndim
    for axis, length in zip(axes, full, strict=True):
        kept = length if centre is None else centre[axis]
        wanted[axis] = slice((length - kept) // 2, (length - kept) // 2 + kept)

    def forward(array: Any) -> Any:
        return fft.rfftn(array, s=padded, axes=axes)

    def back(spectrum: Any) -> Any:
        return fft.irfftn(spectrum, s=padded, axes=axes)[tuple(wanted)]

    first_freq, second_freq = forward(first), forward(second)
    first_valid_freq, second_valid_freq = forward(first_valid), forward(second_valid)
    overlap = xp.round(back(first_valid_freq * second_valid_freq))
    pixels = xp.maximum(overlap, 1.0)
    first_sum = back(first_freq * second_valid_freq)
    second_sum = back(first_valid_freq * second_freq)
    covariance = back(first_freq * second_freq) - first_sum * second_sum / pixels
    del first_freq, second_freq
    first_variance = back(forward(first * first) * second_valid_freq) - first_sum * first_sum / pixels
    second_variance = back(first_valid_freq * forward(second * second)) - second_sum * second_sum / pixels
    variances = xp.sqrt(xp.maximum(first_variance, 0.0)) * xp.sqrt(xp.maximum(second_variance, 0.0))
    return covariance, variances, overlap
