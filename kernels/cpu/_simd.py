"""LLVM vectors inside Numba functions: the one place that emits them, and long for that.

How to read it
--------------
``Simd`` wraps an LLVM builder and one precision (32 or 64 bits). Values are vectors of ``LANES`` numbers;
a complex value is a pair ``(re, im)`` of vectors. Addresses are 64-bit integers, strides are bytes.
In memory a *split* complex vector is ``LANES`` real parts followed by ``LANES`` imaginary parts
(``Simd.row`` bytes); an *interleaved* one is the usual ``re, im, re, im …`` of a NumPy array.

``simd_kernel(k)`` turns ``emit(simd, *constants, *values)`` into a Numba intrinsic whose first argument is
the precision and whose next ``k`` are integers known when the caller is compiled (literals, or free
variables of the compiled function). Nothing else may differ between two versions of a compiled function:
then Numba's disk cache, which tells versions apart by their free variables, stays right. ::

    @simd_kernel(1)
    def axpy(simd, unroll, x, y, a, n):  # y += a * x, n vectors
        ...

An address does not keep its array alive: Numba frees an array after the last statement that names it. So a
work array is named once more after the loop that uses its address.

Products and sums carry the flags ``contract`` and ``nsz`` so that LLVM joins them to FMAs; nothing is
reassociated. There are 16 single-precision (8 double-precision) lanes where the CPU has AVX-512, else half of
that; LLVM splits vectors that the CPU has no registers for.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["Complex", "Simd", "lane_count", "simd_kernel"]

Value: TypeAlias = ir.Value
Complex: TypeAlias = tuple[Value, Value]

_I64 = ir.IntType(64)
_I32 = ir.IntType(32)
_FLAGS = ("contract", "nsz")
_AVX512_CPUS = (
    "znver4",
    "znver5",
    "skylake-avx512",
    "cascadelake",
    "icelake",
    "sapphirerapids",
    "emeraldrapids",
    "graniterapids",
)


@lru_cache(None)
def lane_count(precision: int) -> int:
    """Lanes of a vector: 16 floats or 8 doubles with AVX-512, half of that without."""
    name = os.environ.get("NUMBA_CPU_NAME", "host")
    if name in ("", "host"):
        wide = bool(llvm.get_host_cpu_features().get("avx512f"))
    else:
        wide = name.startswith(_AVX512_CPUS)
    return (512 if wide else 256) // precision


class Simd:
    """Vector arithmetic of one precision on an LLVM builder; of the CPU's lanes unless told otherwise."""

    def __init__(self, builder: ir.IRBuilder, precision: int, lanes: int | None = None) -> None:
        self.builder = builder
        self.precision = precision
        self.lanes = lanes or lane_count(precision)
        self.itemsize = precision // 8
        self.bytes = self.lanes * self.itemsize
        self.row = 2 * self.bytes
        self.scalar = ir.FloatType() if precision == 32 else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.integers = ir.VectorType(ir.IntType(precision), self.lanes)

    def offset(self, address: Value, index: int | Value, stride: int | Value) -> Value:
        """``address + index * stride``."""
        if isinstance(index, int) and isinstance(stride, int):
            step: Value = ir.Constant(_I64, index * stride)
        else:
            step = self.builder.mul(self._integer(index), self._integer(stride))
        return self.builder.add(address, step)

    def _integer(self, value: int | Value) -> Value:
        return ir.Constant(_I64, value) if isinstance(value, int) else value

    def add_index(self, a: int | Value, b: int | Value) -> Value:
        """Sum of two indices."""
        return self.builder.add(self._integer(a), self._integer(b))

    def loop(self, count: int | Value) -> Any:
        """Context manager of a loop; its ``index`` runs from 0 to ``count - 1``."""
        return cgutils.for_range(self.builder, self._integer(count))

    def pointer(self, address: Value, kind: ir.Type) -> Value:
        """Typed pointer to an address."""
        return self.builder.inttoptr(address, kind.as_pointer())

    def table(self, name: str, values: Sequence[float]) -> Value:
        """Address of a constant table of this precision inside the compiled module."""
        kind = ir.ArrayType(self.scalar, len(values))
        module = self.builder.module
        name = f".fastimg.{name}.{self.precision}"
        if name in module.globals:
            variable = module.globals[name]
        else:
            variable = cgutils.global_constant(
                module, name, ir.Constant(kind, [self._rounded(v) for v in values])
            )
        return self.builder.ptrtoint(variable, _I64)

    def load(self, address: Value, offset: int = 0) -> Value:
        """Vector at ``address + offset``, at any alignment of its scalars."""
        return self.builder.load(
            self.pointer(self.offset(address, 1, offset), self.vector), align=self.itemsize
        )

    def store(self, value: Value, address: Value, offset: int = 0) -> None:
        """Store a vector at ``address + offset``."""
        self.builder.store(
            value, self.pointer(self.offset(address, 1, offset), self.vector), align=self.itemsize
        )

    def load_split(self, address: Value, offset: int = 0) -> Complex:
        """Split complex vector."""
        return self.load(address, offset), self.load(address, offset + self.bytes)

    def store_split(self, value: Complex, address: Value, offset: int = 0) -> None:
        """Store a split complex vector."""
        self.store(value[0], address, offset)
        self.store(value[1], address, offset + self.bytes)

    def load_interleaved(self, address: Value) -> Complex:
        """``LANES`` complex numbers of a NumPy array."""
        return self.deinterleave(self.load(address), self.load(address, self.bytes))

    def store_interleaved(self, value: Complex, address: Value) -> None:
        """Store ``LANES`` complex numbers of a NumPy array."""
        for half, vector in enumerate(self.interleave(value)):
            self.store(vector, address, half * self.bytes)

    def load_interleaved_head(self, address: Value, count: Value) -> Complex:
        """The first ``count`` complex numbers at an address, zeros after them; reads nothing else."""
        return self.deinterleave(*self.load_pair_head(address, count))

    def load_pair_head(self, address: Value, count: Value) -> list[Value]:
        """Two vectors with the first ``count`` complex numbers at an address, as they lie in memory."""
        masks = self._pair_heads(count)
        return [self.masked_load(self.offset(address, i, self.bytes), mask) for i, mask in enumerate(masks)]

    def store_pair_head(self, values: Sequence[Value], address: Value, count: Value) -> None:
        """Inverse of ``load_pair_head``; writes nothing else."""
        for i, mask in enumerate(self._pair_heads(count)):
            self.masked_store(values[i], self.offset(address, i, self.bytes), mask)

    def _pair_heads(self, count: Value) -> list[Value]:
        twice = self.builder.shl(count, ir.Constant(_I64, 1))
        return [self._head(twice, half * self.lanes) for half in (0, 1)]

    def _head(self, count: Value, first: int = 0) -> Value:
        index = ir.Constant(ir.VectorType(_I32, self.lanes), list(range(first, first + self.lanes)))
        return self.builder.icmp_signed("<", index, self.splat(self.builder.trunc(count, _I32), _I32))

    def load_integer(self, address: Value, offset: int = 0) -> Value:
        """The 64-bit integer at ``address + offset``."""
        return self.builder.load(self.pointer(self.offset(address, 1, offset), _I64), align=8)

    def inside(self, first: Value, count: Value, half: int | None = None) -> Value:
        """Mask of the lanes whose number, from ``first`` on, is in 0 … ``count`` - 1.

        With a ``half``, 0 or 1, that of each number twice, as complex numbers lie in the halves of a pair.
        """
        numbers = (
            range(self.lanes) if half is None else [(half * self.lanes + i) // 2 for i in range(self.lanes)]
        )
        index = ir.Constant(ir.VectorType(_I32, self.lanes), list(numbers))
        first, count = (self.splat(self.builder.trunc(value, _I32), _I32) for value in (first, count))
        return self.builder.icmp_unsigned("<", self.builder.add(index, first), count)

    def masked_load(self, address: Value, mask: Value) -> Value:
        """The lanes of a mask at an address, zeros elsewhere; reads nothing else."""
        name = f"llvm.masked.load.v{self.lanes}f{self.precision}.p0"
        pointer = self.pointer(address, self.vector)
        kind = ir.FunctionType(self.vector, [pointer.type, _I32, mask.type, self.vector])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        align = ir.Constant(_I32, self.itemsize)
        return self.builder.call(function, [pointer, align, mask, self.constant(0.0)])

    def masked_store(self, value: Value, address: Value, mask: Value) -> None:
        """Store the lanes of a mask at an address; writes nothing else."""
        name = f"llvm.masked.store.v{self.lanes}f{self.precision}.p0"
        pointer = self.pointer(address, self.vector)
        kind = ir.FunctionType(ir.VoidType(), [self.vector, pointer.type, _I32, mask.type])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        self.builder.call(function, [value, pointer, ir.Constant(_I32, self.itemsize), mask])

    def prefetch(self, address: Value, *, written: bool = False, far: bool = False) -> None:
        """Ask for a cache line, ``far``: only as close as the second level. Any address will do."""
        name, pointer = "llvm.prefetch.p0", self.pointer(address, self.vector)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        hints = [ir.Constant(_I32, number) for number in (int(written), 2 if far else 3, 1)]
        self.builder.call(function, [pointer, *hints])

    def broadcast(self, address: Value, offset: int = 0) -> Value:
        """The scalar at ``address + offset`` in every lane."""
        pointer = self.pointer(self.offset(address, 1, offset), self.scalar)
        return self.splat(self.builder.load(pointer, align=self.itemsize), self.scalar)

    def splat(self, value: Value, kind: ir.Type) -> Value:
        """A scalar in every lane."""
        undefined = ir.Constant(ir.VectorType(kind, self.lanes), ir.Undefined)
        one = self.builder.insert_element(undefined, value, ir.Constant(_I32, 0))
        return self.shuffle(one, undefined, [0] * self.lanes)

    def _rounded(self, value: float) -> float:
        # LLVM reads a float constant only if it is exact in single precision
        return float(np.float32(value)) if self.precision == 32 else value

    def constant(self, value: float) -> Value:
        """A number in every lane."""
        return ir.Constant(self.vector, [self._rounded(value)] * self.lanes)

    def add(self, a: Value, b: Value) -> Value:
        """``a + b``."""
        return self.builder.fadd(a, b, flags=_FLAGS)

    def sub(self, a: Value, b: Value) -> Value:
        """``a - b``."""
        return self.builder.fsub(a, b, flags=_FLAGS)

    def mul(self, a: Value, b: Value) -> Value:
        """``a * b``."""
        return self.builder.fmul(a, b, flags=_FLAGS)

    def neg(self, a: Value) -> Value:
        """``-a``."""
        return self.builder.fneg(a)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """``a * b + c``, rounded once."""
        return self._intrinsic("fma", a, b, c)

    def reciprocal_sqrt(self, a: Value) -> Value:
        """``1 / sqrt(a)`` of positive normal numbers, without the processor's slow root and division.

        Error below 3 ulp. In single precision LLVM makes it of an estimate and a Newton step; in double
        precision the estimate comes from halving the exponent, and its 3.5 % become 1e-21 in four steps.
        """
        if self.precision == 32:
            root = self._intrinsic("sqrt", a, flags=("fast",))
            return self.builder.fdiv(self.constant(1.0), root, flags=("fast",))
        magic = ir.Constant(self.integers, [0x5FE6EB50C7B537A9] * self.lanes)
        one = ir.Constant(self.integers, [1] * self.lanes)
        halved = self.builder.lshr(self.builder.bitcast(a, self.integers), one)
        y = self.builder.bitcast(self.builder.sub(magic, halved), self.vector)
        minus_half = self.mul(a, self.constant(-0.5))
        for _ in range(4):
            y = self.mul(y, self.fma(minus_half, self.mul(y, y), self.constant(1.5)))
        return y

    def maximum(self, a: Value, b: Value) -> Value:
        """The larger; ``b`` where ``a`` is NaN."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def _intrinsic(self, name: str, *operands: Value, flags: Sequence[str] = ()) -> Value:
        kind = ir.FunctionType(self.vector, [self.vector] * len(operands))
        full = f"llvm.{name}.v{self.lanes}f{self.precision}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, full)
        return self.builder.call(function, operands, fastmath=flags)

    def reciprocal(self, a: Value) -> Value:
        """``1 / a`` of normal numbers, in single precision of an estimate and a Newton step."""
        return self.builder.fdiv(self.constant(1.0), a, flags=("fast",) if self.precision == 32 else ())

    def is_positive(self, a: Value) -> Value:
        """Mask of the lanes above 0."""
        return self.builder.fcmp_ordered(">", a, self.constant(0.0))

    def is_negative(self, a: Value) -> Value:
        """Mask of the lanes below 0."""
        return self.builder.fcmp_ordered("<", a, self.constant(0.0))

    def nonzero_bytes(self, address: Value) -> Value:
        """Mask of the ``LANES`` bytes at an address that are not 0."""
        kind = ir.VectorType(ir.IntType(8), self.lanes)
        values = self.builder.load(self.pointer(address, kind), align=1)
        return self.builder.icmp_unsigned("!=", values, ir.Constant(kind, [0] * self.lanes))

    def select(self, mask: Value, a: Value, b: Value) -> Value:
        """``a`` where the mask holds, ``b`` elsewhere, whatever they are."""
        return self.builder.select(mask, a, b)

    def widened(self, a: Value) -> Value:
        """The lanes as doubles: a vector of twice the bytes in single precision."""
        if self.precision == 64:
            return a
        return self.builder.fpext(a, ir.VectorType(ir.DoubleType(), self.lanes))

    def total(self, a: Value) -> Value:
        """Sum of the lanes, as a tree: a scalar."""
        width = self.lanes
        while width > 1:
            width //= 2
            high = [i + width if i < width else i for i in range(self.lanes)]
            a = self.add(a, self.shuffle(a, a, high))
        return self.builder.extract_element(a, ir.Constant(_I32, 0))

    def cadd(self, a: Complex, b: Complex) -> Complex:
        """``a + b``."""
        return self.add(a[0], b[0]), self.add(a[1], b[1])

    def csub(self, a: Complex, b: Complex) -> Complex:
        """``a - b``."""
        return self.sub(a[0], b[0]), self.sub(a[1], b[1])

    def cmul(self, a: Complex, b: Complex) -> Complex:
        """``a * b``."""
        re = self.sub(self.mul(a[0], b[0]), self.mul(a[1], b[1]))
        return re, self.add(self.mul(a[0], b[1]), self.mul(a[1], b[0]))

    def cmul_conj(self, a: Complex, b: Complex) -> Complex:
        """``a * conj(b)``."""
        re = self.add(self.mul(a[0], b[0]), self.mul(a[1], b[1]))
        return re, self.sub(self.mul(a[1], b[0]), self.mul(a[0], b[1]))

    def scale(self, a: Complex, factor: Value) -> Complex:
        """``a * factor`` for a real factor."""
        return self.mul(a[0], factor), self.mul(a[1], factor)

    def abs2(self, a: Complex) -> Value:
        """``|a|²``."""
        return self.fma(a[0], a[0], self.mul(a[1], a[1]))

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Lanes chosen from ``a`` (0 … L-1) and ``b`` (L … 2L-1)."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(lanes)), list(lanes)))

    def deinterleave(self, a: Value, b: Value) -> Complex:
        """``re, im, re, im …`` in two vectors to a complex pair."""
        return self.shuffle(a, b, range(0, 2 * self.lanes, 2)), self.shuffle(
            a, b, range(1, 2 * self.lanes, 2)
        )

    def interleave(self, a: Complex) -> list[Value]:
        """Inverse of ``deinterleave``."""
        half = self.lanes // 2
        return [
            self.shuffle(*a, [lane for i in range(h, h + half) for lane in (i, self.lanes + i)])
            for h in (0, half)
        ]

    def transpose(self, rows: Sequence[Value]) -> list[Value]:
        """Transpose of ``LANES`` vectors: blocks of 1, 2, 4 … lanes change places."""
        rows = list(rows)
        width = 1
        while width < self.lanes:
            low = [i if not i & width else self.lanes + i - width for i in range(self.lanes)]
            high = [i + width if not i & width else self.lanes + i for i in range(self.lanes)]
            for i in range(self.lanes):
                if not i & width:
                    a, b = rows[i], rows[i + width]
                    rows[i], rows[i + width] = self.shuffle(a, b, low), self.shuffle(a, b, high)
            width *= 2
        return rows


def simd_kernel(constants: int, *, called: bool = False) -> Callable[[Callable[..., None]], Any]:
    """Make a Numba intrinsic of ``emit(simd, *constants, *values)``.

    Its arguments are the precision (32 or 64), ``constants`` integers known when the caller is compiled,
    then integers (addresses, strides in bytes, counts) known when it runs. It returns nothing.

    The code becomes part of the caller, each time it is used. With ``called`` it is a function of its own,
    which LLVM compiles once and faster; a kernel that works on whole columns loses nothing by a call.
    """

    def decorate(emit: Callable[..., None]) -> Any:
        def typing(context: Any, *kinds: types.Type) -> Any:
            fixed = kinds[: constants + 1]
            if not all(isinstance(kind, types.IntegerLiteral) for kind in fixed):
                return None
            precision, *literals = (kind.literal_value for kind in fixed)  # type: ignore[attr-defined]

            def codegen(
                context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[Value]
            ) -> Value:
                given = values[constants + 1 :]
                if called:
                    builder.call(_function(builder.module, emit, precision, literals, len(given)), given)
                else:
                    emit(Simd(builder, precision), *literals, *given)
                return context.get_dummy_value()

            return types.void(*fixed, *[types.int64] * (len(kinds) - len(fixed))), codegen

        # Numba folds arguments by the signature: name them as ``emit`` does, after the typing context
        names = ["context", "precision", *list(inspect.signature(emit).parameters)[1:]]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        typing.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
        typing.__name__ = emit.__name__
        typing.__doc__ = emit.__doc__
        return intrinsic(prefer_literal=True)(typing)

    return decorate


def _function(
    module: ir.Module, emit: Callable[..., None], precision: int, literals: Sequence[int], count: int
) -> ir.Function:
    """The function of a module with the code that ``emit`` makes of these constants."""
    name = ".".join(map(str, (".fastimg", emit.__module__, emit.__name__, precision, *literals)))
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_I64] * count), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit(Simd(builder, precision), *literals, *function.args)
    builder.ret_void()
    return function
