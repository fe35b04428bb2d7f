"""The virtual experiment: diffraction patterns of a known object in a known illumination."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastimg import kernels
from fastimg._arrays import as_kernel_array, namespace
from fastimg.ptychography._propagators import angular_spectrum, check_geometry
from fastimg.ptychography._scan import Scan
from fastimg.registration._batches import parts
from fastimg.registration._inputs import COMPLEX, check_finite

__all__ = ["simulate"]


def simulate(
    obj: ArrayLike,
    probe: ArrayLike,
    positions: ArrayLike,
    *,
    photons: float | None = None,
    background: float = 0.0,
    propagator: str = "far-field",
    wavelength: float | None = None,
    distance: float | None = None,
    detector_pixel: float | None = None,
    focus_distance: float | None = None,
    rng: np.random.Generator | int | None = None,
) -> Scan:
    """Return the scan that an object and an illumination would give.

    Parameters
    ----------
    obj : array_like, (H, W)
        Transmission of the object, complex.
    probe : array_like, (N, N) or (M, N, N)
        The illumination or its M incoherent modes, complex.
    positions : array_like, (J, 2)
        Row and column of the top left corner of each frame's N × N box, in pixels of the object, with
        fractions.
    photons : float, optional
        Mean number of counts in a frame, without the background; object and illumination then only set how
        they are spread. With it, counts are drawn from Poisson's distribution; None: expected values, no
        noise.
    background : float, optional
        Counts that each pixel has besides, on average.
    propagator : {"far-field", "near-field"}, optional
        How the exit wave gets to the detector.
    wavelength, distance, detector_pixel, focus_distance : float, optional
        Metres, as in ``Scan``; the near field needs the first three.
    rng : numpy.random.Generator, int or None, optional
        Where the noise comes from: a generator, a seed, or None for other noise each time. It is drawn on the
        CPU, frame by frame from generators of their own, for arrays on a GPU too.

    Returns
    -------
    Scan
        Of the arguments' kind, float32 where object and probe are in single precision, else float64. Its
        positions are the true ones, and its ``probe`` is the true one, scaled to ``photons``.

    Raises
    ------
    ValueError
        If shapes do not agree, a box leaves the object, an input contains NaN or infinity, or a number is out
        of its range.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Warns
    -----
    UserWarning
        If the near field is undersampled.

    Notes
    -----
    Equation 4 of Guzzi et al., PeerJ Computer Science 8, e1036 (2022): the intensities of the modes add up.
    The object is cut at whole pixels, and the illumination is moved by the rest of the position, between -1/2
    and 1/2, by a phase ramp in Fourier space. The Fourier transform keeps the number of photons.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.ptychography import gaussian_probe, raster_positions, simulate
    >>> rng = np.random.default_rng(0)
    >>> obj = np.exp(1j * rng.random((64, 64)))
    >>> positions = raster_positions((5, 5), 7, jitter=1.5, rng=rng)
    >>> scan = simulate(obj, gaussian_probe(32, 10), positions, photons=1e5, rng=rng)
    >>> scan
    <Scan: 25 frames of 32 × 32 pixels, float64, far-field, 1 modes known>
    >>> bool(abs(scan.intensities.sum(axis=(1, 2)).mean() / 1e5 - 1) < 0.01)
    True
    """
    xp = namespace(obj=obj, probe=probe, positions=positions)
    check_geometry(propagator, wavelength, distance, detector_pixel, focus_distance)
    _check_counts(photons, background)
    image, modes = (
        as_kernel_array(xp, a, COMPLEX, name=name) for a, name in ((obj, "obj"), (probe, "probe"))
    )
    dtype = np.result_type(image.dtype, modes.dtype)
    image, modes = image.astype(dtype, copy=False), modes.astype(dtype, copy=False)
    modes = modes[None] if modes.ndim == 2 else modes
    places = as_kernel_array(xp, positions, [np.float64], name="positions")
    _check_arrays(xp, image, modes, places)

    geometry = (wavelength, distance, detector_pixel, focus_distance)
    transfer = None
    if propagator == "near-field":
        transfer = angular_spectrum(xp, modes.shape[-1], dtype, *geometry, stacklevel=3)[None]
    rates = _expected(xp, image, modes, places, transfer)
    if photons is not None:
        factor = _factor(xp, rates, photons)
        rates *= factor
        modes = modes * xp.asarray(math.sqrt(factor), modes.real.dtype)
    if background:
        rates += rates.dtype.type(background)
    if photons is not None:
        _draw(xp, rates, rng)
    return Scan(
        rates,
        places,
        wavelength=wavelength,
        distance=distance,
        detector_pixel=detector_pixel,
        probe=modes,
        propagator=propagator,
        focus_distance=focus_distance,
    )


def _expected(xp: ModuleType, image: Any, modes: Any, places: Any, transfer: Any) -> Any:
    """Return the intensities without noise, part by part."""
    k = kernels.backend(xp)
    count, shape, real = len(places), modes.shape, modes.real.dtype
    size = shape[-1]
    intensities = xp.empty((count, size, size), real)
    spectrum = k.fft.fft2(modes)
    last = image.shape[0] - size, image.shape[1] - size
    for part in parts(xp, count, 2 * modes.nbytes):
        batch = part.stop - part.start
        corner, fraction = xp.empty((batch, 2), np.int64), xp.empty((batch, 2), np.float64)
        k.pie.place_boxes(places, xp.arange(part.start, part.stop), *last, True, corner, fraction)
        shifted = xp.empty((batch, *shape), modes.dtype)
        k.pie.shift_modes(spectrum, fraction, shifted)
        shifted = k.fft.ifft2(shifted, overwrite_x=True)
        waves, object_peak = xp.empty_like(shifted), xp.empty(batch, real)
        k.pie.exit_waves(image, shifted, corner, waves, object_peak)
        waves = k.fft.fft2(waves, norm="ortho", overwrite_x=True)
        if transfer is not None:
            k.pie.apply_transfer(waves, transfer, False)
            waves = k.fft.ifft2(waves, norm="ortho", overwrite_x=True)
        k.pie.mode_intensity(waves, intensities[part])
    return intensities


def _factor(xp: ModuleType, rates: Any, photons: float) -> float:
    """Return what the intensities are multiplied by, so that a frame has this many counts on average."""
    mean = float(rates.sum(dtype=np.float64)) / len(rates)
    if not 0 < mean < math.inf:
        raise ValueError(f"obj and probe give frames of {mean:g} counts on average; photons needs light")
    return photons / mean


def _draw(xp: ModuleType, rates: Any, rng: Any) -> None:
    """Replace expected counts by random ones.

    Rates differ in their last digits between devices, which may change how many random numbers a count takes:
    a generator for each frame keeps that from changing the frames after it.
    """
    seeds = np.random.default_rng(rng).integers(1 << 63, size=len(rates))
    for j, seed in enumerate(seeds):
        frame = rates[j] if xp is np else xp.asnumpy(rates[j])
        counts = np.random.default_rng(seed).poisson(frame)
        rates[j] = xp.asarray(counts.astype(frame.dtype))


def _check_counts(photons: float | None, background: float) -> None:
    # NumPy's generator refuses rates whose counts would not fit 64 bits
    if photons is not None and not 0 < photons < 1e18:
        raise ValueError(f"photons is {photons!r}; accepted are counts above 0 and below 1e18, or None")
    if not 0 <= background < 1e18:
        raise ValueError(f"background is {background!r}; accepted are counts from 0, below 1e18")


def _check_arrays(xp: ModuleType, image: Any, modes: Any, places: Any) -> None:
    if image.ndim != 2:
        raise ValueError(f"obj has shape {image.shape}; accepted is (H, W)")
    if modes.ndim != 3 or 0 in modes.shape or modes.shape[1] != modes.shape[2]:
        raise ValueError(f"probe has shape {modes.shape}; accepted are (N, N) and (M, N, N), not empty")
    if places.ndim != 2 or places.shape[1] != 2 or len(places) == 0:
        raise ValueError(f"positions has shape {places.shape}; accepted is (J, 2), at least one position")
    for array, name in ((image, "obj"), (modes, "probe"), (places, "positions")):
        check_finite(xp, array, name)
    size = modes.shape[-1]
    first, last = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    room = [length - size for length in image.shape]
    if min(first) < -0.5 or last[0] > room[0] + 0.5 or last[1] > room[1] + 0.5:
        raise ValueError(
            f"positions reach from ({first[0]:g}, {first[1]:g}) to ({last[0]:g}, {last[1]:g}); accepted for "
            f"boxes of {size} × {size} in an obj of {image.shape[0]} × {image.shape[1]} pixels are (0, 0) "
            f"to ({room[0]}, {room[1]})"
        )
