"""Launchers of the registration kernels, ``registration.cu`` and ``subpixel.cu``.

T is float32 or float64, C the complex type of the same precision; B pairs of images of H × W pixels. Arrays
are CuPy's and C-contiguous. Outputs are allocated by the caller. Where a leading axis is (1|B), 1 means the
same for every pair. Nothing here waits for the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import fft
from ._launch import ceil_div, kind, tiles
from ._launch import launch as _launch
from ._module import load_cupy

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

THREADS = 256
WARPS = THREADS // 32

# A block takes this many pixels of an image, more where that would be over MOST_PARTS blocks an image. The
# number depends on the image alone, so that a pair's result does not depend on the other pairs.
PART_PIXELS = 4096
MOST_PARTS = 512

# Of subpixel.cu
NODES = {"float": 12, "double": 20}
NODE_THREADS = {"float": 256, "double": 128}
NODE_TILE = 128
SEARCH_THREADS = 128
DFT_THREADS, DFT_POSITIONS = 128, 8
SHIFT_ROWS, SHIFT_COLUMNS = 32, 256


def pack_pairs(reference: Any, moving: Any, weight: Any, packed: Any, energy: Any) -> None:
    """Put each pair of real images into one complex image, so that one FFT transforms both.

    Parameters
    ----------
    reference, moving : (1|B, H, W) T
    weight : (H, W) T
    packed : (B, H, W) C
        Written: weight (reference + i scale moving), with scale = √(energy[:, 0] / energy[:, 1]), or 1 where
        either energy is 0.
    energy : (B, 2) float64
        Written: the sums of |spectrum|² of the weighted reference and moving image (by Parseval's theorem).
    """
    if not packed.size:
        return
    real, pixels = kind(packed), weight.size
    references, movings, parts = len(reference), len(moving), _parts(pixels)
    partial = load_cupy().empty((references + movings, parts), np.float64)
    _launch(
        "registration", f"weighted_energy<{real}>", partial.size, THREADS,
        reference, moving, weight, references, pixels, parts, partial,
    )  # fmt: skip
    _launch(
        "registration", f"pack_pairs<{real}>", len(packed) * parts, THREADS,
        reference, moving, weight, partial, references, movings, pixels, parts, packed, energy,
    )  # fmt: skip


def cross_power_packed(packed_freq: Any, energy: Any, phase: bool, product: Any) -> None:
    """Multiply the reference's spectrum by the conjugate of the moving image's, from the FFT of both packed.

    Parameters
    ----------
    packed_freq : (B, H, W) C
        FFT of what ``pack_pairs`` wrote.
    energy : (B, 2) float64
        As ``pack_pairs`` wrote it.
    phase : bool
        Divide the product by max(\\|product\\|, 100 eps).
    product : (B, H, W) C
        Written.
    """
    if not product.size:
        return
    pairs, height, width = product.shape
    parts = _parts(height * (width // 2 + 1))
    _launch(
        "registration", f"cross_power_packed<{kind(product)}>", pairs * parts, THREADS,
        packed_freq, energy, height, width, parts, bool(phase), product,
    )  # fmt: skip


def cross_power(reference_freq: Any, moving_freq: Any, phase: bool, product: Any, energy: Any) -> None:
    """Multiply the reference's spectrum by the conjugate of the moving image's.

    Parameters
    ----------
    reference_freq, moving_freq : (1|B, H, W) C
    phase : bool
        Divide the product by max(\\|product\\|, 100 eps).
    product : (B, H, W) C
        Written.
    energy : (B, 2) float64
        Written: the sums of \\|.\\|² of both spectra.
    """
    if not product.size:
        return
    pairs, pixels = len(product), product[0].size
    parts = _parts(pixels)
    partial = energy if parts == 1 else load_cupy().empty((pairs, parts, 2), np.float64)
    _launch(
        "registration", f"cross_power<{kind(product)}>", pairs * parts, THREADS,
        reference_freq, moving_freq, len(reference_freq), len(moving_freq), pixels, parts, bool(phase),
        product, partial,
    )  # fmt: skip
    if parts > 1:
        _launch("registration", "sum_energy_parts", _warps(pairs), THREADS, partial, pairs, parts, energy)


def correlation_peak(correlation: Any, peak: Any) -> None:
    """Find the pixel with the largest \\|correlation\\|².

    Parameters
    ----------
    correlation : (B, H, W) C
    peak : (B,) int64
        Written: the flat index, by ``numpy.argmax``'s rules: the first of equals, NaN above everything.
    """
    if not correlation.size:
        return
    pairs, pixels = len(correlation), correlation[0].size
    parts = _parts(pixels)
    cupy = load_cupy()
    part_value = cupy.empty((pairs, parts), np.float64)
    part_peak = peak if parts == 1 else cupy.empty((pairs, parts), np.int64)
    _launch(
        "registration", f"correlation_peak<{kind(correlation)}>", pairs * parts, THREADS,
        correlation, pixels, parts, part_value, part_peak,
    )  # fmt: skip
    if parts > 1:
        _launch(
            "registration", "last_peak", _warps(pairs), THREADS, part_value, part_peak, pairs, parts, peak
        )


def correlate(
    reference: Any, moving: Any, weight: Any, phase: bool, product: Any, peak: Any, energy: Any
) -> None:
    """Cross-correlate weighted images and find the peak to a pixel.

    Parameters
    ----------
    reference, moving : (1|B, H, W) T or (1|B, H, W) C
        In real space, both real or both complex.
    weight : (H, W) T
    phase : bool
        Divide the cross-power spectrum by max(\\|product\\|, 100 eps).
    product : (B, H, W) C
        Written: the cross-power spectrum.
    peak : (B,) int64
        Written: the flat index of the largest \\|correlation\\|².
    energy : (B, 2) float64
        Written: the sums of \\|spectrum\\|² of the weighted reference and moving image.
    """
    if not product.size:
        return
    if reference.dtype.kind == "c":
        reference_freq = _weighted_spectrum(reference, weight)
        moving_freq = _weighted_spectrum(moving, weight)
        cross_power(reference_freq, moving_freq, phase, product, energy)
        del reference_freq, moving_freq  # the inverse FFT can have their memory
    else:
        packed = load_cupy().empty(product.shape, product.dtype)
        pack_pairs(reference, moving, weight, packed, energy)
        packed = fft.fft2(packed, overwrite_x=True)
        cross_power_packed(packed, energy, phase, product)
        del packed
    # "forward" saves the pass that would divide by H·W, which moves no peak
    correlation_peak(fft.ifft2(product, norm="forward"), peak)


def refine_peak(product: Any, peak: Any, upsample_factor: float, shift: Any, value: Any) -> None:
    """Find the peak of the cross-correlation on a grid of 1/upsample_factor pixels, 1.5 pixels wide.

    Parameters
    ----------
    product : (B, H, W) C
        Cross-power spectrum.
    peak : (B,) int64
        Flat index of the peak to a pixel.
    upsample_factor : float
        At least 1.
    shift : (B, 2) T
        Written: the grid point with the largest \\|c\\|², c(s) = Σ product exp(2πi f·s), in pixels.
    value : (B,) complex128
        Written: c there.
    """
    if not product.size:
        return
    real, (pairs, height, width) = kind(product), product.shape
    count = tiles(height, width, NODE_TILE, NODE_TILE)
    nodes = load_cupy().empty((pairs, count, NODES[real], NODES[real]), product.dtype)
    upsample_factor = float(upsample_factor)
    _launch(
        "subpixel", f"window_nodes<{real}>", pairs * count, NODE_THREADS[real],
        product, peak, upsample_factor, height, width, nodes,
    )  # fmt: skip
    _launch(
        "subpixel", f"search_window<{real}>", pairs, SEARCH_THREADS,
        nodes, peak, upsample_factor, height, width, count, shift, value,
    )  # fmt: skip


def matrix_dft(data: Any, positions: Any, out: Any) -> None:
    """Evaluate the DFT along the middle axis at any positions.

    Parameters
    ----------
    data : (B, N, M) C
    positions : (1|B, R) float64
        In pixels.
    out : (B, R, M) C
        Written: out[b, r, m] = Σₙ exp(-2πi fftfreq(N)[n] positions[b, r]) data[b, n, m].
    """
    if not out.size:
        return
    batch, count, width = out.shape
    blocks = batch * tiles(count, width, DFT_POSITIONS, DFT_THREADS)
    _launch(
        "subpixel", f"matrix_dft<{kind(data)}>", blocks, DFT_THREADS,
        data, positions, len(positions), data.shape[1], width, count, out,
    )  # fmt: skip


def fourier_shift(spectrum: Any, shift: Any, out: Any) -> None:
    """Multiply spectra by the phase ramp that moves their images.

    Parameters
    ----------
    spectrum : (B, H, W) C
    shift : (1|B, 2) float64
        In pixels.
    out : (B, H, W) C
        Written: spectrum exp(-2πi (fftfreq(H) shift[:, 0] + fftfreq(W) shift[:, 1])); may be ``spectrum``.
    """
    if not out.size:
        return
    batch, height, width = out.shape
    blocks = batch * tiles(height, width, SHIFT_ROWS, SHIFT_COLUMNS)
    _launch(
        "subpixel", f"fourier_shift<{kind(out)}>", blocks, SHIFT_COLUMNS,
        spectrum, shift, len(shift), height, width, out,
    )  # fmt: skip


def _parts(pixels: int) -> int:
    return min(MOST_PARTS, ceil_div(pixels, PART_PIXELS))


def _warps(pairs: int) -> int:
    """Blocks of a grid that gives each pair a warp."""
    return ceil_div(pairs, WARPS)


def _weighted_spectrum(image: Any, weight: Any) -> Any:
    pixels = weight.size
    weighted = load_cupy().empty(image.shape, image.dtype)
    _launch(
        "registration", f"apply_weight<{kind(image)}>", len(image) * _parts(pixels), THREADS,
        image, weight, pixels, _parts(pixels), weighted,
    )  # fmt: skip
    return fft.fft2(weighted, overwrite_x=True)
