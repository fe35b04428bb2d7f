"""Component substitution whose weights the images themselves determine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastimg.fusion._blur import as_blur, degrade
from fastimg.fusion._inputs import as_pair
from fastimg.fusion._spatial_inverse import upsample

__all__ = ["gsa"]


def gsa(
    hyperspectral: ArrayLike,
    multispectral: ArrayLike,
    *,
    ratio: int,
    blur: ArrayLike | float | None = None,
) -> Any:
    """Fuse two images by adding the detail of the multispectral one, as regression spreads it over bands.

    Gram-Schmidt adaptive [1]_, with several channels in place of one panchromatic image: the interpolated
    hyperspectral image, plus what blur and sampling take from the multispectral image, times the regression
    of the bands on its channels.

    Parameters
    ----------
    hyperspectral : array_like of real numbers, (rows / ratio, cols / ratio, bands)
    multispectral : array_like of real numbers, (rows, cols, channels)
    ratio : int
        Fine pixels per coarse pixel, on either axis.
    blur : float or array_like, optional
        What the hyperspectral sensor sees around each sample, as in ``simulate_pair``.

    Returns
    -------
    array, (rows, cols, bands)
        In the units of ``hyperspectral``; float32 where both images are of single precision or less, else
        float64. Values may be negative.

    Raises
    ------
    ValueError
        If shapes do not agree or values are not finite.
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.

    References
    ----------
    .. [1] B. Aiazzi, S. Baronti, M. Selva, "Improving component substitution pansharpening through
       multivariate regression of MS + Pan data", IEEE Transactions on Geoscience and Remote Sensing 45,
       3230-3239 (2007). :doi:`10.1109/TGRS.2007.901007`

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.fusion import gsa, simulate_pair
    >>> cube = np.random.default_rng(0).random((16, 16, 6))
    >>> h, m = simulate_pair(cube, np.repeat(np.eye(2), 3, axis=1) / 3, ratio=4)
    >>> gsa(h, m, ratio=4).shape
    (16, 16, 6)
    """
    pair = as_pair(hyperspectral, multispectral, ratio)
    xp, coarse, fine = pair.xp, pair.hyperspectral, pair.multispectral
    sight = as_blur(blur)
    seen = degrade(xp, fine, sight, pair.ratio)
    gains = _gains(xp, seen, coarse)
    detail = fine - upsample(seen, pair.ratio, offset=sight.centre)
    fused = upsample(coarse, pair.ratio, offset=sight.centre)
    fused += detail @ xp.asarray(gains, dtype=fine.dtype)
    return fused


def _gains(xp: Any, channels: Any, bands: Any) -> Any:
    """Return the regression of bands on channels and a constant, without the constant's row."""
    columns = channels.reshape(-1, channels.shape[2]).astype(xp.float64)
    targets = bands.reshape(-1, bands.shape[2]).astype(xp.float64)
    # about the means, which are what the constant takes
    columns -= columns.mean(axis=0)
    targets -= targets.mean(axis=0)
    gram, cross = (np.asarray((columns.T @ each).tolist()) for each in (columns, targets))
    return np.linalg.lstsq(gram, cross, rcond=None)[0]
