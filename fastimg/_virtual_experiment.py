"""Virtual experiments of ptychography from pictures: what ``fastimg ptycho simulate`` and the demo do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastimg.ptychography import (
    Reconstruction,
    Scan,
    gaussian_probe,
    probe_modes,
    raster_positions,
    simulate,
    zone_plate_probe,
)
from fastimg.ptychography._propagators import object_pixel

__all__ = ["GEOMETRY", "START_PROBES", "VirtualExperiment", "virtual_experiment"]

StartProbe = Literal["wrong", "true", "none"]
START_PROBES: tuple[StartProbe, ...] = ("wrong", "true", "none")

#: Lengths in metres, as at a beamline of hard X-rays
GEOMETRY: dict[str, dict[str, float]] = {
    "far-field": {"wavelength": 1e-10, "distance": 4.0, "detector_pixel": 55e-6},
    "near-field": {"wavelength": 1e-10, "distance": 0.2, "detector_pixel": 1e-6},
}

# Pixels of the object beyond the boxes, so that the truth is known where refined positions may go
_MARGIN = 8

# Diameter and central stop of the zone plate; with the outermost zone, only their ratio shapes the beam
_DIAMETER, _STOP = 200e-6, 60e-6

# The defocus of a wrong probe, in parts of the true one
_WRONG_DEFOCUS = 0.7


@dataclass(frozen=True)
class VirtualExperiment:
    """A scan as a reconstruction gets it, and the truth behind it.

    Attributes
    ----------
    scan : Scan
        Its positions and its probe are those to start from.
    object : ndarray of complex64, (H, W)
    probe : ndarray of complex64, (M, N, N)
        Scaled to the counts of a frame.
    positions : ndarray, (J, 2)
        True positions, in pixels of ``object``.
    """

    scan: Scan
    object: NDArray[np.complex64]
    probe: NDArray[np.complex64]
    positions: NDArray[np.float64]

    def truth(self, parameters: Mapping[str, Any]) -> Reconstruction:
        """Return the truth as a reconstruction without iterations, which can be saved and drawn."""
        size = self.probe.shape[-1]
        power = (np.abs(self.probe) ** 2).sum(axis=0)
        dose = np.zeros(self.object.shape)
        for row, column in np.rint(self.positions).astype(int):
            dose[row : row + size, column : column + size] += power
        return Reconstruction(
            object=self.object,
            probe=self.probe,
            positions=self.positions,
            origin=(0, 0),
            history={"error": np.empty(0), "position_change": np.empty(0)},
            dose=dose,
            object_pixel=self.scan.object_pixel,
            parameters={"simulation": dict(parameters)},
        )


def virtual_experiment(
    amplitude: NDArray[Any] | None = None,
    phase: NDArray[Any] | None = None,
    *,
    size: int = 128,
    shape: tuple[int, int] = (10, 10),
    step: float | None = None,
    jitter: float | None = None,
    position_error: float = 0.0,
    modes: int = 1,
    probe_width: float | None = None,
    start_probe: StartProbe = "wrong",
    photons: float = 1e6,
    background: float = 0.0,
    amplitude_range: tuple[float, float] = (0.5, 1.0),
    phase_range: tuple[float, float] = (-1.0, 0.0),
    propagator: str = "far-field",
    seed: int = 0,
    **geometry: float | None,
) -> VirtualExperiment:
    """Scan an object made of two pictures.

    Parameters
    ----------
    amplitude, phase : ndarray, (H, W), optional
        Pictures, which are spread over the field of the scan. One alone makes an object of amplitude or phase
        only; with neither, amplitude is a Siemens star and phase a random relief.
    size : int, optional
        N, pixels along a side of a frame.
    shape : (int, int), optional
        Rows and columns of positions.
    step, jitter : float, optional
        Pixels between neighbours, and by how much each coordinate is off the raster at most. By default 0.3
        of the probe's width, and a quarter of the step.
    position_error : float, optional
        RMS distance in pixels of the scan's positions from the true ones.
    modes : int, optional
        Incoherent modes of the illumination.
    probe_width : float, optional
        Pixels. Far field: the width of the beam behind the focus of a zone plate, by default 3/8 of the
        frame. Near field: the full width at half maximum of a Gaussian beam behind a diffuser, by default
        half the frame.
    start_probe : {"wrong", "true", "none"}, optional
        What the scan has as its probe. "wrong" is one mode, with 0.7 of the defocus or without the diffuser.
    photons, background : float, optional
        Mean counts of a frame, and those that a pixel has besides.
    amplitude_range, phase_range : (float, float), optional
        What the darkest and the brightest pixel of a picture become; phase in radians.
    propagator : {"far-field", "near-field"}, optional
    seed : int, optional
        Of everything that is random.
    **geometry : float, optional
        ``wavelength``, ``distance``, ``detector_pixel``, ``focus_distance`` in metres.

    Returns
    -------
    VirtualExperiment

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    if start_probe not in START_PROBES:
        raise ValueError(f"start_probe is {start_probe!r}; accepted are {', '.join(START_PROBES)}")
    if not 0 <= min(amplitude_range) <= max(amplitude_range) < math.inf:
        raise ValueError(f"amplitude_range is {amplitude_range!r}; accepted are two numbers from 0")
    lengths = GEOMETRY.get(propagator, {}) | {k: v for k, v in geometry.items() if v is not None}
    rngs = dict(zip(("raster", "errors", "object", "probe", "counts"), _generators(seed, 5), strict=True))
    width = probe_width or (3 / 8 if propagator == "far-field" else 1 / 2) * size
    step = 0.3 * width if step is None else step
    places = raster_positions(shape, step, jitter=step / 4 if jitter is None else jitter, rng=rngs["raster"])
    places += _MARGIN
    rows, columns = (math.ceil(place) + size + _MARGIN for place in places.max(axis=0))
    image = _object((rows, columns), amplitude, phase, amplitude_range, phase_range, rngs["object"])
    true, wrong = _illuminations(size, width, propagator, lengths, rngs["probe"])
    scan = simulate(
        image, probe_modes(true, modes), places, photons=photons, background=background,
        propagator=propagator, rng=rngs["counts"], **lengths,
    )  # fmt: skip
    starts = {"wrong": wrong * np.float32(math.sqrt(photons)), "true": scan.probe, "none": None}
    errors = rngs["errors"].normal(0, position_error / math.sqrt(2), places.shape)
    given = replace(scan, positions=places + errors, probe=starts[start_probe])
    return VirtualExperiment(given, image, scan.probe, places)


