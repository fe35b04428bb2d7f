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

from . import fft
from ._correlate import compiled_correlate
from ._fft import is_planned
from ._jit import get_num_threads, run_parallel
from ._refine import NODES, barycentric, column_factors, compiled_refine, row_factors
from ._spectra import compiled_cross_power, compiled_pack, compiled_peak, compiled_shift, compiled_unpack

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
        lambda parallel: compiled_pack(_precision(packed.dtype), parallel),
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
        lambda parallel: compiled_unpack(_precision(product.dtype), bool(phase), parallel),
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
        lambda parallel: compiled_cross_power(_precision(product.dtype), bool(phase), parallel),
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
        lambda parallel: compiled_peak(_precision(correlation.dtype), parallel),
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
        lambda parallel: compiled_shift(_precision(out.dtype), parallel),
        len(out), out.size, spectrum, shift, out,
    )  # fmt: skip
