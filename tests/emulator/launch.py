"""Launch emulated kernels with the calling convention of ``cupy.RawKernel``, on NumPy's memory."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from . import arguments, compile, record
from .arguments import Parameter

__all__ = ["EmulatorError", "Kernel", "Module", "schedules"]

# The least of the supported architectures (sm_75), so that what runs here is accepted by all of them.
MAX_SHARED_OPT_IN = 64 * 1024
MAX_SHARED = 48 * 1024
MAX_THREADS = 1024
MAX_BLOCK = (1024, 1024, 64)
MAX_GRID = (2**31 - 1, 65535, 65535)


class EmulatorError(RuntimeError):
    """A kernel did what is an error on a GPU too, whether or not the GPU would report it."""


@dataclass
class _Schedules:
    seeds: tuple[int, ...] = (1,)
    identical: bool = True


_schedules = _Schedules()
_lock = threading.RLock()  # the runtime of a module has one scheduler


@contextmanager
def schedules(seeds: Sequence[int], *, identical: bool = True) -> Iterator[None]:
    """Run each launch inside the ``with`` block once per seed, from the same memory.

    Seed 0 runs blocks and threads in order; any other shuffles them. Without this, one shuffled seed is used.

    Parameters
    ----------
    seeds : sequence of int
        The schedules.
    identical : bool, optional
        Whether a result that depends on the schedule is an error. Sums by floating-point atomics do.
    """
    before = _schedules.seeds, _schedules.identical
    _schedules.seeds, _schedules.identical = tuple(seeds), identical
    try:
        yield
    finally:
        _schedules.seeds, _schedules.identical = before


class _CParameter(ctypes.Structure):
    _fields_ = (
        ("is_pointer", ctypes.c_byte),
        ("is_const", ctypes.c_byte),
        ("kind", ctypes.c_char),
        ("component_size", ctypes.c_byte),
        ("size", ctypes.c_int),
    )


class _CKernel(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("call", ctypes.c_void_p),
        ("parameters", ctypes.POINTER(_CParameter)),
        ("parameter_count", ctypes.c_int),
        ("launch_bound", ctypes.c_int),
    )


class _CArray(ctypes.Structure):
    _fields_ = (
        ("begin", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("label", ctypes.c_char_p),
        ("writable", ctypes.c_bool),
        ("cell_shift", ctypes.c_int),
    )


class _CSharedVariable(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_size_t), ("size", ctypes.c_size_t), ("name", ctypes.c_char_p))


class Module:
    """A compiled CUDA source.

    Parameters
    ----------
    source : str
        CUDA C++; names of files and lines in messages follow its ``#line`` directives.
    name_expressions : tuple of str, optional
        Template instances to compile, beside the ``extern "C"`` kernels.
    definitions : tuple of str, optional
        Compiler options ``-Dname=value``.
    """

    def __init__(
        self, source: str, name_expressions: tuple[str, ...] = (), definitions: tuple[str, ...] = ()
    ) -> None:
        names = compile.kernel_names(source, name_expressions)
        stem = re.sub(r"\W.*", "", names[0]) if names else "kernel"
        self.library: Path = compile.build(source, names, definitions, stem)
        self.binary = ctypes.CDLL(str(self.library))
        self.binary.emulator_message.restype = ctypes.c_char_p
        self._describe_shared_variables()
        address = ctypes.addressof(ctypes.c_char.in_dll(self.binary, "emulator_kernels"))
        table = ctypes.cast(address, ctypes.POINTER(_CKernel))
        self.kernels = {
            name: Kernel(self, name, table[i], address + i * ctypes.sizeof(_CKernel), source)
            for i, name in enumerate(names)
        }

    def _describe_shared_variables(self) -> None:
        variables = compile.shared_variables(self.library)
        self._variables = (_CSharedVariable * max(len(variables), 1))(
            *[_CSharedVariable(offset, size, name.encode()) for offset, size, name in variables]
        )  # kept alive: the runtime holds pointers into it
        self.binary.emulator_shared_variables(self._variables, len(variables))

    def message(self) -> str:
        """Return what the last launch said, with source lines filled in."""
        text = self.binary.emulator_message().decode()
        return re.sub(r"\{pc:(\w+)\}", lambda m: compile.source_line(self.library, int(m[1], 16)), text)


class Kernel:
    """One kernel: ``kernel(grid, block, arguments, shared_mem=0)``, like ``cupy.RawKernel``.

    Attributes
    ----------
    max_dynamic_shared_size_bytes : int
        How much dynamic shared memory a launch may ask for. More than 48 KiB has to be set here first.
    """

    def __init__(self, module: Module, name: str, entry: _CKernel, address: int, source: str) -> None:
        self.module, self.name, self._address = module, name, address
        self.launch_bound = entry.launch_bound or MAX_THREADS
        labels = arguments.parameter_names(source, name)
        self.parameters = [
            Parameter(
                label=f"argument {i}" + (f" '{labels[i]}'" if i < len(labels) else ""),
                is_pointer=bool(p.is_pointer),
                is_const=bool(p.is_const),
                kind=p.kind.decode(),
                component_size=p.component_size,
                size=p.size,
            )
            for i, p in enumerate(entry.parameters[: entry.parameter_count])
        ]
        self._max_dynamic_shared = MAX_SHARED
        self._shared_limit = MAX_SHARED

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        """Return the most dynamic shared memory a launch may ask for, in bytes."""
        return self._max_dynamic_shared

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        if size > MAX_SHARED_OPT_IN:
            raise ValueError(
                f"{self.name}: max_dynamic_shared_size_bytes = {size} is more than the {MAX_SHARED_OPT_IN} "
                "bytes of the smallest supported device"
            )
        self._max_dynamic_shared = int(size)
        self._shared_limit = MAX_SHARED_OPT_IN

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Sequence[Any], *, shared_mem: int = 0
    ) -> None:
        grid3, block3 = _three(grid), _three(block)
        self._check_launch(grid3, block3, shared_mem)
        if len(args) != len(self.parameters):
            raise TypeError(f"{self.name}: {len(args)} arguments, the kernel has {len(self.parameters)}")
        cells, arrays = arguments.marshal(self.name, self.parameters, args)
        with _lock:
            self._run_schedules(grid3, block3, cells, arrays, shared_mem)
            counts = (ctypes.c_uint64 * 3)()
            self.module.binary.emulator_counts(counts)
        self._check_shared(shared_mem, counts[2])
        record.note_launch(record.Launch(self.name, grid3, block3), counts[0], counts[1])

    def _run_schedules(
        self,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        cells: list[Any],
        arrays: list[arguments.ArrayArgument],
        shared_mem: int,
    ) -> None:
        seeds, outputs = _schedules.seeds, [a.array for a in arrays if a.writable]
        before = [a.copy() for a in outputs] if len(seeds) > 1 else []
        first: list[bytes] = []
        for i, seed in enumerate(seeds):
            for array, values in zip(outputs, before, strict=False):
                array[...] = values
            self._run(grid, block, cells, arrays, shared_mem, seed)
            if len(seeds) == 1:
                continue
            results = [array.tobytes() for array in outputs]
            first = first or results
            if _schedules.identical and results != first:
                raise EmulatorError(
                    f"{self.name}: the result depends on the schedule: seeds {seeds[0]} and {seeds[i]} differ"
                )

    def _run(
        self,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        cells: list[Any],
        arrays: list[arguments.ArrayArgument],
        shared_mem: int,
        seed: int,
    ) -> None:
        pointers = (ctypes.c_void_p * max(len(cells), 1))(*[ctypes.addressof(cell) for cell in cells])
        memory = (_CArray * max(len(arrays), 1))(*map(_c_array, arrays))
        failed = self.module.binary.emulator_launch(
            ctypes.c_void_p(self._address),
            (ctypes.c_uint * 3)(*grid),
            (ctypes.c_uint * 3)(*block),
            pointers,
            ctypes.c_size_t(shared_mem),
            ctypes.c_uint(seed),
            1,
            memory,
            len(arrays),
        )
        if failed:
            raise EmulatorError(f"{self.name}: {self.module.message()}")

    def _check_launch(self, grid: tuple[int, int, int], block: tuple[int, int, int], shared_mem: int) -> None:
        if min(*grid, *block) < 1:
            raise ValueError(f"{self.name}: grid {grid} and block {block} must be positive")
        if any(g > most for g, most in zip(grid, MAX_GRID, strict=True)):
            raise ValueError(f"{self.name}: grid {grid} is over the limits {MAX_GRID}")
        if prod(block) > MAX_THREADS or any(b > most for b, most in zip(block, MAX_BLOCK, strict=True)):
            raise ValueError(f"{self.name}: block {block} is over {MAX_THREADS} threads or over {MAX_BLOCK}")
        if prod(block) > self.launch_bound:
            raise ValueError(f"{self.name}: block {block} is over __launch_bounds__({self.launch_bound})")
        if shared_mem > self._max_dynamic_shared:
            raise ValueError(
                f"{self.name}: {shared_mem} bytes of dynamic shared memory, over the "
                f"{self._max_dynamic_shared} allowed; set max_dynamic_shared_size_bytes first"
            )

    def _check_shared(self, dynamic: int, static: int) -> None:
        if static > MAX_SHARED or dynamic + static > self._shared_limit:
            raise EmulatorError(
                f"{self.name}: too much shared memory: {static} bytes static and {dynamic} dynamic, "
                f"over {self._shared_limit}"
            )


def _c_array(argument: arguments.ArrayArgument) -> _CArray:
    array = argument.array
    # log2 of the bytes for which the checks keep one record: those of an element, 1 to 16
    cell_shift = min(array.itemsize.bit_length() - 1, 4)
    return _CArray(array.ctypes.data, array.nbytes, argument.label.encode(), argument.writable, cell_shift)


def _three(extent: tuple[int, ...]) -> tuple[int, int, int]:
    if not 1 <= len(extent) <= 3 or any(int(n) != n for n in extent):
        raise ValueError(f"grid and block are one to three integers, not {extent}")
    x, y, z = (*map(int, extent), 1, 1)[:3]
    return x, y, z
