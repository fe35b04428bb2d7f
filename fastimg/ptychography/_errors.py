"""How far a reconstruction is from a known truth, apart from what ptychography cannot know.

The object is known up to a complex factor, a translation, and a phase ramp, each of which the illumination or
the positions can make up for; positions are known up to a translation, and an affine map of theirs is nearly
as hard to see. These functions are for evaluation: they work in double precision on the CPU, and copy arrays
from a GPU themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

__all__ = ["object_error", "position_error"]

# The part of the typical dose from which an object is well lit
_WELL_LIT = 0.3

# Pixels around the reconstruction in which the truth fades out, so that its Fourier series does not ring
_MARGIN = 16

# Gauss-Newton steps end when the truth moves by less than this many pixels
_STILL, _STEPS = 1e-6, 40


def object_error(
    reconstruction: Any,
    truth: ArrayLike,
    *,
    dose: ArrayLike | None = None,
    positions: ArrayLike | None = None,
    probe: ArrayLike | None = None,
    dose_range: tuple[float, float] = (_WELL_LIT, math.inf),
    origin: tuple[float, float] | None = None,
    max_shift: int = 16,
) -> float:
    """Return the relative RMS error of a reconstructed object.

    Parameters
    ----------
    reconstruction : Reconstruction or array_like, (H, W)
        The reconstruction, or its object alone, complex.
    truth : array_like, (H', W')
        The true object. Pixels that it lacks do not count.
    dose : array_like, (H, W), optional
        Illumination of each pixel of the reconstruction, in any unit. By default that of the reconstruction,
        or what ``positions`` and ``probe`` give; with neither, every pixel counts.
    positions, probe : array_like, (J, 2) and (N, N) or (M, N, N), optional
        What the dose is computed from; positions in pixels of the truth.
    dose_range : (float, float), optional
        Where to measure: from one to the other part of the typical dose, the median of the pixels above 30 %
        of the largest. By default the well-lit part, from 0.3; (0.001, 0.1) is the ring around it.
    origin : (float, float), optional
        Where in the truth ``reconstruction[0, 0]`` lies, about. By default that of the reconstruction, or 0.
    max_shift : int, optional
        Pixels by which the origin may be wrong, in either direction.

    Returns
    -------
    float
        ‖a R - T‖ / ‖T‖, R the reconstruction without its phase ramp, a a complex factor, and T the truth
        moved to where the reconstruction is. Factor, ramp and translation are those of the smallest error in
        the well-lit part.

    Raises
    ------
    ValueError
        If shapes do not agree, the truth contains NaN or infinity, or no pixel of it is lit as asked for.

    Notes
    -----
    The products of neighbouring pixels do not see a phase ramp, except as a factor: their cross-correlation
    gives the translation in whole pixels. The ramp is then a peak in Fourier space, and Gauss-Newton steps
    refine all six numbers together, the truth moved by its Fourier series.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.ptychography import object_error
    >>> rng = np.random.default_rng(0)
    >>> truth = np.exp(1j * rng.random((40, 40)))
    >>> row, column = np.mgrid[:32, :32]
    >>> found = 3j * truth[5:37, 2:34] * np.exp(0.3j * (row - column))
    >>> bool(object_error(found, truth) < 1e-6)
    True
    """
    found = _on_host(getattr(reconstruction, "object", reconstruction), np.complex128)
    true = _on_host(truth, np.complex128)
    for array, name in ((found, "reconstruction"), (true, "truth")):
        if array.ndim != 2 or min(array.shape) < 2:
            raise ValueError(f"{name} has shape {array.shape}; accepted is (H, W), at least 2 × 2")
    if not np.isfinite(true).all():
        raise ValueError("truth contains NaN or infinity; accepted are finite values")
    if dose is None and positions is None and probe is None:
        dose = getattr(reconstruction, "dose", None)
    start = np.asarray(getattr(reconstruction, "origin", (0, 0)) if origin is None else origin, float)
    if start.shape != (2,) or not np.isfinite(start).all():
        raise ValueError(f"origin is {origin!r}; accepted are a row and a column")
    light = _as_dose(dose, positions, probe, found.shape, start)
    low, high = dose_range
    if not 0 <= low < high:
        raise ValueError(f"dose_range is {dose_range!r}; accepted are two rising parts of the typical dose")
    offset = -np.rint(start).astype(int)
    core = (light >= _WELL_LIT) & np.isfinite(found)
    offset = offset + _whole_shift(found, true, core, offset, int(max_shift))
    inside = _inside(true.shape, found.shape, offset)
    core &= inside
    if not core.any():
        raise ValueError(
            "no pixel of the truth is well lit; are origin, dose or positions those of another frame?"
        )
    measured = (light >= low) & (light <= high) & inside
    if not measured.any():
        raise ValueError(f"dose_range is {dose_range!r}, and no pixel of the truth has such a dose")
    fit = _fit(found, true, core, offset)
    return float(np.linalg.norm((fit.found - fit.truth)[measured]) / np.linalg.norm(fit.truth[measured]))


def position_error(positions: ArrayLike, truth: ArrayLike, affine: bool = False) -> float:
    """Return the RMS distance of positions from the true ones.

    Parameters
    ----------
    positions, truth : array_like, (J, 2)
        Pixels.
    affine : bool, optional
        Whether an affine map of the truth is taken off, as well as a translation: scale, rotation and shear
        of all positions, which an object can make up for.

    Returns
    -------
    float
        Pixels: the root of the mean squared length of the vectors that are left.

    Raises
    ------
    ValueError
        If shapes do not agree.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.ptychography import position_error, raster_positions
    >>> truth = raster_positions((5, 5), 7)
    >>> position_error(truth + [3, -4], truth)
    0.0
    >>> larger = 1.02 * truth
    >>> round(position_error(larger, truth), 3), round(position_error(larger, truth, affine=True), 3)
    (0.28, 0.0)
    """
    found, true = _on_host(positions, np.float64), _on_host(truth, np.float64)
    if found.ndim != 2 or found.shape[1] != 2 or len(found) == 0 or found.shape != true.shape:
        raise ValueError(
            f"positions has shape {found.shape} and truth {true.shape}; accepted is (J, 2) for both, J from 1"
        )
    difference = found - true
    difference = difference - difference.mean(axis=0)
    if affine:
        centred = true - true.mean(axis=0)
        difference = difference - centred @ np.linalg.lstsq(centred, difference, rcond=None)[0]
    return math.sqrt((difference**2).sum(axis=1).mean())


@dataclass(frozen=True)
class _Fit:
    """Reconstruction, without ramp and factor, and truth, where they agree best."""

    found: NDArray[np.complex128]
    truth: NDArray[np.complex128]


def _on_host(array: Any, dtype: type) -> NDArray[Any]:
    return np.asarray(array.get() if hasattr(array, "get") else array, dtype=dtype)


def _as_dose(
    dose: Any, positions: Any, probe: Any, shape: tuple[int, ...], origin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the dose in parts of the typical one."""
    if (positions is None) != (probe is None):
        raise ValueError("positions and probe give a dose together only; one of them is None")
    if dose is not None and positions is not None:
        raise ValueError(
            "dose, positions and probe are given; accepted are dose alone, or positions and probe"
        )
    if positions is not None:
        places = _on_host(positions, np.float64) - origin
        light = _dose(places, _on_host(probe, np.complex128), shape)
    elif dose is None:
        return np.ones(shape)
    else:
        light = _on_host(dose, np.float64)
    if light.shape != shape:
        raise ValueError(f"dose has shape {light.shape}; accepted is that of the reconstruction, {shape}")
    if not (light >= 0).all() or not 0 < light.max() < math.inf:
        raise ValueError("dose has negative, NaN or infinite values, or is 0 everywhere; accepted is light")
    return light / np.median(light[light > _WELL_LIT * light.max()])


