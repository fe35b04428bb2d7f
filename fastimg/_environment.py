"""What this installation runs on: versions, processor, threads, CUDA devices, cache folders.

The same facts are shown by ``fastimg info`` and stand in the reports of the demo and the benchmarks.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fastimg

__all__ = [
    "caches",
    "cuda_devices",
    "describe",
    "processor",
    "remove_stale_kernels",
    "threads",
    "versions",
]

# What Numba calls the kernels in its cache: the digest of their sources follows the function's name
CACHED_KERNEL = re.compile(r".+\.(?P<digest>[0-9a-f]{12})[^-.]*-\d+\.py\w+(\.\d+)?\.(nbi|nbc)")

PACKAGES = ("numpy", "scipy", "numba", "h5py")

# LLVM's names of the x86 extensions, widest first, and the bits of their vectors
SIMD_BITS = (("avx512f", 512), ("avx2", 256), ("avx", 256), ("sse2", 128), ("neon", 128))


def describe() -> dict[str, Any]:
    """All facts, ready for JSON."""
    return {
        "versions": versions(),
        "processor": processor(),
        "threads": threads(),
        "cuda": cuda_devices(),
        "caches": caches(),
    }


def versions() -> dict[str, str]:
    """Versions of fastimg, Python and what fastimg computes with."""
    found = {"fastimg": fastimg.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def processor() -> dict[str, Any]:
    """Name of the CPU, its cores and the width of its vectors."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return {
        "name": _processor_name(),
        "llvm_name": binding.get_host_cpu_name(),
        "simd_bits": next((bits for name, bits in SIMD_BITS if features.get(name)), 64),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
    }


def threads() -> dict[str, Any]:
    """Threads that kernels and FFTs use, and the layer that Numba runs them on, or why it runs none."""
    import numba
    from numba.core import config

    used = fastimg.get_num_threads()
    available: int = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    try:
        numba.get_num_threads()  # starts the layer, which has no name before
    except ValueError as error:  # NUMBA_THREADING_LAYER names one that is unknown or not installed
        reason = " ".join(str(error).split())
        return {"used": used, "available": available, "layer": None, "reason": reason}
    return {"used": used, "available": available, "layer": numba.threading_layer(), "reason": None}


def cuda_devices() -> dict[str, Any]:
    """CUDA devices that CuPy sees, or the reason why there is none."""
    if "cupy" not in sys.modules and importlib.util.find_spec("cupy") is None:
        reason = "CuPy is not installed: pip install 'fastimg[cuda13x]' or 'fastimg[cuda12x]'"
        return {"devices": [], "reason": reason}
    import cupy

    runtime = cupy.cuda.runtime
    try:
        properties = [runtime.getDeviceProperties(i) for i in range(runtime.getDeviceCount())]
    except runtime.CUDARuntimeError as error:
        return {"devices": [], "reason": f"CuPy {cupy.__version__} finds no device: {error}"}
    devices = [
        {
            "name": device["name"].decode(),
            "compute_capability": f"{device['major']}.{device['minor']}",
            "memory_bytes": device["totalGlobalMem"],
        }
        for device in properties
    ]
    return {"devices": devices, "reason": None if devices else f"CuPy {cupy.__version__} finds no device"}


def caches() -> dict[str, dict[str, Any]]:
    """Folders that hold compiled kernels, with their number of files and their bytes."""
    folders = {"numba": _contents(_numba_cache(), ("*.nbi", "*.nbc"))}
    cupy_cache = Path(os.environ.get("CUPY_CACHE_DIR", Path.home() / ".cupy/kernel_cache"))
    if cupy_cache.is_dir():
        folders["cupy"] = _contents(cupy_cache, ("*.cubin",))
    return folders


def remove_stale_kernels(folder: str | os.PathLike[str], digest: str) -> int:
    """Remove what Numba compiled from other versions of the kernels' sources, and return how many files.

    Parameters
    ----------
    folder : path-like
        Numba's cache folder of the kernels.
    digest : str
        Digest of the sources that stays; the file names carry one as ``<function>.<digest>…``.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for digest in ("0123456789ab", "ba9876543210"):
    ...     (folder / f"_fft.fft2.{digest}p-7.py311.1.nbc").touch()
    >>> remove_stale_kernels(folder, "ba9876543210")
    1
    """
    removed = 0
    for path in Path(folder).iterdir():
        carried = CACHED_KERNEL.fullmatch(path.name)
        if carried and carried["digest"] != digest:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _numba_cache() -> Path | None:
    """The folder where Numba keeps what it compiles from kernels/cpu; None where it finds no place."""
    from numba.core.caching import FunctionCache

    from fastimg.kernels.cpu import _jit

    try:
        return Path(FunctionCache(_jit.array_type).cache_path)
    except RuntimeError:  # neither the source folder nor the user's cache folder can be written
        return None


def _contents(folder: Path | None, patterns: tuple[str, ...]) -> dict[str, Any]:
    if folder is None:
        return {"folder": None, "files": 0, "bytes": 0}
    files = [file for pattern in patterns for file in folder.glob(pattern)]
    return {"folder": str(folder), "files": len(files), "bytes": sum(file.stat().st_size for file in files)}


def _processor_name() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
