"""From the sample to the detector: pixel sizes, and the transfer function of the near field.

In the far field one Fourier transform takes the exit wave to the detector, and the pixel there sets that of
the object. In the near field the wave is multiplied in Fourier space by the transfer function of free space
(the angular spectrum). A divergent beam is turned into a parallel one by the Fresnel scaling theorem: with
the magnification M = (focus distance + distance) / focus distance, the frame is the one that a parallel beam
would give at the distance / M on a detector with pixels 1 / M as large (D. Paganin, Coherent X-Ray Optics,
Oxford University Press, 2006).
"""

from __future__ import annotations

import math
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

if TYPE_CHECKING:
    from fastimg.ptychography._scan import Scan

__all__ = ["PROPAGATORS", "angular_spectrum", "check_geometry", "object_pixel", "scan_transfer"]

#: How a wave gets from the sample to the detector
PROPAGATORS = ("far-field", "near-field")

_LENGTHS = ("wavelength", "distance", "detector_pixel")


def check_geometry(
    propagator: Any, wavelength: Any, distance: Any, detector_pixel: Any, focus_distance: Any
) -> None:
    """Raise an error that names the first of these arguments that is wrong, or that is missing."""
    if not (isinstance(propagator, str) and propagator in PROPAGATORS):
        raise ValueError(f"propagator is {propagator!r}; accepted are {' and '.join(map(repr, PROPAGATORS))}")
    near_field = propagator == "near-field"
    for name, value in zip(_LENGTHS, (wavelength, distance, detector_pixel), strict=True):
        if value is None:
            if near_field:
                raise ValueError(f"{name} is None; accepted for the near field are metres")
        elif not _is_number(value):
            raise TypeError(f"{name} is {value!r}; accepted are metres, or None for the far field")
        elif not 0 < value < math.inf:
            raise ValueError(f"{name} is {value!r}; accepted are metres above 0")
    if focus_distance is None:
        return
    if not near_field:
        raise ValueError(
            f"focus_distance is {focus_distance!r} and propagator {propagator!r}; accepted with 'near-field' "
            "only"
        )
    if not _is_number(focus_distance):
        raise TypeError(
            f"focus_distance is {focus_distance!r}; accepted are metres, or None for a parallel beam"
        )
    if (
        focus_distance == 0
        or not math.isfinite(focus_distance)
        or magnification(distance, focus_distance) <= 0
    ):
        raise ValueError(
            f"focus_distance is {focus_distance!r}; accepted are metres from the focus to the sample: above "
            f"0 or, for a focus behind the detector, below {-distance:g}, minus the distance"
        )


def magnification(distance: float, focus_distance: float | None) -> float:
    """Return by how much the frame is larger than the sample; 1 for a parallel beam."""
    return 1.0 if focus_distance is None else (focus_distance + distance) / focus_distance


def object_pixel(
    size: int,
    propagator: str,
    wavelength: float | None,
    distance: float | None,
    detector_pixel: float | None,
    focus_distance: float | None = None,
) -> float | None:
    """Return the pixel of the object in metres; None where the geometry is not known.

    Parameters
    ----------
    size : int
        N, pixels along a side of a frame.
    propagator, wavelength, distance, detector_pixel, focus_distance
        As in ``Scan``.

    Examples
    --------
    >>> f"{object_pixel(256, 'far-field', 1e-10, 4.0, 55e-6):.3g}"
    '2.84e-08'
    >>> f"{object_pixel(256, 'near-field', 1e-10, 1.0, 1e-6, focus_distance=0.25):.3g}"
    '2e-07'
    """
    if wavelength is None or distance is None or detector_pixel is None:
        return None
    if propagator == "far-field":
        return wavelength * distance / (size * detector_pixel)
    return detector_pixel / magnification(distance, focus_distance)