def _dose(positions: NDArray[Any], probe: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    power = (np.abs(probe.reshape(-1, *probe.shape[-2:])) ** 2).sum(axis=0)
    light = np.zeros(shape)
    for row, column in np.rint(positions).astype(int):
        box = light[row : row + len(power), column : column + len(power)]
        if row < 0 or column < 0 or box.shape != power.shape:
            raise ValueError(
                f"positions has a box at ({row}, {column}) of the reconstruction, which is {shape}"
            )
        box += power
    return light


def _inside(truth: tuple[int, ...], shape: tuple[int, ...], offset: NDArray[Any]) -> NDArray[np.bool_]:
    """Where in the reconstruction the truth is known."""
    rows, columns = (
        (place >= start) & (place < start + length)
        for place, start, length in zip(map(np.arange, shape), offset, truth, strict=True)
    )
    return rows[:, None] & columns


def _window(
    truth: NDArray[Any], shape: tuple[int, ...], offset: NDArray[Any], margin: int
) -> NDArray[np.complex128]:
    """Return the truth where the reconstruction is, and ``margin`` pixels around; mirrored at its edges."""
    index = []
    for length, span, start in zip(truth.shape, shape, offset, strict=True):
        place = (np.arange(-margin, span + margin) - start) % (2 * length)
        index.append(np.where(place < length, place, 2 * length - 1 - place))
    return truth[np.ix_(*index)]


def _neighbours(image: NDArray[Any], axis: int) -> NDArray[Any]:
    """Multiply each pixel by its conjugate neighbour: a phase ramp becomes a constant factor."""
    return image * np.conj(np.roll(image, 1, axis))


def _whole_shift(
    found: NDArray[Any], truth: NDArray[Any], core: NDArray[np.bool_], offset: NDArray[Any], reach: int
) -> NDArray[Any]:
    """Return the translation of the reconstruction in whole pixels, whatever its phase ramp."""
    if not core.any() or reach <= 0:
        return np.zeros(2, int)
    window = _window(truth, found.shape, offset, reach)
    size = [scipy.fft.next_fast_len(length) for length in window.shape]
    score: Any = 0.0
    for axis in (0, 1):
        area = core & np.roll(core, 1, axis)
        area[(slice(0, 1), slice(None)) if axis == 0 else (slice(None), slice(0, 1))] = False
        ours = _neighbours(np.where(core, found, 0), axis)
        ours = np.where(area, ours - ours[area].mean() if area.any() else 0, 0)
        theirs = _neighbours(window, axis)
        theirs -= theirs.mean()
        spectrum = scipy.fft.fft2(theirs, size)
        product = scipy.fft.ifft2(spectrum * np.conj(scipy.fft.fft2(ours, size)))
        covered = np.conj(scipy.fft.fft2(area.astype(float), size))
        energy = scipy.fft.ifft2(scipy.fft.fft2(np.abs(theirs) ** 2, size) * covered).real
        floor = max(energy.max() * 1e-6, np.finfo(float).tiny)
        score = score + np.abs(product) ** 2 / np.maximum(energy, floor)
    # A window index i is the shift reach - i; those that wrap around are beyond the reach
    score = score[: 2 * reach + 1, : 2 * reach + 1]
    return reach - np.array(np.unravel_index(np.argmax(score), score.shape))


def _fit(found: NDArray[Any], truth: NDArray[Any], core: NDArray[np.bool_], offset: NDArray[Any]) -> _Fit:
    """Fit R ≈ c exp(i g·x) T(x - s) where it is well lit, by Gauss-Newton steps from the whole pixel."""
    shape = found.shape
    moved = _Moved(truth, shape, offset)
    places = [np.arange(length) - (length - 1) / 2 for length in shape]
    down, across = places[0][:, None], places[1][None, :]
    known = np.where(core, found, 0)
    shift, ramp = np.zeros(2), _ramp(known * np.conj(moved(np.zeros(2))[0]), core)
    best = math.inf
    step = np.zeros(4)
    for _ in range(_STEPS):
        turn = np.exp(1j * ((ramp + step[2:])[0] * down + (ramp + step[2:])[1] * across))
        image, gradients = moved(shift + step[:2])
        model = turn * image
        factor = np.vdot(model[core], known[core]) / max(np.vdot(model[core], model[core]).real, 1e-300)
        rest = (known - factor * model)[core]
        error = float(np.linalg.norm(rest))
        if not error < best and best < math.inf:
            step /= 4
            if np.abs(step).max() < _STILL:
                break
            continue
        shift, ramp, best = shift + step[:2], ramp + step[2:], error
        result = _scaled(found * np.conj(turn), image, core)
        if np.abs(step[:2]).max() < _STILL and best < math.inf and step.any():
            break
        slopes = [-factor * turn * gradient for gradient in gradients]
        slopes += [1j * place * factor * model for place in (down, across)]
        columns = np.stack([slope[core] for slope in slopes] + [model[core], 1j * model[core]], axis=1)
        solution = np.linalg.lstsq(
            (columns.conj().T @ columns).real, (columns.conj().T @ rest).real, rcond=1e-12
        )
        step = np.clip(solution[0][:4], -1, 1)
        if not step.any():
            break
    return result


def _scaled(found: NDArray[Any], truth: NDArray[Any], core: NDArray[np.bool_]) -> _Fit:
    """Multiply the reconstruction by the factor that brings it nearest to the truth."""
    power = np.vdot(found[core], found[core]).real
    return _Fit(found * (np.vdot(found[core], truth[core]) / power if power > 0 else 0), truth)


class _Moved:
    """The truth on the reconstruction's grid, moved by fractions of a pixel, with its gradients."""

    def __init__(self, truth: NDArray[Any], shape: tuple[int, ...], offset: NDArray[Any]) -> None:
        window = _window(truth, shape, offset, _MARGIN)
        fade = [np.minimum(1, (1 + np.minimum(i, i[::-1])) / _MARGIN) for i in map(np.arange, window.shape)]
        taper = [np.sin(np.pi / 2 * part) ** 2 for part in fade]
        self._mean = window.mean()
        self._spectrum = scipy.fft.fft2((window - self._mean) * taper[0][:, None] * taper[1])
        self._cycles = [2j * np.pi * scipy.fft.fftfreq(length) for length in window.shape]
        self._inside = tuple(slice(_MARGIN, _MARGIN + length) for length in shape)

    def __call__(self, shift: NDArray[Any]) -> tuple[NDArray[Any], list[NDArray[Any]]]:
        down, across = self._cycles[0][:, None], self._cycles[1][None, :]
        spectrum = self._spectrum * np.exp(-shift[0] * down - shift[1] * across)
        image = self._mean + scipy.fft.ifft2(spectrum)[self._inside]
        return image, [scipy.fft.ifft2(spectrum * axis)[self._inside] for axis in (down, across)]


def _ramp(product: NDArray[Any], core: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the phase ramp of a product in radians a pixel: roughly, then as the peak of its spectrum."""
    ramp = np.array([np.angle((product[1:] * product[:-1].conj()).sum()), 0])
    ramp[1] = np.angle((product[:, 1:] * product[:, :-1].conj()).sum())
    places = [np.arange(length) - (length - 1) / 2 for length in product.shape]
    for reach, step in ((8, 0.5), (0.5, 0.05)):
        offsets = np.arange(-reach, reach + step / 2, step)
        cycles = [2 * np.pi * offsets / length for length in product.shape]
        waves = [
            np.exp(-1j * (rough + turn)[:, None] * place)
            for rough, turn, place in zip(ramp, cycles, places, strict=True)
        ]
        peak = np.abs(waves[0] @ product @ waves[1].T)
        best = np.unravel_index(np.argmax(peak), peak.shape)
        ramp = ramp + [cycle[i] for cycle, i in zip(cycles, best, strict=True)]
    return ramp
