"""Pairs of images for the comparison of registration: random content with random shifts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastimg.demo._photographs import PHOTOGRAPHS, shifted_photographs

SIZE = 128

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def photographs(count: int) -> Iterator[Pair]:
    """Crops of photographs, shifted by up to 4 pixels, 2 % noise, less their mean, in a Hann window.

    With its mean a window is most of an unnormalised correlation, and says nothing of the shift.
    """
    each = -(-count // len(PHOTOGRAPHS))
    made = shifted_photographs(PHOTOGRAPHS, shifts_per_photograph=each, noise=(0.02,), size=SIZE, seed=1)
    hann = np.hanning(SIZE + 2)[1:-1]
    window = np.outer(hann, hann)
    reference, moving = (
        np.swapaxes(crops[0], 0, 1).reshape(-1, SIZE, SIZE) for crops in (made.reference, made.moving)
    )
    for pair in range(count):
        yield _without_mean(reference[pair], window), _without_mean(moving[pair], window)


def _without_mean(image: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    return window * (image - np.average(image, weights=window))


def textures(count: int) -> Iterator[Pair]:
    """Gaussian random fields with spectra from white to steep, any Fourier shift, and 5 % noise."""
    rng = np.random.default_rng(2)
    for _ in range(count):
        image = texture(rng, steepness=rng.uniform(0, 1.5))
        moving = fourier_shift(image, rng.uniform(-SIZE / 2, SIZE / 2, 2))
        noise = 0.05 * image.std() * rng.standard_normal((2, SIZE, SIZE))
        yield image + noise[0], moving + noise[1]


def texture(rng: np.random.Generator, steepness: float) -> NDArray[np.float64]:
    """A random field whose amplitude falls as frequency to the power of ``-steepness``."""
    rows = np.fft.fftfreq(SIZE)[:, None]
    frequency = np.hypot(rows, np.fft.rfftfreq(SIZE))
    frequency[0, 0] = 1 / SIZE
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) * frequency**-steepness
    return np.fft.irfft2(spectrum, s=(SIZE, SIZE))


def fourier_shift(image: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift a real image cyclically; the Nyquist frequency, whose shift is not defined, is left out."""
    frequency = np.fft.fftfreq(SIZE)
    phase = frequency[:, None] * shift[0] + frequency * shift[1]
    spectrum = np.fft.fft2(image) * np.exp(-2j * np.pi * phase)
    spectrum[SIZE // 2] = 0
    spectrum[:, SIZE // 2] = 0
    return np.fft.ifft2(spectrum).real
