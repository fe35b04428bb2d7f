"""Bad input to ptychography: each case has to end in a plain error before any work."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.compare._rows import Figure
from fastimg.ptychography import Scan, gaussian_probe, reconstruct

__all__ = ["bad_input"]

COUNT, SIZE = 4, 16


def bad_input() -> list[Figure]:
    """Try every case; a figure is met where the error names what was wrong."""
    figures = []
    for name, call, expected in _cases():
        worked: list[int] = []
        try:
            call(worked)
        except ValueError as error:
            said = str(error)
        else:
            said = "no error"
        met = expected in said and not worked
        figures.append(Figure("bad input", name, _short(said), f"a ValueError with '{expected}'", met))
    return figures


def _cases() -> Iterator[tuple[str, Callable[[list[int]], object], str]]:
    """Yield a name, what to call with a list of the iterations done, and what the error must hold."""
    frames = np.ones((COUNT, SIZE, SIZE), np.float32)
    places = np.array([[0.0, 0], [0, 4], [4, 0], [4, 4]])
    scan = Scan(frames, places, probe=gaussian_probe(SIZE, 6))

    def started(made: Scan, worked: list[int], found: np.ndarray | None = None) -> object:
        return reconstruct(
            made, iterations=1, object=found, callback=lambda state: worked.append(state.iteration)
        )

    def with_count(value: float) -> Callable[[list[int]], object]:
        wrong = frames.copy()
        wrong[2, 3, 3] = value
        return lambda worked: started(Scan(wrong, places), worked)

    yield (
        "positions outside the object",
        lambda worked: started(scan, worked, np.ones((SIZE + 2, SIZE + 8), np.complex64)),
        "positions[2]",
    )
    yield (
        "positions that are NaN",
        lambda worked: started(Scan(frames, places * np.nan), worked),
        "positions",
    )
    yield "a negative count", with_count(-1.0), "first in frame 2"
    yield "a count that is NaN", with_count(np.nan), "first in frame 2"
    mask = np.ones((SIZE, SIZE - 1), bool)
    yield (
        "a mask of the wrong shape",
        lambda worked: started(Scan(frames, places, mask=mask), worked),
        "mask has shape",
    )
    yield "a truncated CXI file", lambda worked: started(_truncated(frames, places), worked), "scan.cxi"


def _truncated(frames: np.ndarray, places: np.ndarray) -> Scan:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.cxi"
        Scan(frames, places, wavelength=1e-10, distance=4.0, detector_pixel=55e-6).to_cxi(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        return Scan.from_cxi(path)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 90 else f"{line[:87]}..."
