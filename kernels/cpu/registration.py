"""Registration by cross-correlation on the CPU: the twins of ``kernels/cuda/registration.py``.

B is the number of pairs, T float32 or float64, C the complex type of that precision. Outputs are given,
C-contiguous, and written. A leading 1 in place of B means the same array for every pair.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange, types

from . import fft
from ._correlate import compiled_correlate
from ._fft import is_planned
from ._jit import array_type, get_num_threads, jit, run_parallel
from ._refine import NODES, barycentric, column_factors, compiled_refine, row_factors

__all__ = [
    "correlate",
    "correlation_peak",
    "cross_power",
    "cross_power_packed",
    "fourier_shift",
    "matrix_dft",
    "pack_pairs",
    "refine_peak",
]

# Below this many points a stack is not worth waking other threads for (about 20 µs).
PARALLEL_POINTS = 1 << 16

# Of the matrices that ``matrix_dft`` holds at a time, in double precision.
PHASE_BYTES = 1 << 22


def _precision(dtype: np.dtype) -> int:
    return 32 if dtype in (np.float32, np.complex64) else 64


def _call(compiled: Callable[[bool], Callable[..., None]], pairs: int, points: int, *arguments: Any) -> None:
    """Call the serial or the parallel version; the last argument is the number of threads."""
    threads = min(get_num_threads(), pairs) if points >= PARALLEL_POINTS else 1
    if threads > 1:
        run_parallel(compiled(True), *arguments, threads)
    else:
        compiled(False)(*arguments, 1)


def correlate(
    reference: np.ndarray,
    moving: np.ndarray,
    weight: np.ndarray,
    phase: bool,
    product: np.ndarray,
    peak: np.ndarray,
    energy: np.ndarray,
) -> None:
    """Cross-power spectra of windowed pairs and the peaks of their correlations.

    Parameters
    ----------
    reference, moving : (1 or B, H, W) T or C
        Images.
    weight : (H, W) T
        Window, multiplied into both.
    phase : bool
        Divide each frequency by its modulus (phase correlation).
    product : (B, H, W) C
        Receives F(weight reference) · conj F(weight moving), normalised if ``phase``.
    peak : (B,) int64
        Receives the flat index of the largest \\|F⁻¹ product\\|².
    energy : (B, 2) float64
        Receives Σ\\|F(weight image)\\|² of both images.
    """
    pairs, height, width = product.shape
    precision = _precision(product.dtype)
    if is_planned((height, width), precision):
        packed = reference.dtype.kind == "f"
        _call(
            lambda parallel: compiled_correlate(height, width, precision, packed, bool(phase), parallel),
            pairs, product.size, reference, moving, weight, product, peak, energy,
        )  # fmt: skip
        return
    if reference.dtype.kind == "f":
        packed_images = np.empty_like(product)
        pack_pairs(reference, moving, weight, packed_images, energy)
        cross_power_packed(fft.fft2(packed_images, overwrite_x=True), energy, phase, product)
    else:
        cross_power(fft.fft2(reference * weight), fft.fft2(moving * weight), phase, product, energy)
    correlation_peak(fft.ifft2(product), peak)


def refine_peak(
    product: np.ndarray, peak: np.ndarray, upsample_factor: float, shift: np.ndarray, value: np.ndarray
) -> None:
    """Refine whole-pixel peaks by the matrix DFT of a window of 1.5 px.

    Parameters
    ----------
    product : (B, H, W) C
        Cross-power spectra.
    peak : (B,) int64
        Flat indices of the peaks of their inverse transforms.
    upsample_factor : float
        Candidate shifts are 1 / ``upsample_factor`` apart; at least 1.
    shift : (B, 2) T
        Receives the candidate s with the largest \\|c(s)\\|², c(s) = Σ product · exp(2πi f·s).
    value : (B,) complex128
        Receives c there.
    """
    pairs, height, width = product.shape
    precision = _precision(product.dtype)
    region = 1 if upsample_factor == 1 else math.ceil(1.5 * upsample_factor)
    half = region // 2
    nodes = NODES[precision] if region > 1 else 2
    # the candidates start from the whole peak rounded to the grid, up to half a step away from it
    offset = 0.0 if float(upsample_factor).is_integer() else 0.5
    radius = (max(half, region - 1 - half) + offset) / upsample_factor
    points, weights = barycentric(nodes)
    _call(
        lambda parallel: compiled_refine(precision, nodes, parallel),
        pairs, product.size, product, peak,
        row_factors(height, nodes, radius, precision), column_factors(width, nodes, radius, precision),
        _roots(height, precision), _roots(width, precision), points, weights,
        radius, float(upsample_factor), region, half, shift, value,
    )  # fmt: skip


@lru_cache(64)
def _roots(n: int, precision: int) -> np.ndarray:
    """The n-th roots of unity exp(2πi k / n)."""
    return np.exp(2j * np.pi * np.arange(n) / n).astype(np.complex64 if precision == 32 else np.complex128)


def pack_pairs(
    reference: np.ndarray, moving: np.ndarray, weight: np.ndarray, packed: np.ndarray, energy: np.ndarray
) -> None:
    """Pack windowed real pairs into complex images, so that one FFT transforms both.

    Parameters
    ----------
    reference, moving : (1 or B, H, W) T
        Images.
    weight : (H, W) T
        Window.
    packed : (B, H, W) C
        Receives weight · (reference + i scale moving), scale = sqrt(energy[b, 0] / energy[b, 1]), or 1 where
        either is 0.
    energy : (B, 2) float64
        Receives H W Σ(weight image)² of both images (Parseval).
    """
    _call(
        lambda parallel: _compiled_pack(_precision(packed.dtype), parallel),
        len(packed), packed.size, reference, moving, weight, packed, energy,
    )  # fmt: skip


def cross_power_packed(packed_freq: np.ndarray, energy: np.ndarray, phase: bool, product: np.ndarray) -> None:
    """Cross-power spectra of real pairs from the spectra of ``pack_pairs``.

    Parameters
    ----------
    packed_freq : (B, H, W) C
        2-D FFT of ``packed``.
    energy : (B, 2) float64
        From ``pack_pairs``.
    phase : bool
        Divide by the modulus (at least 100 eps).
    product : (B, H, W) C
        Receives R conj(M).
    """
    _call(
        lambda parallel: _compiled_unpack(_precision(product.dtype), bool(phase), parallel),
        len(product), product.size, packed_freq, energy, product,
    )  # fmt: skip


def cross_power(
    reference_freq: np.ndarray, moving_freq: np.ndarray, phase: bool, product: np.ndarray, energy: np.ndarray
) -> None:
    """Cross-power spectra.

    Parameters
    ----------
    reference_freq, moving_freq : (1 or B, H, W) C
        Spectra.
    phase : bool
        Divide by the modulus (at least 100 eps).
    product : (B, H, W) C
        Receives reference_freq · conj(moving_freq).
    energy : (B, 2) float64
        Receives Σ\\|spectrum\\|² of both.
    """
    _call(
        lambda parallel: _compiled_cross_power(_precision(product.dtype), bool(phase), parallel),
        len(product), product.size, reference_freq, moving_freq, product, energy,
    )  # fmt: skip


def correlation_peak(correlation: np.ndarray, peak: np.ndarray) -> None:
    """Flat index of the largest squared modulus of each correlation.

    Parameters
    ----------
    correlation : (B, H, W) C
        Correlations.
    peak : (B,) int64
        Receives the index; the first of equals, and the first NaN if there is one.
    """
    _call(
        lambda parallel: _compiled_peak(_precision(correlation.dtype), parallel),
        len(correlation), correlation.size, correlation, peak,
    )  # fmt: skip


def matrix_dft(data: np.ndarray, positions: np.ndarray, out: np.ndarray) -> None:
    """DFT along the middle axis at arbitrary positions, as a matrix product.

    Parameters
    ----------
    data : (B, N, M) C
        Input.
    positions : (1 or B, R) float64
        Where the transform is evaluated, in samples.
    out : (B, R, M) C
        Receives Σ_n exp(-2πi fftfreq(N)[n] positions[r]) data[n].
    """
    batch, samples, _ = data.shape
    shared = len(positions) == 1
    step = batch if shared else max(1, PHASE_BYTES // max(1, 16 * samples * positions.shape[1]))
    for start in range(0, batch, max(1, step)):
        pairs = slice(start, start + step)
        cycles = positions[:1] if shared else positions[pairs]
        cycles = cycles[:, :, None] * np.fft.fftfreq(samples)
        cycles -= np.round(cycles)  # single precision has no digits for whole cycles
        np.matmul(np.exp(-2j * np.pi * cycles).astype(data.dtype), data[pairs], out=out[pairs])


def fourier_shift(spectrum: np.ndarray, shift: np.ndarray, out: np.ndarray) -> None:
    """Multiply spectra by the phase ramp of a shift.

    Parameters
    ----------
    spectrum : (B, H, W) C
        2-D FFTs.
    shift : (1 or B, 2) float64
        Rows and columns, in pixels; content moves towards larger indices.
    out : (B, H, W) C
        Receives spectrum · exp(-2πi f·shift); may be ``spectrum``.
    """
    _call(
        lambda parallel: _compiled_shift(_precision(out.dtype), parallel),
        len(out), out.size, spectrum, shift, out,
    )  # fmt: skip


# -- compiled loops


def _types(precision: int) -> tuple[Any, Any, float]:
    real = np.float32 if precision == 32 else np.float64
    return real, (np.complex64 if precision == 32 else np.complex128), float(np.finfo(real).eps)


_ENERGY = array_type(np.float64, 2)
_ENERGY_OUT = array_type(np.float64, 2, readonly=False)


@lru_cache(None)
def _compiled_pack(precision: int, parallel: bool) -> Callable[..., None]:
    real, complex_, _ = _types(precision)
    images = array_type(real, 3)

    @jit(
        types.void(
            images,
            images,
            array_type(real, 2),
            array_type(complex_, 3, readonly=False),
            _ENERGY_OUT,
            types.int64,
        ),
        parallel=parallel,
    )
    def pack(reference, moving, weight, packed, energy, threads):
        height, width = weight.shape
        for thread in prange(threads):
            for b in range(thread, len(packed), threads):
                r, m = min(b, len(reference) - 1), min(b, len(moving) - 1)
                sums = np.zeros(2)
                for y in range(height):
                    for x in range(width):
                        sums[0] += (np.float64(weight[y, x]) * reference[r, y, x]) ** 2
                        sums[1] += (np.float64(weight[y, x]) * moving[m, y, x]) ** 2
                energy[b] = sums * (height * width)
                scale = np.sqrt(sums[0] / sums[1]) if sums[0] > 0.0 and sums[1] > 0.0 else 1.0
                for y in range(height):
                    for x in range(width):
                        packed[b, y, x] = complex(
                            weight[y, x] * reference[r, y, x], scale * weight[y, x] * moving[m, y, x]
                        )

    return pack


@jit()
def _normalised(product, phase, smallest):
    """``product`` over its modulus, which counts as at least ``smallest``; unscaled unless ``phase``."""
    if not phase:
        return product
    return product / max(math.hypot(product.real, product.imag), smallest)


@lru_cache(None)
def _compiled_unpack(precision: int, phase: bool, parallel: bool) -> Callable[..., None]:
    real, complex_, eps = _types(precision)

    @jit(
        types.void(array_type(complex_, 3), _ENERGY, array_type(complex_, 3, readonly=False), types.int64),
        parallel=parallel,
    )
    def unpack(packed_freq, energy, product, threads):
        _, height, width = product.shape
        for thread in prange(threads):
            for b in range(thread, len(product), threads):
                if energy[b, 0] == 0.0 or energy[b, 1] == 0.0:
                    # the half that belongs to the empty image is rounding
                    product[b] = 0.0
                    continue
                inverse = np.sqrt(energy[b, 1] / energy[b, 0])
                for y in range(height):
                    for x in range(width):
                        z, mirrored = packed_freq[b, y, x], np.conj(packed_freq[b, -y, -x])
                        reference, moving = z + mirrored, (z - mirrored) * -1j
                        value = reference * np.conj(moving) * real(0.25 * inverse)
                        product[b, y, x] = _normalised(value, phase, 100.0 * eps)

    return unpack


@lru_cache(None)
def _compiled_cross_power(precision: int, phase: bool, parallel: bool) -> Callable[..., None]:
    _, complex_, eps = _types(precision)
    spectra = array_type(complex_, 3)

    @jit(
        types.void(spectra, spectra, array_type(complex_, 3, readonly=False), _ENERGY_OUT, types.int64),
        parallel=parallel,
    )
    def cross_power(reference_freq, moving_freq, product, energy, threads):
        _, height, width = product.shape
        for thread in prange(threads):
            for b in range(thread, len(product), threads):
                r, m = min(b, len(reference_freq) - 1), min(b, len(moving_freq) - 1)
                sums = np.zeros(2)
                for y in range(height):
                    for x in range(width):
                        first, second = reference_freq[r, y, x], moving_freq[m, y, x]
                        sums[0] += np.float64(first.real) ** 2 + np.float64(first.imag) ** 2
                        sums[1] += np.float64(second.real) ** 2 + np.float64(second.imag) ** 2
                        product[b, y, x] = _normalised(first * np.conj(second), phase, 100.0 * eps)
                energy[b] = sums

    return cross_power


@lru_cache(None)
def _compiled_peak(precision: int, parallel: bool) -> Callable[..., None]:
    _, complex_, _ = _types(precision)

    @jit(
        types.void(array_type(complex_, 3), array_type(np.int64, 1, readonly=False), types.int64),
        parallel=parallel,
    )
    def find(correlation, peak, threads):
        _, height, width = correlation.shape
        for thread in prange(threads):
            for b in range(thread, len(correlation), threads):
                top, index = -1.0, 0
                for y in range(height):
                    for x in range(width):
                        value = correlation[b, y, x]
                        # in double precision: squares of single-precision values over- and underflow
                        square = np.float64(value.real) ** 2 + np.float64(value.imag) ** 2
                        # a NaN is the largest, as for numpy.argmax, and stays so
                        if square > top or (square != square and top == top):
                            top, index = square, y * width + x
                peak[b] = index

    return find


@lru_cache(None)
def _compiled_shift(precision: int, parallel: bool) -> Callable[..., None]:
    _, complex_, _ = _types(precision)
    # out may be spectrum, so both are declared alike
    spectra = array_type(complex_, 3)

    @jit(
        types.void(spectra, array_type(np.float64, 2), array_type(complex_, 3, readonly=False), types.int64),
        parallel=parallel,
    )
    def ramp(spectrum, shift, out, threads):
        _, height, width = out.shape
        for thread in prange(threads):
            across = np.empty(width, complex_)
            for b in range(thread, len(out), threads):
                s = min(b, len(shift) - 1)
                for x in range(width):
                    across[x] = np.exp(-2j * np.pi * (x - width * (2 * x >= width)) / width * shift[s, 1])
                for y in range(height):
                    down = np.exp(-2j * np.pi * (y - height * (2 * y >= height)) / height * shift[s, 0])
                    for x in range(width):
                        out[b, y, x] = spectrum[b, y, x] * complex_(down * across[x])

    return ramp
