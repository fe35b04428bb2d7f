"""The regularised ptychographic iterative engine as a NumPy user writes it from the paper.

Equations 5 to 7 of F. Guzzi et al., PeerJ Computer Science 8, e1036 (2022), position by position, for
comparison in time and result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["iterate"]


def iterate(
    object: NDArray[Any],
    probe: NDArray[Any],
    intensities: NDArray[Any],
    corners: NDArray[np.int64],
    order: Iterable[int],
    *,
    alpha: float = 0.75,
    gamma: float = 0.3,
    beta: float = 0.5,
) -> None:
    """Use every position once; object and probe are changed in place.

    Parameters
    ----------
    object : ndarray, (H, W), complex
    probe : ndarray, (M, N, N), complex
    intensities : ndarray, (J, N, N)
        Zero frequency in the corner.
    corners : ndarray, (J, 2)
        First row and column of each box.
    order : iterable of int
        Which position comes when.
    alpha, gamma, beta : float, optional
        Step length, and regularisation of object and probe.

    Examples
    --------
    >>> probe = np.ones((1, 4, 4), complex)
    >>> object = np.ones((4, 5), complex)
    >>> measured = np.abs(np.fft.fft2(probe, norm="ortho")) ** 2
    >>> iterate(object, probe, measured.repeat(2, 0), np.array([[0, 0], [0, 1]]), [0, 1])
    >>> bool(np.allclose(object, 1))  # the truth stays where it is
    True
    """
    size = probe.shape[-1]
    for j in order:
        row, column = corners[j]
        box = object[row : row + size, column : column + size]
        waves = probe * box
        spectra = np.fft.fft2(waves, norm="ortho")
        modelled = np.sqrt(np.sum(np.abs(spectra) ** 2, axis=0))
        spectra *= np.sqrt(intensities[j]) / np.maximum(modelled, 1e-10)
        change = np.fft.ifft2(spectra, norm="ortho") - waves
        power, light = np.sum(np.abs(probe) ** 2, axis=0), np.abs(box) ** 2
        object_change = np.sum(np.conj(probe) * change, axis=0) / (gamma * power.max() + (1 - gamma) * power)
        probe += alpha * np.conj(box) * change / (beta * light.max() + (1 - beta) * light)
        box += alpha * object_change
