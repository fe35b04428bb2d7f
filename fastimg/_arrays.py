"""How arrays enter and leave the kernels: their module, their layout and dtype, and ``out=``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["allocate_out", "as_kernel_array", "namespace"]

# What a dtype becomes before it is matched with the dtypes of a kernel: 8 and 16 bits fit float32's
# significand, 32 and 64 bits do not. The keys are numpy.dtype.str without the byte order.
_KERNEL_DTYPES: dict[str, np.dtype] = {
    **dict.fromkeys(("b1", "i1", "u1", "i2", "u2", "f2", "f4"), np.dtype(np.float32)),
    **dict.fromkeys(("i4", "u4", "i8", "u8", "f8"), np.dtype(np.float64)),
    "c8": np.dtype(np.complex64),
    "c16": np.dtype(np.complex128),
}


def namespace(*arrays: Any, **named: Any) -> ModuleType:
    """Return the module whose arrays these are: cupy if any of them is a CuPy array, else numpy.

    CuPy is looked for in ``sys.modules`` only: where nobody has imported it there is no CuPy array.
    Lists, tuples, numbers and None live nowhere, and go with either.

    Parameters
    ----------
    *arrays, **named : array_like or None
        The arguments of a public function; those passed by keyword are named in the error.

    Returns
    -------
    module
        ``numpy`` or ``cupy``.

    Raises
    ------
    TypeError
        If some arguments are on the CPU and others on a GPU: data never moves silently.

    Examples
    --------
    >>> import numpy
    >>> namespace(image=numpy.ones(3), mask=None).__name__
    'numpy'
    """
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return np
    arguments = {f"argument {place}": array for place, array in enumerate(arrays, 1)} | named
    device = [name for name, array in arguments.items() if isinstance(array, cupy.ndarray)]
    if not device:
        return np
    host = [name for name, array in arguments.items() if name not in device and _is_on_host(array)]
    if host:
        raise TypeError(
            f"{', '.join(device)} on a GPU but {', '.join(host)} on the CPU; "
            "accepted are arrays of one kind (cupy.asarray and cupy.asnumpy move data)"
        )
    return cupy


def as_kernel_array(xp: ModuleType, a: Any, dtypes: Sequence[DTypeLike], *, name: str = "array") -> Any:
    """Return ``a`` as a C-contiguous, aligned, native-endian array of one of a kernel's dtypes.

    float32, float64, complex64 and complex128 are kept; float16, bool and 8/16-bit integers become float32;
    32/64-bit integers float64. Where ``dtypes`` lacks the result, the first of them that holds it exactly is
    taken (float32 to float64, real to complex).

    Parameters
    ----------
    xp : module
        ``numpy`` or ``cupy``, from ``namespace``.
    a : array_like
        Any strides, byte order and alignment; it may be read-only. It is returned itself where it fits
        already, so the result is not to be written.
    dtypes : sequence of dtype
        What the kernel accepts, the smallest first.
    name : str, optional
        The argument's name in errors.

    Returns
    -------
    array
        Same shape as ``a``.

    Raises
    ------
    TypeError
        If the dtype is none of the above or cannot become one of ``dtypes``; for a masked array; for a NumPy
        array where ``xp`` is cupy.

    Examples
    --------
    >>> import numpy
    >>> as_kernel_array(numpy, [[1, 2], [3, 4]], ["float32", "float64"]).dtype
    dtype('float64')
    >>> as_kernel_array(numpy, numpy.ones(3, "uint8")[::-1], ["complex64", "complex128"]).dtype
    dtype('complex64')
    """
    if type(a) is xp.ndarray and a.dtype in dtypes and a.flags.c_contiguous:
        return a if getattr(a.flags, "aligned", True) else a.copy()
    if xp is not np and not isinstance(a, xp.ndarray) and _is_on_host(a):
        raise TypeError(f"{name} is on the CPU; accepted are arrays on the GPU, as the other arguments are")
    if isinstance(a, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost; accepted are plain arrays")
    if not isinstance(a, xp.ndarray):
        try:
            a = xp.asarray(a)
        except ValueError as error:
            raise ValueError(f"{name} is not an array of numbers: {error}") from error
    dtype = _kernel_dtype(a.dtype, dtypes, name)
    # asarray keeps what fits and turns numpy.matrix, whose operators differ, into a plain array
    array = xp.asarray(a, dtype=dtype, order="C")
    return array if getattr(array.flags, "aligned", True) else array.copy()


def allocate_out(
    xp: ModuleType, out: Any, shape: Sequence[int], dtype: DTypeLike, *inputs: Any, name: str = "out"
) -> tuple[Any, Callable[[], Any]]:
    """Return the array that a kernel writes, and the function that turns it into the caller's result.

    The rules are those of NumPy's ``out=``. Where ``out`` is strided, of another dtype or byte order, or
    overlaps an input, the kernel writes a temporary, which is copied at the end.

    Parameters
    ----------
    xp : module
        ``numpy`` or ``cupy``.
    out : array or None
        The user's array; None asks for a new one.
    shape : sequence of int
        Its exact shape.
    dtype : dtype
        What the kernel writes; ``out`` takes any dtype to which it casts by the rule ``"same_kind"``.
    *inputs : array or None
        What the kernel reads.
    name : str, optional
        The argument's name in errors.

    Returns
    -------
    work : array
        C-contiguous, aligned, of ``dtype``, uninitialised.
    deliver : callable
        To be called once ``work`` is written; returns ``out`` itself, or the new array.

    Raises
    ------
    TypeError
        If ``out`` is no array of ``xp`` or the cast is not ``"same_kind"``.
    ValueError
        If the shape differs, or ``out`` is read-only.

    Examples
    --------
    >>> import numpy
    >>> every_other = numpy.zeros(6)[::2]
    >>> work, deliver = allocate_out(numpy, every_other, (3,), "float64")
    >>> work[:] = [1, 2, 3]
    >>> deliver() is every_other, every_other
    (True, array([1., 2., 3.]))
    """
    dtype = np.dtype(dtype)
    if out is None:
        work = xp.empty(tuple(shape), dtype)
        return work, lambda: work
    _check_out(xp, out, tuple(shape), dtype, name)
    fits = out.dtype == dtype and out.flags.c_contiguous and getattr(out.flags, "aligned", True)
    overlaps = any(isinstance(array, xp.ndarray) and xp.may_share_memory(out, array) for array in inputs)
    if fits and not overlaps:
        return out, lambda: out
    work = xp.empty(tuple(shape), dtype)

    def deliver() -> Any:
        out[...] = work
        return out

    return work, deliver


def _is_on_host(array: Any) -> bool:
    """Whether this is an array in CPU memory; scalars are values, with no home."""
    if isinstance(array, np.generic):
        return False
    return isinstance(array, memoryview) or hasattr(array, "__array__")


def _kernel_dtype(given: np.dtype, dtypes: Sequence[DTypeLike], name: str) -> np.dtype:
    natural = _KERNEL_DTYPES.get(given.str[1:])
    if natural is not None:
        for dtype in dtypes:
            if np.can_cast(natural, np.dtype(dtype), "safe"):
                return np.dtype(dtype)
    kept = ", ".join(np.dtype(dtype).name for dtype in dtypes)
    raise TypeError(f"{name} has dtype {given}; accepted are {kept} and what casts to one of them exactly")


def _check_out(xp: ModuleType, out: Any, shape: tuple[int, ...], dtype: np.dtype, name: str) -> None:
    if not isinstance(out, xp.ndarray):
        raise TypeError(f"{name} is a {type(out).__name__}; accepted is a {xp.__name__} array or None")
    if out.shape != shape:
        raise ValueError(f"{name} has shape {out.shape}; accepted is {shape}")
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(
            f"{name} has dtype {out.dtype}; accepted is any to which {dtype} casts as 'same_kind'"
        )
    if not getattr(out.flags, "writeable", True):
        raise ValueError(f"{name} is read-only; accepted is a writable array")
