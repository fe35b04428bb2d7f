"""CUDA sources executed on the CPU, with checks; and a stand-in for ``cupy`` that launches them.

``docs/emulator.md`` explains how it works.
"""

from __future__ import annotations

from typing import Any

from . import record
from .compile import CompilerMissing
from .launch import EmulatorError, Kernel, Module, schedules
from .record import Launch, Record, recording

__all__ = [
    "CompilerMissing",
    "EmulatorError",
    "Kernel",
    "Launch",
    "Module",
    "Record",
    "recording",
    "schedules",
]


def __getattr__(name: str) -> Any:
    """Return a running total: ``launches``, ``host_synchronisations``, ``bytes_read``, ``bytes_written``."""
    if name in Record.__dataclass_fields__:
        return getattr(record.total, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
