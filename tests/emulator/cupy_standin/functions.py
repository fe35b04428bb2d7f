"""The functions of the stand-in's ``cupy`` namespace: those of NumPy's that CuPy has too, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .array import DTYPE_CHARACTERS, names, ndarray, to_device, wrap_function

__all__ = ["CONSTANTS", "empty", "offered"]

# Called with device arrays and scalars, they return device arrays.
_ARRAY_FUNCTIONS = names("""
    abs absolute add angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_not
    bitwise_or bitwise_xor cbrt ceil clip conj conjugate copysign cos cosh deg2rad divide divmod equal exp
    exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod frexp greater greater_equal hypot i0 imag
    invert isfinite isinf isnan ldexp left_shift less less_equal log log10 log1p log2 logaddexp logaddexp2
    logical_and logical_not logical_or logical_xor maximum minimum mod modf multiply nan_to_num negative
    nextafter not_equal positive power rad2deg real reciprocal remainder right_shift rint round sign signbit
    sin sinc sinh sqrt square subtract tan tanh true_divide trunc

    all amax amin any argmax argmin average bincount corrcoef count_nonzero cov cumprod cumsum diff gradient
    histogram isclose max mean median min nanargmax nanargmin nanmax nanmean nanmin nanstd nansum nanvar
    percentile prod ptp quantile std sum var

    arange array_split atleast_1d atleast_2d atleast_3d broadcast_arrays broadcast_to column_stack
    concatenate diag diagonal dstack expand_dims eye fill_diagonal flip fliplr flipud full full_like hsplit
    hstack identity indices linspace logspace meshgrid moveaxis ones ones_like pad ravel repeat reshape roll
    rollaxis rot90 split squeeze stack swapaxes tile transpose tri tril triu vander vsplit vstack zeros
    zeros_like

    argpartition argsort argwhere choose compress copyto digitize extract flatnonzero nonzero partition
    place put put_along_axis putmask searchsorted select sort take take_along_axis unique unravel_index
    where

    cross dot einsum inner kron matmul outer tensordot trace vdot bartlett blackman convolve correlate
    hamming hanning interp kaiser polyfit polyval
""")
# NumPy's answer is a Python bool, CuPy's a 0-d array.
_TRUTH_FUNCTIONS = names("allclose array_equal")
# They return Python objects that describe, and read no values.
_METADATA_FUNCTIONS = names("""
    broadcast_shapes can_cast common_type finfo iinfo iscomplexobj isrealobj isscalar issubdtype
    may_share_memory min_scalar_type ndim promote_types result_type shape shares_memory size
""")
CONSTANTS = names("""
    bool_ complex128 complex64 complexfloating dtype e euler_gamma float16 float32 float64 floating generic
    inexact inf int16 int32 int64 int8 integer intp nan newaxis number pi signedinteger uint16 uint32 uint64
    uint8 unsignedinteger
""")
# Their first argument may be a tuple or a list: a shape, or arrays to put together.
_TAKE_SEQUENCES = names("""
    broadcast_arrays choose column_stack concatenate dstack full hstack indices meshgrid ones select stack
    unravel_index vstack zeros
""")
_ALIGNMENT = 512  # of what cudaMalloc returns
_GUARD = 1 << 16  # bytes on both sides, so that an access just outside of an array falls into no other one


def empty(shape: Any, dtype: Any = float, order: Any = "C") -> ndarray:
    """Return an array full of bytes 0xFF: NaN in floating point, -1 in signed integers."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    size = count * dtype.itemsize
    memory = np.empty(size + 2 * _GUARD + _ALIGNMENT, np.uint8)
    start = -(memory.ctypes.data + _GUARD) % _ALIGNMENT + _GUARD
    memory[start : start + size] = 0xFF
    elements = memory[start : start + size].view(dtype)
    return ndarray._over(elements.reshape(shape, order=order))


def empty_like(
    prototype: ndarray, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None
) -> ndarray:
    """Return an array like ``prototype``, full of bytes 0xFF."""
    keeps_fortran = order in "KA" and prototype.flags.f_contiguous and not prototype.flags.c_contiguous
    layout = "F" if order == "F" or keeps_fortran else "C"
    return empty(prototype.shape if shape is None else shape, dtype or prototype.dtype, layout)


