"""The sweeps over one block of columns or rows that the fused projection of ``_pie_project.py`` is made of.

Some end in their scratch memory, since the last pass of a column FFT may work in place: what they need then
fits the first-level cache.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from ._fft import column_fft
from ._pie_blocks import Cell, added, line_at, row_at
from ._pie_round_trip import column_round_trip
from ._pie_waves import TINY
from ._simd import Complex, Simd, Value, simd_kernel

__all__ = [
    "illuminated_columns",
    "intensity_rows",
    "measured_rows",
    "modulus_factors",
    "modulus_rows",
    "scaled_rows",
    "shifted_rows",
    "transformed_columns",
    "unshifted_rows",
]


def _ramp(simd: Simd, down: Complex, across: Value, column: Value) -> Complex:
    factor = simd.offset(across, column, 2 * simd.itemsize)
    return simd.cmul(down, (simd.broadcast(factor), simd.broadcast(factor, simd.itemsize)))


@simd_kernel(1, called=True)
def shifted_rows(
    simd: Simd, n: int, source: Value, down: Value, across: Value, target: Value, scratch: Value
) -> None:
    """Inverse FFT along x of a block of rows of a spectrum, times the ramp of a shift."""
    factor = simd.load_interleaved(down)

    def load(row: Value) -> Complex:
        return simd.cmul(simd.load_split(row_at(simd, source, row)), _ramp(simd, factor, across, row))

    def store(row: Value, value: Complex) -> None:
        simd.store_split(value, row_at(simd, target, row))

    column_fft(simd, n, 1, load, store, scratch)


@simd_kernel(1, called=True)
def unshifted_rows(
    simd: Simd, n: int, source: Value, down: Value, across: Value, total: Value, scratch: Value
) -> None:
    """FFT along x of a block of rows, times the conjugate ramp, added to ``total``."""
    factor = simd.load_interleaved(down)

    def load(row: Value) -> Complex:
        return simd.load_split(row_at(simd, source, row))

    def store(row: Value, value: Complex) -> None:
        place = row_at(simd, total, row)
        change = simd.cmul_conj(value, _ramp(simd, factor, across, row))
        simd.store_split(simd.cadd(simd.load_split(place), change), place)

    column_fft(simd, n, -1, load, store, scratch)


@simd_kernel(2, called=True)
def transformed_columns(simd: Simd, n: int, sign: int, source: Value, target: Value, scratch: Value) -> None:
    """FFT along y of a block of columns; ``target`` may be ``source``."""

    def load(row: Value) -> Complex:
        return simd.load_split(row_at(simd, source, row))

    def store(row: Value, value: Complex) -> None:
        simd.store_split(value, row_at(simd, target, row))

    column_fft(simd, n, sign, load, store, scratch)


@simd_kernel(1, called=True)
def illuminated_columns(
    simd: Simd,
    n: int,
    object: Value,
    stride: Value,
    probe: Value,
    target: Value,
    peak: Value,
    ahead: Value,
    scratch: Value,
) -> None:
    """FFT along y of a block of columns of a box times probe; finds the maximum of \\|object\\|².

    A line for each vector is fetched from ``ahead``, of what the next sweep reads.
    """
    highest = Cell(simd, simd.load(peak))

    def load(row: Value) -> Complex:
        place = simd.offset(object, row, stride)
        value = simd.load_interleaved(place)
        highest.set(simd.maximum(simd.abs2(value), highest.get()))
        for half in (0, 1):
            simd.prefetch(simd.offset(place, 1, simd.row + half * simd.bytes))
        simd.prefetch(line_at(simd, ahead, row), far=True)
        return simd.cmul(value, simd.load_split(row_at(simd, probe, row)))

    def store(row: Value, value: Complex) -> None:
        simd.store_split(value, row_at(simd, target, row))

    column_fft(simd, n, -1, load, store, scratch)
    simd.store(highest.get(), peak)


@simd_kernel(1, called=True)
def measured_rows(simd: Simd, n: int, intensity: Value, mask: Value, mask_step: Value, target: Value) -> None:
    """The amplitudes √I / N of a block of rows of a frame, -1 where nothing was measured.

    ``mask`` holds a byte for each pixel (``mask_step`` 1) or for all (0). Whatever number stands behind a 0
    is not used.
    """
    builder = simd.builder
    missing, share, tiny = simd.constant(-1.0), simd.constant(1.0 / n), simd.constant(TINY)
    masked = builder.icmp_signed("!=", mask_step, ir.Constant(mask_step.type, 0))

    def counts(pixel: Value) -> Value:
        value = simd.load(simd.offset(intensity, pixel, simd.itemsize))
        return simd.select(simd.nonzero_bytes(simd.offset(mask, pixel, mask_step)), value, missing)

    def root(value: Value) -> Value:
        return simd.mul(simd.mul(value, share), simd.reciprocal_sqrt(simd.add(value, tiny)))

    def store(start: Value, values: Sequence[Value]) -> None:
        for i, value in enumerate(values):
            simd.store(value, line_at(simd, target, simd.add_index(start, i)))

    with simd.loop(n // simd.lanes) as loop:
        start = builder.mul(loop.index, ir.Constant(loop.index.type, simd.lanes))
        with builder.if_else(masked) as (some, all_):
            with some:
                lines = simd.transpose([counts(simd.add_index(start, i * n)) for i in range(simd.lanes)])
                store(start, [simd.select(simd.is_negative(v), missing, root(v)) for v in lines])
            with all_:
                places = [simd.add_index(start, i * n) for i in range(simd.lanes)]
                lines = simd.transpose([simd.load(simd.offset(intensity, p, simd.itemsize)) for p in places])
                store(start, [root(value) for value in lines])


class _Modulus:
    """Equation 7 for spectra without a normalisation, and the error of the modelled amplitudes.

    The factor is √I / √|Ψ|² / N², with which the unnormalised inverse FFT gives the exit wave. The error is
    summed as |Ψ|² (√I / √|Ψ|² - 1)², lane by lane; a block of rows adds its sums, widened, to the frame's.
    """

    def __init__(self, simd: Simd, n: int, measured: Value) -> None:
        self.simd, self.n, self.measured = simd, n, measured
        self.sums = Cell(simd, simd.constant(0.0))

    def factor(self, row: Value, intensity: Value) -> Value:
        simd, points = self.simd, float(self.n * self.n)
        amplitude = simd.load(line_at(simd, self.measured, row))
        lit = simd.add(intensity, simd.constant(TINY * points))
        factor = simd.mul(amplitude, simd.reciprocal_sqrt(lit))
        ratio = simd.fma(factor, simd.constant(points), simd.constant(-1.0))
        missing = simd.is_negative(amplitude)
        ratio = simd.select(missing, simd.constant(0.0), ratio)
        self.sums.set(simd.fma(simd.mul(lit, ratio), ratio, self.sums.get()))
        return simd.select(missing, simd.constant(1.0 / points), factor)

    def add_error(self, error: Value) -> None:
        builder = self.simd.builder
        wide = self.simd.widened(self.sums.get())
        place = self.simd.pointer(error, wide.type)
        builder.store(builder.fadd(builder.load(place, align=8), wide), place, align=8)


@simd_kernel(2, called=True)
def modulus_rows(
    simd: Simd,
    n: int,
    keep: int,
    rows: Value,
    measured: Value,
    intensity: Value,
    error: Value,
    scratch: Value,
) -> None:
    """One mode, in place: FFT along x of a block of rows, modulus, inverse FFT.

    ``keep``: store the intensities of the spectrum.
    """
    modulus = _Modulus(simd, n, measured)

    def load(row: Value) -> Complex:
        return simd.load_split(row_at(simd, rows, row))

    def change(row: Value, value: Complex) -> Complex:
        square = simd.abs2(value)
        if keep:
            simd.store(square, line_at(simd, intensity, row))
        return simd.scale(value, modulus.factor(row, square))

    def store(row: Value, value: Complex) -> None:
        simd.store_split(value, row_at(simd, rows, row))

    column_round_trip(simd, n, load, change, store, scratch)
    modulus.add_error(error)


@simd_kernel(1, called=True)
def intensity_rows(simd: Simd, n: int, rows: Value, first: Value, intensity: Value, scratch: Value) -> None:
    """In place, FFT along x of a block of rows of one mode; adds its intensities, or is the ``first``."""

    def load(row: Value) -> Complex:
        return simd.load_split(row_at(simd, rows, row))

    def store(row: Value, value: Complex) -> None:
        simd.store_split(value, row_at(simd, rows, row))
        added(simd, first, simd.abs2(value), line_at(simd, intensity, row))

    column_fft(simd, n, -1, load, store, scratch)


@simd_kernel(1, called=True)
def modulus_factors(
    simd: Simd, n: int, measured: Value, intensity: Value, factors: Value, error: Value
) -> None:
    """The factors of a block of rows from the intensities of all modes; may be in place."""
    modulus = _Modulus(simd, n, measured)
    with simd.loop(n) as loop:
        value = modulus.factor(loop.index, simd.load(line_at(simd, intensity, loop.index)))
        simd.store(value, line_at(simd, factors, loop.index))
    modulus.add_error(error)


@simd_kernel(1, called=True)
def scaled_rows(simd: Simd, n: int, rows: Value, factors: Value, scratch: Value) -> None:
    """In place, the factors and the inverse FFT along x of a block of rows."""

    def load(row: Value) -> Complex:
        return simd.scale(simd.load_split(row_at(simd, rows, row)), simd.load(line_at(simd, factors, row)))

    def store(row: Value, value: Complex) -> None:
        simd.store_split(value, row_at(simd, rows, row))

    column_fft(simd, n, 1, load, store, scratch)
