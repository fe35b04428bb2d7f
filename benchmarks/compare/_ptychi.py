"""pty-chi's rPIE on a scan of ours, on the CPU: ``pip install ptychi``, where torchvision fits torch."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable

import numpy as np

from fastimg.ptychography import Scan

__all__ = ["is_usable", "passes"]


def is_usable() -> bool:
    """Tell whether pty-chi can be imported; a torchvision that does not fit torch makes that fail."""
    try:
        import ptychi.api  # noqa: F401
    except (ImportError, RuntimeError):
        return False
    return True


def passes(scan: Scan, modes: int, iterations: int, batch_size: int) -> Callable[[], None]:
    """Return a function that uses every position ``iterations`` times, in one reconstruction that goes on."""
    import ptychi.api as api
    import torch
    from ptychi.api.task import PtychographyTask

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    options = api.RPIEOptions()
    options.data_options.data = np.fft.fftshift(scan.intensities, axes=(1, 2))
    options.data_options.save_data_on_device = False
    reconstructor, object_, probe = (
        options.reconstructor_options,
        options.object_options,
        options.probe_options,
    )
    reconstructor.num_epochs = iterations
    reconstructor.batch_size = batch_size
    reconstructor.default_device = api.Devices.CPU
    margin = 8  # it interpolates at the edges of its boxes
    object_.initial_guess = np.ones((1, *(n + margin for n in scan.object_shape)), np.complex64)
    object_.pixel_size_m = 1e-9
    object_.optimizable = probe.optimizable = True
    probe.initial_guess = scan.probe[None, :modes]
    middle = (scan.positions.min(axis=0) + scan.positions.max(axis=0)) / 2
    places = options.probe_position_options
    places.position_y_px, places.position_x_px = (scan.positions - middle).T
    places.optimizable = False
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        task = PtychographyTask(options)

    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            task.run(iterations)

    return run
