"""A scene whose spectra are known, what two sensors see of it, and shapes to interpolate between.

Photographs say where things are, smooth random curves which spectra they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastimg.fusion import simulate_pair, starck_murtagh
from fastimg.io.images import LUMINANCE

__all__ = ["MATERIALS", "RATIO", "SNR_H", "SNR_M", "Scene", "scene", "shapes"]

#: Fine pixels along a coarse one, and signal to noise of both images in dB
RATIO, SNR_H, SNR_M = 4, 30, 40

#: Colours of the photograph that have spectra of their own, two each
MATERIALS = 6

# Nanometres
_FIRST, _LAST = 400, 900

# Middles and half widths of the four channels in nanometres: blue, green, red, near infrared
_CHANNELS = ((450, 50), (560, 50), (670, 50), (830, 70))

# How near colours have to be to mix, where 1 is the distance from black to a primary colour
_MIXING = 0.12

# Points of a random spectrum that a smooth curve goes through
_KNOTS = 7


@dataclass(frozen=True)
class Scene:
    """The truth and two images of it.

    Attributes
    ----------
    cube : ndarray of float32, (rows, cols, bands)
    wavelengths : ndarray, (bands,)
        In nanometres.
    response : ndarray, (4, bands)
    hyperspectral : ndarray of float32, (rows / RATIO, cols / RATIO, bands)
    multispectral : ndarray of float32, (rows, cols, 4)
    """

    cube: NDArray[np.float32]
    wavelengths: NDArray[np.float64]
    response: NDArray[np.float64]
    hyperspectral: NDArray[np.float32]
    multispectral: NDArray[np.float32]

    @property
    def sensors(self) -> dict[str, Any]:
        """What is known of the sensors, as arguments."""
        return {"spectral_response": self.response, "ratio": RATIO}


def scene(shape: tuple[int, int] = (96, 128), bands: int = 64, *, seed: int = 0) -> Scene:
    """Make a cube of two photographs and random spectra, and images of it.

    Each colour of the photograph "coffee" is a mixture of its ``MATERIALS`` most different ones, and the
    brightness of the photograph "gravel" mixes the two spectra that each of these has. What is mixed is then
    lit as the first photograph is.

    Parameters
    ----------
    shape : (int, int), optional
        Rows and columns, multiples of ``RATIO``.
    bands : int, optional
    seed : int, optional
        Of the spectra and the noise.

    Returns
    -------
    Scene
    """
    import skimage.data

    rng = np.random.default_rng(seed)
    colours = _shrunk(skimage.data.coffee()[..., :3] / 255, shape)
    gravel = _shrunk(skimage.data.gravel()[..., None] / 255, shape)
    share = np.clip((gravel - gravel.mean()) / (4 * gravel.std()) + 0.5, 0, 1)
    wavelengths = np.linspace(_FIRST, _LAST, bands)
    first, other = _spectra(2 * MATERIALS, bands, rng).reshape(2, MATERIALS, bands)
    abundances = _abundances(colours)
    light = 0.3 + colours @ np.asarray(LUMINANCE)
    second = (first + other) / 2
    cube = (share * (abundances @ first) + (1 - share) * (abundances @ second)) * light[..., None]
    truth = cube.astype(np.float32)
    response = np.array([np.exp(-(((wavelengths - at) / half) ** 4)) for at, half in _CHANNELS])
    response /= response.sum(axis=1, keepdims=True)
    seen = simulate_pair(
        truth, response, ratio=RATIO, blur=starck_murtagh(), snr_h=SNR_H, snr_m=SNR_M, rng=rng
    )
    return Scene(truth, wavelengths, response, *seen)


def shapes(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a horse and a ring as measures of mass 1, (size, size) each."""
    import skimage.data
    from skimage.transform import resize

    horse = resize((skimage.data.horse() == 0).astype(float), (3 * size // 4, 5 * size // 6))
    margins = [((size - length) // 2, size - length - (size - length) // 2) for length in horse.shape]
    horse = np.pad(horse, margins)
    axis = np.linspace(-1, 1, size)
    ring = (np.abs(np.hypot(axis[:, None], axis) - 0.6) < 0.2).astype(float)
    return horse / horse.sum(), ring / ring.sum()


def _shrunk(photograph: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """The middle of a photograph, averaged over squares."""
    rows, cols = shape
    side = min(photograph.shape[0] // rows, photograph.shape[1] // cols)
    top, left = (photograph.shape[0] - side * rows) // 2, (photograph.shape[1] - side * cols) // 2
    middle = photograph[top : top + side * rows, left : left + side * cols]
    return middle.reshape(rows, side, cols, side, -1).mean(axis=(1, 3))


def _abundances(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the materials, (rows, cols, MATERIALS): the nearer a colour, the larger."""
    mean = colours.mean(axis=(0, 1))
    distances = ((colours - mean) ** 2).sum(axis=2)
    chosen: list[NDArray[np.float64]] = []
    for _ in range(MATERIALS):
        # each is the colour that is furthest from those before
        farthest = colours[np.unravel_index(distances.argmax(), distances.shape)]
        other = ((colours - farthest) ** 2).sum(axis=2)
        distances = np.minimum(distances, other) if chosen else other
        chosen.append(farthest)
    squares = np.stack([((colours - each) ** 2).sum(axis=2) for each in chosen], axis=2)
    nearness = np.exp((squares.min(axis=2, keepdims=True) - squares) / (2 * _MIXING**2))
    return nearness / nearness.sum(axis=2, keepdims=True)


def _spectra(count: int, bands: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth random curves from 0.05 to 0.9, each with an absorption line, (count, bands)."""
    from scipy.interpolate import PchipInterpolator

    x = np.linspace(0, 1, bands)
    knots = rng.uniform(0.05, 0.9, (_KNOTS, count))
    curves = PchipInterpolator(np.linspace(0, 1, _KNOTS), knots)(x)
    centre, width, depth = (
        rng.uniform(0.1, 0.9, count),
        rng.uniform(0.03, 0.06, count),
        rng.uniform(0, 0.4, count),
    )
    return (curves * (1 - depth * np.exp(-((x[:, None] - centre) ** 2) / (2 * width**2)))).T
