"""Chunks of rows of an image, shared among Python threads.

The kernels release the GIL, so threads of Python serve as well as Numba's where a call lasts a millisecond,
and nothing has to be compiled twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from . import _plate_sweeps
from ._jit import get_num_threads

__all__ = ["run_chunks", "run_class", "run_sums"]


def run_chunks(kernel: Callable[..., None], shape: tuple[int, ...], *arguments: Any) -> None:
    """Call ``kernel(begin, end, *arguments)`` for all chunks of an image's rows."""
    _run(kernel, -(-shape[0] // _plate_sweeps.CHUNK), shape, arguments)


def run_class(kernel: Callable[..., None], shape: tuple[int, ...], color: int, *arguments: Any) -> None:
    """Call ``kernel(begin, end, *arguments)`` for all chunks of one class of rows."""
    _run(kernel, _plate_sweeps.chunks_of(shape[0], color), shape, arguments)


def run_sums(kernel: Callable[..., None], shape: tuple[int, ...], sums: Any, *arguments: Any) -> None:
    """Call ``kernel(begin, end, *arguments, parts)`` for all chunks of rows, and add up the parts."""
    chunks = -(-shape[0] // _plate_sweeps.CHUNK)
    parts = np.zeros((chunks, len(sums)))
    _run(kernel, chunks, shape, (*arguments, parts))
    np.add.reduce(parts, axis=0, out=sums)


def _run(
    kernel: Callable[..., None], chunks: int, shape: tuple[int, ...], arguments: tuple[Any, ...]
) -> None:
    threads = min(get_num_threads(), chunks)
    if threads < 2 or shape[0] * shape[1] < _plate_sweeps.PARALLEL_PIXELS:
        kernel(0, chunks, *arguments)
        return
    ends = [chunks * part // threads for part in range(threads + 1)]
    others = [_pool(os.getpid()).submit(kernel, begin, end, *arguments) for begin, end in pairwise(ends[1:])]
    kernel(0, ends[1], *arguments)
    for other in others:
        other.result()


@lru_cache(None)
def _pool(process: int) -> ThreadPoolExecutor:
    """One pool for each process: a forked one has not its parent's threads."""
    return ThreadPoolExecutor(thread_name_prefix="fastimg")
