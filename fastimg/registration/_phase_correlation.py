"""Registration of two arrays of any number of dimensions, with scikit-image's interface."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastimg import kernels
from fastimg._arrays import as_kernel_array, namespace
from fastimg.registration._disambiguation import disambiguate_shift
from fastimg.registration._inputs import (
    COMPLEX,
    REAL,
    as_factor,
    check_finite,
    is_fourier,
    is_phase,
    real_of,
)
from fastimg.registration._masked import masked_shift
from fastimg.registration._pairs import phase_difference, register_pairs, rms_error, warn_of_empty_images
from fastimg.registration._units import are_in_range, near_one
from fastimg.registration._volumes import register_volumes

_NAMES = ("reference_image", "moving_image")


def phase_cross_correlation(
    reference_image: ArrayLike,
    moving_image: ArrayLike,
    *,
    upsample_factor: float = 1,
    space: str = "real",
    disambiguate: bool = False,
    reference_mask: ArrayLike | None = None,
    moving_mask: ArrayLike | None = None,
    overlap_ratio: float = 0.3,
    normalization: Literal["phase"] | None = "phase",
) -> tuple[Any, Any, Any]:
    """Find the shift between two images to a fraction of a pixel, with scikit-image's interface.

    Parameters
    ----------
    reference_image, moving_image : array_like
        Images of any number of dimensions, real or complex, of one shape (with masks, shapes may differ).
    upsample_factor : float, optional
        The shift lies on a grid of ``1 / upsample_factor`` pixels; at least 1. Not used with masks.
    space : {"real", "fourier"}, optional
        Whether the inputs are images or their DFTs; case-insensitive. Not used with masks.
    disambiguate : bool, optional
        The peak gives the shift modulo the image's shape. True chooses, of the possible shifts, the one whose
        overlapping parts correlate best.
    reference_mask, moving_mask : array_like, optional
        True on valid pixels, of the shapes of the images. Without ``moving_mask`` the reference's is used;
        without ``reference_mask`` the whole reference is valid.
    overlap_ratio : float, optional
        With masks: shifts that leave less than this fraction of the largest overlap are not considered.
    normalization : {"phase", None}, optional
        "phase" divides the cross-power spectrum by its modulus. Not used with masks.

    Returns
    -------
    shift : array, (ndim,)
        Pixels by which to move ``moving_image`` to lay it on ``reference_image``, axis by axis. In single
        precision where both images have it (8- and 16-bit integers do), else in double precision.
    error : scalar of the same dtype
        Translation-invariant normalised RMS error; NaN for an empty image and with masks.
    phasediff : scalar of the same dtype
        Global phase difference in radians; NaN with masks.

    Raises
    ------
    ValueError
        If shapes do not agree, an option is not known, or an image contains NaN or infinity on a valid pixel.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Warns
    -----
    UserWarning
        If an image is zero everywhere, or ``disambiguate`` finds no part that correlates.

    Notes
    -----
    For CuPy input all three results are on the device, ``error`` and ``phasediff`` as arrays without axes;
    with masks these two are Python's NaN. The checks of the input and of the warnings wait for the device.

    Unlike scikit-image's, this function computes 8- and 16-bit integers and bools in single precision;
    refuses infinities, masked arrays, and dtypes wider than double precision; brings very faint and very
    bright images near 1; and with ``disambiguate`` interpolates by cubics of four points, not by splines.
    With ``normalization="phase"`` the error compares a normalised correlation with the energies of the
    images, as scikit-image's does, and says little; None gives an error between 0 and 1.

    Two dimensions go through the kernels of ``register_stack``, which is faster for many pairs. The method is
    that of Guizar-Sicairos, Thurman and Fienup, Optics Letters 33, 156 (2008); the error, of Fienup, Applied
    Optics 36, 8352 (1997); with masks, of Padfield, IEEE Transactions on Image Processing 21, 2706 (2012).

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.registration import apply_shift, phase_cross_correlation
    >>> image = np.random.default_rng(0).random((63, 63))
    >>> moving = apply_shift(image, (1.25, -3.5))
    >>> shift, error, phasediff = phase_cross_correlation(image, moving, upsample_factor=100)
    >>> shift
    array([-1.25,  3.5 ])
    """
    images = {"reference_image": reference_image, "moving_image": moving_image}
    xp = namespace(**images, reference_mask=reference_mask, moving_mask=moving_mask)
    phase, fourier, factor = is_phase(normalization), is_fourier(space), as_factor(upsample_factor)
    if reference_mask is not None or moving_mask is not None:
        shift = masked_shift(xp, reference_image, moving_image, reference_mask, moving_mask, overlap_ratio)
        return shift, np.nan, np.nan

    reference, moving = _as_images(xp, images, fourier)
    register = _register_images if reference.ndim == 2 else register_volumes
    shift, value, energy = register(xp, reference, moving, phase, fourier, factor)
    if not are_in_range(xp, energy, shift.dtype):
        for name, image in zip(_NAMES, (reference, moving), strict=True):
            check_finite(xp, image, name)
        reference, moving = (near_one(xp, image, image.ndim) for image in (reference, moving))
        shift, value, energy = register(xp, reference, moving, phase, fourier, factor)
    if disambiguate:
        if fourier:
            k = kernels.backend(xp)
            reference, moving = k.fft.ifftn(reference), k.fft.ifftn(moving)
        shift = disambiguate_shift(xp, reference, moving, shift, stacklevel=2)
    if not bool((energy > 0).all()):
        warn_of_empty_images(stacklevel=2)
    error, phasediff = rms_error(xp, value, energy), phase_difference(xp, value)
    return shift, error.astype(shift.dtype)[()], phasediff.astype(shift.dtype)[()]


def _as_images(xp: ModuleType, images: dict[str, ArrayLike], fourier: bool) -> list[Any]:
    """Return both as kernel arrays of one shape and dtype."""
    accepted = COMPLEX if fourier else REAL + COMPLEX
    arrays = [as_kernel_array(xp, image, accepted, name=name) for name, image in images.items()]
    if arrays[0].shape != arrays[1].shape:
        raise ValueError(
            f"reference_image and moving_image have shapes {arrays[0].shape} and {arrays[1].shape}; "
            "accepted are images of the same shape"
        )
    if arrays[0].size == 0 or arrays[0].ndim == 0:
        raise ValueError(f"reference_image has shape {arrays[0].shape}; accepted are non-empty images")
    dtype = np.result_type(*(array.dtype for array in arrays))
    return [as_kernel_array(xp, array, [dtype]) for array in arrays]


def _register_images(
    xp: ModuleType, reference: Any, moving: Any, phase: bool, fourier: bool, factor: float
) -> tuple[Any, Any, Any]:
    """Register one pair of two-dimensional images as a batch of one."""
    real = real_of(reference.dtype)
    weight = None if fourier else xp.ones(reference.shape, real)
    shift, value, energy = xp.empty((1, 2), real), xp.empty(1, np.complex128), xp.empty((1, 2), np.float64)
    product = xp.empty((1, *reference.shape), np.result_type(reference.dtype, np.complex64))
    register_pairs(xp, reference[None], moving[None], weight, phase, factor, product, shift, value, energy)
    return shift[0], value[0], energy[0]
