"""Check and pass the arguments of a kernel launch.

CuPy passes the address of any array and the bytes of any scalar, whatever the kernel reads. Here a dtype,
a size or a layout that is not the kernel's is an error.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ArrayArgument", "Parameter", "marshal", "parameter_names"]

_KIND_NAMES = {"f": "float", "i": "int", "u": "unsigned", "b": "bool", "V": "struct"}
# What CuPy makes of a Python scalar, whatever the kernel reads.
_PYTHON_SCALARS = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kernel: a pointer or a value of components of one kind ('f', 'i', 'u', 'b' or 'V')."""

    label: str
    is_pointer: bool
    is_const: bool
    kind: str
    component_size: int
    size: int

    def type_name(self) -> str:
        """Return the type in the words of messages, such as ``2 x float32``."""
        name = _KIND_NAMES[self.kind] + (str(8 * self.component_size) if self.kind in "fiu" else "")
        count = self.size // self.component_size
        return name if count == 1 else f"{count} x {name}"


@dataclass
class ArrayArgument:
    """Memory that a launch may touch."""

    array: np.ndarray
    label: str
    writable: bool


def parameter_names(source: str, kernel: str) -> list[str]:
    """Return the parameter names of a kernel as its source declares them; empty if they cannot be found."""
    name = re.escape(kernel.partition("<")[0].split("::")[-1].strip())
    bare = re.sub(r"//[^\n]*", "", source)
    declaration = re.search(rf"__global__[^;{{}}]*?\b{name}\s*\(([^;{{}}]*)\)\s*\{{", bare)
    if not declaration:
        return []
    return [re.findall(r"\w+", part)[-1] for part in declaration[1].split(",") if re.search(r"\w", part)]


def marshal(
    kernel: str, parameters: Sequence[Parameter], values: Sequence[Any]
) -> tuple[list[Any], list[ArrayArgument]]:
    """Return the C value of each argument, and the arrays among them.

    Raises
    ------
    TypeError
        An argument is not what the kernel reads.
    """
    cells: list[Any] = []
    arrays: list[ArrayArgument] = []
    for parameter, value in zip(parameters, values, strict=True):
        if parameter.is_pointer and value is None:
            cells.append(ctypes.c_void_p(0))
        elif parameter.is_pointer:
            array = _checked_array(kernel, parameter, value)
            shape = "x".join(map(str, array.shape)) or "0-d"
            label = f"{parameter.label} ({shape} {array.dtype})"
            arrays.append(ArrayArgument(array, label, writable=not parameter.is_const))
            cells.append(ctypes.c_void_p(array.ctypes.data))
        else:
            cells.append(_checked_scalar(kernel, parameter, value))
    return cells, arrays


def _checked_array(kernel: str, parameter: Parameter, value: Any) -> np.ndarray:
    array = getattr(value, "_host", value)  # the stand-in's arrays keep their memory there
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{kernel}: {parameter.label} is {type(value).__name__}; the kernel reads a pointer")
    if not array.flags.c_contiguous:
        raise TypeError(f"{kernel}: {parameter.label} is not C-contiguous (strides {array.strides})")
    kind, size = array.dtype.kind, array.itemsize
    if kind == "c":
        kind, size = "f", size // 2
    same_kind = kind == parameter.kind or {kind, parameter.kind} == {"b", "u"}
    if parameter.kind != "V" and (not same_kind or size != parameter.component_size):
        raise TypeError(
            f"{kernel}: {parameter.label} is an array of {array.dtype}; "
            f"the kernel reads {parameter.type_name()}"
        )
    return array


def _checked_scalar(kernel: str, parameter: Parameter, value: Any) -> Any:
    if not isinstance(value, np.generic | bool | int | float | complex):
        raise TypeError(
            f"{kernel}: {parameter.label} is {type(value).__name__}; the kernel reads {parameter.type_name()}"
        )
    scalar = value if isinstance(value, np.generic) else _PYTHON_SCALARS[type(value)](value)
    kind = "f" if scalar.dtype.kind == "c" else scalar.dtype.kind
    same_kind = kind == parameter.kind or parameter.kind == "V" or {kind, parameter.kind} == {"i", "u"}
    if not same_kind or scalar.dtype.itemsize != parameter.size:
        raise TypeError(
            f"{kernel}: wrong scalar type: {parameter.label} is passed as {scalar.dtype}; "
            f"the kernel reads {parameter.type_name()}"
        )
    return (ctypes.c_char * parameter.size).from_buffer_copy(scalar.tobytes())
