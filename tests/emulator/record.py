"""What happened on the emulated device, for tests that count instead of timing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Launch", "Record", "recording", "total"]


class Launch(NamedTuple):
    """One kernel launch."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]


@dataclass(eq=False)
class Record:
    """Counts since the record was started.

    Attributes
    ----------
    launches : list of Launch
        Kernel launches in their order.
    host_synchronisations : int
        How often the host waited for a value of the device: ``get``, ``item``, ``float(a)``, ``if a:``, …
    bytes_read, bytes_written : int
        Bytes of global memory that the kernels asked for, cached or not.
    """

    launches: list[Launch] = field(default_factory=list)
    host_synchronisations: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


total = Record()
_open: list[Record] = [total]


def note_launch(launch: Launch, bytes_read: int, bytes_written: int) -> None:
    """Add a launch to every open record."""
    for record in _open:
        record.launches.append(launch)
        record.bytes_read += bytes_read
        record.bytes_written += bytes_written


def note_synchronisation() -> None:
    """Add a wait of the host to every open record."""
    for record in _open:
        record.host_synchronisations += 1


@contextmanager
def recording() -> Iterator[Record]:
    """Count what happens inside the ``with`` block."""
    record = Record()
    _open.append(record)
    try:
        yield record
    finally:
        _open.remove(record)
