"""PtyLab's ePIE on a scan of ours: ``pip install ptylab``.

Its ePIE is the engine that does the least for a position; its rPIE, mPIE, adds momentum. Frames are shifted
once, at the start (``fftshiftSwitch``), not at every Fourier transform, which is its faster setting.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from fastimg.ptychography import Scan

__all__ = ["is_installed", "passes"]


def is_installed() -> bool:
    """Tell whether PtyLab can be imported."""
    return importlib.util.find_spec("PtyLab") is not None


def passes(scan: Scan, modes: int, iterations: int) -> Callable[[], None]:
    """Return a function that uses every position ``iterations`` times, in a reconstruction of its own."""
    # its loggers have no parent in common
    logging.disable(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()):
        import PtyLab

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scan.hdf5"
            _write(path, scan)
            _, reconstruction, parameters, _, engine = PtyLab.easyInitialize(
                path, PtyLab.Engines.ePIE, dummyMonitor=True
            )
    reconstruction.npsm = modes
    reconstruction.initializeObjectProbe()
    parameters.fftshiftSwitch = True
    engine.numIterations = iterations

    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            engine.reconstruct()

    return run


def _write(path: Path, scan: Scan) -> None:
    """Write the frames with a geometry in which a pixel of the object is 1 nm."""
    size = scan.intensities.shape[-1]
    with h5py.File(path, "w") as file:
        file["ptychogram"] = np.fft.fftshift(scan.intensities, axes=(1, 2))
        middle = (scan.positions.min(axis=0) + scan.positions.max(axis=0)) // 2
        file["encoder"] = (scan.positions - middle) * 1e-9
        file["wavelength"], file["zo"], file["dxd"] = 1e-9, 1.0, 1.0 / size