def scan_transfer(scan: Scan, *, stacklevel: int = 4) -> Any:
    """Return the transfer function that takes the spectrum of an exit wave of this scan to the detector.

    Parameters
    ----------
    scan : Scan
    stacklevel : int, optional
        Whom the warning blames, as in ``warnings.warn``.

    Returns
    -------
    array, (0 or 1, N, N)
        Of the scan's kind, complex of its intensities' precision, frequencies in the order of the FFT; none
        for the far field.

    Warns
    -----
    UserWarning
        As ``angular_spectrum``.
    """
    xp = scan.namespace
    size, dtype = scan.intensities.shape[-1], np.result_type(scan.intensities.dtype, np.complex64)
    if scan.propagator == "far-field":
        return xp.empty((0, size, size), dtype)
    return angular_spectrum(
        xp,
        size,
        dtype,
        scan.wavelength,
        scan.distance,
        scan.detector_pixel,
        scan.focus_distance,
        stacklevel=stacklevel + 1,
    )[None]


def angular_spectrum(
    xp: ModuleType,
    size: int,
    dtype: DTypeLike,
    wavelength: Any,
    distance: Any,
    detector_pixel: Any,
    focus_distance: Any = None,
    *,
    stacklevel: int = 2,
) -> Any:
    """Return the transfer function of free space between sample and detector.

    Parameters
    ----------
    xp : module
        ``numpy`` or ``cupy``.
    size : int
        N, pixels along a side of the frame.
    dtype : dtype
        complex64 or complex128.
    wavelength, distance, detector_pixel : float
        Metres.
    focus_distance : float, optional
        Metres from the focus to the sample; None for a parallel beam.
    stacklevel : int, optional
        Whom the warning blames, as in ``warnings.warn``.

    Returns
    -------
    array, (N, N)
        exp(2πi z (√(1/λ² - f²) - 1/λ)): the constant phase of the plane wave along the axis is left out.
        Where f > 1/λ waves are evanescent and decay. Frequencies in the order of the FFT.

    Warns
    -----
    UserWarning
        If the phase turns by more than π between neighbouring frequencies: waves then leave the frame on one
        side and enter it on the other.

    Notes
    -----
    With a focus distance, z is the distance / M and the frequencies are those of pixels 1 / M as large. The
    scaling theorem holds for small angles; so does the use of one pixel size for the whole frame.

    Examples
    --------
    >>> import numpy as np
    >>> transfer = angular_spectrum(np, 8, np.complex64, 1e-10, 0.1, 1e-5)
    >>> transfer.shape, complex(transfer[0, 0])
    ((8, 8), (1+0j))
    """
    scale = magnification(distance, focus_distance)
    pixel, path = detector_pixel / scale, distance / scale
    _warn_of_sampling(size, wavelength, path, pixel, stacklevel + 1)
    frequency = np.fft.fftfreq(size, pixel)
    squared = frequency[:, None] ** 2 + frequency**2
    along = 1 / wavelength**2 - squared
    # √(1/λ² - f²) - 1/λ without the difference of two large numbers
    shortfall = -squared / (np.sqrt(np.maximum(along, 0)) + 1 / wavelength)
    decay = np.exp(-2 * np.pi * path * np.sqrt(np.maximum(-along, 0)))
    # The factor is made in double precision on the host, once a scan: the same bits for every device
    return xp.asarray((decay * np.exp(2j * np.pi * path * shortfall)).astype(dtype))


def _warn_of_sampling(size: int, wavelength: float, path: float, pixel: float, stacklevel: int) -> None:
    """Warn if the steepest wave that the pixel carries travels sideways by more than half the frame."""
    sine = min(wavelength / (2 * pixel), 1.0)
    sideways = path * sine / math.sqrt(1 - sine**2) if sine < 1 else math.inf
    if 2 * sideways <= size * pixel * (1 + 1e-9):
        return
    needed = f"; {math.ceil(2 * sideways / pixel)} pixels a side would do" if sideways < math.inf else ""
    warnings.warn(
        f"near field undersampled: over a path of {path:.4g} m, waves at the finest detail of pixels of "
        f"{pixel:.4g} m travel {sideways:.4g} m sideways, more than half the frame of {size} pixels, and "
        f"wrap around{needed}; take larger frames, larger pixels or a shorter distance",
        UserWarning,
        stacklevel=stacklevel,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