def _host_copy(value: Any, dtype: Any, order: str, ndmin: int = 0) -> np.ndarray:
    """Copy to what CuPy can hold: native byte order, one of its dtypes."""
    if isinstance(value, list | tuple):
        value = _gather(value)
    if isinstance(value, ndarray):
        value = value._host
    host = np.array(value, dtype=dtype, order=order, ndmin=ndmin)  # type: ignore[call-overload]
    if host.dtype.char not in DTYPE_CHARACTERS:
        raise ValueError(f"Unsupported dtype {host.dtype}")
    copy = empty(host.shape, host.dtype.newbyteorder("="), "F" if np.isfortran(host) else "C")._host
    copy[...] = host
    return copy


def _gather(values: Any) -> Any:
    """Replace device arrays in nested lists by their memory; CuPy stacks them on the device."""
    if isinstance(values, list | tuple):
        return [_gather(value) for value in values]
    return values._host if isinstance(values, ndarray) else values


def array(
    obj: Any,
    dtype: Any = None,
    copy: bool | None = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
) -> ndarray:
    """Return a device array with the values of an array, a scalar or nested lists."""
    # A dtype equals None where it is float64.
    same_dtype = dtype is None or (isinstance(obj, ndarray) and np.dtype(dtype) == obj.dtype)
    if not copy and isinstance(obj, ndarray) and same_dtype and _has_order(obj, order):
        return obj if obj.ndim >= ndmin else to_device(np.array(obj._host, copy=False, ndmin=ndmin))
    return ndarray._over(_host_copy(obj, dtype, order, ndmin))


def _has_order(a: ndarray, order: str | None) -> bool:
    return a.flags.c_contiguous if order == "C" else a.flags.f_contiguous if order == "F" else True


def asarray(a: Any, dtype: Any = None, order: str | None = None, *, blocking: bool = False) -> ndarray:
    """Return ``a`` itself where it is a device array of the dtype and order, else a copy."""
    return array(a, dtype, copy=False, order=order or "K")


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    """Return a C-contiguous device array, of at least one dimension."""
    return array(a, dtype, copy=False, order="C", ndmin=1)


def asfortranarray(a: Any, dtype: Any = None) -> ndarray:
    """Return a Fortran-contiguous device array."""
    return array(a, dtype, copy=False, order="F")


def asnumpy(
    a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True
) -> np.ndarray:
    """Copy a device array to the host; anything else goes through ``numpy.asarray``."""
    if isinstance(a, ndarray):
        return a.get(stream, order, out)
    return np.asarray(a, order=order)  # type: ignore[call-overload]


def copy(a: ndarray, order: str = "K") -> ndarray:
    """Return a copy on the device."""
    return array(a, order=order)


def get_array_module(*args: Any) -> Any:
    """Return the stand-in where an argument is a device array, else numpy."""
    from . import module

    return module() if any(isinstance(arg, ndarray) for arg in args) else np


def _truth(function: Callable[..., Any]) -> Callable[..., Any]:
    wrapped = wrap_function(function)
    return lambda *args, **kwargs: to_device(np.asarray(wrapped(*args, **kwargs)))


def _array_function(name: str) -> Callable[..., Any]:
    function = wrap_function(getattr(np, name))
    if name in _TAKE_SEQUENCES:
        return function

    def on_device(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], list | tuple):
            raise TypeError(f"cupy.{name} takes a device array, not a {type(args[0]).__name__}")
        return function(*args, **kwargs)

    on_device.__name__ = name
    return on_device


@cache
def offered() -> dict[str, Callable[..., Any]]:
    """Return the functions of the namespace by name."""
    own = (
        array, asarray, ascontiguousarray, asfortranarray, asnumpy, copy, empty, empty_like, get_array_module
    )  # fmt: skip
    return {
        **{name: _array_function(name) for name in _ARRAY_FUNCTIONS},
        **{name: _truth(getattr(np, name)) for name in _TRUTH_FUNCTIONS},
        **{name: _metadata(getattr(np, name)) for name in _METADATA_FUNCTIONS},
        **{function.__name__: function for function in own},
        "asanyarray": asarray,
    }


def _metadata(function: Callable[..., Any]) -> Callable[..., Any]:
    def describe(*args: Any, **kwargs: Any) -> Any:
        return function(*[arg._host if isinstance(arg, ndarray) else arg for arg in args], **kwargs)

    return describe
