"""A column FFT, a change of each frequency and the inverse FFT, joined in the middle.

The last forward codelet, the change and the first inverse codelet are one loop, so that spectra are never
stored; with one probe mode this is the projection onto the measured moduli.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ._fft import Load, Store, _codelet, _loader, _looped, _pass, _storer, _twiddles, plan
from ._simd import Complex, Simd, Value

__all__ = ["column_round_trip"]


def column_round_trip(
    simd: Simd,
    n: int,
    load: Load,
    change: Callable[[Value, Complex], Complex],
    store: Store,
    scratch: Value,
) -> None:
    """Emit unnormalised transforms of length ``n``, forward and back, with ``change(row, value)`` between.

    ``scratch`` is the address of 2 × n split vectors.
    """
    radices = plan(n, simd.precision)
    if radices is None:
        raise ValueError(f"no plan for length {n} in {simd.precision} bits")
    halves = [simd.offset(scratch, half * n, simd.row) for half in (0, 1)]
    passes = 2 * len(radices) - 1
    middle, half = len(radices) - 1, 0
    length, stride = n, 1
    for index in range(passes):
        source = load if index == 0 else _loader(simd, halves[half])
        if index not in (0, middle):
            half = 1 - half
        target = store if index == passes - 1 else _storer(simd, halves[half])
        if index < middle:
            # the plan ends with a large radix: it comes first on the way there, so the middle is the smallest
            _pass(simd, (length, stride, radices[-1 - index], -1), source, target)
            length, stride = length // radices[-1 - index], stride * radices[-1 - index]
        elif index == middle:
            _middle(simd, n, radices[0], source, change, target)
            length, stride = n // radices[0], radices[0]
        else:
            radix = radices[index - middle]
            if index == middle + 1:
                source = _crossed(simd, source, n, stride)
            _pass(simd, (length, stride, radix, 1), source, target)
            length, stride = length // radix, stride * radix


def _crossed(simd: Simd, load: Load, n: int, radix: int) -> Load:
    """Row radix · p + k of a pass from row p + k n / radix, where the middle has left it."""

    def crossed(row: Value) -> Complex:
        builder, number = simd.builder, row.type(radix)
        p, k = builder.udiv(row, number), builder.urem(row, number)
        return load(builder.add(p, builder.mul(k, row.type(n // radix))))

    return crossed


def _middle(
    simd: Simd,
    n: int,
    radix: int,
    load: Load,
    change: Callable[[Value, Complex], Complex],
    store: Store,
) -> None:
    """The last forward pass, ``change`` and the first inverse pass, in place: on every n / radix-th row."""
    stride = n // radix
    table = simd.table(f"twiddle.{n}.{radix}.1", _twiddles(n, radix, 1)) if stride > 1 else None

    def body(inside: int | Value) -> None:
        changed: dict[int, Complex] = {}

        def at(k: int) -> Value:
            return simd.add_index(inside, k * stride)

        def keep(k: int, value: Complex) -> None:
            changed[k] = change(at(k), value)

        def write(k: int, value: Complex) -> None:
            if table is not None and k:
                place = simd.offset(table, inside, 2 * (radix - 1) * simd.itemsize)
                factor = simd.offset(place, k - 1, 2 * simd.itemsize)
                value = simd.cmul(value, (simd.broadcast(factor), simd.broadcast(factor, simd.itemsize)))
            store(at(k), value)

        _codelet(simd, [partial(lambda i: load(at(i)), i) for i in range(radix)], -1, keep)
        _codelet(simd, [partial(changed.__getitem__, k) for k in range(radix)], 1, write)

    _looped(simd, stride, body)
