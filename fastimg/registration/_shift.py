"""Moving images by fractions of a pixel, periodically, by a phase ramp in Fourier space."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastimg import kernels
from fastimg._arrays import allocate_out, as_kernel_array, namespace
from fastimg.registration._batches import batch_of, broadcast_leading, parts
from fastimg.registration._inputs import COMPLEX, REAL, as_array, check_finite

_NAMES = ("image", "shift")


def apply_shift(image: ArrayLike, shift: ArrayLike, *, out: Any = None) -> Any:
    """Move images by ``shift`` pixels, periodically, interpolating by their Fourier series.

    Parameters
    ----------
    image : array_like, (..., H, W)
        Real or complex.
    shift : array_like, (..., 2)
        Pixels along the rows' and the columns' axis, as ``register_stack`` returns them; positive towards
        larger indices. The leading axes of image and shift broadcast.
    out : array, (..., H, W), optional
        Where to write the result; it may be ``image``.

    Returns
    -------
    array, (..., H, W)
        Real for real images; in single precision for images in it (8- and 16-bit integers are).

    Raises
    ------
    ValueError
        If shapes do not agree, or an input contains NaN or infinity.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Notes
    -----
    The spectrum is multiplied by exp(-2πi (f_row shift_row + f_column shift_column)). At the Nyquist
    frequency of an even axis, a real image keeps the real part: it is multiplied by cos(π shift).

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.registration import apply_shift
    >>> image = np.zeros((4, 4), np.float32)
    >>> image[1, 1] = 1
    >>> apply_shift(image, (1, 2)).round(6).argmax(), image.argmax()
    (np.int64(11), np.int64(5))
    """
    xp = namespace(image=image, shift=shift, out=out)
    array, dtype = as_array(xp, image, REAL + COMPLEX, "image")
    distance = as_kernel_array(xp, shift, [np.float64], name="shift")
    if array.ndim < 2:
        raise ValueError(f"image has shape {array.shape}; accepted is (..., height, width)")
    if distance.ndim < 1 or distance.shape[-1] != 2:
        raise ValueError(f"shift has shape {distance.shape}; accepted is (..., 2)")
    leading = broadcast_leading(_NAMES, array.shape[:-2], distance.shape[:-1])
    check_finite(xp, array, "image")
    check_finite(xp, distance, "shift")

    size = array.shape[-2:]
    work, deliver = allocate_out(xp, out, leading + size, dtype, image, shift)
    if work.size > 0:
        image_of, shift_of = batch_of(xp, array, leading, 2), batch_of(xp, distance, leading, 1)
        _shift(xp, image_of, shift_of, work.reshape(-1, *size))
    return deliver()


def _shift(
    xp: ModuleType, image_of: Callable[[slice], Any], shift_of: Callable[[slice], Any], out: Any
) -> None:
    """Shift a batch part by part; an image that is the same for all is transformed once in each."""
    k = kernels.backend(xp)
    dtype = np.result_type(out.dtype, np.complex64)
    for part in parts(xp, len(out), 3 * prod(out.shape[1:]) * dtype.itemsize):
        images, shifts = image_of(part).astype(dtype), as_kernel_array(xp, shift_of(part), [np.float64])
        shifted = xp.empty((part.stop - part.start, *out.shape[1:]), dtype)
        spectrum = xp.broadcast_to(k.fft.fft2(images, overwrite_x=True), shifted.shape)
        k.registration.fourier_shift(as_kernel_array(xp, spectrum, [dtype]), shifts, shifted)
        result = k.fft.ifft2(shifted, overwrite_x=True)
        out[part] = result if out.dtype.kind == "c" else result.real
