"""Virtual experiments of ptychography: an object of photographs in a defocused beam, all of it seeded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import data
from skimage.transform import resize

from fastimg.ptychography import Scan, probe_modes, raster_positions, simulate

__all__ = [
    "Experiment",
    "photographs_object",
    "power_of",
    "scaled_start",
    "soft_aperture",
    "virtual_experiment",
]

# Parts of the power of incoherent modes, before they are made to sum up to 1
MODE_POWERS = (1.0, 0.35, 0.2, 0.1)


@dataclass(frozen=True)
class Experiment:
    """One virtual experiment.

    Attributes
    ----------
    truth : (H, W) complex64
    scan : Scan
        With the true positions and the true probe.
    """

    truth: NDArray[np.complex64]
    scan: Scan


def virtual_experiment(
    *,
    seed: int,
    object_size: int,
    frame: int,
    rows: int,
    step: float,
    jitter: float,
    photons: float,
    modes: int = 1,
    curvature: float = 2.0,
) -> Experiment:
    """Simulate ``rows`` × ``rows`` frames in the middle of the object, with Poisson's noise."""
    rng = np.random.default_rng(seed)
    truth = photographs_object(object_size)
    positions = raster_positions((rows, rows), step, jitter=jitter, rng=rng)
    positions += (object_size - frame - positions.max(axis=0)) / 2
    probe = probe_modes(soft_aperture(frame, curvature), modes, power=MODE_POWERS[:modes])
    return Experiment(truth, simulate(truth, probe, positions, photons=photons, rng=rng))


def photographs_object(size: int) -> NDArray[np.complex64]:
    """An amplitude from 0.5 to 1, scikit-image's camera, and a phase of ± 1 rad, its moon, at size × size."""
    amplitude, phase = (
        _unit(resize(image / 255.0, (size, size), anti_aliasing=True)) for image in _photographs()
    )
    return ((0.5 + 0.5 * amplitude) * np.exp(1j * (2 * phase - 1))).astype(np.complex64)


def _photographs() -> tuple[NDArray[Any], NDArray[Any]]:
    return data.camera(), data.moon()


def _unit(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return (image - image.min()) / np.ptp(image)


def soft_aperture(size: int, curvature: float) -> NDArray[np.complex64]:
    """A round aperture, 0.45 of the frame wide, whose phase rises by ``curvature`` rad to its edge.

    The edge is soft: a tanh over 3 % of the frame.
    """
    edge = 0.45 * size / 2
    row, column = np.indices((size, size)) - size // 2
    radius = np.hypot(row, column)
    amplitude = (1 - np.tanh((radius - edge) / (0.03 * size))) / 2
    return (amplitude * np.exp(1j * curvature * (radius / edge) ** 2)).astype(np.complex64)


def scaled_start(probe: NDArray[Any], curvature: float) -> NDArray[np.complex64]:
    """One mode with this curvature and the power of ``probe``: where a reconstruction starts."""
    start = soft_aperture(probe.shape[-1], curvature)
    return start * np.float32(np.sqrt(power_of(probe) / power_of(start)))


def power_of(wave: NDArray[Any]) -> float:
    """Sum of the squares."""
    return float((np.abs(wave.astype(np.complex128)) ** 2).sum())
