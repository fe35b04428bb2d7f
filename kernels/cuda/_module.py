"""The loader of the CUDA sources: ``<family>.cu`` beside this file, with the headers of ``kernels/include``.

A source names the kernels to compile in comments of the form ``// @instantiate EXPRESSION REGISTERS``: a C++
name expression, and the number of registers it may use on any architecture (which a test compares with what
the compiler used).
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["get_function", "instantiations", "load_cupy", "source"]

SOURCES = Path(__file__).resolve().parent
HEADERS = SOURCES.parent / "include"
OPTIONS = ("-std=c++17",)

_INCLUDE = re.compile(r'#include "([\w/]+\.cuh)"')
_INSTANTIATE = re.compile(r"^// @instantiate (\S.*) (\d+)$", re.M)


def load_cupy() -> ModuleType:
    """Import CuPy, or say how to install it."""
    try:
        import cupy
    except ImportError as error:
        raise ImportError(
            "fastimg's CUDA kernels need CuPy: pip install 'fastimg[cuda13x]' "
            "(or 'fastimg[cuda12x]' for CUDA 12)"
        ) from error
    return cupy


@lru_cache(None)
def source(family: str) -> str:
    """Return the text of ``<family>.cu`` with our own headers in place of their first ``#include``.

    CuPy's cache of binaries does not look into included files, so nothing may be left to include. ``#line``
    makes the compiler's messages point at the files themselves.
    """
    return _inlined(SOURCES / f"{family}.cu", set())


def _inlined(path: Path, seen: set[str]) -> str:
    lines = [f'#line 1 "{path.as_posix()}"']
    for number, line in enumerate(path.read_text().splitlines(), 1):
        include = _INCLUDE.match(line)
        if include is None:
            lines.append(line)
        elif include[1] in seen:
            lines.append("")
        else:
            seen.add(include[1])
            lines += [_inlined(HEADERS / include[1], seen), f'#line {number + 1} "{path.as_posix()}"']
    return "\n".join(lines)


@lru_cache(None)
def instantiations(family: str) -> dict[str, int]:
    """Return the name expressions of a family, and the registers that each may use."""
    return {expression: int(registers) for expression, registers in _INSTANTIATE.findall(source(family))}


@lru_cache(None)
def _module(family: str) -> Any:
    return load_cupy().RawModule(
        code=source(family), options=OPTIONS, name_expressions=tuple(instantiations(family))
    )


@lru_cache(None)
def get_function(family: str, expression: str) -> Any:
    """Return a compiled kernel, called as ``kernel(grid, block, arguments)``.

    CuPy compiles it once for each device it runs on, and keeps the binary on disk.
    """
    return _module(family).get_function(expression)
