"""The fused correlation of a stack of image pairs, for the sizes that ``_fft.py`` plans.

Window, forward FFTs, cross-power spectrum, inverse FFT and the search for its peak are three sweeps over a
plane that stays in the second-level cache; the correlation itself is never stored. Spectra are held as
blocks of rows: block y has one split vector for each column x, whose lanes are the rows ``y * LANES …``.

Real pairs travel as one complex image: with Z the transform of ``r + i m``, the two spectra are
R(k) = (Z(k) + Z*(-k)) / 2 and M(k) = (Z(k) - Z*(-k)) / 2i. Both images are scaled to unit energy first,
so that neither drowns in the rounding of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils

from ._fft import block_stride, column_fft, fft_columns, transpose_blocks
from ._jit import array_type, jit
from ._simd import Complex, Simd, Value, lane_count, simd_kernel

__all__ = ["compiled_correlate"]


@simd_kernel(2)
def _windowed_columns(
    simd: Simd,
    n: int,
    packed: int,
    reference: Value,
    moving: Value,
    stride: Value,
    weight: Value,
    scales: Value,
    target: Value,
    scratch: Value,
) -> None:
    """Forward FFT of ``LANES`` columns of windowed images.

    ``packed``: two real images, as ``weight * (scales[0] * reference + i scales[1] * moving)``; else the
    complex image at ``reference``, times ``weight * scales[0]``.
    """
    first = simd.broadcast(scales)
    weight_stride = simd.builder.ashr(stride, ir.Constant(stride.type, 0 if packed else 1))

    def load(row: Value) -> Complex:
        window = simd.load(simd.offset(weight, row, weight_stride))
        if packed:
            re = simd.mul(simd.load(simd.offset(reference, row, stride)), first)
            second = simd.broadcast(scales, simd.itemsize)
            im = simd.mul(simd.load(simd.offset(moving, row, stride)), second)
            return simd.mul(re, window), simd.mul(im, window)
        return simd.scale(simd.load_interleaved(simd.offset(reference, row, stride)), simd.mul(window, first))

    def store(row: Value, value: Complex) -> None:
        simd.store_split(value, simd.offset(target, row, simd.row))

    column_fft(simd, n, -1, load, store, scratch)


def _store_product(simd: Simd, phase: int, product: Complex, smallest: Value, address: Value) -> None:
    """Store a vector of R·conj(M); if ``phase``, over its modulus, whose square is at least ``smallest``."""
    if phase:
        product = simd.scale(product, simd.reciprocal_sqrt(simd.maximum(simd.abs2(product), smallest)))
    simd.store_split(product, address)


@simd_kernel(1)
def _packed_products(
    simd: Simd,
    phase: int,
    count: Value,
    source: Value,
    mirror: Value,
    shifted: Value,
    smallest: Value,
    target: Value,
) -> None:
    """Cross-power spectrum of one block of rows from the packed spectrum Z at ``source``.

    The mirrored rows -ky of lanes 1 … L-1 are those of the block ``shifted``, in reverse; that of lane 0 is
    lane 0 of ``mirror``.
    """
    least = simd.broadcast(smallest)
    reverse = [0, *range(2 * simd.lanes - 1, simd.lanes, -1)]
    quarter = simd.constant(0.25)
    with simd.loop(count) as loop:
        builder = simd.builder
        last = builder.sub(count, loop.index)
        wrapped = builder.select(builder.icmp_signed("==", last, count), ir.Constant(last.type, 0), last)
        z = simd.load_split(simd.offset(source, loop.index, simd.row))
        a = simd.load_split(simd.offset(mirror, wrapped, simd.row))
        b = simd.load_split(simd.offset(shifted, wrapped, simd.row))
        m = (simd.shuffle(a[0], b[0], reverse), simd.shuffle(a[1], b[1], reverse))
        reference = (simd.add(z[0], m[0]), simd.sub(z[1], m[1]))
        moving = (simd.add(z[1], m[1]), simd.sub(m[0], z[0]))
        product = simd.scale(simd.cmul_conj(reference, moving), quarter)
        _store_product(simd, phase, product, least, simd.offset(target, loop.index, simd.row))


@simd_kernel(1)
def _products(
    simd: Simd, phase: int, count: Value, reference: Value, moving: Value, smallest: Value, target: Value
) -> None:
    """Cross-power spectrum of ``count`` split vectors."""
    least = simd.broadcast(smallest)
    with simd.loop(count) as loop:
        r = simd.load_split(simd.offset(reference, loop.index, simd.row))
        m = simd.load_split(simd.offset(moving, loop.index, simd.row))
        address = simd.offset(target, loop.index, simd.row)
        _store_product(simd, phase, simd.cmul_conj(r, m), least, address)


class _Peak:
    """The largest value of each lane seen so far, and its row, held in registers over a transform."""

    def __init__(self, simd: Simd) -> None:
        self.simd = simd
        self.best = cgutils.alloca_once(simd.builder, simd.vector)
        self.where = cgutils.alloca_once(simd.builder, simd.integers)
        simd.builder.store(simd.constant(-1.0), self.best)
        simd.builder.store(ir.Constant(simd.integers, [0] * simd.lanes), self.where)

    def see(self, row: Value, value: Value) -> None:
        builder, kind = self.simd.builder, self.simd.integers.element
        before = builder.load(self.best)
        larger = builder.fcmp_ordered(">", value, before)
        index = self.simd.splat(builder.trunc(row, kind) if kind.width < row.type.width else row, kind)
        builder.store(builder.select(larger, value, before), self.best)
        builder.store(builder.select(larger, index, builder.load(self.where)), self.where)

    def write(self, block: int, largest: Value, rows: Value) -> None:
        simd = self.simd
        simd.store(simd.builder.load(self.best), largest, block * simd.bytes)
        place = simd.pointer(simd.offset(rows, block, simd.bytes), simd.integers)
        simd.builder.store(simd.builder.load(self.where), place, align=simd.itemsize)


@simd_kernel(1)
def _peak_columns(simd: Simd, n: int, source: Value, scratch: Value, largest: Value, rows: Value) -> None:
    """Inverse FFT of ``LANES`` columns; keeps the largest squared modulus of each and its row."""
    peak = _Peak(simd)
    column_fft(
        simd,
        n,
        1,
        lambda row: simd.load_split(simd.offset(source, row, simd.row)),
        lambda row, value: peak.see(row, simd.abs2(value)),
        scratch,
    )
    peak.write(0, largest, rows)


@simd_kernel(1)
def _peak_real_columns(
    simd: Simd, n: int, first: Value, second: Value, scratch: Value, largest: Value, rows: Value
) -> None:
    """The same for two blocks of columns whose transforms are real: one rides as the other's imaginary part.

    Their frequencies 0 … n / 2 are given; the others are the conjugates.
    """
    peaks = _Peak(simd), _Peak(simd)
    builder = simd.builder

    def load(row: Value) -> Complex:
        mirrored = builder.icmp_signed(">", row, ir.Constant(row.type, n // 2))
        given = builder.select(mirrored, builder.sub(ir.Constant(row.type, n), row), row)
        one = ir.Constant(simd.scalar, 1.0)
        sign = simd.splat(builder.select(mirrored, builder.fneg(one), one), simd.scalar)
        a = simd.load_split(simd.offset(first, given, simd.row))
        b = simd.load_split(simd.offset(second, given, simd.row))
        return simd.sub(a[0], simd.mul(sign, b[1])), simd.add(b[0], simd.mul(sign, a[1]))

    def store(row: Value, value: Complex) -> None:
        for peak, part in zip(peaks, value, strict=True):
            peak.see(row, simd.mul(part, part))

    column_fft(simd, n, 1, load, store, scratch)
    for block, peak in enumerate(peaks):
        peak.write(block, largest, rows)


@simd_kernel(1)
def _add_energy(simd: Simd, is_complex: int, count: Value, image: Value, weight: Value, sums: Value) -> None:
    """Add |weight * image|² of ``count`` vectors of pixels to the lanes of double-precision ``sums``."""
    builder = simd.builder
    wide = simd.widened(simd.constant(0.0)).type
    place = simd.pointer(sums, wide)
    cells = [cgutils.alloca_once(builder, wide) for _ in range(1 + is_complex)]
    for cell in cells:
        builder.store(ir.Constant(wide, [0.0] * simd.lanes), cell)
    with simd.loop(count) as loop:
        window = simd.load(simd.offset(weight, loop.index, simd.bytes))
        windows = simd.interleave((window, window)) if is_complex else [window]
        start = simd.offset(image, loop.index, len(cells) * simd.bytes)
        for part, (cell, factor) in enumerate(zip(cells, windows, strict=True)):
            value = simd.widened(simd.mul(simd.load(start, part * simd.bytes), factor))
            square = builder.fmul(value, value, flags=("contract",))
            builder.store(builder.fadd(builder.load(cell), square, flags=("contract",)), cell)
    for cell in cells:
        total = builder.fadd(builder.load(place, align=8), builder.load(cell))
        builder.store(total, place, align=8)


@lru_cache(None)
def compiled_correlate(
    height: int, width: int, precision: int, packed: bool, phase: bool, parallel: bool
) -> Callable[..., Any]:
    """Compile ``registration.correlate`` for one size; ``packed`` for real images.

    The compiled function takes (reference, moving, weight, product, peak, energy, threads).
    """
    lanes = lane_count(precision)
    item = precision // 8
    row = 2 * lanes * item
    across, down = width // lanes, height // lanes
    rows_block, columns_block = block_stride(width, precision), block_stride(height, precision)
    plane = down * rows_block
    plane_after = across * columns_block
    column_bytes = max(height, width) * row
    # real correlations need half of the rows of their spectrum, and two blocks of columns at a time
    rows_needed = height // 2 // lanes + 1 if packed else down
    partner = (across + 1) // 2 if packed else across
    points = float(height * width)
    real = np.float32 if precision == 32 else np.float64
    complex_ = np.complex64 if precision == 32 else np.complex128
    integer = np.int32 if precision == 32 else np.int64
    # literals for the intrinsics
    normalised, is_complex = int(phase), int(not packed)
    vectors = height * across
    eps = float(np.finfo(real).eps)
    # Limits of the smallest modulus, whose square has to stay in range. The moduli of a scaled product are
    # all below the upper one: where that is the smallest, normalising is multiplying by one factor.
    lowest, highest = float(np.finfo(real).tiny) ** 0.5, float(np.finfo(real).max) ** 0.375
    image = array_type(real if packed else complex_, 3)
    signature = types.void(
        image,
        image,
        array_type(real, 2),
        array_type(complex_, 3, readonly=False),
        array_type(np.int64, 1, readonly=False),
        array_type(np.float64, 2, readonly=False),
        types.int64,
    )

    # Long, since Numba's disk cache allows no other compiled closure inside: one sweep after the other.
    @jit(signature, parallel=parallel)
    def correlate(reference, moving, weight, product, peak, energy, threads):
        for thread in prange(threads):
            work = np.empty(2 * plane + plane_after + 3 * column_bytes + 64, np.uint8)
            spectrum = (work.ctypes.data + 63) // 64 * 64
            fixed = spectrum + plane
            correlation = fixed + plane
            column = correlation + plane_after
            scratch = column + column_bytes
            scales, smallest, factor = np.empty(2, real), np.empty(1, real), np.empty(1, real)
            largest, rows = np.empty((2, lanes), real), np.empty((2, lanes), integer)
            sums = np.zeros(lanes)
            at_sums = sums.ctypes.data
            fixed_energy, transformed = 0.0, False
            for b in range(thread, len(product), threads):
                r = b if len(reference) > 1 else 0
                m = b if len(moving) > 1 else 0
                known = transformed and len(reference) == 1
                if not known:
                    sums[:] = 0.0
                    _add_energy(
                        precision, is_complex, vectors, reference[r].ctypes.data, weight.ctypes.data, at_sums
                    )
                    fixed_energy = sums.sum()
                sums[:] = 0.0
                _add_energy(
                    precision, is_complex, vectors, moving[m].ctypes.data, weight.ctypes.data, at_sums
                )
                moving_energy = sums.sum()
                energy[b, 0], energy[b, 1] = points * fixed_energy, points * moving_energy
                if fixed_energy == 0.0 or moving_energy == 0.0:
                    # nothing to correlate: without this, phase correlation would blow up rounding
                    product[b] = 0.0
                    peak[b] = 0
                    continue
                scales[0], scales[1] = 1.0 / np.sqrt(fixed_energy), 1.0 / np.sqrt(moving_energy)
                scale = np.float64(scales[0]) * np.float64(scales[1])
                threshold = 100.0 * eps * scale
                smallest[0] = min(max(threshold, lowest), highest) ** 2
                if normalised:
                    factor[0] = min(1.0, highest / threshold)
                else:
                    factor[0] = 1.0 / scale
                if packed:
                    for x in range(across):
                        at, place = x * lanes * item, spectrum + x * lanes * row
                        _windowed_columns(
                            precision, height, 1,
                            reference[r].ctypes.data + at, moving[m].ctypes.data + at, width * item,
                            weight.ctypes.data + at, scales.ctypes.data, column, scratch,
                        )  # fmt: skip
                        transpose_blocks(precision, 0, 0, down, column, place, rows_block, row, 0)
                    for y in range(down):
                        at = spectrum + y * rows_block
                        fft_columns(precision, width, -1, 0, at, row, at, scratch)
                else:
                    for turn in range(1 if known else 0, 2):
                        target = spectrum if turn else fixed
                        source = moving[m].ctypes.data if turn else reference[r].ctypes.data
                        for x in range(across):
                            at, place = x * lanes * item, target + x * lanes * row
                            _windowed_columns(
                                precision, height, 0,
                                source + 2 * at, 0, width * 2 * item,
                                weight.ctypes.data + at, scales.ctypes.data + turn * item, column, scratch,
                            )  # fmt: skip
                            transpose_blocks(precision, 0, 0, down, column, place, rows_block, row, 0)
                    if not known:
                        for y in range(down):
                            at = fixed + y * rows_block
                            fft_columns(precision, width, -1, 0, at, row, at, scratch)
                        transformed = True
                for y in range(down):
                    at = spectrum + y * rows_block
                    least = smallest.ctypes.data
                    if packed:
                        mirror = spectrum + (down - y) % down * rows_block
                        shifted = spectrum + (down - 1 - y) * rows_block
                        _packed_products(precision, normalised, width, at, mirror, shifted, least, column)
                    else:
                        first = fixed + y * rows_block
                        fft_columns(precision, width, -1, 0, at, row, column, scratch)
                        _products(precision, normalised, width, first, column, least, column)
                    place = product[b].ctypes.data + y * lanes * width * 2 * item
                    transpose_blocks(
                        precision, 1, 1, across, column, place, row, width * 2 * item, factor.ctypes.data
                    )
                    if y < rows_needed:
                        fft_columns(precision, width, 1, 0, column, row, column, scratch)
                        place = correlation + y * lanes * row
                        transpose_blocks(precision, 0, 0, across, column, place, columns_block, row, 0)
                top, index = -1.0, 0
                for x in range(partner):
                    at = correlation + x * columns_block
                    other = x + partner if x + partner < across else x
                    if packed:
                        _peak_real_columns(
                            precision, height, at, correlation + other * columns_block, scratch,
                            largest.ctypes.data, rows.ctypes.data,
                        )  # fmt: skip
                    else:
                        _peak_columns(precision, height, at, scratch, largest.ctypes.data, rows.ctypes.data)
                    for part in range(2 if packed else 1):
                        block = other if part else x
                        for lane in range(lanes):
                            flat = rows[part, lane] * width + block * lanes + lane
                            value = largest[part, lane]
                            if value > top or (value == top and flat < index):
                                top, index = value, flat
                peak[b] = index
            work[0] = 0  # its last use: Numba frees an array there, whoever holds its address

    return correlate
