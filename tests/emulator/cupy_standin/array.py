"""The stand-in's array: host memory that behaves like a CuPy array.

It does not mix with NumPy's arrays, is not converted to one behind the caller's back, and its reductions
stay on the device as 0-d arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import record
from ..launch import EmulatorError

__all__ = ["DTYPE_CHARACTERS", "from_device", "names", "ndarray", "to_device", "wrap_function"]

# CuPy's dtypes: no extended precision, no strings, no objects, no dates.
DTYPE_CHARACTERS = "?bhilqBHILQefdFD"


def names(text: str) -> tuple[str, ...]:
    """Return the words of a table."""
    return tuple(text.split())


_METHODS = names("""
    all any argmax argmin argpartition argsort astype clip conj conjugate copy cumprod cumsum diagonal dot
    fill flatten max mean min nonzero prod put ravel repeat reshape round searchsorted sort squeeze std sum
    swapaxes take trace transpose var view
""")
_PROPERTIES = names("T dtype imag itemsize nbytes ndim real shape size strides")


def from_device(value: Any) -> Any:
    """Return the host memory behind device arrays, also inside lists and tuples; refuse NumPy arrays."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {np.ndarray}: a host array met a device array")
    if type(value) in (list, tuple):
        return type(value)(map(from_device, value))
    return value


def to_device(value: Any) -> Any:
    """Return a device array for each NumPy array or scalar, also inside lists and tuples."""
    if isinstance(value, np.ndarray | np.generic):
        return ndarray._over(np.asarray(value))
    if isinstance(value, list | tuple):
        # NumPy's named results (of eigh, svd, …) are plain tuples in CuPy
        return (list if type(value) is list else tuple)(map(to_device, value))
    return value


