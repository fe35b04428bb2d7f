"""Parts of one kernel's work, shared among Python threads.

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

from ._jit import get_num_threads

__all__ = ["run_shares"]


def run_shares(kernel: Callable[..., None], count: int, is_large: bool, *arguments: Any) -> None:
    """Call ``kernel(begin, end, *arguments)`` for 0 … ``count`` - 1, on all threads if ``is_large``."""
    threads = min(get_num_threads(), count) if is_large else 1
    if threads < 2:
        kernel(0, count, *arguments)
        return
    ends = [count * part // threads for part in range(threads + 1)]
    others = [_pool(os.getpid()).submit(kernel, begin, end, *arguments) for begin, end in pairwise(ends[1:])]
    kernel(0, ends[1], *arguments)
    for other in others:
        other.result()


@lru_cache(None)
def _pool(process: int) -> ThreadPoolExecutor:
    """One pool for each process: a forked one has not its parent's threads."""
    return ThreadPoolExecutor(thread_name_prefix="fastimg")
