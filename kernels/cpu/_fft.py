"""The vectorised FFT that CPU kernels are built from: a column FFT over ``LANES`` columns at once.

A 1-D transform of length n over every lane is a sequence of Stockham passes of radix 2 … 16 (Van Loan,
*Computational Frameworks for the Fast Fourier Transform*, 1992, section 1.7), each pass a loop over one
codelet emitted as LLVM vectors; data stay in L1. The first pass reads through ``load(row)`` and the last
writes through ``store(row, value)``, so that a kernel puts its pointwise stages there. A 2-D transform is
column FFTs, transposes of ``LANES × LANES`` blocks, and column FFTs again.

Lengths: multiples of ``LANES`` with the prime factors 2, 3 and 5, up to ``LARGEST``; ``plan`` says which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import product
from typing import TypeAlias

import numpy as np
from llvmlite import ir

from ._simd import Complex, Simd, Value, lane_count, simd_kernel

__all__ = ["block_stride", "column_fft", "fft_columns", "is_planned", "plan", "transpose_blocks"]

Load: TypeAlias = Callable[[Value], Complex]
Store: TypeAlias = Callable[[Value, Complex], None]

LARGEST = 1024  # beyond it the columns leave the second-level cache and SciPy is as fast

_RADICES = (4, 5, 6, 8, 10, 12, 16)
# Inner split of the composite codelets: n = a × b with b transforms of length a first.
_CODELET_SPLITS = {6: 2, 8: 2, 9: 3, 10: 2, 12: 4, 15: 3, 16: 4}


@lru_cache(None)
def plan(n: int, precision: int) -> tuple[int, ...] | None:
    """Radices of a column FFT of length ``n``, or None where SciPy has to do it.

    As few passes as possible; then the largest radix as small as possible, since a codelet of radix 16
    needs more registers than there are.
    """
    if n % lane_count(precision) or not 0 < n <= LARGEST:
        return None
    if n in (8, 16):
        return (n,)
    for passes in (2, 3):
        found = [radices for radices in product(_RADICES, repeat=passes) if math.prod(radices) == n]
        if found:
            return min(found, key=lambda radices: (max(radices), radices))
    return None


def is_planned(shape: tuple[int, int], precision: int) -> bool:
    """Whether both lengths have a plan."""
    return all(plan(n, precision) is not None for n in shape)


def block_stride(n: int, precision: int) -> int:
    """Bytes between blocks of ``n`` split vectors; the padding keeps blocks off each other's cache sets."""
    lanes = lane_count(precision)
    return (n + lanes) * 2 * lanes * precision // 8


