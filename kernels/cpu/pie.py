"""Ptychography by (M-)rPIE mini-batches on the CPU: the twins of ``kernels/cuda/pie.py``.

Long, since a family is one module; what the launchers call is in ``_pie_*.py``, by subject.

B positions of a batch, J positions of the scan, M probe modes, N × N pixels of a frame, H × W pixels of the
object; T is float32 or float64, C the complex type of that precision. All arrays are C-contiguous; outputs
are given and written. A box is the N × N crop of the object at ``corner``; the probe's frame is moved by
``fraction`` inside it. A leading axis of (1|B) means that 1 serves every position, (0|…) that there may be
none. Frequencies are in the order of the FFT. One name means the same array in every function:

object : (H, W) C
    Transmission.
probe : (M, N, N) C
    Modes of the illumination; in the kernels of a batch (1|B, M, N, N).
corner, fraction : (B, 2) int64, (0|B, 2) float64
    Row and column of the boxes, and what is left of the positions.
waves : (B, M, N, N) C
    Exit waves, or their spectra.
intensity, selection, mask : (J, N, N) T, (B,) int64, (0|1|J, N, N) uint8
    Counts, frame of each position, and where they were measured; elsewhere the counts may be anything.
power, power_peak : (1|B, N, N) T, (1|B,) T
    Intensity of the illumination, and its maximum.
numerator : (B, N, N) C
    Σ over modes of the projected exit wave times the conjugate probe.

Equations: Guzzi et al., PeerJ Computer Science 8, e1036 (2022).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import _pie_sequence
from . import fft
from ._fft import is_planned
from ._jit import get_num_threads, run_parallel
from ._pie_batch import Workspace, compiled_finish, compiled_prepare
from ._pie_project import compiled_positions
from ._pie_shifts import compiled_move, compiled_place, compiled_shift, compiled_unshift
from ._pie_signals import compiled_detector_boxes, compiled_gradient_shift, compiled_signal_boxes
from ._pie_updates import compiled_object_update, compiled_probe_update
from ._pie_waves import (
    compiled_differences,
    compiled_exit_waves,
    compiled_modulus,
    compiled_numerator,
    compiled_power,
    compiled_probe_changes,
    compiled_probe_weights,
    compiled_transfer,
)

__all__ = [
    "apply_transfer",
    "detector_boxes",
    "dose",
    "exit_waves",
    "gradient_shift",
    "gram",
    "mix_modes",
    "mode_intensity",
    "modulus",
    "move_positions",
    "object_numerator",
    "object_update",
    "place_boxes",
    "probe_differences",
    "probe_power",
    "probe_update",
    "project",
    "shift_modes",
    "signal_boxes",
    "sum_probe_changes",
    "sum_probe_weights",
    "unshift_modes",
    "workspace",
]

# Below this many points a batch is not worth waking other threads for (about 20 µs).
PARALLEL_POINTS = 1 << 16

# The updates are one pass, of less than a nanosecond a point: on two threads they pay later.
UPDATES_EACH = 8


def _precision(dtype: np.dtype) -> int:
    return 32 if dtype.char in "fF" else 64


def _threads(tasks: int, points: int) -> int:
    return min(get_num_threads(), tasks) if points >= PARALLEL_POINTS else 1


def _run(
    compiled: Callable[..., Callable[..., None]], key: tuple[Any, ...], threads: int, *arguments: Any
) -> None:
    """Call the serial or the parallel version with the number of threads last."""
    kernel = compiled(*key, threads > 1)
    if threads > 1:
        run_parallel(kernel, *arguments, threads)
    else:
        kernel(*arguments, 1)


def _call(compiled: Callable[..., Callable[..., None]], *key: Any, tasks: int, points: int) -> Any:
    """Return a function that calls the kernel with as many threads as the tasks are worth."""
    return partial(_run, compiled, key, _threads(tasks, points))


def workspace(probe: np.ndarray, batch: int, subpixel: bool, near_field: bool) -> Any:
    """Memory that ``project`` uses again at each call, for batches of up to ``batch`` positions."""
    size, precision = probe.shape[-1], _precision(probe.dtype)
    if near_field or not is_planned((size, size), precision):
        return _pie_sequence.workspace(np, probe, batch, subpixel)
    return Workspace(len(probe), size, precision, subpixel)


def place_boxes(
    position: np.ndarray,
    selection: np.ndarray,
    last_row: int,
    last_column: int,
    subpixel: bool,
    corner: np.ndarray,
    fraction: np.ndarray,
) -> None:
    """Part positions into whole pixels inside the object and fractions within ± 1/2.

    Parameters
    ----------
    position : (J, 2) float64
        Rows and columns, in pixels of the object.
    last_row, last_column : int
        Largest corner: the object's shape less that of a frame.
    subpixel : bool
        Whether there are fractions; else they are 0.
    """
    compiled_place()(position, selection, last_row, last_column, subpixel, corner, fraction)


def shift_modes(spectrum: np.ndarray, fraction: np.ndarray, out: np.ndarray) -> None:
    """Multiply the spectra of the modes by the phase ramp of each position.

    Parameters
    ----------
    spectrum : (M, N, N) C
        2-D FFTs of the modes.
    out : (B, M, N, N) C
        Receives spectrum · exp(-2πi f·fraction).
    """
    call = _call(compiled_shift, _precision(out.dtype), tasks=len(out), points=out.size)
    call(spectrum, fraction, out)


def unshift_modes(spectrum: np.ndarray, fraction: np.ndarray, out: np.ndarray) -> None:
    """The adjoint of ``shift_modes``: Σ over the batch of spectrum · exp(2πi f·fraction).

    Parameters
    ----------
    spectrum : (B, M, N, N) C
        2-D FFTs.
    out : (M, N, N) C
        Receives the sum.
    """
    call = _call(compiled_unshift, _precision(out.dtype), tasks=out.shape[-1], points=spectrum.size)
    call(spectrum, fraction, out)


def probe_power(probe: np.ndarray, power: np.ndarray, power_peak: np.ndarray) -> None:
    """Intensity of the illumination, summed over the modes, and its maximum."""
    call = _call(compiled_power, _precision(probe.dtype), tasks=len(probe), points=probe.size)
    call(probe, power, power_peak)


def exit_waves(
    object: np.ndarray, probe: np.ndarray, corner: np.ndarray, waves: np.ndarray, object_peak: np.ndarray
) -> None:
    """Equation 1: probe times object, and the maximum of \\|object\\|² in each box, (B,) T."""
    call = _call(compiled_exit_waves, _precision(waves.dtype), tasks=len(waves), points=waves.size)
    call(object, probe, corner, waves, object_peak)


def apply_transfer(waves: np.ndarray, transfer: np.ndarray, conjugate: bool) -> None:
    """Multiply spectra by a transfer function (1, N, N), or by its conjugate."""
    key = _precision(waves.dtype), bool(conjugate)
    _call(compiled_transfer, *key, tasks=len(waves), points=waves.size)(waves, transfer)


def mode_intensity(waves: np.ndarray, intensity: np.ndarray) -> None:
    """Equation 4: the intensities of incoherent modes add up to (B, N, N) T."""
    call = _call(compiled_power, _precision(waves.dtype), tasks=len(waves), points=waves.size)
    call(waves, intensity, np.empty(len(waves), intensity.dtype))


def modulus(
    waves: np.ndarray,
    intensity: np.ndarray,
    selection: np.ndarray,
    mask: np.ndarray,
    model: np.ndarray,
    error: np.ndarray,
) -> None:
    """Equation 7: give the waves the measured modulus; leave them alone where nothing was measured.

    Parameters
    ----------
    model : (0|B, N, N) T
        Receives the intensities of the waves before.
    error : (B,) float64
        Receives Σ (measured - modelled amplitude)².
    """
    call = _call(compiled_modulus, _precision(waves.dtype), tasks=len(waves), points=waves.size)
    call(waves, intensity, selection, mask, model, error)


def object_numerator(waves: np.ndarray, probe: np.ndarray, numerator: np.ndarray) -> None:
    """The sum over modes of the exit waves times the conjugate probe."""
    call = _call(compiled_numerator, _precision(waves.dtype), tasks=len(waves), points=waves.size)
    call(waves, probe, numerator)


def probe_differences(waves: np.ndarray, object: np.ndarray, probe: np.ndarray, corner: np.ndarray) -> None:
    """In place: change of the exit waves, times the conjugate object."""
    call = _call(compiled_differences, _precision(waves.dtype), tasks=len(waves), points=waves.size)
    call(waves, object, probe, corner)


def sum_probe_changes(
    waves: np.ndarray, object: np.ndarray, probe: np.ndarray, corner: np.ndarray, numerator: np.ndarray
) -> None:
    """The numerator of equation 5 (M, N, N), summed over the batch."""
    call = _call(compiled_probe_changes, _precision(waves.dtype), tasks=waves.shape[-1], points=waves.size)
    call(waves, object, probe, corner, numerator)


def sum_probe_weights(
    object: np.ndarray, corner: np.ndarray, object_peak: np.ndarray, beta: float, weight: np.ndarray
) -> None:
    """The denominator of equation 5 (N, N), Σ β max\\|object\\|² + (1 - β) \\|object\\|² over the batch."""
    points = len(corner) * weight.size
    call = _call(compiled_probe_weights, _precision(weight.dtype), tasks=len(weight), points=points)
    call(object, corner, object_peak, beta, weight)


def project(
    object: np.ndarray,
    probe: np.ndarray,
    corner: np.ndarray,
    fraction: np.ndarray,
    intensity: np.ndarray,
    selection: np.ndarray,
    mask: np.ndarray,
    transfer: np.ndarray,
    beta: float,
    work: Any,
    numerator: np.ndarray,
    power: np.ndarray,
    power_peak: np.ndarray,
    probe_numerator: np.ndarray,
    probe_weight: np.ndarray,
    model: np.ndarray,
    error: np.ndarray,
) -> None:
    """Project a batch onto the measured moduli, and sum what the updates of object and probe need.

    Parameters
    ----------
    transfer : (0|1, N, N) C
        Near field: the transfer function to the detector. None means the far field, one FFT.
    beta : float
        Of the rPIE weights of the probe, β.
    work
        From ``workspace``.
    probe_numerator, probe_weight : (0|M, N, N) C, (N, N) T
        Receive the numerator and the denominator of equation 5; with a length of 0 neither is written.
    model : (0|B, N, N) T
        Receives the modelled intensities.
    error : (B,) float64
        Receives Σ (measured - modelled amplitude)².
    """
    if not isinstance(work, Workspace):
        _pie_sequence.project(
            sys.modules[__name__], fft, object, probe, corner, fraction, intensity, selection, mask, transfer,
            beta, work, numerator, power, power_peak, probe_numerator, probe_weight, model, error,
        )  # fmt: skip
        return
    batch, modes, size, precision = len(corner), len(probe), work.n, work.precision
    subpixel, update = len(fraction) > 0, len(probe_numerator) > 0
    threads = _threads(batch, batch * probe.size)
    memory = work.arguments(threads)
    compiled_prepare(size, precision, subpixel)(probe, power, power_peak, *memory)
    key = size, precision, int(modes == 1), int(subpixel), int(len(model) > 0)
    _run(
        compiled_positions, key, threads,
        object, corner, fraction, intensity, selection, mask, beta, modes, update,
        numerator, power, power_peak, model, error, *memory,
    )  # fmt: skip
    if update:
        compiled_finish(size, precision, subpixel)(beta, probe_numerator, probe_weight, *memory, threads)


def object_update(
    object: np.ndarray,
    corner: np.ndarray,
    numerator: np.ndarray,
    power: np.ndarray,
    power_peak: np.ndarray,
    alpha: float,
    gamma: float,
    atomic: bool,
) -> None:
    """Equation 6, numerators and denominators summed over the boxes that cover a pixel.

    The sums are in the order of the batch, whether ``atomic`` or not, on any number of threads.
    """
    key, threads = (_precision(power.dtype),), _threads(len(object), numerator.size // UPDATES_EACH)
    _run(compiled_object_update, key, threads, object, corner, numerator, power, power_peak, alpha, gamma)


def probe_update(probe: np.ndarray, numerator: np.ndarray, weight: np.ndarray, alpha: float) -> None:
    """Equation 5, summed over a batch: probe (M, N, N) += α numerator / weight (N, N)."""
    real = weight.dtype
    key, threads = (_precision(real),), _threads(len(weight), probe.size // UPDATES_EACH)
    _run(compiled_probe_update, key, threads, probe.view(real), numerator.view(real), weight, alpha)


def signal_boxes(
    object: np.ndarray,
    corner: np.ndarray,
    numerator: np.ndarray,
    power: np.ndarray,
    power_peak: np.ndarray,
    alpha: float,
    gamma: float,
    current: np.ndarray,
    updated: np.ndarray,
) -> None:
    """Each box before and after its own update (equation 6), less the mean, in the illumination's window.

    The window is power / (power + 0.01 power_peak): flat where there is light, since its slope times a change
    of the box's brightness looks like a shift. The mean is that of the box before the update, in the window.
    The results are (B, N, N) C.
    """
    call = _call(compiled_signal_boxes, _precision(power.dtype), tasks=len(corner), points=numerator.size)
    call(object, corner, numerator, power, power_peak, alpha, gamma, current, updated)


def detector_boxes(
    model: np.ndarray,
    intensity: np.ndarray,
    selection: np.ndarray,
    mask: np.ndarray,
    modelled: np.ndarray,
    measured: np.ndarray,
) -> None:
    """Amplitudes on the detector less their means, (B, N, N) T, zero where nothing was measured."""
    call = _call(compiled_detector_boxes, _precision(model.dtype), tasks=len(model), points=model.size)
    call(model, intensity, selection, mask, modelled, measured)


def gradient_shift(
    object: np.ndarray, corner: np.ndarray, numerator: np.ndarray, power: np.ndarray, shift: np.ndarray
) -> None:
    """The shift of each box that lowers the change of its exit waves most, one Gauss-Newton step per axis.

    With g the gradient of the box (central differences, one-sided at the border), the result (B, 2) T is
    - Re Σ conj(g) (numerator - box power) / Σ \\|g\\|² power.
    """
    call = _call(compiled_gradient_shift, _precision(power.dtype), tasks=len(corner), points=numerator.size)
    call(object, corner, numerator, power, shift)


def move_positions(
    position: np.ndarray,
    selection: np.ndarray,
    shift: np.ndarray,
    gain: np.ndarray,
    adam: bool,
    max_step: float,
    first: np.ndarray,
    second: np.ndarray,
    count: np.ndarray,
    last: np.ndarray,
) -> None:
    """Move positions against their shifts: by Adam's rule (Kingma and Ba, 2015) or in proportion.

    Parameters
    ----------
    position : (J, 2) float64
        In pixels; those of the selection are moved.
    shift : (B, 2) T
        In pixels.
    gain : (2,) float64
        Step for each axis.
    max_step : float
        No coordinate moves further than this at a time.
    first, second, count : (J, 2) float64, (J, 2) float64, (J,) int64
        Adam's state, of each position.
    last : (J, 2) float64
        Receives the shifts.
    """
    compiled_move(_precision(shift.dtype))(
        position, selection, shift, gain, adam, max_step, first, second, count, last
    )


def gram(modes: np.ndarray, out: np.ndarray) -> None:
    """Inner products of the modes (M, M) complex128, the first one conjugated."""
    flat = modes.reshape(len(modes), -1).astype(np.complex128)
    np.matmul(flat.conj(), flat.T, out=out)


def mix_modes(modes: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> None:
    """Linear combinations of the modes, a row of the matrix (M, M) complex128 each."""
    out[:] = np.tensordot(matrix, modes, axes=1)


def dose(corner: np.ndarray, power: np.ndarray, out: np.ndarray) -> None:
    """Add the illumination of each box to (H, W) float64."""
    size = power.shape[-1]
    for b, (row, column) in enumerate(corner):
        out[row : row + size, column : column + size] += power[min(b, len(power) - 1)]
