"""Coupled non-negative matrix factorisation: spectra from one image, abundances from the other."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastimg.fusion._blur import as_blur, degrade
from fastimg.fusion._inputs import as_pair, as_response, check_light
from fastimg.fusion._spatial_inverse import upsample
from fastimg.transport._inputs import as_positive, as_whole

__all__ = ["cnmf"]

# Keeps divisions by products that are 0 from making NaN, for images of mean 1
_TINY = 1e-12

# Spectra and abundances start above 0: a factor of 0 stays 0
_LEAST = 1e-6

# Spectra where none are asked for
_ENDMEMBERS = 30

# Iterations that fit the coarse abundances to the first spectra
_FIRST = 300


def cnmf(
    hyperspectral: ArrayLike,
    multispectral: ArrayLike,
    *,
    spectral_response: ArrayLike,
    ratio: int,
    blur: ArrayLike | float | None = None,
    endmembers: int | None = None,
    alternations: int = 5,
    iterations: int = 150,
    tol: float | None = None,
) -> Any:
    """Fuse two images by unmixing both: pixels are mixtures of a few spectra, and mixing is not negative.

    The spectra are those of the hyperspectral image, and their abundances those that the multispectral image
    shows; both are refined in turns, by multiplicative updates [1]_.

    Parameters
    ----------
    hyperspectral : array_like of real numbers, (rows / ratio, cols / ratio, bands)
        Negative values are taken for 0.
    multispectral : array_like of real numbers, (rows, cols, channels)
        In units of the response times those of ``hyperspectral``; negative values are taken for 0.
    spectral_response : array_like, (channels, bands)
        Response of each channel to each band, not negative.
    ratio : int
        Fine pixels per coarse pixel, on either axis.
    blur : float or array_like, optional
        What the hyperspectral sensor sees around each sample, as in ``simulate_pair``.
    endmembers : int, optional
        Number of spectra; at most the number of coarse pixels. None: 30, or as many as there are coarse
        pixels, if they are fewer.
    alternations : int, optional
        Turns between the two images.
    iterations : int, optional
        Updates of the fine abundances in a turn; spectra and coarse abundances get a third as many.
    tol : float, optional
        End after a turn that changed the spectra by less than this part of their norm.

    Returns
    -------
    array, (rows, cols, bands)
        Not negative, in the units of ``hyperspectral``; float32 where both images are of single precision or
        less, else float64.

    Raises
    ------
    ValueError
        If shapes do not agree, values are not finite, or there are more endmembers than coarse pixels.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    Notes
    -----
    It starts from the pixels that successive projections find, so nothing is random. As in [1]_, the updates
    minimise ‖h - W H‖² and ‖m - M W H'‖²; the sum of the abundances is left free.

    References
    ----------
    .. [1] N. Yokoya, T. Yairi, A. Iwasaki, "Coupled nonnegative matrix factorization unmixing for
       hyperspectral and multispectral data fusion", IEEE Transactions on Geoscience and Remote Sensing 50,
       528-537 (2012). :doi:`10.1109/TGRS.2011.2161320`

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.fusion import cnmf, simulate_pair
    >>> cube = np.random.default_rng(0).random((16, 16, 6))
    >>> response = np.repeat(np.eye(2), 3, axis=1) / 3
    >>> h, m = simulate_pair(cube, response, ratio=4)
    >>> cnmf(h, m, spectral_response=response, ratio=4, endmembers=4).shape
    (16, 16, 6)
    """
    pair = as_pair(hyperspectral, multispectral, ratio)
    check_light(pair)
    xp, (rows, cols, bands) = pair.xp, pair.shape
    channels, small = pair.multispectral.shape[2], pair.hyperspectral.shape[:2]
    response = xp.asarray(as_response(spectral_response, channels, bands))
    sight = as_blur(blur)
    pixels = small[0] * small[1]
    count = min(_ENDMEMBERS, pixels) if endmembers is None else as_whole(endmembers, "endmembers")
    if count > pixels:
        raise ValueError(f"endmembers is {count}; accepted are up to {pixels}, the coarse pixels")
    alternations, iterations = as_whole(alternations, "alternations"), as_whole(iterations, "iterations")
    tol = None if tol is None else as_positive(tol, "tol")

    coarse, fine = (_matrix(xp, image) for image in (pair.hyperspectral, pair.multispectral))
    scale = coarse.mean()
    coarse, fine = coarse / scale, fine / scale
    spectra = xp.maximum(coarse[:, _purest(xp, coarse, count)], _LEAST)
    abundances = xp.full((count, coarse.shape[1]), 1 / count)
    _update(coarse, spectra, abundances, _FIRST)
    cube = abundances.T.reshape(*small, count)
    detailed = xp.maximum(_matrix(xp, upsample(cube, pair.ratio, offset=sight.centre)), _LEAST)
    for _ in range(alternations):
        before = spectra.copy()
        _update(fine, response @ spectra, detailed, iterations)
        seen = degrade(xp, detailed.T.reshape(rows, cols, count), sight, pair.ratio)
        abundances = xp.maximum(_matrix(xp, seen), 1e-3 * _LEAST)
        for _ in range(max(1, iterations // 3)):
            spectra *= (coarse @ abundances.T) / (spectra @ (abundances @ abundances.T) + _TINY)
            _update(coarse, spectra, abundances, 1)
        if tol is not None and float(xp.linalg.norm(spectra - before) / xp.linalg.norm(before)) < tol:
            break
    fused = (detailed.T @ spectra.T) * scale
    return fused.reshape(rows, cols, bands).astype(pair.dtype, copy=False)


def _matrix(xp: ModuleType, image: Any) -> Any:
    """Return an image as a matrix (bands, pixels), not negative, in double precision."""
    pixels = image.reshape(-1, image.shape[2]).T.astype(xp.float64)
    return xp.ascontiguousarray(xp.maximum(pixels, 0))


def _update(data: Any, spectra: Any, abundances: Any, iterations: int) -> None:
    """Update abundances, in place, by factors with which ‖data - spectra abundances‖ only falls."""
    gram, cross = spectra.T @ spectra, spectra.T @ data
    for _ in range(iterations):
        abundances *= cross / (gram @ abundances + _TINY)


def _purest(xp: ModuleType, pixels: Any, count: int) -> Any:
    """Indices of the pixels that successive projections choose: each the longest beside those before."""
    rest = pixels.copy()
    chosen: list[int] = []
    for _ in range(count):
        longest = int((rest * rest).sum(axis=0).argmax())
        chosen.append(longest)
        norm = xp.linalg.norm(rest[:, longest])
        direction = rest[:, longest] / xp.maximum(norm, _TINY)
        rest -= direction[:, None] * (direction @ rest)
    return xp.asarray(np.array(chosen))
