"""Blocks of split vectors, for the fused projection: what a plane looks like, and how it is read and written.

A plane of N × N numbers is held as N / LANES blocks of N split vectors: *columns*, where vector y of block x
has the columns x LANES … of row y in its lanes, or *rows*, where vector x of block y has the rows y LANES …
of column x. Transposes of ``LANES × LANES`` tiles lead from one to the other.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from ._simd import Complex, Simd, Value, simd_kernel

__all__ = [
    "Cell",
    "add_light",
    "add_numerators",
    "add_power",
    "add_square",
    "add_vectors",
    "added",
    "clear_vectors",
    "gather_tiles",
    "line_at",
    "row_at",
    "scatter_tiles",
    "split_columns",
    "store_columns",
    "store_maximum",
    "store_model",
    "store_probe_changes",
    "store_weights",
]


class Cell:
    """A vector that a loop changes, held in a register."""

    def __init__(self, simd: Simd, value: Value) -> None:
        self.builder = simd.builder
        self.place = cgutils.alloca_once(simd.builder, value.type)
        self.set(value)

    def set(self, value: Value) -> None:
        """Change it."""
        self.builder.store(value, self.place)

    def get(self) -> Value:
        """Its value here."""
        return self.builder.load(self.place)


def row_at(simd: Simd, address: Value, index: Value) -> Value:
    """Address of a split vector of a block."""
    return simd.offset(address, index, simd.row)


def line_at(simd: Simd, address: Value, index: Value) -> Value:
    """Address of a real vector."""
    return simd.offset(address, index, simd.bytes)


def added(simd: Simd, first: Value, square: Value, place: Value) -> Value:
    """Add to the vector at ``place``, or write it where ``first`` is not 0; return the sum."""
    is_first = simd.builder.icmp_signed("!=", first, ir.Constant(first.type, 0))
    total = simd.add(simd.select(is_first, simd.constant(0.0), simd.load(place)), square)
    simd.store(total, place)
    return total


def add_square(simd: Simd, value: Complex, place: Value) -> None:
    """Add \\|value\\|² to the vector at ``place``."""
    simd.store(simd.add(simd.load(place), simd.abs2(value)), place)


@simd_kernel(1, called=True)
def split_columns(
    simd: Simd,
    n: int,
    source: Value,
    stride: Value,
    target: Value,
    first: Value,
    power: Value,
    peak: Value,
) -> None:
    """A block of columns of one probe mode: split it, add its intensity to (N, N) and find the maximum.

    With ``first`` 1 there is nothing to add to yet.
    """
    highest = Cell(simd, simd.load(peak))
    real_stride = simd.builder.ashr(stride, ir.Constant(stride.type, 1))
    with simd.loop(n) as loop:
        value = simd.load_interleaved(simd.offset(source, loop.index, stride))
        simd.store_split(value, row_at(simd, target, loop.index))
        total = added(simd, first, simd.abs2(value), simd.offset(power, loop.index, real_stride))
        highest.set(simd.maximum(total, highest.get()))
    simd.store(highest.get(), peak)


@simd_kernel(1, called=True)
def store_model(simd: Simd, n: int, intensity: Value, target: Value) -> None:
    """Write the intensities of a block of rows, over N², to its rows of (N, N)."""
    share = simd.constant(1.0 / (n * n))
    with simd.loop(n // simd.lanes) as loop:
        start = simd.builder.mul(loop.index, ir.Constant(loop.index.type, simd.lanes))
        lines = [simd.load(line_at(simd, intensity, simd.add_index(start, i))) for i in range(simd.lanes)]
        for i, value in enumerate(simd.transpose(lines)):
            place = simd.offset(target, simd.add_index(start, i * n), simd.itemsize)
            simd.store(simd.mul(value, share), place)


@simd_kernel(1, called=True)
def scatter_tiles(simd: Simd, n: int, source: Value, target: Value, stride: Value) -> None:
    """A block of columns to its tiles of a plane in rows, ``stride`` bytes apart."""
    with simd.loop(n // simd.lanes) as loop:
        run = simd.offset(source, loop.index, simd.lanes * simd.row)
        tile = simd.offset(target, loop.index, stride)
        _transpose_tile(simd, run, tile)


@simd_kernel(1, called=True)
def gather_tiles(simd: Simd, n: int, source: Value, stride: Value, target: Value) -> None:
    """A block of columns from its tiles of a plane in rows, ``stride`` bytes apart."""
    with simd.loop(n // simd.lanes) as loop:
        tile = simd.offset(source, loop.index, stride)
        run = simd.offset(target, loop.index, simd.lanes * simd.row)
        _transpose_tile(simd, tile, run)


def _transpose_tile(simd: Simd, source: Value, target: Value) -> None:
    for part in (0, 1):
        vectors = [simd.load(row_at(simd, source, i), part * simd.bytes) for i in range(simd.lanes)]
        for i, value in enumerate(simd.transpose(vectors)):
            simd.store(value, row_at(simd, target, i), part * simd.bytes)


@simd_kernel(1, called=True)
def add_power(simd: Simd, n: int, source: Value, first: Value, power: Value, peak: Value) -> None:
    """Add the intensity of a block of columns of one mode to (N, N), and find the maximum.

    With ``first`` 1 there is nothing to add to yet.
    """
    highest = Cell(simd, simd.load(peak))
    with simd.loop(n) as loop:
        square = simd.abs2(simd.load_split(row_at(simd, source, loop.index)))
        total = added(simd, first, square, simd.offset(power, loop.index, n * simd.itemsize))
        highest.set(simd.maximum(total, highest.get()))
    simd.store(highest.get(), peak)


@simd_kernel(3, called=True)
def add_numerators(
    simd: Simd,
    n: int,
    single: int,
    difference: int,
    waves: Value,
    probe: Value,
    object: Value,
    stride: Value,
    changes: Value,
    light: Value,
    numerator: Value,
) -> None:
    """What a block of columns of projected exit waves of one mode adds to the numerators.

    ``numerator`` receives wave · conj(probe), as rows of (N, N) if there is a ``single`` mode, else added to
    split vectors. ``changes`` receives (wave - probe object) · conj(object) if ``difference``; else
    wave · conj(object) is added to it. A single mode adds \\|object\\|² to ``light``.
    """
    with simd.loop(n) as loop:
        wave = simd.load_split(row_at(simd, waves, loop.index))
        mode = simd.load_split(row_at(simd, probe, loop.index))
        value = simd.load_interleaved(simd.offset(object, loop.index, stride))
        product = simd.cmul_conj(wave, mode)
        place = row_at(simd, changes, loop.index)
        if difference:
            change = simd.cmul_conj(simd.csub(wave, simd.cmul(mode, value)), value)
        else:
            change = simd.cadd(simd.load_split(place), simd.cmul_conj(wave, value))
        simd.store_split(change, place)
        if single:
            simd.store_interleaved(product, simd.offset(numerator, loop.index, 2 * n * simd.itemsize))
            add_square(simd, value, line_at(simd, light, loop.index))
        else:
            place = row_at(simd, numerator, loop.index)
            simd.store_split(simd.cadd(simd.load_split(place), product), place)


@simd_kernel(1, called=True)
def add_light(simd: Simd, n: int, object: Value, stride: Value, light: Value) -> None:
    """Add \\|object\\|² of a block of columns of a box."""
    with simd.loop(n) as loop:
        value = simd.load_interleaved(simd.offset(object, loop.index, stride))
        add_square(simd, value, line_at(simd, light, loop.index))


@simd_kernel(2, called=True)
def store_columns(simd: Simd, n: int, scaled: int, source: Value, target: Value) -> None:
    """Write a block of columns, over N² if ``scaled``, to its columns of (N, N)."""
    share = simd.constant(1.0 / (n * n))
    with simd.loop(n) as loop:
        value = simd.load_split(row_at(simd, source, loop.index))
        place = simd.offset(target, loop.index, 2 * n * simd.itemsize)
        simd.store_interleaved(simd.scale(value, share) if scaled else value, place)


@simd_kernel(0, called=True)
def clear_vectors(simd: Simd, count: Value, target: Value) -> None:
    """Write ``count`` vectors of zeros."""
    with simd.loop(count) as loop:
        simd.store(simd.constant(0.0), line_at(simd, target, loop.index))


@simd_kernel(0, called=True)
def store_maximum(simd: Simd, source: Value, target: Value) -> None:
    """Write the largest lane of a vector as one number."""
    value, width = simd.load(source), simd.lanes
    while width > 1:
        width //= 2
        high = [i + width if i < width else i for i in range(simd.lanes)]
        value = simd.maximum(value, simd.shuffle(value, value, high))
    first = simd.builder.extract_element(value, ir.Constant(ir.IntType(32), 0))
    simd.builder.store(first, simd.pointer(target, simd.scalar))


@simd_kernel(0, called=True)
def add_vectors(simd: Simd, count: Value, source: Value, target: Value) -> None:
    """Add ``count`` vectors."""
    with simd.loop(count) as loop:
        place = line_at(simd, target, loop.index)
        simd.store(simd.add(simd.load(place), simd.load(line_at(simd, source, loop.index))), place)


@simd_kernel(1, called=True)
def store_probe_changes(
    simd: Simd, n: int, changes: Value, probe: Value, light: Value, target: Value
) -> None:
    """Write changes - probe · light, a block of columns, to its columns of (N, N)."""
    with simd.loop(n) as loop:
        total = simd.load_split(row_at(simd, changes, loop.index))
        mode = simd.load_split(row_at(simd, probe, loop.index))
        lit = simd.load(line_at(simd, light, loop.index))
        value = simd.csub(total, simd.scale(mode, lit))
        simd.store_interleaved(value, simd.offset(target, loop.index, 2 * n * simd.itemsize))


@simd_kernel(1, called=True)
def store_weights(simd: Simd, n: int, light: Value, numbers: Value, target: Value) -> None:
    """Write numbers[0] + numbers[1] · light, a block of columns, to its columns of (N, N)."""
    constant, share = simd.broadcast(numbers), simd.broadcast(numbers, simd.itemsize)
    with simd.loop(n) as loop:
        value = simd.fma(share, simd.load(line_at(simd, light, loop.index)), constant)
        simd.store(value, simd.offset(target, loop.index, n * simd.itemsize))
