"""One batch of image pairs through the kernels: the step that all two-dimensional registration shares."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import numpy as np

from fastimg import kernels


def register_pairs(
    xp: ModuleType,
    reference: Any,
    moving: Any,
    weight: Any | None,
    phase: bool,
    upsample_factor: float,
    product: Any,
    shift: Any,
    value: Any,
    energy: Any,
) -> None:
    """Find the shifts of a batch of pairs, the correlation there, and the energies.

    Parameters
    ----------
    xp : module
        ``numpy`` or ``cupy``.
    reference, moving : array, (1 or B, H, W)
        Kernel arrays of one dtype.
    weight : array, (H, W), or None
        None says that the images are spectra.
    phase : bool
        Divide the cross-power spectrum by its modulus.
    upsample_factor : float
        Steps per pixel.
    product : array, (B, H, W)
        Workspace of the complex dtype.
    shift : array, (B, 2)
        Written, as are the following two.
    value : array, (B,), complex128
        The sum of the cross-power spectrum, its phase ramp removed.
    energy : array, (B, 2), float64
        The sums of both squared spectra.
    """
    k = kernels.backend(xp)
    peak = xp.empty(len(shift), np.int64)
    if weight is None:
        k.registration.cross_power(reference, moving, phase, product, energy)
        k.registration.correlation_peak(k.fft.ifft2(product), peak)
    else:
        k.registration.correlate(reference, moving, weight, phase, product, peak, energy)
    k.registration.refine_peak(product, peak, upsample_factor, shift, value)


def rms_error(xp: ModuleType, value: Any, energy: Any) -> Any:
    """Return the translation-invariant normalised error of Fienup (1997), NaN for an empty image.

    The roots are taken one by one: their product stays in range where that of the energies does not.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        coherence = xp.abs(value) / xp.sqrt(energy[..., 0]) / xp.sqrt(energy[..., 1])
        return xp.sqrt(xp.abs(1 - coherence * coherence))


def phase_difference(xp: ModuleType, value: Any) -> Any:
    """Return the angle of the correlation at its peak, in radians."""
    return xp.arctan2(value.imag, value.real)


def warn_of_empty_images(stacklevel: int) -> None:
    """Warn that an error is NaN, at ``stacklevel`` of the caller."""
    warnings.warn(
        "Could not determine RMS error between images: the reference or the moving image is zero everywhere, "
        "and the error is NaN",
        UserWarning,
        stacklevel=stacklevel + 1,
    )
