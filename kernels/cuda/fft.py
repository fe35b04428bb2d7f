"""FFTs on the GPU: ``cupyx.scipy.fft``, which keeps single precision single."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from ._module import load_cupy

__all__ = ["fft2", "fftn", "ifft2", "ifftn", "irfftn", "next_fast_len", "rfftn"]


def fft2(x: Any, norm: str | None = None, overwrite_x: bool = False) -> Any:
    """2-D DFT over the last two axes."""
    return _library().fft2(x, norm=norm, overwrite_x=overwrite_x) if x.size else _empty(x)


def ifft2(x: Any, norm: str | None = None, overwrite_x: bool = False) -> Any:
    """Inverse 2-D DFT over the last two axes."""
    return _library().ifft2(x, norm=norm, overwrite_x=overwrite_x) if x.size else _empty(x)


def fftn(
    x: Any,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
    overwrite_x: bool = False,
) -> Any:
    """N-D DFT."""
    return _library().fftn(x, s=s, axes=axes, norm=norm, overwrite_x=overwrite_x)


def ifftn(
    x: Any,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
    overwrite_x: bool = False,
) -> Any:
    """Inverse N-D DFT."""
    return _library().ifftn(x, s=s, axes=axes, norm=norm, overwrite_x=overwrite_x)


def rfftn(
    x: Any, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> Any:
    """N-D DFT of real data, non-negative frequencies of the last axis."""
    return _library().rfftn(x, s=s, axes=axes, norm=norm)


def irfftn(
    x: Any, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> Any:
    """Inverse of ``rfftn``."""
    return _library().irfftn(x, s=s, axes=axes, norm=norm)


def next_fast_len(n: int) -> int:
    """Smallest length of a fast transform that is at least ``n``."""
    return _library().next_fast_len(n)


def _library() -> ModuleType:
    load_cupy()
    import cupyx.scipy.fft

    return cupyx.scipy.fft


def _empty(x: Any) -> Any:
    """Transform an empty stack, which cuFFT refuses."""
    return load_cupy().empty(x.shape, np.result_type(x.dtype, np.complex64))
