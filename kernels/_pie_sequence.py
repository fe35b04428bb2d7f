"""One projection of a ptychographic mini-batch, composed of a backend's small kernels and its FFT.

``kernels.cuda.pie`` always works in this way, ``kernels.cpu.pie`` where its fused kernel does not apply.
Shapes and dtypes are those of ``pie.project``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

__all__ = ["Workspace", "project", "workspace"]


@dataclass(frozen=True)
class Workspace:
    """Arrays that one call of ``project`` leaves to the next, for at most ``len(waves)`` positions.

    Attributes
    ----------
    waves : (B, M, N, N) C
    shifted : (B|0, M, N, N) C
        The modes at each position's fraction of a pixel; empty where there are no fractions.
    object_peak : (B,) T
    """

    waves: Any
    shifted: Any
    object_peak: Any


def workspace(xp: ModuleType, probe: Any, batch: int, subpixel: bool) -> Workspace:
    """Return the arrays, of the module ``xp``, for batches of up to ``batch`` positions."""
    return Workspace(
        waves=xp.empty((batch, *probe.shape), probe.dtype),
        shifted=xp.empty((batch if subpixel else 0, *probe.shape), probe.dtype),
        object_peak=xp.empty(batch, probe.real.dtype),
    )


def project(
    pie: ModuleType,
    fft: ModuleType,
    object: Any,
    probe: Any,
    corner: Any,
    fraction: Any,
    intensity: Any,
    selection: Any,
    mask: Any,
    transfer: Any,
    beta: float,
    work: Workspace,
    numerator: Any,
    power: Any,
    power_peak: Any,
    probe_numerator: Any,
    probe_weight: Any,
    model: Any,
    error: Any,
    scaled_modulus: Callable[..., None] | None = None,
) -> None:
    """Project a batch onto the measured moduli, and sum what the updates of object and probe need.

    Parameters
    ----------
    pie, fft : module
        Of one backend.
    scaled_modulus : callable, optional
        ``pie.modulus`` with one more argument, a factor for the waves before and another, equal one for them
        after it. For a backend whose FFT divides in a pass of its own: all transforms of the waves are then
        left without a factor. Without it, they are orthonormal.
    object, …, error
        As of ``pie.project``; ``work`` is what ``workspace`` returned.
    """
    batch, size = len(corner), probe.shape[-1]
    waves, object_peak = work.waves[:batch], work.object_peak[:batch]
    # of the waves: no factor is the backward norm of a transform, and the forward norm of its inverse
    norms = ("ortho", "ortho") if scaled_modulus is None else ("backward", "forward")
    shifted = probe[None] if not len(fraction) else _shifted(pie, fft, probe, fraction, work.shifted[:batch])
    pie.probe_power(shifted, power, power_peak)
    pie.exit_waves(object, shifted, corner, waves, object_peak)
    waves = fft.fft2(waves, norm=norms[0], overwrite_x=True)
    if len(transfer):
        pie.apply_transfer(waves, transfer, False)
        waves = fft.ifft2(waves, norm=norms[1], overwrite_x=True)
    if scaled_modulus is None:
        pie.modulus(waves, intensity, selection, mask, model, error)
    else:
        scale = 1.0 / size**2 if len(transfer) else 1.0 / size
        scaled_modulus(waves, intensity, selection, mask, model, error, scale)
    if len(transfer):
        waves = fft.fft2(waves, norm=norms[0], overwrite_x=True)
        pie.apply_transfer(waves, transfer, True)
    waves = fft.ifft2(waves, norm=norms[1], overwrite_x=True)
    pie.object_numerator(waves, shifted, numerator)
    if not len(probe_numerator):
        return
    pie.sum_probe_weights(object, corner, object_peak, beta, probe_weight)
    if len(fraction):
        pie.probe_differences(waves, object, shifted, corner)
        pie.unshift_modes(fft.fft2(waves, overwrite_x=True), fraction, probe_numerator)
        probe_numerator[...] = fft.ifft2(probe_numerator, overwrite_x=True)
    else:
        pie.sum_probe_changes(waves, object, shifted, corner, probe_numerator)


def _shifted(pie: ModuleType, fft: ModuleType, probe: Any, fraction: Any, out: Any) -> Any:
    """Shift the modes by each position's fraction of a pixel; the few modes of the probe take the factor."""
    pie.shift_modes(fft.fft2(probe, norm="forward"), fraction, out)
    return fft.ifft2(out, norm="forward", overwrite_x=True)
