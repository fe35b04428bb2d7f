"""Chunks of rows of an image, shared among Python threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _plate_sweeps
from ._shares import run_shares

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
    run_shares(kernel, chunks, shape[0] * shape[1] >= _plate_sweeps.PARALLEL_PIXELS, *arguments)
