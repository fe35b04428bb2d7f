"""Registration in any number of dimensions: the peak by FFT, refined by matrix DFTs axis by axis."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np

from fastimg import kernels

# Chebyshev nodes per axis. The correlation is band-limited to half a cycle per pixel, so over a window of
# half-width r pixels its Chebyshev interpolant through n nodes errs by at most 2 (πr/2)^n / n!, which is
# below the rounding of the dtype for r < 1.
_NODES = {np.dtype("complex64"): 12, np.dtype("complex128"): 20}

# How many points of the refinement grid are looked at before its neighbourhoods are
_COARSE_POINTS = 20_000


def register_volumes(
    xp: ModuleType, reference: Any, moving: Any, phase: bool, fourier: bool, factor: float
) -> tuple[Any, Any, Any]:
    """Register one pair of arrays of any number of dimensions.

    Returns
    -------
    shift : array, (ndim,)
    value : array, (), complex128
        The sum of the cross-power spectrum, its phase ramp removed.
    energy : array, (2,), float64
        The sums of both squared spectra.
    """
    k = kernels.backend(xp)
    if not fourier:
        reference, moving = k.fft.fftn(reference), k.fft.fftn(moving)
    product = xp.empty(reference.shape, reference.dtype)
    energy, peak = xp.empty((1, 2), np.float64), xp.empty(1, np.int64)
    flat = (1, 1, product.size)
    k.registration.cross_power(
        reference.reshape(flat), moving.reshape(flat), phase, product.reshape(flat), energy
    )
    correlation = k.fft.ifftn(product)
    k.registration.correlation_peak(correlation.reshape(flat), peak)
    start = _signed(xp, peak, product.shape)
    if factor == 1:
        shift, value = start, product.size * xp.take(correlation, peak)[0].astype(np.complex128)
    else:
        shift, value = _refine(xp, product, xp.round(start * factor) / factor, factor)
    return shift.astype(product.real.dtype), value, energy[0]


def _signed(xp: ModuleType, peak: Any, shape: tuple[int, ...]) -> Any:
    """Return the shift of a flat index of the correlation: the second half of an axis is negative."""
    index = xp.concatenate(xp.unravel_index(peak, shape))
    lengths = xp.asarray(shape)
    return xp.where(index > lengths // 2, index - lengths, index).astype(np.float64)


def _refine(xp: ModuleType, product: Any, start: Any, factor: float) -> tuple[Any, Any]:
    """Find the largest correlation on the grid of steps 1/factor around ``start``, 1.5 pixels wide."""
    region = math.ceil(1.5 * factor)
    half = region // 2
    counts = [1 if length == 1 else region for length in product.shape]
    coefficients = _chebyshev_coefficients(xp, product, start, half / factor)
    best, value = _search(xp, coefficients, counts, half)
    centre = xp.asarray([0 if count == 1 else half for count in counts])
    return start + (best - centre) / factor, value


def _chebyshev_coefficients(xp: ModuleType, product: Any, start: Any, radius: float) -> Any:
    """Return the correlation around ``start`` as a series of products of Chebyshev polynomials.

    The inverse DFT at the nodes is the forward DFT at their negatives. The first axis goes first: the rest of
    the array is then the long contiguous axis of ``matrix_dft``.
    """
    dft = kernels.backend(xp).registration.matrix_dft
    order = _NODES[product.dtype]
    sizes = [1 if length == 1 else order for length in product.shape]
    data = product
    for axis, (length, size) in enumerate(zip(product.shape, sizes, strict=True)):
        positions = -(start[axis] + radius * xp.asarray(_nodes(size)))
        data = data.reshape(math.prod(sizes[:axis]), length, -1)
        samples = xp.empty((data.shape[0], size, data.shape[2]), product.dtype)
        dft(data, positions[None], samples)
        data = samples
    transforms = [xp.asarray(_samples_to_coefficients(size)) for size in sizes]
    return _apply_along_axes(xp, transforms, data.reshape(sizes).astype(np.complex128))


def _nodes(size: int) -> np.ndarray:
    return np.cos(np.pi * (np.arange(size) + 0.5) / size)


def _samples_to_coefficients(size: int) -> np.ndarray:
    """Return the matrix from values at the nodes to coefficients (the discrete cosine transform)."""
    angles = np.pi * (np.arange(size) + 0.5) / size
    matrix = 2 / size * np.cos(np.outer(np.arange(size), angles))
    matrix[0] /= 2
    return matrix


def _search(xp: ModuleType, coefficients: Any, counts: list[int], half: int) -> tuple[Any, Any]:
    """Return the index on the grid of the largest modulus, and the value there.

    A coarse grid over everything, then ever finer ones around the best point. All of it stays on the device.
    """
    per_axis = max(4, round(_COARSE_POINTS ** (1 / len(counts))))
    stride = max(1, math.ceil(max(counts) / per_axis))
    candidates = [xp.arange(0, count, stride) for count in counts]
    while True:
        bases = [
            _polynomials(xp, (indices - (0 if count == 1 else half)) / max(1, half), size)
            for indices, count, size in zip(candidates, counts, coefficients.shape, strict=True)
        ]
        values = _apply_along_axes(xp, bases, coefficients)
        winner = xp.argmax(xp.abs(values))
        places = xp.unravel_index(winner, values.shape)
        best = [xp.take(indices, place) for indices, place in zip(candidates, places, strict=True)]
        if stride == 1:
            return xp.stack(best), xp.take(values, winner)
        finer = max(1, stride // 3)
        reach = math.ceil(1.5 * stride / finer)
        steps = finer * xp.arange(-reach, reach + 1)
        candidates = [
            xp.clip(index + steps, 0, count - 1) if count > 1 else xp.zeros(1, np.int64)
            for index, count in zip(best, counts, strict=True)
        ]
        stride = finer


def _polynomials(xp: ModuleType, x: Any, size: int) -> Any:
    """Return the first ``size`` Chebyshev polynomials at ``x``, one row for each."""
    return xp.cos(xp.arccos(x)[:, None] * xp.arange(size))


def _apply_along_axes(xp: ModuleType, matrices: list[Any], array: Any) -> Any:
    """Multiply every axis of an array by its matrix."""
    for matrix in reversed(matrices):
        array = xp.tensordot(matrix, array, axes=(1, -1))
    return array