def _generators(seed: int, count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(count)]


def _illuminations(
    size: int, width: float, propagator: str, lengths: Mapping[str, float], rng: np.random.Generator
) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Return the true illumination and a wrong one, both of power 1."""
    if propagator == "near-field":
        beam = gaussian_probe(size, width)
        diffuser = np.exp(2j * np.pi * _relief((size, size), 3.0, rng))
        return beam * diffuser.astype(np.complex64), beam
    pixel = object_pixel(
        size, propagator, lengths["wavelength"], lengths["distance"], lengths["detector_pixel"]
    )
    assert pixel is not None
    wavelength, zone = lengths["wavelength"], 2 * pixel
    defocus = width * pixel * zone / wavelength
    true, wrong = (
        zone_plate_probe(
            size, pixel, wavelength=wavelength, diameter=_DIAMETER, outermost_zone=zone,
            central_stop=_STOP, defocus=part * defocus,
        )
        for part in (1, _WRONG_DEFOCUS)
    )  # fmt: skip
    return true, wrong


def _object(
    shape: tuple[int, int],
    amplitude: NDArray[Any] | None,
    phase: NDArray[Any] | None,
    amplitude_range: tuple[float, float],
    phase_range: tuple[float, float],
    rng: np.random.Generator,
) -> NDArray[np.complex64]:
    """Return the object: each picture from 0 to 1, then in its range."""
    if amplitude is None and phase is None:
        amplitude, phase = _star(shape), _relief(shape, min(shape) / 24, rng)
    modulus, angle = np.ones(shape), np.zeros(shape)
    if amplitude is not None:
        modulus = _between(amplitude_range, _covering(amplitude, shape))
    if phase is not None:
        angle = _between(phase_range, _covering(phase, shape))
    return (modulus * np.exp(1j * angle)).astype(np.complex64)


def _between(ends: tuple[float, float], picture: NDArray[np.float64]) -> NDArray[np.float64]:
    return ends[0] + (ends[1] - ends[0]) * picture


def _covering(picture: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Scale a picture until it just covers the shape, cut what is beyond, and bring it to 0…1."""
    from scipy import ndimage

    picture = np.asarray(picture, np.float64)
    scale = max(new / old for new, old in zip(shape, picture.shape, strict=True))
    if scale < 1:  # as many pixels are averaged as become one
        picture = ndimage.gaussian_filter(picture, 0.4 * (1 / scale - 1), mode="nearest")
    places = [
        (np.arange(new) - (new - 1) / 2) / scale + (old - 1) / 2
        for new, old in zip(shape, picture.shape, strict=True)
    ]
    scaled = ndimage.map_coordinates(picture, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")
    return _stretched(scaled)


def _stretched(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = np.ptp(picture)
    return (picture - picture.min()) / spread if spread else np.ones_like(picture)


def _star(shape: tuple[int, int], spokes: int = 24) -> NDArray[np.float64]:
    """Return a Siemens star whose edges are one pixel wide."""
    row, column = (np.arange(length) - (length - 1) / 2 for length in shape)
    radius, angle = np.hypot(row[:, None], column), np.arctan2(row[:, None], column)
    # near an edge the sine times r / spokes is the distance from it
    star = np.clip(0.5 + np.sin(spokes * angle) * radius / spokes, 0, 1)
    return star * np.clip(0.45 * min(shape) - radius + 0.5, 0, 1)


def _relief(shape: tuple[int, int], detail: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return hills of about this many pixels, from 0 to 1."""
    from scipy import ndimage

    return _stretched(ndimage.gaussian_filter(rng.standard_normal(shape), detail, mode="wrap"))
