"""The matrix DFT around a correlation peak, through Chebyshev nodes.

The correlation c(s) = Σ P(k) exp(2πi f·s) is band-limited, |f| ≤ 1/2. Over a window of half-width r its
polynomial interpolant in n Chebyshev nodes an axis is off by at most 2 (πr/2)ⁿ / n! of Σ|P|: rounding, for
n = 12 (single) or 20 (double precision) and r ≈ 0.75 px. So the product of the matrix DFT is needed at
n × n points, G = K_y P K_xᵀ, whatever the upsampling factor, and every candidate shift is evaluated from G.
Method of the search: Guizar-Sicairos, Thurman and Fienup 2008, on the same candidates; coarse to fine.

The nodes come in pairs ±u, and so do the frequencies: with P' the spectrum shifted by the whole pixels of the
peak, A = Σ (P'(f) + P'(-f)) cos 2πfu and B = Σ (P'(f) - P'(-f)) sin 2πfu over f > 0 give A ± iB at ±u. That
is a third of the arithmetic of the plain product, with tables that do not depend on the peak.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils

from ._jit import array_type, jit
from ._simd import Complex, Simd, Value, lane_count, simd_kernel

__all__ = ["NODES", "barycentric", "column_factors", "compiled_refine", "row_factors"]

NODES = {32: 12, 64: 20}

# Candidates an axis on one level of the search (whole vectors of doubles), and how much finer the next is.
CANDIDATES = 24
FINER = 8


@lru_cache(None)
def barycentric(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev points of the first kind on [-1, 1], an even number, and their barycentric weights.

    The positive points come first, then their negatives.
    """
    angles = (2 * np.arange(nodes // 2) + 1) * np.pi / (2 * nodes)
    weights = (-1.0) ** np.arange(nodes // 2) * np.sin(angles)
    return np.concatenate([np.cos(angles), -np.cos(angles)]), np.concatenate([weights, -weights])


def _angles(n: int, nodes: int, radius: float) -> np.ndarray:
    return 2 * np.pi * radius * np.outer(np.fft.fftfreq(n), barycentric(nodes)[0][: nodes // 2])


@lru_cache(64)
def row_factors(n: int, nodes: int, radius: float, precision: int) -> np.ndarray:
    """Cosine and sine of 2π f u for the positive nodes u of [-radius, radius]: (n, 2, nodes / 2)."""
    angles = _angles(n, nodes, radius)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(f"f{precision // 8}")


@lru_cache(64)
def column_factors(n: int, nodes: int, radius: float, precision: int) -> np.ndarray:
    """The same for columns, padded with zeros to whole vectors: (nodes / 2, 2, padded)."""
    factors = row_factors(n, nodes, radius, precision).transpose(2, 1, 0)
    return np.ascontiguousarray(np.pad(factors, [(0, 0), (0, 0), (0, -n % lane_count(precision))]))


def _groups(half: int, precision: int) -> list[range]:
    """Nodes accumulated at once: four vectors each and four for the data have to fit the registers."""
    size = 6 if lane_count(precision) * precision == 512 else 2
    return [range(first, min(first + size, half)) for first in range(0, half, size)]


class _Sums:
    """A and B of a group of nodes, held in registers over a loop."""

    def __init__(self, simd: Simd, group: range) -> None:
        self.simd = simd
        self.cells = {j: [cgutils.alloca_once(simd.builder, simd.vector) for _ in range(4)] for j in group}
        for cells in self.cells.values():
            for cell in cells:
                simd.builder.store(simd.constant(0.0), cell)

    def add(self, j: int, even: Complex, odd: Complex, cosine: Value, sine: Value) -> None:
        builder = self.simd.builder
        for cell, value, factor in zip(
            self.cells[j], (*even, *odd), (cosine, cosine, sine, sine), strict=True
        ):
            builder.store(self.simd.fma(value, factor, builder.load(cell)), cell)

    def results(self, j: int) -> tuple[Complex, Complex]:
        """A + iB and A - iB."""
        simd = self.simd
        a, b, c, d = (simd.builder.load(cell) for cell in self.cells[j])
        return (simd.sub(a, d), simd.add(b, c)), (simd.add(a, d), simd.sub(b, c))


@simd_kernel(2)
def _contract_rows(
    simd: Simd,
    half: int,
    tail: int,
    height: Value,
    source: Value,
    stride: Value,
    roots: Value,
    factors: Value,
    count: Value,
    target: Value,
    target_stride: Value,
) -> None:
    """T_j = Σ_y P[y] roots[y] exp(2πi f_y u_j) over ``LANES`` columns, or the last ``count`` where ``tail``.

    ``factors`` is the table of ``row_factors``; node j goes, split, to ``target + j * target_stride``.
    """
    builder = simd.builder
    one, two = (ir.Constant(height.type, k) for k in (1, 2))

    def rotated(y: Value) -> Complex:
        row = simd.offset(source, y, stride)
        value = simd.load_interleaved_head(row, count) if tail else simd.load_interleaved(row)
        root = simd.offset(roots, y, 2 * simd.itemsize)
        return simd.cmul(value, (simd.broadcast(root), simd.broadcast(root, simd.itemsize)))

    def accumulate(sums: _Sums, y: Value, even: Complex, odd: Complex) -> None:
        table = simd.offset(factors, y, 2 * half * simd.itemsize)
        for j in sums.cells:
            cosine = simd.broadcast(table, j * simd.itemsize)
            sums.add(j, even, odd, cosine, simd.broadcast(table, (half + j) * simd.itemsize))

    for group in _groups(half, simd.precision):
        sums = _Sums(simd, group)
        # rows 0 and, of an even height, height / 2 have no partner
        parity = builder.and_(height, one)
        with simd.loop(builder.sub(two, parity)) as loop:
            y = builder.mul(loop.index, builder.sdiv(height, two))
            alone = rotated(y)
            accumulate(sums, y, alone, alone)
        with simd.loop(builder.sdiv(builder.sub(height, one), two)) as loop:
            y = builder.add(loop.index, one)
            first, second = rotated(y), rotated(builder.sub(height, y))
            accumulate(sums, y, simd.cadd(first, second), simd.csub(first, second))
        for j in group:
            for node, value in zip((j, half + j), sums.results(j), strict=True):
                simd.store_split(value, simd.offset(target, node, target_stride))


@simd_kernel(1)
def _contract_columns(
    simd: Simd, half: int, blocks: Value, source: Value, roots: Value, factors: Value, target: Value
) -> None:
    """G_j = Σ_x T[x] roots[x] exp(2πi f_x u_j): real parts of all nodes at ``target``, then imaginary parts.

    ``source`` and ``roots`` are split vectors, ``factors`` the table of ``column_factors``.
    """
    builder = simd.builder
    plane = builder.mul(blocks, ir.Constant(blocks.type, simd.bytes))
    for group in _groups(half, simd.precision):
        sums = _Sums(simd, group)
        with simd.loop(blocks) as loop:
            value = simd.load_split(simd.offset(source, loop.index, simd.row))
            value = simd.cmul(value, simd.load_split(simd.offset(roots, loop.index, simd.row)))
            for j in group:
                cosine = simd.offset(simd.offset(factors, 2 * j, plane), loop.index, simd.bytes)
                sums.add(j, value, value, simd.load(cosine), simd.load(builder.add(cosine, plane)))
        for j in group:
            for node, value in zip((j, half + j), sums.results(j), strict=True):
                for part in (0, 1):
                    place = simd.offset(target, 2 * half * part + node, simd.itemsize)
                    builder.store(simd.total(value[part]), simd.pointer(place, simd.scalar))


@jit()
def _rotate_rows(peak, roots, rotated):
    """exp(2πi f peak) of every row, by exact index."""
    k = 0
    for y in range(len(roots)):
        rotated[y] = roots[k]
        k += peak
        if k >= len(roots):
            k -= len(roots)


@jit()
def _rotate_columns(peak, roots, rotated):
    """The same as split vectors (blocks, 2, lanes); nothing is written past the end."""
    blocks, _, lanes = rotated.shape
    k = x = 0
    for block in range(blocks):
        for lane in range(min(lanes, len(roots) - x)):
            rotated[block, 0, lane], rotated[block, 1, lane] = roots[k].real, roots[k].imag
            k += peak
            if k >= len(roots):
                k -= len(roots)
        x += lanes


@jit()
def _basis(start, stride, count, scale, points, weights, basis, total):
    """Lagrange basis of the nodes at ``count`` candidates, zero past them: (nodes, CANDIDATES)."""
    total[:] = 0.0
    for j in range(len(points)):
        for k in range(CANDIDATES):
            difference = (start + stride * k) * scale - points[j]
            # at a node its own term outweighs all others, and its share of the total is 1
            basis[j, k] = weights[j] / (difference if difference != 0.0 else 1e-290)
            total[k] += basis[j, k]
    for k in range(CANDIDATES):
        total[k] = 1.0 / total[k] if k < count else 0.0
    for j in range(len(points)):
        for k in range(CANDIDATES):
            basis[j, k] *= total[k]


@jit()
def _best(grid, rows, columns, work):
    """Indices of the largest |c|² among CANDIDATES × CANDIDATES shifts, and c there."""
    nodes = len(rows)
    re, im, line_re, line_im = work[0, :nodes], work[1, :nodes], work[2], work[3]
    top, best_row, best_column, value = -1.0, 0, 0, 0j
    for k in range(CANDIDATES):
        re[:] = 0.0
        im[:] = 0.0
        for i in range(nodes):
            for j in range(nodes):
                re[j] += rows[i, k] * grid[i, 0, j]
                im[j] += rows[i, k] * grid[i, 1, j]
        line_re[:] = 0.0
        line_im[:] = 0.0
        for j in range(nodes):
            for q in range(CANDIDATES):
                line_re[q] += re[j] * columns[j, q]
                line_im[q] += im[j] * columns[j, q]
        for q in range(CANDIDATES):
            square = line_re[q] * line_re[q] + line_im[q] * line_im[q]
            if square > top:
                top, best_row, best_column, value = square, k, q, complex(line_re[q], line_im[q])
    return best_row, best_column, value


@jit()
def _search(grid, whole, upsample_factor, region, half, points, weights, scale, rows, columns, work):
    """Index of the best candidate on both axes, coarse to fine, and c there.

    ``whole`` holds the signed whole-pixel peak; candidate i of an axis lies ``offset + i`` steps of
    1 / upsample_factor from it.
    """
    offset_y = np.round(whole[0] * upsample_factor) - whole[0] * upsample_factor - half
    offset_x = np.round(whole[1] * upsample_factor) - whole[1] * upsample_factor - half
    step = (region + CANDIDATES - 1) // CANDIDATES
    first_y = first_x = 0
    count_y = count_x = (region + step - 1) // step
    while True:
        _basis(offset_y + first_y, step, count_y, scale, points, weights, rows, work[4])
        if offset_x + first_x == offset_y + first_y and count_x == count_y:
            columns[:] = rows
        else:
            _basis(offset_x + first_x, step, count_x, scale, points, weights, columns, work[4])
        best_y, best_x, value = _best(grid, rows, columns, work)
        index_y, index_x = first_y + step * best_y, first_x + step * best_x
        if step == 1:
            return index_y, index_x, value
        finer = (step + FINER - 1) // FINER
        first_y, count_y = _around(index_y, step, finer, region)
        first_x, count_x = _around(index_x, step, finer, region)
        step = finer


@jit()
def _around(index, step, finer, region):
    """First candidate and their number within one coarse step of ``index``, ``finer`` apart."""
    first = index - min(step, index) // finer * finer
    last = index + min(step, region - 1 - index) // finer * finer
    return first, (last - first) // finer + 1


@lru_cache(None)
def compiled_refine(precision: int, nodes: int, parallel: bool) -> Callable[..., Any]:
    """Compile ``registration.refine_peak``.

    The compiled function takes (product, peak, row_factors, column_factors, roots of unity of both lengths,
    points, weights, radius, upsample_factor, region, half, shift, value, threads).
    """
    lanes = lane_count(precision)
    item = precision // 8
    row = 2 * lanes * item
    half_nodes = nodes // 2
    real = np.float32 if precision == 32 else np.float64
    complex_ = np.complex64 if precision == 32 else np.complex128
    signature = types.void(
        array_type(complex_, 3), array_type(np.int64, 1),
        array_type(real, 3), array_type(real, 3), array_type(complex_, 1), array_type(complex_, 1),
        array_type(np.float64, 1), array_type(np.float64, 1), types.float64, types.float64,
        types.int64, types.int64,
        array_type(real, 2, readonly=False), array_type(np.complex128, 1, readonly=False), types.int64,
    )  # fmt: skip

    @jit(signature, parallel=parallel)
    def refine(
        product, peak, rows_table, columns_table, roots_rows, roots_columns, points, weights, radius,
        upsample_factor, region, half, shift, value, threads,
    ):  # fmt: skip
        height, width = product.shape[1:]
        blocks = (width + lanes - 1) // lanes
        scale = 1.0 / (upsample_factor * radius) if radius > 0.0 else 0.0
        for thread in prange(threads):
            rotated_rows = np.empty(height, complex_)
            rotated_columns = np.zeros((blocks, 2, lanes), real)
            rows_done = np.empty((nodes, blocks, 2, lanes), real)
            grid = np.empty((nodes, 2, nodes), real)
            rows, columns = np.empty((nodes, CANDIDATES)), np.empty((nodes, CANDIDATES))
            work = np.empty((5, CANDIDATES))
            for b in range(thread, len(product), threads):
                y, x = peak[b] // width, peak[b] % width
                _rotate_rows(y, roots_rows, rotated_rows)
                _rotate_columns(x, roots_columns, rotated_columns)
                for block in range(blocks):
                    at = product[b].ctypes.data + block * row
                    place = rows_done.ctypes.data + block * row
                    rest = width - block * lanes
                    if rest >= lanes:
                        _contract_rows(
                            precision, half_nodes, 0, height, at, 2 * item * width,
                            rotated_rows.ctypes.data, rows_table.ctypes.data, rest, place, blocks * row,
                        )  # fmt: skip
                    else:
                        _contract_rows(
                            precision, half_nodes, 1, height, at, 2 * item * width,
                            rotated_rows.ctypes.data, rows_table.ctypes.data, rest, place, blocks * row,
                        )  # fmt: skip
                for j in range(nodes):
                    _contract_columns(
                        precision, half_nodes, blocks, rows_done[j].ctypes.data,
                        rotated_columns.ctypes.data, columns_table.ctypes.data, grid[j].ctypes.data,
                    )  # fmt: skip
                whole = (y if y <= height // 2 else y - height, x if x <= width // 2 else x - width)
                best_y, best_x, value[b] = _search(
                    grid, whole, upsample_factor, region, half, points, weights, scale, rows, columns, work
                )
                # along an axis of length 1 every shift is the same
                shift[b, 0] = (
                    (np.round(whole[0] * upsample_factor) + best_y - half) / upsample_factor * (height > 1)
                )
                shift[b, 1] = (
                    (np.round(whole[1] * upsample_factor) + best_x - half) / upsample_factor * (width > 1)
                )

    return refine
