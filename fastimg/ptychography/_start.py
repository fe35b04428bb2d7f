"""Where a reconstruction starts: the frame of the object, the first guesses of object and probe."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastimg import kernels
from fastimg._arrays import as_kernel_array
from fastimg.ptychography._probes import probe_modes

if TYPE_CHECKING:
    from fastimg.ptychography._scan import Scan

__all__ = ["object_frame", "start_object", "start_probe"]

# Of an object that positions ask for; beyond it they are taken for a mistake
MOST_PIXELS = 1 << 31

# Pixels around the boxes into which refined positions may move
MARGIN = 16


def object_frame(positions: np.ndarray, size: int, margin: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return origin and shape of the smallest object that holds all boxes and a margin."""
    first, last = (
        [int(place) for place in np.rint(extreme)]
        for extreme in (positions.min(axis=0), positions.max(axis=0))
    )
    rows, columns = (end - begin + size + 2 * margin for begin, end in zip(first, last, strict=True))
    return (first[0] - margin, first[1] - margin), (rows, columns)


def start_object(
    xp: ModuleType, given: Any, positions: np.ndarray, size: int, margin: int, dtype: np.dtype
) -> tuple[Any, tuple[int, int]]:
    """Return the object to start from, a copy, and its origin: the given one, or ones.

    Raises
    ------
    ValueError
        If the given object is not a finite image, or a position lies outside it.
    """
    if given is None:
        origin, shape = object_frame(positions, size, margin)
        _check_extent(positions, shape)
        return xp.ones(shape, dtype), origin
    given = as_kernel_array(xp, given, (np.complex64, np.complex128), name="object")
    if given.ndim != 2:
        raise ValueError(f"object has shape {given.shape}; accepted is an image (H, W)")
    if not bool(xp.isfinite(given).all()) or not bool((given != 0).any()):
        raise ValueError("object is zero everywhere or not finite; accepted are finite transmissions")
    corners = np.rint(positions)
    outside = np.any((corners < 0) | (corners + size > np.array(given.shape)), axis=1)
    if outside.any():
        worst = int(np.argmax(outside))
        raise ValueError(
            f"scan.positions[{worst}] = {tuple(positions[worst].tolist())} puts a box of {size}×{size} "
            f"outside object, which is {given.shape[0]}×{given.shape[1]}; {outside.sum()} of "
            f"{len(positions)} boxes lie outside"
        )
    return xp.array(given, dtype, order="C"), (0, 0)


def _check_extent(positions: np.ndarray, shape: tuple[int, int]) -> None:
    """Positions in metres instead of pixels are the usual mistake."""
    if shape[0] * shape[1] > MOST_PIXELS:
        raise ValueError(
            f"scan.positions reach over {shape[0]:.3g} × {shape[1]:.3g} pixels; accepted are objects of up "
            f"to {MOST_PIXELS:.3g} pixels: are the positions in pixels of the object?"
        )
    if np.ptp(positions, axis=0).max() < 1:
        warnings.warn(
            "all of scan.positions lie within one pixel: are they in pixels of the object?", stacklevel=5
        )


def start_probe(xp: ModuleType, scan: Scan, given: Any, modes: int, transfer: Any, seed: int) -> Any:
    """Return the modes to start from, a copy: the given ones, the scan's, or a guess from the counts.

    Raises
    ------
    ValueError
        If the shape is wrong, values are not finite or all zero, or more modes are given than asked for.
    """
    dtype = np.result_type(scan.intensities.dtype, np.complex64)
    if given is not None:
        probe = as_kernel_array(xp, given, (np.complex64, np.complex128), name="probe")
        probe = probe[None] if probe.ndim == 2 else probe
        _check_probe(xp, probe, scan.intensities.shape[-1], modes)
    elif scan.probe is not None:
        probe = scan.probe[:modes]
        if not bool((probe != 0).any()):
            raise ValueError("scan.probe is zero everywhere; accepted are waves, or None for a guess")
    else:
        probe = _guessed(xp, scan, transfer)[None]
    probe = xp.array(probe, dtype, order="C")
    if len(probe) == modes:
        return probe
    if len(probe) > 1:
        extra = start_modes(xp, probe[0], modes, seed)[len(probe) :]
        return xp.concatenate([probe, extra])
    return start_modes(xp, probe[0], modes, seed)


def start_modes(xp: ModuleType, probe: Any, modes: int, seed: int) -> Any:
    """Return weaker modes made of one; drawn on the host, so that both backends start alike."""
    host = probe if xp is np else probe.get()
    return xp.asarray(probe_modes(host, modes, np.random.default_rng((seed, modes))).astype(host.dtype))


def _check_probe(xp: ModuleType, probe: Any, size: int, modes: int) -> None:
    if probe.ndim != 3 or probe.shape[1:] != (size, size) or not len(probe):
        raise ValueError(
            f"probe has shape {probe.shape}; accepted is ({size}, {size}) or (modes, {size}, {size}), "
            "as the frames"
        )
    if len(probe) > modes:
        raise ValueError(
            f"probe has {len(probe)} modes, but modes is {modes}; accepted are at most that many"
        )
    if not bool(xp.isfinite(probe).all()) or not bool((probe != 0).any()):
        raise ValueError("probe is zero everywhere or holds NaN or infinity; accepted are finite waves")


def _guessed(xp: ModuleType, scan: Scan, transfer: Any) -> Any:
    """Propagate the mean amplitude back to the object, with a flat phase on the detector."""
    k, size = kernels.backend(xp), scan.intensities.shape[-1]
    total, known = xp.zeros((size, size), np.float64), xp.zeros((size, size), np.float64)
    for j in range(len(scan.intensities)):
        frame, measured = scan.intensities[j], 1.0
        if scan.mask is not None:
            measured = (scan.mask if scan.mask.ndim == 2 else scan.mask[j]) != 0
            frame = xp.where(measured, frame, 0)
        total += frame
        known += measured
    amplitude = xp.sqrt(total / xp.maximum(known, 1)).astype(transfer.dtype)
    if len(transfer):
        return k.fft.ifft2(k.fft.fft2(amplitude) * xp.conj(transfer[0]))
    return xp.ascontiguousarray(xp.fft.fftshift(k.fft.ifft2(amplitude, norm="ortho")))
