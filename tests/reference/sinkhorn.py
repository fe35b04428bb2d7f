"""Sinkhorn iterations with separable Gaussian kernels, in plain NumPy and dense matrices.

Arrays of K measures are (K, *grid); cubes are (rows, cols, padded bands), of which the first ``bands`` are
real. Everything is computed in float64 and rounded to the dtype of what is written. 0/0 is 0.
"""

import math

import numpy as np


def convolve_axis(values, axis, sigmas, reach, numerators, out):
    """K_k values_k along one axis of the grid, or numerators_k / (K_k values_k)."""
    convolved = _convolved(values, axis, sigmas, reach, out.dtype)
    out[:] = convolved if numerators is None else _divide(numerators, convolved)


def turn_axis(values, measures, axis, sigmas, reach, work):
    """values_k ← K_k (measures_k / (K_k values_k)) along one axis."""
    scalings = _divide(measures, _convolved(values, axis, sigmas, reach, values.dtype))
    values[:] = _convolved(scalings, axis, sigmas, reach, values.dtype)


def mean_axis(
    values,
    axis,
    sigmas,
    reach,
    weights,
    floor,
    debiasing,
    previous,
    barycenter,
    scalings,
    error,
    ranges,
):
    """The weighted geometric mean of Ku_k = K_k values_k, u_k = mean / Ku_k, and values_k ← K_k u_k.

    ``error`` is the sum over pixels of the standard deviation over k of previous_k Ku_k, and alone needs
    ``previous``; ``ranges`` are the least and largest logarithms of each u_k.
    """
    convolved = _convolved(values, axis, sigmas, reach, values.dtype)
    if error is not None:
        with np.errstate(invalid="ignore"):
            marginals = np.where(previous == 0, 0, previous.astype(np.float64) * convolved)
        error[0] = np.sum(np.std(marginals, axis=0))
    mean = np.ones(barycenter.shape) if debiasing is None else debiasing.astype(np.float64)
    for k, weight in enumerate(weights):
        if weight:
            mean *= (convolved[k] + floor) ** weight
    new = _divide(mean, convolved).astype(values.dtype)
    barycenter[:] = mean
    if scalings is not None:
        scalings[:] = new
    if ranges is not None:
        ranges[:] = [_log_range(scaling) for scaling in new]
    values[:] = _convolved(new, axis, sigmas, reach, values.dtype)


def balance(scaling, measure, convolved):
    """Balance a symmetric scaling: scaling ← √(scaling · measure / convolved)."""
    scaling[:] = np.sqrt(_divide(scaling.astype(np.float64) * measure, convolved.astype(np.float64)))


def log_convolve_axis(values, axis, sigmas, out):
    """log(K_k exp(values_k)) along one axis: sums of exponentials under their largest."""
    for k, sigma in enumerate(sigmas):
        if sigma == 0:
            out[k] = values[k]
            continue
        lines = np.moveaxis(values[k].astype(np.float64), axis, -1)
        distances = _distances(lines.shape[-1])
        terms = lines[..., None, :] - distances**2 / (2 * sigma**2)
        largest = terms.max(-1, keepdims=True)
        shift = np.where(np.isfinite(largest), largest, 0)
        with np.errstate(divide="ignore"):
            sums = np.log(np.sum(np.exp(terms - shift), -1)) + shift[..., 0]
        out[k] = np.moveaxis(sums, -1, axis)


def scale_planes(u_h, measure_h, sigmas, radii, v_h):
    """v_H = H̃ / (K_xy u_H), where K_xy acts on rows and columns."""
    v_h[:] = _divide(measure_h, _convolved_planes(u_h, sigmas, radii))


def fuse_spectra(
    u_m,
    measure_m,
    sigma,
    radius,
    u_h,
    v_h,
    sigmas,
    radii,
    weight,
    gauge,
    bands,
    fused,
    extremes,
    span,
):
    """The mean f = (u_M k_M)^λ (u_H k_H)^(1−λ), with k = K v; u_M ← f / k_M and u_H ← gauge · f / k_H.

    The new u_M of a pixel is divided by the power of two that brings its largest value into [1, 2).
    ``extremes`` are the least and largest u_H of each band, ``span`` the largest log(max / min) of a pixel's
    u_M. Padding is left as it is.
    """
    spectral = _toeplitz(bands, sigma, radius, u_m.dtype)
    old_m, old_h = u_m[..., :bands].astype(np.float64), u_h[..., :bands].astype(np.float64)
    k_m = _divide(measure_m[..., :bands], old_m @ spectral) @ spectral
    k_h = _convolved_planes(v_h[..., :bands], sigmas, radii)
    result = (old_m * k_m) ** weight * (old_h * k_h) ** (1 - weight)
    new_m, new_h = _divide(result, k_m), _divide(result, k_h) * gauge[:bands]
    largest = new_m.max(-1, keepdims=True)
    u_m[..., :bands] = np.ldexp(new_m, 1 - np.frexp(largest)[1])
    u_h[..., :bands] = new_h
    if fused is not None:
        fused[..., :bands] = result
    extremes[:, :bands] = new_h.min((0, 1)), new_h.max((0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        span[0] = np.max(np.log(largest) - np.log(new_m.min(-1, keepdims=True)))


def _distances(n):
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n))).astype(np.float64)


def _toeplitz(n, sigma, radius, dtype):
    """exp(−d² / 2σ²) of all pairs up to ``radius`` apart, zero where ``dtype`` has no normal number."""
    distances = _distances(n)
    if sigma == 0:
        return np.eye(n)
    kernel = np.exp(-(distances**2) / (2 * sigma**2))
    kernel[(kernel < np.finfo(dtype).tiny) | (distances > radius)] = 0
    return kernel


def _convolved(values, axis, sigmas, reach, dtype):
    """Each K_k values_k along ``axis`` of the grid, in float64."""
    result = np.empty(values.shape)
    for k, sigma in enumerate(sigmas):
        radius = math.inf if math.isinf(reach) else reach * sigma
        kernel = _toeplitz(values.shape[1 + axis], sigma, radius, dtype)
        result[k] = np.moveaxis(np.moveaxis(values[k], axis, -1) @ kernel, -1, axis)
    return result


def _convolved_planes(cube, sigmas, radii):
    rows, cols = (
        _toeplitz(n, sigma, radius, cube.dtype)
        for n, sigma, radius in zip(cube.shape, sigmas, radii, strict=False)
    )
    return np.einsum("ij,jkb,kl->ilb", rows, cube, cols, optimize=True)


def _divide(numerators, denominators):
    """The quotient, 0 where both are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.asarray(numerators, np.float64) / denominators
    return np.where((np.asarray(numerators) == 0) & (denominators == 0), 0.0, quotient)


def _log_range(scaling):
    """Logarithms of the least and largest positive value; the largest is inf beside a NaN or inf."""
    positive = scaling[scaling > 0].astype(np.float64)
    if not np.isfinite(scaling).all():
        return (np.log(positive.min()) if positive.size else np.inf), np.inf
    if not positive.size:
        return np.inf, -np.inf
    return np.log(positive.min()), np.log(positive.max())
