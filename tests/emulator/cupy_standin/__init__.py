"""A stand-in for ``cupy`` and ``cupyx`` whose arrays live in host memory and whose kernels are emulated.

It offers what CuPy offers, by explicit tables, and refuses what CuPy refuses; ``install`` puts it into
``sys.modules``.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import scipy.ndimage

from .array import names, ndarray, wrap_function
from .cuda import CUDA_MEMBERS, MemoryPool, RawModule
from .fourier import CUPY_FFT_MEMBERS, CUPYX_FFT_MEMBERS
from .functions import CONSTANTS, offered

__all__ = ["install", "module", "packages"]

_LINALG = names("cholesky det eigh inv lstsq norm pinv qr slogdet solve svd")
_NDIMAGE = names(
    "convolve correlate fourier_gaussian fourier_shift gaussian_filter map_coordinates shift zoom"
)


def _package(name: str, members: dict[str, Any]) -> ModuleType:
    made = ModuleType(name, f"Stand-in for {name}.")
    made.__dict__.update(members)
    made.__spec__ = ModuleSpec(name, None, is_package=True)
    made.__path__ = []
    return made


@cache
def packages() -> dict[str, ModuleType]:
    """Return the stand-ins for cupy, cupyx and their parts, by name."""
    pool = MemoryPool()
    constants = {name: getattr(np, name) for name in CONSTANTS}
    linalg = {name: wrap_function(getattr(np.linalg, name)) for name in _LINALG}
    cupy = _package(
        "cupy",
        {
            **constants,
            **offered(),
            "__version__": "13.0.0+emulated",
            "ndarray": ndarray,
            "RawModule": RawModule,
            "get_default_memory_pool": lambda: pool,
            "cuda": _package("cupy.cuda", CUDA_MEMBERS),
            "fft": _package("cupy.fft", CUPY_FFT_MEMBERS),
            "linalg": _package("cupy.linalg", linalg),
        },
    )
    ndimage = {name: wrap_function(getattr(scipy.ndimage, name)) for name in _NDIMAGE}
    fft = _package("cupyx.scipy.fft", CUPYX_FFT_MEMBERS)
    scipy_package = _package("cupyx.scipy", {"fft": fft, "ndimage": _package("cupyx.scipy.ndimage", ndimage)})
    cupyx = _package("cupyx", {"scipy": scipy_package})
    made = [cupy, cupy.cuda, cupy.fft, cupy.linalg, cupyx, scipy_package, fft, scipy_package.ndimage]
    return {package.__name__: package for package in made}


def module() -> ModuleType:
    """Return the stand-in for ``cupy``, whether or not it is installed."""
    return packages()["cupy"]


def install() -> ModuleType:
    """Make ``import cupy`` and ``import cupyx`` give the stand-in from now on, and return it.

    Raises
    ------
    RuntimeError
        The real CuPy was imported before.
    """
    if "cupy" in sys.modules and sys.modules["cupy"] is not module():
        raise RuntimeError("cupy is imported already; install the stand-in before")
    sys.modules.update(packages())
    return module()
