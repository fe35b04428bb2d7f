"""Photographs that come with scikit-image, and crops of them that are shifted by known amounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastimg.io.images import LUMINANCE

__all__ = ["PHOTOGRAPHS", "Experiment", "gray", "shifted_photographs"]

#: Functions of skimage.data whose files are inside the installed package, so that nothing is downloaded
PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "page",
    "retina",
    "rocket",
    "text",
)

# Pixels at the border of a photograph over which it is faded out before its Fourier shift
_FADE = 12


@dataclass(frozen=True)
class Experiment:
    """Pairs of crops with known shifts.

    Attributes
    ----------
    names : tuple of str
        Names of the P photographs.
    noise : tuple of float
        Standard deviations of the L levels of noise, in standard deviations of the crop.
    true_shift : ndarray, shape (P, S, 2)
        Rows and columns by which the moving crop has to be moved to lie on the reference.
    reference, moving : ndarray of float32, shape (L, P, S, size, size)
        The crops, with independent noise in both, without their mean.
    """

    names: tuple[str, ...]
    noise: tuple[float, ...]
    true_shift: NDArray[np.float64]
    reference: NDArray[np.float32]
    moving: NDArray[np.float32]


def shifted_photographs(
    names: Sequence[str] = PHOTOGRAPHS,
    *,
    shifts_per_photograph: int = 8,
    noise: Sequence[float] = (0.0, 0.05, 0.1, 0.2, 0.5),
    size: int = 128,
    largest_shift: float = 4.0,
    seed: int = 0,
) -> Experiment:
    """Shift photographs by known amounts, crop them and add noise.

    The whole photograph is shifted, by its Fourier transform, and cropped afterwards: what leaves the crop at
    one edge does not come back at the other, as in two real exposures.

    Parameters
    ----------
    names : sequence of str, optional
        Of ``PHOTOGRAPHS``.
    shifts_per_photograph : int, optional
        S; the shifts are uniform in [-largest_shift, largest_shift] pixels, both ways.
    noise : sequence of float, optional
        Levels of Gaussian noise, in standard deviations of the crop.
    size : int, optional
        Rows and columns of a crop.
    largest_shift : float, optional
        In pixels; below the distance of the crop from the faded border.
    seed : int, optional
        Of the shifts and the noise.

    Returns
    -------
    Experiment
    """
    rng = np.random.default_rng(seed)
    true_shift = rng.uniform(-largest_shift, largest_shift, (len(names), shifts_per_photograph, 2))
    shape = (len(noise), len(names), shifts_per_photograph, size, size)
    reference, moving = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for number, name in enumerate(names):
        photograph = _faded(gray(name))
        reference[:, number] = _crop(photograph, size)
        for pair, shift in enumerate(true_shift[number]):
            moving[:, number, pair] = _crop(_fourier_shift(photograph, -shift), size)
    for crops in (reference, moving):
        crops -= crops.mean(axis=(-2, -1), keepdims=True)
        level = crops.std(axis=(-2, -1), keepdims=True) * np.reshape(noise, (-1, 1, 1, 1, 1))
        crops += level * rng.standard_normal(shape, np.float32)
    return Experiment(tuple(names), tuple(noise), true_shift, reference, moving)


def gray(name: str) -> NDArray[np.float64]:
    """Return one of ``PHOTOGRAPHS``, colours as luminance."""
    import skimage.data

    photograph = getattr(skimage.data, name)().astype(float)
    return photograph[..., :3] @ np.asarray(LUMINANCE) if photograph.ndim == 3 else photograph


def _faded(photograph: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the mean and fade to zero at the border, whose jump a Fourier shift would smear inwards."""
    profile = np.sin(0.5 * np.pi * (np.arange(_FADE) + 0.5) / _FADE) ** 2
    faded = photograph - photograph.mean()
    for axis in (0, 1):
        lines = np.moveaxis(faded, axis, -1)
        lines[..., :_FADE] *= profile
        lines[..., -_FADE:] *= profile[::-1]
    return faded


def _fourier_shift(image: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = (np.fft.fftfreq(n) for n in image.shape)
    phase = np.exp(-2j * np.pi * (rows[:, None] * shift[0] + columns * shift[1]))
    return np.fft.ifft2(np.fft.fft2(image) * phase).real


def _crop(image: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    top, left = ((n - size) // 2 for n in image.shape)
    return image[top : top + size, left : left + size]
