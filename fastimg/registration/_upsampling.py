"""The DFT at a few positions between those of the FFT, by matrix multiplication."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from math import isfinite, prod
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastimg import kernels
from fastimg._arrays import allocate_out, as_kernel_array, namespace
from fastimg.registration._batches import batch_of, broadcast_leading, parts
from fastimg.registration._inputs import COMPLEX, as_array, check_finite


def upsampled_dft(
    data: ArrayLike,
    upsampled_region_size: int | Sequence[int],
    upsample_factor: float = 1,
    axis_offsets: ArrayLike | None = None,
    *,
    out: Any = None,
) -> Any:
    """Evaluate a region of the upsampled DFT, as if the data had been zero-padded ``upsample_factor`` times.

    Along each transformed axis, of N points, with r from 0 to the region's size,

        out[r] = sum_n data[n] exp(-2πi f[n] (r - offset) / upsample_factor),  f = fftfreq(N).

    Parameters
    ----------
    data : array_like, (..., N1, ..., Nd)
        Usually the DFT of an image or of a batch of images.
    upsampled_region_size : int or sequence of d ints
        Points of the region. An int transforms every axis; d of them transform the last d axes, and the axes
        before are a batch.
    upsample_factor : float, optional
        Points per pixel, positive.
    axis_offsets : array_like, (d,) or (..., d), optional
        The region's index of position 0, for each transformed axis; leading axes broadcast to the batch's.
    out : array, optional
        Where to write the result.

    Returns
    -------
    array, (..., R1, ..., Rd)
        complex64 for data in single precision, else complex128.

    Raises
    ------
    ValueError
        If sizes or offsets do not fit the data, or an input contains NaN or infinity.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Notes
    -----
    M. Guizar-Sicairos, S. T. Thurman, J. R. Fienup, Optics Letters 33, 156 (2008), as in scikit-image's
    ``_upsampled_dft``. The conjugate of the result for conjugated data is the upsampled *inverse* DFT.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.registration import upsampled_dft
    >>> image = np.random.default_rng(0).random((8, 8))
    >>> spectrum = np.fft.fft2(image)
    >>> np.allclose(upsampled_dft(spectrum.conj(), (8, 8)).conj() / 64, image)
    True
    """
    xp = namespace(data=data, axis_offsets=axis_offsets, out=out)
    array, dtype = as_array(xp, data, COMPLEX, "data")
    sizes = _region_sizes(upsampled_region_size, array.ndim)
    batch_ndim = array.ndim - len(sizes)
    leading, lengths = array.shape[:batch_ndim], array.shape[batch_ndim:]
    factor = float(upsample_factor)
    if not (isfinite(factor) and factor > 0):
        raise ValueError(f"upsample_factor is {upsample_factor!r}; accepted are finite positive numbers")
    offsets = _offsets(xp, axis_offsets, leading, len(sizes))
    check_finite(xp, array, "data")

    work, deliver = allocate_out(xp, out, leading + sizes, dtype, data, axis_offsets)
    if work.size > 0:
        data_of, offsets_of = batch_of(xp, array, leading, len(sizes)), batch_of(xp, offsets, leading, 1)
        _transform(xp, data_of, lengths, offsets_of, factor, work.reshape(-1, *sizes))
    return deliver()


def _transform(
    xp: ModuleType,
    data_of: Callable[[slice], Any],
    lengths: tuple[int, ...],
    offsets_of: Callable[[slice], Any],
    factor: float,
    out: Any,
) -> None:
    """Transform a batch from the first axis to the last: those after it are contiguous for the kernel."""
    matrix_dft = kernels.backend(xp).registration.matrix_dft
    sizes = out.shape[1:]
    largest = max(prod(sizes[:axis]) * prod(lengths[axis:]) for axis in range(len(sizes) + 1))
    for part in parts(xp, len(out), 2 * largest * out.dtype.itemsize):
        current, offsets = as_kernel_array(xp, data_of(part), [out.dtype]), offsets_of(part)
        items = part.stop - part.start
        for axis, (length, size) in enumerate(zip(lengths, sizes, strict=True)):
            before, after = items * prod(sizes[:axis]), prod(lengths[axis + 1 :])
            positions = (xp.arange(size) - offsets[:, axis, None]) / factor
            if len(positions) > 1:
                positions = xp.repeat(positions, before // items, axis=0)
            is_last = axis == len(sizes) - 1
            target = out[part] if is_last else xp.empty(before * size * after, out.dtype)
            target = target.reshape(before, size, after)
            matrix_dft(current.reshape(before, length, after), positions, target)
            current = target


def _region_sizes(region: Any, ndim: int) -> tuple[int, ...]:
    """Return the region's size along each transformed axis."""
    values = tuple(region) if np.ndim(region) else (region,) * ndim
    if not 1 <= len(values) <= ndim:
        raise ValueError(
            f"upsampled_region_size is {region!r}; accepted are 1 to {ndim} sizes for data of {ndim} axes"
        )
    try:
        sizes = tuple(operator.index(int(value) if value == int(value) else value) for value in values)
    except (TypeError, ValueError, OverflowError):
        sizes = (-1,)
    if min(sizes) < 0:
        raise ValueError(f"upsampled_region_size is {region!r}; accepted are whole numbers from 0")
    return sizes


def _offsets(xp: ModuleType, axis_offsets: ArrayLike | None, leading: tuple[int, ...], ndim: int) -> Any:
    """Return the offsets of each transformed axis, (..., ndim), broadcastable to the batch."""
    if axis_offsets is None:
        return xp.zeros(ndim)
    offsets = as_kernel_array(xp, axis_offsets, [np.float64], name="axis_offsets")
    if offsets.ndim == 0 or offsets.shape[-1] != ndim:
        raise ValueError(
            f"axis_offsets has shape {offsets.shape}; accepted is (..., {ndim}), one for each axis"
        )
    if broadcast_leading(("data", "axis_offsets"), leading, offsets.shape[:-1]) != leading:
        raise ValueError(
            f"axis_offsets has shape {offsets.shape}; accepted are leading axes that broadcast to {leading}"
        )
    check_finite(xp, offsets, "axis_offsets")
    return offsets
