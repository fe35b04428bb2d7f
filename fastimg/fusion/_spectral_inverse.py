"""From the channels of the multispectral image to spectra: right inverses of the spectral response."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastimg._arrays import as_kernel_array, namespace
from fastimg.fusion._inputs import as_matrix, as_response
from fastimg.transport._inputs import as_choice, check_finite

__all__ = ["METHODS", "inverse_from_sums", "least_norm", "regression_sums", "spectral_inverse"]

METHODS = ("pinv", "regression")


def spectral_inverse(
    method: str | ArrayLike, spectral_response: ArrayLike, hyperspectral: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return the matrix that makes spectra of a multispectral image's channels.

    ‖M M̃ m - m‖² is 0 for each right inverse M̃ of the response M, so that the data do not choose between
    them. "pinv" is the one of least norm, which knows nothing of spectra; "regression" is the best linear
    prediction of the spectra h from their channels M h, which has seen the scene's spectra.

    Parameters
    ----------
    method : {"pinv", "regression"} or array_like, (bands, channels)
        A matrix is returned as it is.
    spectral_response : array_like, (channels, bands)
        M, as in ``simulate_pair``.
    hyperspectral : array_like, (rows, cols, bands), optional
        h, for "regression".

    Returns
    -------
    numpy.ndarray, (bands, channels), float64
        On the host also for arrays on a GPU.

    Raises
    ------
    ValueError
        If the name is unknown, shapes do not agree, values are not finite, or the response has negative
        values.

    Examples
    --------
    >>> import numpy as np
    >>> response = np.repeat(np.eye(2), 3, axis=1) / 3
    >>> inverse = spectral_inverse("pinv", response)
    >>> np.allclose(response @ inverse, np.eye(2))
    True
    """
    response = as_response(spectral_response)
    if not isinstance(method, str):
        return as_matrix(method, response)
    if as_choice(method, "spectral_inverse", METHODS) == "pinv":
        return least_norm(response)
    if hyperspectral is None:
        raise ValueError("hyperspectral is None; accepted for 'regression' is a cube (rows, cols, bands)")
    xp = namespace(hyperspectral)
    array = as_kernel_array(xp, hyperspectral, ("float32", "float64"), name="hyperspectral")
    if array.ndim != 3 or array.shape[2] != response.shape[1]:
        raise ValueError(
            f"hyperspectral has shape {array.shape}; accepted is (rows, cols, {response.shape[1]}), the "
            "bands of spectral_response"
        )
    check_finite(xp, array, "hyperspectral")
    return inverse_from_sums(*regression_sums(xp, array, response))


def least_norm(response: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the right inverse of least norm, (bands, channels)."""
    return np.linalg.pinv(response).astype(np.float64)


def regression_sums(
    xp: ModuleType, hyperspectral: Any, response: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums over pixels of M h (M h)ᵀ and M h hᵀ, which add up over the tiles of a scene.

    Returns
    -------
    gram : numpy.ndarray, (channels, channels)
    cross : numpy.ndarray, (channels, bands)
    """
    channels, bands = response.shape
    gram, cross = xp.zeros((channels, channels)), xp.zeros((channels, bands))
    matrix = xp.asarray(response.T)
    for row in hyperspectral:
        spectra = row.astype(xp.float64)
        seen = spectra @ matrix
        gram += seen.T @ seen
        cross += seen.T @ spectra
    return np.asarray(gram.tolist()), np.asarray(cross.tolist())


def inverse_from_sums(gram: NDArray[np.float64], cross: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the regression of h on M h, (bands, channels), from the sums of ``regression_sums``."""
    regression: Any = np.linalg.lstsq(gram, cross, rcond=None)[0]
    return regression.T
