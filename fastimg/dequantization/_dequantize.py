"""De-quantization: the bended plate that passes through the bin of every pixel."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastimg._arrays import allocate_out, namespace
from fastimg._warnings import ConvergenceWarning
from fastimg.dequantization._envelopes import Envelopes, bins_of, bounds_of, check_bounds, check_codes
from fastimg.dequantization._info import DequantizationInfo, IterationState
from fastimg.dequantization._numbers import as_result_dtype, as_whole, check_exact
from fastimg.dequantization._problems import Settings, inputs_of, mask_of, settings_of
from fastimg.dequantization._run import Run

__all__ = ["dequantize"]


def dequantize(
    image: ArrayLike | None,
    *,
    bits: int | None = None,
    levels: ArrayLike | None = None,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    rounding: Literal["floor", "nearest"] = "floor",
    model: Literal["plate", "membrane", "blend"] = "plate",
    tension_length: float | None = None,
    mask: ArrayLike | None = None,
    mask_mode: Literal["bridge", "cut"] = "bridge",
    boundary: Literal["free", "even"] = "free",
    fixed: tuple[ArrayLike, ArrayLike] | None = None,
    relax: ArrayLike = 0.0,
    initial: ArrayLike | None = None,
    tol: float = 1e-4,
    max_cycles: int = 500,
    channel_axis: int | None = None,
    dtype: DTypeLike | None = None,
    out: Any = None,
    anomaly_passes: int = 0,
    callback: Callable[[IterationState], Any] | None = None,
    progress: bool = False,
    return_info: bool = False,
) -> Any:
    """Find the smoothest image whose quantization is the given one.

    Of all images that lie in the bins of the codes, this is the one that bends least: a thin plate between
    two envelopes [1]_. Exactly one of ``bits``, ``levels`` and the pair ``lower``, ``upper`` says what the
    bins are.

    Parameters
    ----------
    image : array_like of integers, (..., H, W), or None
        Codes. The last two axes, but for ``channel_axis``, are the image; all others are independent images.
        With ``lower`` and ``upper`` it is only what masked pixels keep: real numbers of any kind, or None.
    bits : int, optional
        The codes are 0 to 2**bits - 1, and so are the units of the result: code k lies in [k, k + 1], or in
        [k - 1/2, k + 1/2]; see ``rounding``. From 1 to 32.
    levels : array_like, (K + 1,), optional
        Increasing edges of K bins: code k lies in [levels[k], levels[k + 1]], in any units.
    lower, upper : array_like, optional
        Bounds of each pixel, which broadcast to the image; -inf and inf where there is none.
    rounding : {"floor", "nearest"}, optional
        How the codes of ``bits`` were made.
    model : {"plate", "membrane", "blend"}, optional
        What is least: bending (the biharmonic equation), the slope (Laplace's equation), or their sum.
    tension_length : float, optional
        For "blend": the length in pixels over which tension, not stiffness, shapes the surface. Bending
        weighs 1, the slope 1 / tension_length². From 1e-6 to 1e6.
    mask : array_like of bool, (H, W) or the image's shape, optional
        True: leave this pixel alone. It has no bounds, and in the result it is what it was in the image: the
        code itself with ``bits``, ``levels[k]`` with ``levels``, else the value of ``image`` (NaN, too) or,
        without one, the middle between its bounds.
    mask_mode : {"bridge", "cut"}, optional
        Whether the surface passes below the mask, or ends at it.
    boundary : {"free", "even"}, optional
        The edge of the image: a free plate, which continues a slope, or a mirror, at which slopes are 0.
    fixed : (mask, values), optional
        Pixels, True in ``mask``, whose value is known, whatever their bin; none of them is masked.
    relax : float or array_like, (H, W) or the image's shape, optional
        Widen each bound by this many bins, for noise and dither, up to 1e6. One-sided
        bounds stay.
    initial : array_like, shape of the image, optional
        Where to start, such as the result for the previous frame of a video.
    tol : float, optional
        Relative distance of the energy to its minimum at which to end.
    max_cycles : int, optional
        V-cycles after which to end in any case.
    channel_axis : int, optional
        Axis of channels.
    dtype : {float32, float64}, optional
        Of the result. By default float32 for codes of 8 and 16 bits and bounds of single precision (with
        the image, if one is given), else float64. Computed is in double precision always.
    out : array, shape of the image, optional
        Where to write the result; its precision, if real, replaces ``dtype``.
    anomaly_passes : int, optional
        Solve again, up to this many times, without the bounds of pixels that noise has put in the wrong bin:
        local extrema of the result that lie on a border between two bins [1]_. *These pixels may leave their
        bin*; ``info.removed`` tells which they are.
    callback : callable, optional
        Called with an ``IterationState`` after each Newton step; a true result ends this image, whose result
        is then as close as it got.
    progress : bool, optional
        Show a progress bar with cycles and energy.
    return_info : bool, optional
        Return a ``DequantizationInfo``, too.

    Returns
    -------
    result : array, shape of the image
        Each pixel within its bounds, after rounding to ``dtype`` as well (where no number of it lies within
        them, as may be at fixed points, the nearest).
    info : DequantizationInfo
        Only with ``return_info=True``.

    Raises
    ------
    TypeError
        If codes are no integers, a dtype is not accepted, or arrays are partly on the CPU and partly on a
        GPU.
    ValueError
        If a code has no bin, bounds cross, shapes do not agree, values are not finite, a bin or a bound is
        beyond the range of the result's dtype, integers are over 2**53, or an option is not accepted.
        Nothing has been computed then.

    Warns
    -----
    ConvergenceWarning
        If an image did not reach ``tol`` within ``max_cycles``.

    See Also
    --------
    distance_interpolation : rougher, and less sensitive to noise.
    textured_regions : a mask for photographs.

    Notes
    -----
    Minimised is ½ Σ (f_xx² + 2 f_xy² + f_yy²) over the second differences that fit into the image; for a
    membrane ½ Σ (f_x² + f_y²). Ramps cost nothing, so a quantized ramp comes back as one. What the bounds do
    not determine is drawn to the middle of the bins: a flat image comes back as its mid-level.

    References
    ----------
    .. [1] D. Völgyes, A. C. T. Martinsen, A. Stray-Pedersen, D. Waaler, M. Pedersen, "Image De-Quantization
       Using Plate Bending Model", Algorithms 11, 110 (2018). :doi:`10.3390/a11080110`

    Examples
    --------
    >>> import numpy as np
    >>> from fastimg.dequantization import dequantize
    >>> ramp = np.linspace(0.2, 3.8, 64) + np.zeros((64, 1))
    >>> codes = ramp.astype(np.uint8)
    >>> result = dequantize(codes, bits=2)
    >>> bool(np.ptp(np.diff(result)) < 0.01)
    True
    >>> bool(((codes <= result) & (result <= codes + 1)).all())
    True
    """
    pair = fixed if isinstance(fixed, tuple | list) else (fixed,)
    named = {f"fixed[{place}]": array for place, array in enumerate(pair)}
    xp = namespace(
        image=image, levels=levels, lower=lower, upper=upper, mask=mask, relax=relax, initial=initial, **named
    )
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {callback!r}; accepted are functions of an IterationState, and None")
    settings = settings_of(model, tension_length, boundary, tol, max_cycles)
    passes = as_whole(anomaly_passes, "anomaly_passes", 0)
    envelopes, mask = _envelopes(xp, image, bits, levels, lower, upper, rounding, channel_axis, mask)
    inputs = inputs_of(xp, envelopes, mask, mask_mode, fixed, relax, initial)
    dtype = as_result_dtype(dtype, envelopes.dtype, xp, out)
    inputs.check_range(dtype)
    layout = envelopes.layout
    work, deliver = allocate_out(
        xp, out, layout.shape, dtype, *envelopes.arrays, mask, inputs.fixed, inputs.values, inputs.initial,
        inputs.relax,
    )  # fmt: skip
    run = Run(xp, inputs, settings, passes, callback, progress)
    info, unfinished = run.fill(layout.planes(xp, work))
    if unfinished:
        _warn(unfinished, settings, info)
    return (deliver(), info) if return_info else deliver()


def _envelopes(
    xp: ModuleType,
    image: Any,
    bits: Any,
    levels: Any,
    lower: Any,
    upper: Any,
    rounding: str,
    channel_axis: Any,
    mask: Any,
) -> tuple[Envelopes, Any]:
    """Return the checked envelopes, and the mask as a view (..., H, W)."""
    given = {"bits": bits is not None, "levels": levels is not None}
    given["lower and upper"] = lower is not None or upper is not None
    if sum(given.values()) != 1:
        named = " and ".join(name for name, there in given.items() if there) or "none"
        raise ValueError(
            f"of bits, levels, and lower with upper, {named} is given; accepted is one of the three"
        )
    if given["lower and upper"]:
        if rounding != "floor":
            raise ValueError(f"rounding is {rounding!r} with lower and upper; accepted is it with bits only")
        bounds = bounds_of(xp, image, lower, upper, channel_axis)
        mask = mask_of(xp, bounds.layout, mask)
        check_bounds(bounds, mask)
        return bounds, mask
    if image is None:
        raise TypeError("image is None; accepted are integer codes, or None with lower and upper")
    bins, count = bins_of(xp, image, bits, levels, rounding, channel_axis)
    mask = mask_of(xp, bins.layout, mask)
    check_codes(bins, count, mask)
    check_exact(bins.codes, "image")
    return bins, mask


def _warn(unfinished: int, settings: Settings, info: DequantizationInfo) -> None:
    images = "the image" if np.ndim(info.kkt) == 0 else f"{unfinished} of {np.size(info.kkt)} images"
    warnings.warn(
        f"{images} did not come within tol={settings.tol:g} of the least energy in {settings.max_cycles} "
        f"cycles (projected gradient up to {np.max(info.kkt):.1e}): raise max_cycles, or relax noisy bounds",
        ConvergenceWarning,
        stacklevel=3,
    )
