"""How CPU kernels are compiled, cached and run on several threads.

``jit`` is the one decorator; ``run_parallel`` the one way to call a kernel that contains ``prange``.
Kernels are compiled for one explicit signature, whose input arrays are declared read-only
(``array_type``), so that writable and read-only arrays share one compiled version.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba import types
from numba.core import config
from numba.np.numpy_support import from_dtype
from numpy.typing import DTypeLike

__all__ = ["array_type", "get_num_threads", "jit", "run_parallel", "set_num_threads"]

Function = TypeVar("Function", bound=Callable[..., Any])

_VARIABLE = "FASTIMG_NUM_THREADS"
_threads: int | None = None
_workqueue_lock = threading.Lock()


@lru_cache(None)
def _source_digest() -> str:
    """Digest of every module beside this one.

    A kernel inlines code of the others, and Numba's cache looks at the file of the kernel alone.
    """
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def array_type(dtype: DTypeLike, ndim: int, *, readonly: bool = True) -> types.Array:
    """Numba's type of a C-contiguous array; the default is an input, ``readonly=False`` an output."""
    return types.Array(from_dtype(np.dtype(dtype)), ndim, "C", readonly=readonly)


def jit(
    signature: Any = None,
    *,
    parallel: bool = False,
    fastmath: bool | set[str] = False,
    internal: bool = False,
) -> Callable[[Function], Function]:
    """Compile without the GIL, with NumPy's error model, from the disk cache where there is one.

    ``fastmath`` is for kernels whose error a test bounds; ``internal`` for functions that only compiled ones
    call: they do without the code that takes Python's arguments, which is slow to compile.
    """
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True} if internal else {}
    compile_as: Any = partial(
        numba.njit,
        signature,
        nogil=True,
        error_model="numpy",
        parallel=parallel,
        fastmath=fastmath,
        **options,
    )

    # Numba's cache tells versions of a function apart by signature, code and free variables, not by options
    version = f".{_source_digest()}{'p' * parallel}{'f' * bool(fastmath)}"

    def decorate(function: Function) -> Function:
        function.__qualname__ += version
        try:
            return compile_as(cache=True)(function)
        except RuntimeError as error:
            # Numba raises this where neither the source folder nor the user's cache folder can be written.
            if "no locator available" not in str(error):
                raise
            return compile_as(cache=False)(function)

    return decorate


def set_num_threads(n: int) -> None:
    """Set how many CPU threads kernels and FFTs use, for all Python threads.

    Parameters
    ----------
    n : int
        From 1 to the number of threads that Numba was started with (``NUMBA_NUM_THREADS``, by default
        the number of CPUs). The environment variable ``FASTIMG_NUM_THREADS`` gives the initial value.

    Raises
    ------
    ValueError
        If ``n`` is outside that range.

    Examples
    --------
    >>> import fastimg
    >>> fastimg.set_num_threads(1)
    >>> fastimg.get_num_threads()
    1
    """
    global _threads
    _threads = _checked_threads(n, n, "n")


def get_num_threads() -> int:
    """Return how many CPU threads kernels and FFTs use.

    Returns
    -------
    int
        What ``set_num_threads`` set, else ``FASTIMG_NUM_THREADS``, else all of Numba's threads.

    Raises
    ------
    ValueError
        If ``FASTIMG_NUM_THREADS`` is set to something else than a number in the accepted range.

    Examples
    --------
    >>> import fastimg
    >>> fastimg.get_num_threads() >= 1
    True
    """
    global _threads
    if _threads is None:
        value = os.environ.get(_VARIABLE)
        most = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        is_number = value is not None and value.strip().isdecimal()
        _threads = (
            most if value is None else _checked_threads(int(value) if is_number else -1, value, _VARIABLE)
        )
    return _threads


def _checked_threads(n: Any, given: Any, name: str) -> int:
    largest = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    if isinstance(n, int | np.integer) and not isinstance(n, bool) and 1 <= n <= largest:
        return int(n)
    raise ValueError(
        f"{name} is {given!r}; accepted are whole numbers from 1 to {largest} (NUMBA_NUM_THREADS)"
    )


def run_parallel(kernel: Callable[..., None], *arguments: Any) -> None:
    """Call a kernel compiled with ``parallel=True`` on ``get_num_threads()`` threads.

    Numba's workqueue layer aborts the process when two Python threads enter it: there the calls take turns.
    """
    if _is_threadsafe_layer():
        _run(kernel, arguments)
        return
    with _workqueue_lock:
        _run(kernel, arguments)


def _run(kernel: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    before = numba.get_num_threads()
    numba.set_num_threads(get_num_threads())
    try:
        kernel(*arguments)
    finally:
        numba.set_num_threads(before)


def _is_threadsafe_layer() -> bool:
    try:
        return numba.threading_layer() != "workqueue"
    except ValueError:  # no parallel kernel has run yet, so the layer is not known
        return False
