"""The plain means of the two estimates, with which barycenters are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike

from fastimg.fusion._denoise import Denoise
from fastimg.fusion._estimates import Request, request_of
from fastimg.fusion._inputs import as_weight

__all__ = ["arithmetic_mean", "geometric_mean"]


def arithmetic_mean(
    hyperspectral: ArrayLike,
    multispectral: ArrayLike,
    *,
    spectral_response: ArrayLike,
    ratio: int,
    blur: ArrayLike | float | None = None,
    weight: float = 0.5,
    spectral_inverse: str | ArrayLike = "pinv",
    spatial_inverse: str | ArrayLike = "cubic",
    denoise: Denoise = True,
) -> Any:
    """Fuse two images by the weighted sum of what each of them says of the fused cube.

    The parameters are those of ``hmwb``; only the way in which the two estimates are joined differs.

    Parameters
    ----------
    hyperspectral, multispectral, spectral_response, ratio, blur
        As in ``hmwb``.
    weight : float, optional
        λ of the estimate from the multispectral image, which is first brought to the sum of the other one.
    spectral_inverse, spatial_inverse, denoise
        As in ``hmwb``.

    Returns
    -------
    array, (rows, cols, bands)
        λ M̃(m) + (1 - λ) H̃(h), in the units of ``hyperspectral``; float32 where both images are of
        single precision or less, else float64.

    Raises
    ------
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.
    ValueError
        If shapes do not agree, values are not finite, an image or an estimate has no positive mean, or an
        option is not accepted.
    ImportError
        If ``denoise`` is True and scikit-image (for arrays on a GPU: cuCIM) is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.fusion import arithmetic_mean, simulate_pair
    >>> cube = np.random.default_rng(0).random((8, 8, 6)) + 1
    >>> response = np.repeat(np.eye(2), 3, axis=1) / 3
    >>> h, m = simulate_pair(cube, response, ratio=2)
    >>> arithmetic_mean(h, m, spectral_response=response, ratio=2, denoise=False).shape
    (8, 8, 6)
    """
    request = request_of(
        hyperspectral,
        multispectral,
        spectral_response,
        ratio,
        blur,
        spectral_inverse,
        spatial_inverse,
        denoise,
    )
    return _joined(request, as_weight(weight), lambda m, h, weight: weight * m + (1 - weight) * h)


def geometric_mean(
    hyperspectral: ArrayLike,
    multispectral: ArrayLike,
    *,
    spectral_response: ArrayLike,
    ratio: int,
    blur: ArrayLike | float | None = None,
    weight: float = 0.5,
    spectral_inverse: str | ArrayLike = "pinv",
    spatial_inverse: str | ArrayLike = "cubic",
    denoise: Denoise = True,
) -> Any:
    """Fuse two images by the weighted product of what each of them says of the fused cube.

    Parameters
    ----------
    hyperspectral, multispectral, spectral_response, ratio, blur, weight
        As in ``arithmetic_mean``.
    spectral_inverse, spatial_inverse, denoise
        As in ``hmwb``.

    Returns
    -------
    array, (rows, cols, bands)
        M̃(m)^λ H̃(h)^(1 - λ), in the units of ``hyperspectral``; float32 where both images are of
        single precision or less, else float64.

    Raises
    ------
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.
    ValueError
        If shapes do not agree, values are not finite, an image or an estimate has no positive mean, or an
        option is not accepted.
    ImportError
        If ``denoise`` is True and scikit-image (for arrays on a GPU: cuCIM) is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.fusion import geometric_mean, simulate_pair
    >>> cube = np.random.default_rng(0).random((8, 8, 6)) + 1
    >>> response = np.repeat(np.eye(2), 3, axis=1) / 3
    >>> h, m = simulate_pair(cube, response, ratio=2)
    >>> geometric_mean(h, m, spectral_response=response, ratio=2, denoise=False).shape
    (8, 8, 6)
    """
    request = request_of(
        hyperspectral,
        multispectral,
        spectral_response,
        ratio,
        blur,
        spectral_inverse,
        spatial_inverse,
        denoise,
    )
    return _joined(request, as_weight(weight), lambda m, h, weight: m**weight * h ** (1 - weight))


def _joined(request: Request, weight: float, mean: Callable[[Any, Any, float], Any]) -> Any:
    sources = request.sources()
    xp = sources.xp
    estimate_m, estimate_h = (xp.empty(sources.shape, sources.dtype) for _ in range(2))
    sum_m, sum_h = sources.fill(estimate_m, estimate_h)
    estimate_m *= sources.dtype.type(sum_h / sum_m)
    return mean(estimate_m, estimate_h, weight)