def wrap_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` for device arrays."""

    def on_device(*args: Any, **kwargs: Any) -> Any:
        out = kwargs.get("out")
        host_kwargs = {key: from_device(value) for key, value in kwargs.items()}
        result = function(*map(from_device, args), **host_kwargs)
        return out if isinstance(out, ndarray) else to_device(result)

    on_device.__name__ = on_device.__qualname__ = getattr(function, "__name__", "function")
    return on_device


class Flags:
    """The memory layout of an array, as far as CuPy tells it."""

    def __init__(self, flags: Any) -> None:
        self.c_contiguous: bool = flags.c_contiguous
        self.f_contiguous: bool = flags.f_contiguous
        self.owndata: bool = flags.owndata

    def __getitem__(self, name: str) -> bool:
        return getattr(self, name.lower())


class MemoryPointer:
    """Where an array's memory begins."""

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


def _index(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    if isinstance(index, np.ndarray):
        raise IndexError(f"Unsupported type {np.ndarray}: index a device array by device arrays")
    return index._host if isinstance(index, ndarray) else index


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array on the emulated device; ``cupy.ndarray`` of the stand-in.

    Parameters
    ----------
    shape : int or tuple of int
        As in CuPy, the constructor makes an uninitialised array.
    dtype : dtype, optional
        One of CuPy's.
    """

    _host: np.ndarray
    dtype: np.dtype
    ndim: int
    shape: tuple[int, ...]
    size: int
    strides: tuple[int, ...]
    __slots__ = ("__weakref__", "_host")
    __array_priority__ = 100

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        self._host = np.empty(shape, dtype)

    @classmethod
    def _over(cls, host: np.ndarray) -> ndarray:
        if host.dtype.char not in DTYPE_CHARACTERS:
            raise ValueError(f"Unsupported dtype {host.dtype}")
        array = cls.__new__(cls)
        array._host = host
        return array

    def get(self, stream: Any = None, order: Any = "C", out: np.ndarray | None = None) -> np.ndarray:
        """Copy to the host.

        Raises
        ------
        EmulatorError
            An element is still what ``empty`` left there, or was computed from such a one.
        """
        record.note_synchronisation()
        _refuse_unwritten(self._host)
        if out is None:
            return self._host.copy(order)
        out[...] = self._host
        return out

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        """Copy from the host, which holds the same shape and dtype."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError(f"cannot set {arr.shape} {arr.dtype} to {self.shape} {self.dtype}")
        self._host[...] = arr

    def item(self, *args: int) -> Any:
        """Return one element as a Python scalar."""
        return self.get().item(*args)

    def tolist(self) -> Any:
        """Return the elements as Python scalars."""
        return self.get().tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        """Return the elements' bytes."""
        return self.get().tobytes(order)

    @property
    def flags(self) -> Flags:
        """Return the memory layout."""
        return Flags(self._host.flags)

    @property
    def data(self) -> MemoryPointer:
        """Return the address of the first element."""
        return MemoryPointer(self._host.ctypes.data)

    @property
    def base(self) -> ndarray | None:
        """Return the array this one is a view of."""
        return None if self._host.base is None else ndarray._over(np.asarray(self._host.base))

    @property
    def device(self) -> Any:
        """Return the emulated device."""
        from .cuda import Device

        return Device(0)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "strides": self.strides,
            "data": (self.data.ptr, False),
            "version": 3,
        }

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *args: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        if any(isinstance(value, list | tuple) for value in args):
            raise TypeError("Unsupported type: a list met a device array")
        if out is not None:
            kwargs["out"] = tuple(map(from_device, out))
        result = getattr(ufunc, method)(*map(from_device, args), **kwargs)
        return out[0] if out is not None and len(out) == 1 else to_device(result)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        from .functions import offered

        name = function.__name__
        if name not in offered():
            raise TypeError(f"CuPy has no function for numpy.{name}")
        return offered()[name](*args, **kwargs)

    def __getitem__(self, index: Any) -> ndarray:
        return to_device(self._host[_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._host[_index(index)] = from_device(value)

    def __iter__(self) -> Iterator[ndarray]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        return len(self._host)

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __index__(self) -> int:
        return self.get().__index__()

    def __float__(self) -> float:
        return float(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def __repr__(self) -> str:
        return repr(self._host)

    def __str__(self) -> str:
        return str(self._host)

    def __copy__(self) -> ndarray:
        return to_device(self._host.copy())

    def __deepcopy__(self, memo: Any) -> ndarray:
        return to_device(self._host.copy())


def _method(name: str) -> Callable[..., Any]:
    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        return wrap_function(getattr(self._host, name))(*args, **kwargs)

    call.__name__ = name
    return call


def _property(name: str) -> property:
    def read(self: ndarray) -> Any:
        value = getattr(self._host, name)
        return to_device(value) if isinstance(value, np.ndarray) else value

    def write(self: ndarray, value: Any) -> None:
        setattr(self._host, name, from_device(value))

    return property(read, write if name in ("real", "imag", "shape") else None)


for _name in _METHODS:
    setattr(ndarray, _name, _method(_name))
for _name in _PROPERTIES:
    setattr(ndarray, _name, _property(_name))


def _refuse_unwritten(host: np.ndarray) -> None:
    """Refuse the NaN that ``empty`` fills memory with: arithmetic keeps its bits and makes no such NaN."""
    if host.dtype.kind not in "fc" or not host.size:
        return
    parts = [host.real, host.imag] if host.dtype.kind == "c" else [host]
    for part in parts:
        unsigned = np.ascontiguousarray(part).view(f"u{part.itemsize}")
        unwritten = np.argwhere(unsigned == np.iinfo(unsigned.dtype).max)
        if len(unwritten):
            first = tuple(map(int, unwritten[0]))
            raise EmulatorError(
                f"unwritten output: {len(unwritten)} of {host.size} elements of a {host.shape} {host.dtype} "
                f"array were never written or come from unwritten memory, the first at {first}; "
                "is the grid too small?"
            )
