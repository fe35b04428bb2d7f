"""The engines in plain NumPy and scipy.fft, position by position: what the kernels are compared with.

Arguments of a pass: ``object`` (H, W) and ``probe`` (M, N, N), complex, changed in place; ``amplitude``
(J, N, N), the roots of the counts, zero frequency in the corner; ``corners`` (J, 2), whole pixels; ``order``,
the frames in the order of their use.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.fft

__all__ = ["epie_pass", "mepie_pass", "rpie_pass"]

# The smallest modelled amplitude that is divided by
TINY = 1e-15


def rpie_pass(
    object: Any,
    probe: Any,
    amplitude: Any,
    corners: Any,
    order: Iterable[int],
    *,
    alpha_object: float = 0.75,
    alpha_probe: float = 0.75,
    gamma: float = 0.3,
    beta: float = 0.5,
) -> None:
    """M-rPIE: equations 5 to 7 of Guzzi et al., PeerJ Computer Science 8, e1036 (2022)."""
    size = probe.shape[-1]
    for j in order:
        row, column = corners[j]
        box = object[row : row + size, column : column + size]
        change = _change(probe * box, amplitude[j])
        light = _squared(probe).sum(axis=0)
        density = _squared(box)
        object_step = (change * probe.conj()).sum(axis=0)
        object_step *= alpha_object / (gamma * light.max() + (1 - gamma) * light)
        change *= box.conj()
        change *= alpha_probe / (beta * density.max() + (1 - beta) * density)
        probe += change
        box += object_step


def mepie_pass(
    object: Any, probe: Any, amplitude: Any, corners: Any, order: Iterable[int], *, alpha: float = 0.75
) -> None:
    """M-ePIE: one largest intensity in each denominator (Thibault and Menzel, Nature 494, 68, 2013)."""
    size = probe.shape[-1]
    for j in order:
        row, column = corners[j]
        box = object[row : row + size, column : column + size]
        change = _change(probe * box, amplitude[j])
        object_step = alpha / _squared(probe).sum(axis=0).max() * (change * probe.conj()).sum(axis=0)
        probe += alpha / _squared(box).max() * change * box.conj()
        box += object_step


def epie_pass(
    object: Any, probe: Any, amplitude: Any, corners: Any, order: Iterable[int], *, alpha: float = 0.75
) -> None:
    """ePIE, one mode (Maiden and Rodenburg, Ultramicroscopy 109, 1256, 2009, equations 6 and 7)."""
    wave = probe[0]
    size = len(wave)
    for j in order:
        row, column = corners[j]
        box = object[row : row + size, column : column + size]
        before = wave * box
        spectrum = scipy.fft.fft2(before, norm="ortho")
        spectrum *= amplitude[j] / np.maximum(np.abs(spectrum), TINY)
        change = scipy.fft.ifft2(spectrum, norm="ortho") - before
        object_step = alpha * wave.conj() / np.abs(wave).max() ** 2 * change
        wave += alpha * box.conj() / np.abs(box).max() ** 2 * change
        box += object_step


def _change(waves: Any, amplitude: Any) -> Any:
    """Return what the measured amplitude changes of the exit waves of all modes, equation 7."""
    spectra = scipy.fft.fft2(waves, norm="ortho")
    modelled = np.sqrt(_squared(spectra).sum(axis=0))
    spectra *= amplitude / np.maximum(modelled, modelled.dtype.type(TINY))
    changed = scipy.fft.ifft2(spectra, norm="ortho", overwrite_x=True)
    changed -= waves
    return changed


def _squared(wave: Any) -> Any:
    return wave.real**2 + wave.imag**2
