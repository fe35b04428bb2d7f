"""Registration as a NumPy user writes it from the paper, for comparison in time and result.

Guizar-Sicairos, Thurman and Fienup, "Efficient subpixel image registration algorithms", Optics Letters 33,
156 (2008): the peak of the cross-correlation to a whole pixel by FFT, then the cross-correlation in a
window of 1.5 pixels around it, at the final resolution, as a product of three matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["register"]


def register(
    reference: NDArray[Any], moving: NDArray[Any], upsample_factor: int = 100, normalize: bool = True
) -> NDArray[np.float64]:
    """Return the shift (rows, columns) that brings ``moving`` onto ``reference``.

    Parameters
    ----------
    reference, moving : ndarray, shape (H, W)
        Two images.
    upsample_factor : int, optional
        The shift is a multiple of 1/upsample_factor pixel.
    normalize : bool, optional
        Divide the cross-power spectrum by its magnitude.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> register(image, np.roll(image, (3, -2), (0, 1)))
    array([-3.,  2.])
    """
    product = np.fft.fft2(reference) * np.conj(np.fft.fft2(moving))
    if normalize:
        product /= np.maximum(np.abs(product), 100 * np.finfo(product.real.dtype).eps)
    correlation = np.fft.ifft2(product)
    peak = np.unravel_index(np.argmax(np.abs(correlation)), correlation.shape)
    coarse = [p if p <= n // 2 else p - n for p, n in zip(peak, correlation.shape, strict=True)]

    size = int(np.ceil(1.5 * upsample_factor))
    offsets = (np.arange(size) - size // 2) / upsample_factor
    rows, columns = coarse[0] + offsets, coarse[1] + offsets
    row_kernel = np.exp(2j * np.pi * rows[:, None] * np.fft.fftfreq(product.shape[0]))
    column_kernel = np.exp(2j * np.pi * np.fft.fftfreq(product.shape[1])[:, None] * columns)
    fine = row_kernel @ product @ column_kernel
    best = np.unravel_index(np.argmax(np.abs(fine)), fine.shape)
    return np.array([rows[best[0]], columns[best[1]]])
