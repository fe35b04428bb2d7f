"""Registration of a batch of pairs of two-dimensional images."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastimg._arrays import as_kernel_array, namespace
from fastimg.registration._batches import batch_of, broadcast_leading, parts
from fastimg.registration._inputs import (
    COMPLEX,
    REAL,
    as_array,
    as_factor,
    check_finite,
    check_images,
    is_fourier,
    is_phase,
    real_of,
)
from fastimg.registration._pairs import phase_difference, register_pairs, rms_error, warn_of_empty_images
from fastimg.registration._units import are_in_range, near_one

_NAMES = ("reference", "moving")


@dataclass(frozen=True)
class StackShifts:
    """The shifts of a batch of image pairs, in arrays of the images' kind and precision.

    Attributes
    ----------
    shift : array, (..., 2)
        Pixels by which to move each ``moving`` image, along its rows' and its columns' axis, to lay it on its
        ``reference``.
    error : array, (...)
        Translation-invariant normalised RMS error, from 0 to 1; NaN where an image is zero everywhere. With
        ``normalization="phase"`` it compares a normalised correlation with the energies, and says little.
    phasediff : array, (...)
        Global phase difference in radians.
    """

    shift: Any
    error: Any
    phasediff: Any


def register_stack(
    reference: ArrayLike,
    moving: ArrayLike,
    *,
    upsample_factor: float = 100,
    normalization: Literal["phase"] | None = None,
    space: str = "real",
    weight: ArrayLike | None = None,
) -> StackShifts:
    """Register a batch of pairs of two-dimensional images to a fraction of a pixel.

    Parameters
    ----------
    reference, moving : array_like, (..., H, W)
        Images, real or complex; the leading axes broadcast: one reference for many images, or pairs.
    upsample_factor : float, optional
        The shifts lie on a grid of ``1 / upsample_factor`` pixels; at least 1.
    normalization : {None, "phase"}, optional
        "phase" divides the cross-power spectrum by its modulus: independent of illumination, and less robust
        to noise.
    space : {"real", "fourier"}, optional
        Whether the inputs are images or their DFTs; case-insensitive.
    weight : array_like, (H, W), optional
        Real and not negative; both images are multiplied by it. Not accepted with ``space="fourier"``.

    Returns
    -------
    StackShifts
        In single precision where both inputs have it (8- and 16-bit integers do), else in double precision.

    Raises
    ------
    ValueError
        If shapes do not agree, or an input contains NaN or infinity. The images' energies tell: on a GPU this
        check waits for them, once; nothing else leaves the device.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Warns
    -----
    UserWarning
        If an image is zero everywhere. Not for arrays on a GPU, where finding out would mean to wait; there,
        as on the CPU, ``error`` is NaN.

    Notes
    -----
    The whole-pixel peak of the cross-correlation comes from FFTs, and is refined on the grid of
    scikit-image's ``phase_cross_correlation``, 1.5 pixels wide, by the matrix-multiplication DFT of
    Guizar-Sicairos, Thurman and Fienup, Optics Letters 33, 156 (2008). Beyond inputs and results at most 64
    MiB are used, or what one pair takes where that is more.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.registration import apply_shift, register_stack
    >>> image = np.random.default_rng(0).random((63, 63))
    >>> moving = apply_shift(image, [[1.25, -3.5], [0.0, 10.0]])
    >>> register_stack(image, moving).shift.round(2) + 0.0
    array([[ -1.25,   3.5 ],
           [  0.  , -10.  ]])
    """
    xp = namespace(reference=reference, moving=moving, weight=weight)
    phase, fourier, factor = is_phase(normalization), is_fourier(space), as_factor(upsample_factor)
    accepted = COMPLEX if fourier else REAL + COMPLEX
    (first, first_dtype), (second, second_dtype) = (
        as_array(xp, image, accepted, name) for image, name in zip((reference, moving), _NAMES, strict=True)
    )
    images, dtype = [first, second], np.result_type(first_dtype, second_dtype)
    check_images(first, second, _NAMES)
    leading = broadcast_leading(_NAMES, *(image.shape[:-2] for image in images))
    weight = _as_weight(xp, weight, images[0].shape[-2:], dtype, fourier)
    shift, value, energy = _register(xp, images, leading, weight, phase, factor, dtype)
    if not are_in_range(xp, energy, shift.dtype):
        for image, name in zip(images, _NAMES, strict=True):
            check_finite(xp, image, name)
        shift, value, energy = _register(xp, images, leading, weight, phase, factor, dtype, scaled=True)
    if isinstance(energy, np.ndarray) and not (energy > 0).all():
        warn_of_empty_images(stacklevel=2)
    return StackShifts(
        shift=shift.reshape(*leading, 2),
        error=rms_error(xp, value, energy).astype(shift.dtype).reshape(leading),
        phasediff=phase_difference(xp, value).astype(shift.dtype).reshape(leading),
    )


def _register(
    xp: ModuleType,
    images: list[Any],
    leading: tuple[int, ...],
    weight: Any | None,
    phase: bool,
    factor: float,
    dtype: np.dtype,
    scaled: bool = False,
) -> tuple[Any, Any, Any]:
    """Register the batch part by part; return what ``register_pairs`` writes, for all of it.

    ``scaled``: each image is brought near 1 first, which its energy then shows.
    """
    count = prod(leading)
    shift = xp.empty((count, 2), real_of(dtype))
    value, energy = xp.empty(count, np.complex128), xp.empty((count, 2), np.float64)
    take = [batch_of(xp, image, leading, 2) for image in images]
    # the product, one buffer for the FFT, and both images as the kernel takes them
    size, spectrum = images[0].shape[-2:], np.result_type(dtype, np.complex64)
    cuts = list(parts(xp, count, 4 * prod(size) * spectrum.itemsize))
    product = xp.empty((max((cut.stop - cut.start for cut in cuts), default=0), *size), spectrum)
    for cut in cuts:
        first, second = (as_kernel_array(xp, images_of(cut), [dtype]) for images_of in take)
        if scaled:
            first, second = near_one(xp, first, 2), near_one(xp, second, 2)
        workspace = product[: cut.stop - cut.start]
        results = shift[cut], value[cut], energy[cut]
        register_pairs(xp, first, second, weight, phase, factor, workspace, *results)
    return shift, value, energy


def _as_weight(
    xp: ModuleType, weight: Any, shape: tuple[int, ...], dtype: np.dtype, fourier: bool
) -> Any | None:
    """Return the weight in the images' precision: ones for none given, None for spectra."""
    real = real_of(dtype)
    if fourier:
        if weight is not None:
            raise ValueError("weight is accepted with space='real' only: it multiplies images, not spectra")
        return None
    if weight is None:
        return xp.ones(shape, real)
    weight = as_kernel_array(xp, weight, REAL, name="weight")
    if weight.shape != shape:
        raise ValueError(f"weight has shape {weight.shape}; accepted is that of an image, {shape}")
    check_finite(xp, weight, "weight")
    if bool((weight < 0).any()):
        raise ValueError("weight has negative values; accepted are weights from 0")
    return near_one(xp, weight, 2).astype(real)
