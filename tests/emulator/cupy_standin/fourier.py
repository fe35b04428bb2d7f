"""The stand-in's FFTs: ``scipy.fft``, which keeps single precision as cuFFT does, with CuPy's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft

from .array import from_device, ndarray, to_device

__all__ = ["CUPYX_FFT_MEMBERS", "CUPY_FFT_MEMBERS"]


def _one_axis(name: str) -> Callable[..., ndarray]:
    def transform(
        x: Any,
        n: Any = None,
        axis: int = -1,
        norm: Any = None,
        overwrite_x: bool = False,
        *,
        plan: Any = None,
    ):
        return _transform(name, x, overwrite_x, n=n, axis=axis, norm=norm)

    return transform


def _many_axes(name: str, default_axes: tuple[int, ...] | None) -> Callable[..., ndarray]:
    def transform(
        x: Any,
        s: Any = None,
        axes: Any = default_axes,
        norm: Any = None,
        overwrite_x: bool = False,
        *,
        plan: Any = None,
    ):
        return _transform(name, x, overwrite_x, s=s, axes=axes, norm=norm)

    return transform


def _transform(name: str, x: Any, overwrite_x: bool, **parameters: Any) -> ndarray:
    if not isinstance(x, ndarray):
        raise TypeError(f"{name}: the input is {type(x).__name__}, not a device array")
    result = to_device(np.ascontiguousarray(getattr(scipy.fft, name)(from_device(x), **parameters)))
    if overwrite_x and x.dtype.kind == "c" and x.flags.c_contiguous:
        # cuFFT may leave anything there: neither the old values nor the result are to be relied on.
        from_device(x).reshape(-1).view(np.uint8)[...] = 0xFF
    return result


def _frequencies(function: Callable[..., np.ndarray]) -> Callable[..., ndarray]:
    return lambda n, d=1.0: to_device(function(n, d))


def _shift(function: Callable[..., np.ndarray]) -> Callable[..., ndarray]:
    return lambda x, axes=None: to_device(function(from_device(x), axes))


def _next_fast_len(target: int, real: bool = False) -> int:
    return scipy.fft.next_fast_len(target, real)


_transforms: dict[str, Any] = {
    **{name: _one_axis(name) for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")},
    **{name: _many_axes(name, (-2, -1)) for name in ("fft2", "ifft2", "rfft2", "irfft2")},
    **{name: _many_axes(name, None) for name in ("fftn", "ifftn", "rfftn", "irfftn")},
}
_helpers: dict[str, Any] = {
    "fftfreq": _frequencies(np.fft.fftfreq),
    "rfftfreq": _frequencies(np.fft.rfftfreq),
    "fftshift": _shift(np.fft.fftshift),
    "ifftshift": _shift(np.fft.ifftshift),
}
CUPY_FFT_MEMBERS = {**_transforms, **_helpers}
CUPYX_FFT_MEMBERS = {**_transforms, **_helpers, "next_fast_len": _next_fast_len}
