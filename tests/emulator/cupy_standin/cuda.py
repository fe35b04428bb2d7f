"""The stand-in's ``cupy.cuda``, and ``RawModule`` on the emulator."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..launch import MAX_SHARED, MAX_SHARED_OPT_IN, MAX_THREADS, Kernel, Module

__all__ = ["CUDA_MEMBERS", "MemoryPool", "RawModule"]


class RawKernel:
    """A kernel as CuPy launches it: on device arrays only, ``None`` for a null pointer."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.name = kernel.name

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        """How much dynamic shared memory a launch may ask for."""
        return self._kernel.max_dynamic_shared_size_bytes

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        self._kernel.max_dynamic_shared_size_bytes = size

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Sequence[Any], *, shared_mem: int = 0
    ) -> None:
        """Launch."""
        for i, value in enumerate(args):
            if isinstance(value, np.ndarray):
                raise TypeError(f"{self.name}: argument {i} is a host array; kernels take device arrays")
        self._kernel(grid, block, args, shared_mem=shared_mem)


class RawModule:
    """CUDA source compiled for the emulator, with ``cupy.RawModule``'s parameters.

    CuPy's ``path`` takes binaries only, which cannot be executed here.
    """

    def __init__(
        self,
        *,
        code: str,
        options: tuple[str, ...] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
        name_expressions: Any = None,
        jitify: bool = False,
    ) -> None:
        if backend != "nvrtc" or translate_cucomplex or enable_cooperative_groups or jitify:
            raise ValueError("the emulator takes RawModule(code=…, options=…, name_expressions=…) only")
        if name_expressions is not None and not any(
            option.startswith(("-std=", "--std=")) for option in options
        ):
            raise ValueError("CuPy needs -std=c++11 or later in options where there are name_expressions")
        self.code, self.options, self.name_expressions = code, tuple(options), tuple(name_expressions or ())

    @cached_property
    def _module(self) -> Module:
        definitions = tuple(option for option in self.options if option.startswith(("-D", "-U")))
        return Module(self.code, self.name_expressions, definitions)

    def compile(self, log_stream: Any = None) -> None:
        """Compile now instead of at the first ``get_function``."""
        _ = self._module

    def get_function(self, name: str) -> RawKernel:
        """Return a kernel by its name or name expression."""
        try:
            return RawKernel(self._module.kernels[name])
        except KeyError:
            raise AttributeError(
                f"the module has no kernel {name!r}; it has {list(self._module.kernels)}"
            ) from None


class CUDARuntimeError(RuntimeError):
    """An error of the CUDA runtime."""


class Device:
    """The emulated device."""

    # What launchers ask for; the least of the supported architectures, sm_75.
    attributes = {  # noqa: RUF012 - read-only by use
        "MaxSharedMemoryPerBlock": MAX_SHARED,
        "MaxSharedMemoryPerBlockOptin": MAX_SHARED_OPT_IN,
        "MaxThreadsPerBlock": MAX_THREADS,
        "MultiProcessorCount": 4,
        "WarpSize": 32,
    }
    compute_capability = "75"
    mem_info = (8 << 30, 8 << 30)

    def __init__(self, device: int = 0) -> None:
        self.id = device

    def __enter__(self) -> Device:
        self.use()
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device)

    def __hash__(self) -> int:
        return hash(self.id)

    def use(self) -> None:
        """Make the device current."""
        if self.id:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def synchronize(self) -> None:
        """Wait for the device; launches here return when they are done."""


class Stream(Device):
    """A stream of the emulated device."""

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        super().__init__()
        self.ptr = 0

    def record(self, event: Event | None = None) -> Event:
        """Record an event."""
        event = event or Event()
        event.record(self)
        return event


class Event:
    """A point in time."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.seconds = 0.0

    def record(self, stream: Any = None) -> None:
        """Note the time."""
        self.seconds = time.perf_counter()

    def synchronize(self) -> None:
        """Wait for the event."""


class MemoryPool:
    """CuPy's memory pool; the emulator has none."""

    def used_bytes(self) -> int:
        """Return the bytes in use, here always 0."""
        return 0

    def total_bytes(self) -> int:
        """Return the bytes held, here always 0."""
        return 0

    def free_all_blocks(self) -> None:
        """Return unused memory."""


def _device_properties(device: int) -> dict[str, Any]:
    return {
        "name": b"emulated device",
        "multiProcessorCount": 4,
        "major": 7,
        "minor": 5,
        "totalGlobalMem": 8 << 30,
    }


_null_stream = Stream(null=True)
Stream.null = _null_stream  # type: ignore[attr-defined]
_runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    getDeviceCount=lambda: 1,
    getDeviceProperties=_device_properties,
    runtimeGetVersion=lambda: 12090,
    driverGetVersion=lambda: 12090,
    deviceSynchronize=lambda: None,
)
# The members of the module cupy.cuda.
CUDA_MEMBERS: dict[str, Any] = {
    "Device": Device,
    "Event": Event,
    "MemoryPool": MemoryPool,
    "Stream": Stream,
    "get_current_stream": lambda: _null_stream,
    "get_device_id": lambda: 0,
    "get_elapsed_time": lambda start, stop: 1e3 * (stop.seconds - start.seconds),
    "is_available": lambda: True,
    "runtime": _runtime,
}
