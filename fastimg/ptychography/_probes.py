"""Illuminations to begin with: a Gaussian beam, a zone plate's focus, and incoherent modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastimg._arrays import as_kernel_array, namespace
from fastimg.registration._inputs import COMPLEX, check_finite

__all__ = ["gaussian_probe", "probe_modes", "zone_plate_probe"]


def gaussian_probe(
    size: int,
    fwhm: float,
    *,
    curvature: float = 0.0,
    photons: float = 1.0,
    dtype: DTypeLike = np.complex64,
) -> NDArray[Any]:
    """Return a Gaussian beam in the middle of the frame.

    Parameters
    ----------
    size : int
        N, pixels along a side.
    fwhm : float
        Pixels: full width of the intensity at half its maximum.
    curvature : float, optional
        Radians by which the phase rises from the centre to half the maximum: positive in a divergent beam,
        behind the waist.
    photons : float, optional
        Sum of \\|probe\\|².
    dtype : dtype, optional
        complex64 or complex128.

    Returns
    -------
    ndarray, (N, N)
        The centre is the pixel ``[N // 2, N // 2]``.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> from fastimg.ptychography import gaussian_probe
    >>> probe = gaussian_probe(64, 12, photons=1e6)
    >>> round(float(abs(probe[32, 38] / probe[32, 32]) ** 2), 3)  # half the width away from the centre
    0.5
    """
    _check_size(size)
    _check_positive(fwhm=fwhm, photons=photons)
    if not math.isfinite(curvature):
        raise ValueError(f"curvature is {curvature!r}; accepted are finite numbers of radians")
    squared = (np.arange(size) - size // 2) ** 2 / (fwhm / 2) ** 2
    distance = squared[:, None] + squared
    return _scaled(np.exp((1j * curvature - math.log(2) / 2) * distance), photons, dtype)


def zone_plate_probe(
    size: int,
    pixel: float,
    *,
    wavelength: float,
    diameter: float,
    outermost_zone: float | None = None,
    focal_length: float | None = None,
    central_stop: float = 0.0,
    defocus: float = 0.0,
    photons: float = 1.0,
    dtype: DTypeLike = np.complex64,
) -> NDArray[Any]:
    """Return the first order of a Fresnel zone plate at the sample, in or out of focus.

    Parameters
    ----------
    size : int
        N, pixels along a side.
    pixel : float
        Pixel of the object in metres, ``Scan.object_pixel``.
    wavelength, diameter : float
        Metres; the diameter is that of the zone plate.
    outermost_zone, focal_length : float
        Metres; one of them. They belong together by focal length = diameter × outermost zone / wavelength.
    central_stop : float, optional
        Diameter of the central stop in metres.
    defocus : float, optional
        Metres from the focus to the sample: positive behind the focus, where the beam diverges.
    photons : float, optional
        Sum of \\|probe\\|².
    dtype : dtype, optional
        complex64 or complex128.

    Returns
    -------
    ndarray, (N, N)
        The optical axis is the pixel ``[N // 2, N // 2]``.

    Raises
    ------
    ValueError
        If a number is out of its range, the pixel is too large for the finest detail of the focus, or the
        beam is wider than the frame.

    Notes
    -----
    In Fourier space the focus is the annulus of the zone plate, stop / (2 λ F) < f < diameter / (2 λ F)
    with the focal length F, and the way to the sample is the factor exp(2πi defocus (√(1/λ² - f²) - 1/λ)).
    The other orders are taken to be stopped by the order-sorting aperture.

    Examples
    --------
    >>> from fastimg.ptychography import zone_plate_probe
    >>> probe = zone_plate_probe(
    ...     128, 20e-9, wavelength=1.24e-9, diameter=240e-6, outermost_zone=50e-9, defocus=30e-6
    ... )
    >>> probe.shape, probe.dtype, round(float((abs(probe) ** 2).sum()), 3)
    ((128, 128), dtype('complex64'), 1.0)
    """
    _check_size(size)
    _check_positive(pixel=pixel, wavelength=wavelength, diameter=diameter, photons=photons)
    length = _focal_length(wavelength, diameter, outermost_zone, focal_length)
    if not 0 <= central_stop < diameter:
        raise ValueError(f"central_stop is {central_stop!r}; accepted are metres from 0 to the diameter")
    if not math.isfinite(defocus):
        raise ValueError(f"defocus is {defocus!r}; accepted are finite metres")
    outer, inner = (width / (2 * wavelength * length) for width in (diameter, central_stop))
    if outer > 0.5 / pixel:
        raise ValueError(f"pixel is {pixel:g} m; accepted is at most the outermost zone, {0.5 / outer:.3g} m")
    width = abs(defocus) * diameter / length
    if width > size * pixel:
        raise ValueError(
            f"defocus is {defocus:g} m, where the beam is {width:.3g} m wide; accepted are beams within the "
            f"frame of {size * pixel:.3g} m"
        )
    squared = np.fft.fftfreq(size, pixel) ** 2
    frequency = np.sqrt(squared[:, None] + squared)
    # A frequency that the edge of the pupil cuts counts by the part that is inside
    step = 1 / (size * pixel)
    pupil, stop = (np.clip((edge - frequency) / step + 0.5, 0, 1) for edge in (outer, inner))
    if inner:
        pupil = pupil - stop
    shortfall = -(frequency**2) / (np.sqrt(np.maximum(wavelength**-2 - frequency**2, 0)) + 1 / wavelength)
    wave = np.fft.ifft2(pupil * np.exp(2j * np.pi * defocus * shortfall))
    return _scaled(np.fft.fftshift(wave), photons, dtype)


def probe_modes(
    probe: ArrayLike,
    n: int,
    rng: np.random.Generator | int | None = None,
    *,
    power: Sequence[float] | None = None,
) -> Any:
    """Return incoherent modes made from one illumination.

    The first mode is the illumination itself; the others are its products with polynomials of the two
    coordinates, of rising degree, made orthogonal. For a Gaussian beam they are the Hermite-Gaussian modes.

    Parameters
    ----------
    probe : array_like, (N, N) or (1, N, N)
        Complex.
    n : int
        M, number of modes.
    rng : numpy.random.Generator, int or None, optional
        With a generator or a seed, each further mode is a random combination of such products, of the
        degrees that the modes up to it have. None: the products themselves, the same each time.
    power : sequence of float, (M,), optional
        Parts of the power, the total of which is that of ``probe``. By default each mode has half the power
        of the one before.

    Returns
    -------
    array, (M, N, N)
        Of the probe's kind, in its precision.

    Raises
    ------
    ValueError
        If a shape or a number is not accepted, or the illumination covers too few pixels for so many modes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.ptychography import gaussian_probe, probe_modes
    >>> modes = probe_modes(gaussian_probe(64, 12), 3, power=(0.7, 0.2, 0.1))
    >>> np.einsum("aij,bij->ab", modes.conj(), modes).real.round(3) + 0.0
    array([[0.7, 0. , 0. ],
           [0. , 0.2, 0. ],
           [0. , 0. , 0.1]], dtype=float32)
    """
    xp = namespace(probe=probe)
    first = as_kernel_array(xp, probe, COMPLEX, name="probe")
    first = first[0] if first.ndim == 3 and len(first) == 1 else first
    if first.ndim != 2 or first.shape[0] != first.shape[1]:
        raise ValueError(f"probe has shape {first.shape}; accepted are (N, N) and (1, N, N)")
    check_finite(xp, first, "probe")
    if not (n >= 1 and n == int(n)):
        raise ValueError(f"n is {n!r}; accepted are integers from 1")
    share = _as_share(power, int(n))
    wide = first.astype(np.complex128)
    total = float((abs(wide) ** 2).sum())
    if total == 0:
        raise ValueError("probe is 0 everywhere; accepted are illuminations")
    modes = _orthogonal(xp, _products(xp, wide, int(n), rng))
    return (modes * xp.asarray(np.sqrt(share * total))[:, None, None]).astype(first.dtype)


def _products(xp: ModuleType, probe: Any, count: int, rng: Any) -> list[Any]:
    """Return the illumination times polynomials of the coordinates from its centre, in its own widths."""
    intensity = abs(probe) ** 2
    intensity /= intensity.sum()
    powers = []
    for marginal in (intensity.sum(axis=1), intensity.sum(axis=0)):
        place = xp.arange(len(marginal)) - (marginal * xp.arange(len(marginal))).sum()
        width = xp.sqrt((marginal * place**2).sum())
        powers.append(place / xp.maximum(width, 0.5))
    down, across = powers[0][:, None], powers[1][None, :]
    degrees = [(total - x, x) for total in range(count) for x in range(total + 1)]
    if rng is None:
        return [probe * down**y * across**x for y, x in degrees[:count]]
    generator = np.random.default_rng(rng)
    products = [probe]
    for number in range(1, count):
        highest = sum(degrees[number])
        used = [degree for degree in degrees[1:] if sum(degree) <= highest]
        weights = generator.normal(size=(len(used), 2)) @ (1, 1j)
        products.append(
            sum(complex(w) * probe * down**y * across**x for w, (y, x) in zip(weights, used, strict=True))
        )
    return products


def _orthogonal(xp: ModuleType, modes: list[Any]) -> Any:
    """Return the modes made orthonormal one after the other (Gram and Schmidt, twice for rounding)."""
    found: list[Any] = []
    for mode in modes:
        whole = float(xp.linalg.norm(mode))
        for _ in range(2):
            for earlier in found:
                mode = mode - xp.vdot(earlier, mode) * earlier
        norm = float(xp.linalg.norm(mode))
        if not norm > 1e-6 * whole:
            raise ValueError(
                f"n is {len(modes)}, but the probe covers too few pixels for more than {len(found)} modes"
            )
        found.append(mode / norm)
    return xp.stack(found)


def _as_share(power: Sequence[float] | None, count: int) -> NDArray[np.float64]:
    share = 0.5 ** np.arange(count) if power is None else np.asarray(power, dtype=np.float64)
    if share.shape != (count,) or not ((share > 0) & (share < math.inf)).all():
        raise ValueError(f"power is {power!r}; accepted are {count} numbers above 0, one a mode")
    return share / share.sum()


def _focal_length(
    wavelength: float, diameter: float, outermost_zone: float | None, focal_length: float | None
) -> float:
    if (outermost_zone is None) == (focal_length is None):
        raise ValueError(
            f"outermost_zone is {outermost_zone!r} and focal_length {focal_length!r}; accepted is one of them"
        )
    if outermost_zone is not None:
        _check_positive(outermost_zone=outermost_zone)
        return diameter * outermost_zone / wavelength
    assert focal_length is not None
    _check_positive(focal_length=focal_length)
    return focal_length


def _check_size(size: Any) -> None:
    if not (size >= 1 and size == int(size)):
        raise ValueError(f"size is {size!r}; accepted are integers from 1")


def _check_positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is {value!r}; accepted are numbers above 0")


def _scaled(wave: NDArray[Any], photons: float, dtype: DTypeLike) -> NDArray[Any]:
    """Return the wave in its dtype, with this sum of squares."""
    if np.dtype(dtype) not in COMPLEX:
        raise TypeError(f"dtype is {dtype!r}; accepted are complex64 and complex128")
    return (wave * (math.sqrt(photons) / np.linalg.norm(wave))).astype(dtype)
