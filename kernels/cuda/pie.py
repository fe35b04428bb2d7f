"""Launchers of the ptychography kernels, ``pie.cu`` and ``pie_*.cu``: long, as one module has all the twins.

B positions of a batch, J positions of the scan, M probe modes, N × N pixels of a frame, H × W pixels of the
object; T is float32 or float64, C the complex type of that precision. Arrays are CuPy's and C-contiguous;
outputs are given and written. A box is the N × N crop of the object at ``corner``; the probe's frame is moved
by ``fraction`` inside it. A leading axis of (1|B) means that 1 serves every position, (0|…) that there may be
none. Frequencies are in the order of the FFT. Nothing here waits for the device. The same name means the same
array in every function:

object : (H, W) C
    Transmission.
probe : (M, N, N) C
    Modes of the illumination; in the kernels of a batch (1|B, M, N, N).
corner, fraction : (B, 2) int64, (0|B, 2) float64
    Row and column of the boxes, which lie inside the object, and what is left of the positions.
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
from typing import Any

import numpy as np

from .. import _pie_sequence
from . import fft
from ._launch import ceil_div as _ceil_div
from ._launch import kind as _kind
from ._launch import launch as _launch
from ._launch import tiles as _tiles
from ._module import load_cupy

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

# Threads of a block: of pie.cu and pie_positions.cu, and of the other two.
THREADS, WIDE_THREADS = 128, 256
WARP = 32

# A block takes this many pixels of a frame, more where that would be over MOST_PARTS blocks a frame: few,
# since batches are small. The number depends on the frame alone, so that a position's result does not depend
# on the others.
PART_PIXELS = 512
MOST_PARTS = 512
# Whole stacks of modes, once an iteration
WIDE_PART_PIXELS = 2048

# Of pie_probe.cu and pie_object.cu
SHIFT_ROWS, SHIFT_COLUMNS = 8, 256
UNSHIFT_ROWS = 4
TILE = 32


def workspace(probe: Any, batch: int, subpixel: bool, near_field: bool) -> Any:
    """Memory that ``project`` uses again at each call, for batches of up to ``batch`` positions."""
    return _pie_sequence.workspace(load_cupy(), probe, batch, subpixel)


def place_boxes(
    position: Any,
    selection: Any,
    last_row: int,
    last_column: int,
    subpixel: bool,
    corner: Any,
    fraction: Any,
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
    _launch(
        "pie_positions", "place_boxes", _ceil_div(len(corner), THREADS), THREADS,
        position, selection, int(last_row), int(last_column), bool(subpixel), len(corner), len(fraction),
        corner, fraction,
    )  # fmt: skip


def shift_modes(spectrum: Any, fraction: Any, out: Any) -> None:
    """Multiply the spectra of the modes by the phase ramp of each position.

    Parameters
    ----------
    spectrum : (M, N, N) C
        2-D FFTs of the modes.
    out : (B, M, N, N) C
        Receives spectrum · exp(-2πi f·fraction).
    """
    batch, modes, size, _ = out.shape
    blocks = batch * _tiles(size, size, SHIFT_ROWS, SHIFT_COLUMNS) if modes else 0
    _launch(
        "pie_probe", f"shift_modes<{_kind(out)}>", blocks, SHIFT_COLUMNS,
        spectrum, fraction, modes, size, out,
    )  # fmt: skip


def unshift_modes(spectrum: Any, fraction: Any, out: Any) -> None:
    """The adjoint of ``shift_modes``: Σ over the batch of spectrum · exp(2πi f·fraction).

    Parameters
    ----------
    spectrum : (B, M, N, N) C
        2-D FFTs.
    out : (M, N, N) C
        Receives the sum.
    """
    batch, modes, size, _ = spectrum.shape
    _launch(
        "pie_probe", f"unshift_modes<{_kind(out)}>", modes * _tiles(size, size, UNSHIFT_ROWS, WARP),
        WIDE_THREADS, spectrum, fraction, batch, modes, size, out,
    )  # fmt: skip


def probe_power(probe: Any, power: Any, power_peak: Any) -> None:
    """Intensity of the illumination, summed over the modes, and its maximum."""
    power_peak.fill(0)
    (positions, modes, size, _), pixels = probe.shape, power[0].size
    _launch(
        "pie", f"probe_power<{_packed(size, probe)}>", positions * _parts(pixels), THREADS,
        probe, modes, pixels, _parts(pixels), power, power_peak,
    )  # fmt: skip


def exit_waves(object: Any, probe: Any, corner: Any, waves: Any, object_peak: Any) -> None:
    """Equation 1: probe times object.

    Parameters
    ----------
    object_peak : (B,) T
        Receives the maximum of |object|² in each box.
    """
    object_peak.fill(0)
    batch, modes, size, _ = waves.shape
    parts = _parts(size * size)
    _launch(
        "pie", f"exit_waves<{_packed(size, probe, waves)}>", batch * parts, THREADS,
        object, probe, corner, len(probe), modes, size, object.shape[1], parts, waves, object_peak,
    )  # fmt: skip


def apply_transfer(waves: Any, transfer: Any, conjugate: bool) -> None:
    """Multiply spectra in place by a transfer function (1, N, N), or by its conjugate."""
    batch, modes, size, _ = waves.shape
    parts = _parts(size * size)
    _launch(
        "pie", f"apply_transfer<{_packed(size, waves, transfer)}>", batch * modes * parts, THREADS,
        waves, transfer, bool(conjugate), size * size, parts,
    )  # fmt: skip


def mode_intensity(waves: Any, intensity: Any) -> None:
    """Equation 4: the intensities of incoherent modes add up.

    Parameters
    ----------
    intensity : (B, N, N) T
        Receives Σ over modes of |waves|².
    """
    batch, modes, size, _ = waves.shape
    parts = _parts(size * size)
    _launch(
        "pie", f"mode_intensity<{_packed(size, waves)}>", batch * parts, THREADS,
        waves, modes, size * size, parts, intensity,
    )  # fmt: skip


def modulus(waves: Any, intensity: Any, selection: Any, mask: Any, model: Any, error: Any) -> None:
    """Equation 7: give the waves the measured modulus; leave them alone where nothing was measured.

    Parameters
    ----------
    model : (0|B, N, N) T
        Receives the modelled intensity.
    error : (B,) float64
        Receives Σ (√intensity - √model)² over what was measured.
    """
    _scaled_modulus(waves, intensity, selection, mask, model, error, 1.0)


def _scaled_modulus(
    waves: Any, intensity: Any, selection: Any, mask: Any, model: Any, error: Any, scale: float
) -> None:
    """``modulus`` with a factor that the waves get before it, and once more after it."""
    batch, modes, size, _ = waves.shape
    parts = _parts(size * size)
    partial = error if parts == 1 else load_cupy().empty((batch, parts), np.float64)
    _launch(
        "pie", f"modulus<{_packed(size, waves)}>", batch * parts, THREADS,
        waves, intensity, selection, mask, len(mask), modes, size * size, parts, scale, len(model) > 0, model,
        partial,
    )  # fmt: skip
    if parts > 1:
        _launch("pie", "sum_error_parts", _warps(batch), THREADS, partial, batch, parts, error)


def object_numerator(waves: Any, probe: Any, numerator: Any) -> None:
    """Sum over the modes the exit waves times the conjugate probe."""
    batch, modes, size, _ = waves.shape
    parts = _parts(size * size)
    _launch(
        "pie", f"object_numerator<{_packed(size, waves, probe, numerator)}>", batch * parts, THREADS,
        waves, probe, len(probe), modes, size * size, parts, numerator,
    )  # fmt: skip


def probe_differences(waves: Any, object: Any, probe: Any, corner: Any) -> None:
    """In place: the change of the exit waves, times the conjugate object."""
    batch, modes, size, _ = waves.shape
    parts = _parts(size * size)
    _launch(
        "pie", f"probe_differences<{_packed(size, waves, probe)}>", batch * parts, THREADS,
        waves, object, probe, corner, len(probe), modes, size, object.shape[1], parts,
    )  # fmt: skip


def sum_probe_changes(waves: Any, object: Any, probe: Any, corner: Any, numerator: Any) -> None:
    """The numerator of equation 5, summed over the batch.

    Parameters
    ----------
    numerator : (M, N, N) C
        Receives Σ (waves - probe object) · conj(object).
    """
    batch, modes, size, _ = waves.shape
    packed = _packed(size, waves, probe, numerator)
    packs = size * size // int(packed[-1])
    _launch(
        "pie_probe", f"sum_probe_changes<{packed}>", modes * _ceil_div(packs, WARP), WIDE_THREADS,
        waves, object, probe, corner, batch, len(probe), modes, size, object.shape[1], numerator,
    )  # fmt: skip


def sum_probe_weights(object: Any, corner: Any, object_peak: Any, beta: float, weight: Any) -> None:
    """The denominator of equation 5, summed over the batch.

    Parameters
    ----------
    object_peak : (B,) T
        Maximum of |object|² in each box.
    weight : (N, N) T
        Receives Σ beta object_peak + (1 - beta) |object|².
    """
    size = len(weight)
    _launch(
        "pie_probe", f"sum_probe_weights<{_kind(weight)}>", _ceil_div(size * size, WARP), WIDE_THREADS,
        object, corner, object_peak, float(beta), len(corner), size, object.shape[1], weight,
    )  # fmt: skip


def project(
    object: Any,
    probe: Any,
    corner: Any,
    fraction: Any,
    intensity: Any,
    selection: Any,
    mask: Any,
    transfer: Any,
    beta: float,
    work: Any,
    numerator: Any,
    power: Any,
    power_peak: Any,
    probe_numerator: Any,
    probe_weight: Any,
    model: Any,
    error: Any,
) -> None:
    """Project a batch onto the measured moduli, and sum what the updates of object and probe need.

    Parameters
    ----------
    transfer : (0|1, N, N) C
        Of the near field; without it the detector is in the far field.
    work
        From ``workspace``, for at least B positions.
    power, power_peak : (B, N, N) T, (B,) T
        Those of the shifted probe; with the leading axis 1 where ``fraction`` is empty.
    probe_numerator, probe_weight : (0|M, N, N) C, (N, N) T
        Numerator and denominator of equation 5, both left alone where ``probe_numerator`` is empty.
    model, error
        As in ``modulus``.
    """
    _pie_sequence.project(
        sys.modules[__name__], fft, object, probe, corner, fraction, intensity, selection, mask, transfer,
        beta, work, numerator, power, power_peak, probe_numerator, probe_weight, model, error,
        # cuFFT has no factor of its own
        scaled_modulus=_scaled_modulus,
    )  # fmt: skip


def object_update(
    object: Any,
    corner: Any,
    numerator: Any,
    power: Any,
    power_peak: Any,
    alpha: float,
    gamma: float,
    atomic: bool,
) -> None:
    """Equation 6, numerators and denominators summed over the boxes that cover a pixel.

    Parameters
    ----------
    alpha, gamma : float
        Step length and regularisation.
    atomic : bool
        Sum by atomic additions, so that the last bits vary from run to run, instead of in a fixed order. This
        takes an array of 2 H W complex numbers.
    """
    kind, batch, (height, width), size = _kind(object), len(corner), object.shape, numerator.shape[-1]
    if not atomic:
        blocks = _tiles(height, width, TILE, TILE) if batch else 0
        _launch(
            "pie_object", f"object_update<{kind}>", blocks, WIDE_THREADS,
            object, corner, numerator, power, power_peak, float(alpha), float(gamma), batch, len(power), size,
            height, width,
        )  # fmt: skip
        return
    sums, parts = load_cupy().zeros((height, width, 4), power.dtype), _parts(size * size)
    _launch(
        "pie_object", f"scatter_boxes<{kind}>", batch * parts, WIDE_THREADS,
        corner, numerator, power, power_peak, float(gamma), len(power), size, width, parts, sums,
    )  # fmt: skip
    _launch(
        "pie_object", f"apply_update<{kind}>", _ceil_div(object.size, WIDE_THREADS), WIDE_THREADS,
        object, sums, float(alpha), object.size,
    )  # fmt: skip


def probe_update(probe: Any, numerator: Any, weight: Any, alpha: float) -> None:
    """Equation 5, summed over a batch: probe += alpha numerator / weight, where weight > 0."""
    modes, pixels = len(probe), weight.size
    _launch(
        "pie_probe", f"probe_update<{_kind(probe)}>", _ceil_div(pixels, WIDE_THREADS), WIDE_THREADS,
        probe, numerator, weight, float(alpha), modes, pixels,
    )  # fmt: skip


def signal_boxes(
    object: Any,
    corner: Any,
    numerator: Any,
    power: Any,
    power_peak: Any,
    alpha: float,
    gamma: float,
    current: Any,
    updated: Any,
) -> None:
    """Each box before and after its own update (equation 6), less the mean, in the illumination's window.

    The window is power / (power + 0.01 power_peak): flat where there is light, since its slope times a change
    of the box's brightness looks like a shift.

    Parameters
    ----------
    current, updated : (B, N, N) C
        Written. The mean is that of the box before the update, in the window.
    """
    kind, (batch, size, _), width = _kind(object), numerator.shape, object.shape[1]
    parts = _parts(size * size)
    partial = load_cupy().empty((batch, parts, 3), np.float64)
    _launch(
        "pie_positions", f"signal_sums<{kind}>", batch * parts, THREADS,
        object, corner, power, power_peak, len(power), size, width, parts, partial,
    )  # fmt: skip
    _launch(
        "pie_positions", f"signal_boxes<{kind}>", batch * parts, THREADS,
        object, corner, numerator, power, power_peak, float(alpha), float(gamma), len(power), size, width,
        parts, partial, current, updated,
    )  # fmt: skip


def detector_boxes(
    model: Any, intensity: Any, selection: Any, mask: Any, modelled: Any, measured: Any
) -> None:
    """Amplitudes on the detector less their means, zero where nothing was measured.

    Parameters
    ----------
    model : (B, N, N) T
        Modelled intensity.
    modelled, measured : (B, N, N) T
        Written.
    """
    kind, (batch, size, _) = _kind(model), model.shape
    parts = _parts(size * size)
    partial = load_cupy().empty((batch, parts, 3), np.float64)
    frames = model, intensity, selection, mask, len(mask), size * size, parts, partial
    blocks = batch * parts
    _launch("pie_positions", f"detector_sums<{kind}>", blocks, THREADS, *frames)
    _launch("pie_positions", f"detector_boxes<{kind}>", blocks, THREADS, *frames, modelled, measured)


def gradient_shift(object: Any, corner: Any, numerator: Any, power: Any, shift: Any) -> None:
    """The shift of each box that lowers the change of its exit waves most, one Gauss-Newton step per axis.

    Parameters
    ----------
    shift : (B, 2) T
        Receives - Re Σ conj(g) (numerator - box power) / Σ |g|² power, g the gradient of the box along rows
        and columns: central differences, one-sided at the border.
    """
    kind, (batch, size, _) = _kind(object), numerator.shape
    parts = _parts(size * size)
    partial = load_cupy().empty((batch, parts, 4), np.float64)
    _launch(
        "pie_positions", f"gradient_sums<{kind}>", batch * parts, THREADS,
        object, corner, numerator, power, len(power), size, object.shape[1], parts, partial,
    )  # fmt: skip
    _launch(
        "pie_positions", f"gradient_shift<{kind}>", _warps(batch), THREADS, partial, batch, parts, shift
    )  # fmt: skip


def move_positions(
    position: Any,
    selection: Any,
    shift: Any,
    gain: Any,
    adam: bool,
    max_step: float,
    first: Any,
    second: Any,
    count: Any,
    last: Any,
) -> None:
    """Move positions against their shifts: by Adam's rule (Kingma and Ba, 2015) or in proportion.

    Parameters
    ----------
    position : (J, 2) float64
        Changed at ``selection``, which has no number twice.
    shift : (B, 2) T
    gain : (2,) float64
        Step lengths along rows and columns.
    adam : bool
    max_step : float
        Most pixels that a position moves along an axis.
    first, second, count, last : (J, 2), (J, 2) float64, (J,) int64, (J, 2) float64
        Adam's moments and steps of each position, and its last shift; changed at ``selection``.
    """
    _launch(
        "pie_positions", f"move_positions<{_kind(shift)}>", _ceil_div(len(selection), THREADS), THREADS,
        position, selection, shift, gain, bool(adam), float(max_step), len(selection), first, second, count,
        last,
    )  # fmt: skip


def gram(modes: Any, out: Any) -> None:
    """Inner products of the modes.

    Parameters
    ----------
    modes : (M, N, N) C
    out : (M, M) complex128
        Receives Σ conj(modes[i]) · modes[j].
    """
    count, pixels = len(modes), modes[0].size
    parts = _wide_parts(pixels)
    partial = load_cupy().empty((count * count, parts), np.complex128)
    _launch(
        "pie_probe", f"gram_parts<{_kind(modes)}>", partial.size, WIDE_THREADS,
        modes, count, pixels, parts, partial,
    )  # fmt: skip
    blocks = _ceil_div(count * count, WIDE_THREADS)
    _launch("pie_probe", "gram", blocks, WIDE_THREADS, partial, count, parts, out)


def mix_modes(modes: Any, matrix: Any, out: Any) -> None:
    """Linear combinations of the modes, a row of the matrix each.

    Parameters
    ----------
    modes : (M, N, N) C
    matrix : (M, M) complex128
    out : (M, N, N) C
        Written; not ``modes``.
    """
    pixels = modes[0].size
    parts = _wide_parts(pixels)
    _launch(
        "pie_probe", f"mix_modes<{_kind(modes)}>", len(out) * parts, WIDE_THREADS,
        modes, matrix, len(modes), pixels, parts, out,
    )  # fmt: skip


def dose(corner: Any, power: Any, out: Any) -> None:
    """Add the illumination of each box to ``out``, (H, W) float64."""
    height, width = out.shape
    _launch(
        "pie_object", f"dose<{_kind(power)}>", _tiles(height, width, TILE, TILE) if len(corner) else 0,
        WIDE_THREADS, corner, power, len(corner), len(power), power.shape[-1], height, width, out,
    )  # fmt: skip


def _packed(size: int, *arrays: Any) -> str:
    """Return the template arguments of kernels that read complex arrays in packs of 16 bytes."""
    kind = _kind(arrays[0])
    pairs = kind == "float" and size % 2 == 0 and all(array.data.ptr % 16 == 0 for array in arrays)
    return f"{kind}, {2 if pairs else 1}"


def _parts(pixels: int) -> int:
    return min(MOST_PARTS, _ceil_div(pixels, PART_PIXELS))


def _wide_parts(pixels: int) -> int:
    return min(MOST_PARTS, _ceil_div(pixels, WIDE_PART_PIXELS))


def _warps(positions: int) -> int:
    """Blocks of a grid that gives each position a warp."""
    return _ceil_div(positions, THREADS // WARP)