def _rotate(simd: Simd, a: Complex, k: int, n: int, sign: int) -> Complex:
    """``a * exp(sign * 2πi * k / n)``, with the cheap cases first."""
    eighths, exact = divmod(8 * (k % n), n)
    if exact:
        angle = 2 * math.pi * (k % n) / n
        return simd.cmul(a, (simd.constant(math.cos(angle)), simd.constant(sign * math.sin(angle))))
    if sign < 0:
        eighths = -eighths % 8
    re, im = a
    if eighths % 2:
        half = simd.constant(math.sqrt(0.5))
        re, im = simd.mul(simd.sub(re, im), half), simd.mul(simd.add(re, im), half)
        eighths -= 1
    for _ in range(eighths // 2):
        re, im = simd.neg(im), re
    return re, im


def _add_rotated(simd: Simd, a: Complex, b: Complex, sign: int) -> Complex:
    """``a + sign * i * b``."""
    if sign > 0:
        return simd.sub(a[0], b[1]), simd.add(a[1], b[0])
    return simd.add(a[0], b[1]), simd.sub(a[1], b[0])


def _dft2(simd: Simd, x: list[Complex], sign: int) -> list[Complex]:
    return [simd.cadd(*x), simd.csub(*x)]


def _dft3(simd: Simd, x: list[Complex], sign: int) -> list[Complex]:
    total = simd.cadd(x[1], x[2])
    difference = simd.scale(simd.csub(x[1], x[2]), simd.constant(math.sin(2 * math.pi / 3)))
    minus_half = simd.constant(-0.5)
    centre = (simd.fma(minus_half, total[0], x[0][0]), simd.fma(minus_half, total[1], x[0][1]))
    return [
        simd.cadd(x[0], total),
        _add_rotated(simd, centre, difference, sign),
        _add_rotated(simd, centre, difference, -sign),
    ]


def _dft4(simd: Simd, x: list[Complex], sign: int) -> list[Complex]:
    even, odd = simd.cadd(x[0], x[2]), simd.cadd(x[1], x[3])
    even_difference, odd_difference = simd.csub(x[0], x[2]), simd.csub(x[1], x[3])
    return [
        simd.cadd(even, odd),
        _add_rotated(simd, even_difference, odd_difference, sign),
        simd.csub(even, odd),
        _add_rotated(simd, even_difference, odd_difference, -sign),
    ]


def _dft5(simd: Simd, x: list[Complex], sign: int) -> list[Complex]:
    cos = [simd.constant(math.cos(2 * math.pi * k / 5)) for k in (1, 2)]
    sin = [simd.constant(math.sin(2 * math.pi * k / 5)) for k in (1, 2)]
    sums = simd.cadd(x[1], x[4]), simd.cadd(x[2], x[3])
    differences = simd.csub(x[1], x[4]), simd.csub(x[2], x[3])

    def real_part(first: Value, second: Value, part: int) -> Value:
        return simd.fma(second, sums[1][part], simd.fma(first, sums[0][part], x[0][part]))

    u = (real_part(cos[0], cos[1], 0), real_part(cos[0], cos[1], 1))
    v = (real_part(cos[1], cos[0], 0), real_part(cos[1], cos[0], 1))
    d, e = differences
    w = (simd.fma(sin[0], d[0], simd.mul(sin[1], e[0])), simd.fma(sin[0], d[1], simd.mul(sin[1], e[1])))
    z = tuple(simd.sub(simd.mul(sin[1], d[part]), simd.mul(sin[0], e[part])) for part in (0, 1))
    return [
        simd.cadd(x[0], simd.cadd(*sums)),
        _add_rotated(simd, u, w, sign),
        _add_rotated(simd, v, (z[0], z[1]), sign),
        _add_rotated(simd, v, (z[0], z[1]), -sign),
        _add_rotated(simd, u, w, -sign),
    ]


_PRIMITIVE = {2: _dft2, 3: _dft3, 4: _dft4, 5: _dft5}


def _codelet(
    simd: Simd,
    loads: Sequence[Callable[[], Complex]],
    sign: int,
    emit: Callable[[int, Complex], None],
) -> None:
    """Emit a DFT of ``len(loads)`` points; values are loaded and emitted just in time, to save registers."""
    n = len(loads)
    if n in _PRIMITIVE:
        for k, value in enumerate(_PRIMITIVE[n](simd, [load() for load in loads], sign)):
            emit(k, value)
        return
    a = _CODELET_SPLITS[n]
    b = n // a
    columns: list[list[Callable[[], Complex]]] = [[] for _ in range(a)]
    for j in range(b):
        inner: dict[int, Complex] = {}
        _codelet(simd, loads[j::b], sign, inner.__setitem__)
        for k in range(a):
            twisted = _rotate(simd, inner[k], j * k, n, sign)
            columns[k].append(_constant(twisted))
    for k in range(a):
        _codelet(simd, columns[k], sign, _strided(emit, k, a))


def _constant(value: Complex) -> Callable[[], Complex]:
    return lambda: value


def _strided(emit: Callable[[int, Complex], None], first: int, step: int) -> Callable[[int, Complex], None]:
    return lambda k, value: emit(first + step * k, value)


@lru_cache(None)
def _twiddles(length: int, radix: int, sign: int) -> tuple[float, ...]:
    """Factors of one pass: row p holds ``exp(sign 2πi p k / length)`` for k = 1 … radix - 1."""
    angles = sign * 2 * np.pi / length * np.outer(np.arange(length // radix), np.arange(1, radix))
    return tuple(np.stack([np.cos(angles), np.sin(angles)], axis=-1).ravel())


def column_fft(simd: Simd, n: int, sign: int, load: Load, store: Store, scratch: Value) -> None:
    """Emit an unnormalised DFT of length ``n`` over every lane, ``sign`` -1 forward and 1 inverse.

    ``scratch`` is the address of 2 × n split vectors (n where the plan has at most two radices).
    """
    radices = plan(n, simd.precision)
    if radices is None:
        raise ValueError(f"no plan for length {n} in {simd.precision} bits")
    length, stride = n, 1
    for index, radix in enumerate(radices):
        source = simd.offset(scratch, (index + 1) % 2 * n, simd.row)
        target = simd.offset(scratch, index % 2 * n, simd.row)
        _pass(
            simd,
            (length, stride, radix, sign),
            load if index == 0 else _loader(simd, source),
            store if index == len(radices) - 1 else _storer(simd, target),
        )
        length //= radix
        stride *= radix


def _loader(simd: Simd, address: Value) -> Load:
    return lambda row: simd.load_split(simd.offset(address, row, simd.row))


def _storer(simd: Simd, address: Value) -> Store:
    return lambda row, value: simd.store_split(value, simd.offset(address, row, simd.row))


def _pass(simd: Simd, pass_: tuple[int, int, int, int], load: Load, store: Store) -> None:
    """One Stockham pass: y[q + s(Rp + k)] = w^(pk) Σ_i x[q + s(p + m i)] exp(± 2πi ik / R)."""
    length, stride, radix, sign = pass_
    groups = length // radix
    table = None
    if groups > 1:
        table = simd.table(f"twiddle.{length}.{radix}.{sign}", _twiddles(length, radix, sign))

    def body(group: int | Value, inside: int | Value) -> None:
        def read(i: int) -> Complex:
            row = simd.add_index(group, i * groups)
            return load(simd.add_index(inside, _times(simd, row, stride)))

        def write(k: int, value: Complex) -> None:
            if table is not None and k:
                factor = simd.offset(
                    simd.offset(table, group, 2 * (radix - 1) * simd.itemsize), k - 1, 2 * simd.itemsize
                )
                value = simd.cmul(value, (simd.broadcast(factor), simd.broadcast(factor, simd.itemsize)))
            row = simd.add_index(_times(simd, group, radix), k)
            store(simd.add_index(inside, _times(simd, row, stride)), value)

        _codelet(simd, [partial(read, i) for i in range(radix)], sign, write)

    if groups == 1:
        _looped(simd, stride, lambda inside: body(0, inside))
    else:
        _looped(simd, groups, lambda group: _looped(simd, stride, lambda inside: body(group, inside)))


def _times(simd: Simd, index: int | Value, factor: int) -> int | Value:
    if isinstance(index, int):
        return index * factor
    return index if factor == 1 else simd.builder.mul(index, ir.Constant(index.type, factor))


def _looped(simd: Simd, count: int, body: Callable[[int | Value], None]) -> None:
    if count == 1:
        body(0)
        return
    with simd.loop(count) as loop:
        body(loop.index)


@simd_kernel(3)
def fft_columns(
    simd: Simd,
    n: int,
    sign: int,
    interleaved: int,
    source: Value,
    stride: Value,
    target: Value,
    scratch: Value,
) -> None:
    """Column FFT of ``LANES`` columns, from rows ``stride`` bytes apart to split vectors.

    ``interleaved``: whether the rows are complex numbers of a NumPy array, else split vectors.
    """

    def load(row: Value) -> Complex:
        address = simd.offset(source, row, stride)
        return simd.load_interleaved(address) if interleaved else simd.load_split(address)

    column_fft(simd, n, sign, load, _storer(simd, target), scratch)


@simd_kernel(2)
def transpose_blocks(
    simd: Simd,
    interleaved: int,
    scaled: int,
    blocks: Value,
    source: Value,
    target: Value,
    step: Value,
    stride: Value,
    factor: Value,
) -> None:
    """Transpose ``blocks`` runs of ``LANES`` split vectors at ``source``.

    Run b goes to ``target + b * step``, its vectors ``stride`` bytes apart, split or ``interleaved``, times
    the number at ``factor`` where ``scaled``.
    """
    number = simd.broadcast(factor) if scaled else simd.constant(1.0)

    def column(address: Value, part: int) -> Value:
        value = simd.load(address, part * simd.bytes)
        return simd.mul(value, number) if scaled else value

    with simd.loop(blocks) as loop:
        run = simd.offset(source, loop.index, simd.lanes * simd.row)
        place = simd.offset(target, loop.index, step)
        vectors = [simd.offset(run, i, simd.row) for i in range(simd.lanes)]
        re, im = (simd.transpose([column(vector, part) for vector in vectors]) for part in (0, 1))
        for i, value in enumerate(zip(re, im, strict=True)):
            address = simd.offset(place, i, stride)
            if interleaved:
                simd.store_interleaved(value, address)
            else:
                simd.store_split(value, address)
