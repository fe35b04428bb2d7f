"""Fusion as a barycenter of measures: the public function, and the fusion of one tile of a scene."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

from numpy.typing import ArrayLike

from fastimg._arrays import allocate_out, namespace
from fastimg._warnings import ConvergenceWarning
from fastimg.fusion._denoise import Denoise
from fastimg.fusion._estimates import request_of
from fastimg.fusion._info import FusionInfo, FusionState
from fastimg.fusion._inputs import as_weight
from fastimg.fusion._precision import CHOICES
from fastimg.fusion._run import Measures, Settings, empty_measures, fuse_measures, settings_of
from fastimg.fusion._watch import Watcher
from fastimg.fusion._widths import extended, kernel_widths
from fastimg.transport._inputs import as_choice, as_positive, as_whole

__all__ = ["fuse_tile", "hmwb"]


def hmwb(
    hyperspectral: ArrayLike,
    multispectral: ArrayLike,
    *,
    spectral_response: ArrayLike,
    ratio: int,
    blur: ArrayLike | float | None = None,
    weight: float = 0.1,
    gamma_m: float = 1e-6,
    gamma_h: float = 1e-4,
    alpha_m: float = 1e-3,
    alpha_h: float = 501.0,
    iterations: int = 150,
    spectral_inverse: Literal["pinv", "regression"] | ArrayLike = "pinv",
    spatial_inverse: Literal["cubic"] | ArrayLike = "cubic",
    denoise: Denoise = True,
    precision: Literal["auto", "float32", "mixed", "float64", "log"] = "auto",
    extent: int | None = None,
    out: Any = None,
    callback: Callable[[FusionState], Any] | None = None,
    progress: bool = False,
    return_info: bool = False,
) -> Any:
    """Fuse a hyperspectral and a multispectral image of one scene as a Wasserstein barycenter.

    Each image alone gives an estimate of the cube that has the spectra of the one and the detail of the
    other: M̃(m), spectra made of the channels of each pixel, and H̃(h), the coarse image interpolated. The
    fused cube is the one to which both are moved at least cost, where M̃(m) moves along wavelength, and H̃(h)
    in the plane [1]_.

    Parameters
    ----------
    hyperspectral : array_like of real numbers, (rows / ratio, cols / ratio, bands)
        Coarse image h. Negative values, as noise makes them, are allowed; see Notes.
    multispectral : array_like of real numbers, (rows, cols, channels)
        Fine image m, in any units.
    spectral_response : array_like, (channels, bands)
        Response M of each channel to each band, not negative.
    ratio : int
        Fine pixels per coarse pixel, on either axis.
    blur : float or array_like, optional
        What the hyperspectral sensor sees around each sample, as in ``simulate_pair``. Only its centre of
        mass counts here: it is where H̃ puts the samples, which are at 0, ratio, 2 ratio … without it.
    weight : float, optional
        λ of the estimate from the multispectral image, above 0 and below 1.
    gamma_m, gamma_h : float, optional
        Weights γ of the entropy in the transport of either estimate, for a grid from 0 to 1 on each axis.
    alpha_m, alpha_h : float, optional
        Cost α of moving in wavelength, relative to moving in the plane.
    iterations : int, optional
        How many. The result depends on it.
    spectral_inverse : {"pinv", "regression"} or array_like, (bands, channels), optional
        M̃; see ``fastimg.fusion.spectral_inverse``.
    spatial_inverse : {"cubic"} or array_like, (rows, cols, bands), optional
        H̃: periodic cubic splines, or the estimate H̃(h) itself.
    denoise : bool or (callable or None, callable or None), optional
        Whether to remove noise first: from m by ``denoise_wiener``, from h by ``denoise_total_variation``
        (which needs scikit-image); or by functions of m and of h, which return an image of the same shape.
    precision : {"auto", "float32", "mixed", "float64", "log"}, optional
        In what the scalings are held: "auto" measures their range while they grow, and takes for single
        precision the narrowest that keeps all digits, for double precision float64, or logarithms if need be,
        which are slow. "mixed" holds u_M in double precision, u_H in single.
    extent : int, optional
        Pixels that the coordinates from 0 to 1 span on both axes of the plane; by default those of the image.
        The defaults of γ and α were found on 128 × 128 pixels: ``extent=128`` keeps the widths that kernels
        have there, whatever the image.
    out : array, (rows, cols, bands), optional
        Where to write the result.
    callback : callable, optional
        Called with a ``FusionState`` after each iteration; a true result ends the run.
    progress : bool, optional
        Show a progress bar.
    return_info : bool, optional
        Return a ``FusionInfo``, too.

    Returns
    -------
    fused : array, (rows, cols, bands)
        In the units of ``hyperspectral``; float32 where both images are of single precision or less, else
        float64.
    info : FusionInfo
        Only with ``return_info=True``.

    Raises
    ------
    TypeError
        If a dtype is not accepted, or arrays are partly on the CPU and partly on a GPU.
    ValueError
        If shapes do not agree, values are not finite, an image or an estimate has no positive mean, or an
        option is not accepted. Nothing has been computed then.
    ImportError
        If ``denoise`` is True and scikit-image (for arrays on a GPU: cuCIM) is missing.

    Warns
    -----
    ConvergenceWarning
        If a precision other than "auto" did not hold the scalings.

    See Also
    --------
    gsa, cnmf, arithmetic_mean, geometric_mean : other ways to fuse.

    Notes
    -----
    Algorithm 1 of [1]_, with 1 - λ for the "(1 + λ)" of its equation 10: v = measure / K u,
    f = (u_M K_M v_M)^λ (u_H K_H v_H)^(1 - λ), u = f / K v, from u = 1. The kernels are Gaussians on each axis
    (``kernel_widths``). The factors that each pixel of u_M and each band of u_H have free are divided out, by
    powers of two: f does not depend on them.

    Transport needs positive measures. Both estimates are raised to at least 1e-3 of their mean, and brought
    to the same sum.

    References
    ----------
    .. [1] J. Mifdal, B. Coll, N. Courty, J. Froment, B. Vedel, "Hyperspectral and multispectral Wasserstein
       barycenter for image fusion", IGARSS 2017, 3373-3376. https://hal.science/hal-01620601

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.fusion import hmwb, simulate_pair
    >>> cube = np.random.default_rng(0).random((8, 8, 6)) + 1
    >>> response = np.repeat(np.eye(2), 3, axis=1) / 3
    >>> h, m = simulate_pair(cube, response, ratio=2)
    >>> fused, info = hmwb(
    ...     h, m, spectral_response=response, ratio=2, iterations=20, denoise=False, return_info=True
    ... )
    >>> fused.shape, info.precision
    ((8, 8, 6), 'float64')
    """
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {callback!r}; accepted are functions of a FusionState, and None")
    request = request_of(
        hyperspectral,
        multispectral,
        spectral_response,
        ratio,
        blur,
        spectral_inverse,
        spatial_inverse,
        denoise,
        out=out,
    )
    pair = request.pair
    grid = extended(pair.shape, extent)
    settings = settings_of(
        as_weight(weight),
        as_whole(iterations, "iterations"),
        as_choice(precision, "precision", CHOICES),
        kernel_widths(grid, as_positive(gamma_m, "gamma_m"), as_positive(alpha_m, "alpha_m")),
        kernel_widths(grid, as_positive(gamma_h, "gamma_h"), as_positive(alpha_h, "alpha_h")),
    )
    images = pair.hyperspectral, pair.multispectral
    if out is not None:
        allocate_out(pair.xp, out, pair.shape, pair.dtype)  # refuses what does not fit before any work
    measures = empty_measures(pair.xp, pair.shape, pair.dtype, settings)
    sum_m, sum_h = request.sources().fill(measures.m, measures.h)
    with Watcher(settings.iterations, callback, progress) as watcher:
        fused, scale, info = _fused(pair.xp, measures, pair.dtype, sum_h / sum_m, settings, watcher)
    work, deliver = allocate_out(pair.xp, out, pair.shape, pair.dtype, *images)
    pair.xp.multiply(fused, fused.dtype.type(scale), out=work, casting="same_kind")
    _warn(info)
    return (deliver(), info) if return_info else deliver()


def fuse_tile(
    measure_m: Any,
    measure_h: Any,
    *,
    mass_ratio: float,
    widths_m: tuple[float, float, float],
    widths_h: tuple[float, float, float],
    weight: float = 0.1,
    iterations: int = 150,
    precision: str = "auto",
) -> tuple[Any, FusionInfo]:
    """Fuse a tile of a scene, or a whole one, from its two estimates on the fine grid.

    Parameters
    ----------
    measure_m, measure_h : array, (rows, cols, bands)
        Estimates of the tile from the multispectral and from the hyperspectral image, floored (see
        `_measures`), both float32 or both float64. They are not written.
    mass_ratio : float
        Sum of the whole scene's ``measure_h`` over the sum of its ``measure_m``: the one number that tiles
        have in common.
    widths_m, widths_h : (float, float, float)
        Of ``kernel_widths``, with the shape of the whole scene.
    weight, iterations, precision
        As in ``hmwb``.

    Returns
    -------
    fused : array, (rows, cols, bands)
        In the units of ``measure_h``, of its dtype.
    info : FusionInfo
    """
    xp = namespace(measure_m=measure_m, measure_h=measure_h)
    settings = settings_of(weight, iterations, precision, widths_m, widths_h)
    measures = empty_measures(xp, measure_h.shape, measure_h.dtype, settings)
    for given, own in ((measure_m, measures.m), (measure_h, measures.h)):
        own[..., : measures.bands] = given
    fused, scale, info = _fused(xp, measures, measure_h.dtype, mass_ratio, settings, None)
    out = xp.empty(measure_h.shape, measure_h.dtype)
    xp.multiply(fused, fused.dtype.type(scale), out=out, casting="same_kind")
    _warn(info)
    return out, info


def _fused(
    xp: ModuleType,
    measures: Measures,
    dtype: Any,
    mass_ratio: float,
    settings: Settings,
    watcher: Watcher | None,
) -> tuple[Any, float, FusionInfo]:
    """Return the fused cube, what it is to be multiplied by, and how it was found; ``measures`` are spent."""
    # values about 1, so that nothing depends on the units
    scale = float(measures.h[..., : measures.bands].mean(dtype=xp.float64))
    for each, factor in ((measures.m, mass_ratio / scale), (measures.h, 1 / scale)):
        real = each[..., : measures.bands]
        real *= real.dtype.type(factor)
        measures.growth = max(measures.growth, math.log(float(real.max()) / float(real.min())))
    del each, real  # views would keep the memory
    watch = None if watcher is None else watcher.of(scale)
    fused, info = fuse_measures(xp, measures, dtype, settings, watch)
    return fused[..., : measures.bands], scale, info


def _warn(info: FusionInfo) -> None:
    if not all(map(math.isfinite, (info.range_m, info.range_h))):
        warnings.warn(
            f"the scalings left the range of {info.precision}: take precision='auto'", ConvergenceWarning, 3
        )
