"""Small scenes for the tests of fusion, and the algorithm in plain NumPy with dense kernels."""

from __future__ import annotations

import numpy as np

from fastimg.fusion import kernel_widths, simulate_pair, spectral_inverse, starck_murtagh, upsample

RATIO = 4
PAPER = {"gamma_m": 1e-6, "gamma_h": 1e-4, "alpha_m": 1e-3, "alpha_h": 501.0}
# On a grid as small as those here, the paper's parameters give kernels that move nothing.
WIDE = {"gamma_m": 1e-6, "gamma_h": 6e-3, "alpha_m": 2e-5, "alpha_h": 1e6}
# Kernels that act on all three axes
JOINT = {"gamma_m": 4e-3, "gamma_h": 6e-3, "alpha_m": 0.1, "alpha_h": 2.0}


def scene(rows=16, cols=20, bands=21, seed=0):
    """A cube of four materials with smooth spectra: regions with edges, some texture."""
    rng = np.random.default_rng(seed)
    places = np.linspace(0, 1, bands)
    spectra = np.array([1 + 0.8 * np.sin(2 * np.pi * (0.6 * k + 0.7) * places + k) for k in range(4)])
    y, x = np.mgrid[:rows, :cols]
    region = (y > rows / 2).astype(int) + 2 * (x > 0.6 * cols)
    return spectra[region] * rng.uniform(0.7, 1.3, (rows, cols, 1)) * 300


def response(bands=21, channels=4):
    """Overlapping triangles."""
    centers = np.linspace(0, bands - 1, channels)
    width = 1.2 * bands / channels
    table = np.maximum(1 - np.abs(np.arange(bands) - centers[:, None]) / width, 0)
    return table / table.sum(axis=1, keepdims=True)


def pair(seed=0, **shape):
    """A simulated pair of float64 images, with noise of 40 dB, and the response."""
    cube = scene(seed=seed, **shape)
    table = response(cube.shape[2])
    h, m = simulate_pair(cube, table, ratio=RATIO, blur=starck_murtagh(), snr_h=40, snr_m=40, rng=seed)
    return h, m, table


def measures(h, m, table, inverse="pinv"):
    """The two estimates, floored; the first with the mass of the second."""
    matrix = spectral_inverse(inverse, table, h)
    floored = [np.maximum(each, 1e-3 * each.mean()) for each in (m @ matrix.T, upsample(h, RATIO))]
    return floored[0] * (floored[1].sum() / floored[0].sum()), floored[1]


def widths(shape, parameters):
    """The widths of both kernels."""
    return tuple(
        kernel_widths(shape, parameters[f"gamma_{each}"], parameters[f"alpha_{each}"]) for each in "mh"
    )


def gaussian(n, width):
    """All pairs of an axis."""
    if width == 0:
        return np.eye(n)
    distance = np.subtract.outer(np.arange(n), np.arange(n))
    kernel = np.exp(-(distance**2) / (2 * width**2))
    kernel[kernel < np.finfo(float).tiny] = 0
    return kernel


def blurred(cube, kernels):
    """The cube times a matrix on each axis."""
    return np.einsum("ij,kl,mn,jln->ikm", *kernels, cube, optimize=True)


def dense_hmwb(measure_m, measure_h, widths_m, widths_h, weight, iterations, *, is_gauged=True):
    """Algorithm 1 of the paper; with ``is_gauged``, scalings are divided by their largest on free fibres."""
    kernels = [
        [gaussian(n, width) for n, width in zip(measure_m.shape, each, strict=True)]
        for each in (widths_m, widths_h)
    ]
    u_m, u_h = np.ones_like(measure_m), np.ones_like(measure_h)
    for _ in range(iterations):
        k_m = blurred(measure_m / blurred(u_m, kernels[0]), kernels[0])
        k_h = blurred(measure_h / blurred(u_h, kernels[1]), kernels[1])
        fused = (u_m * k_m) ** weight * (u_h * k_h) ** (1 - weight)
        u_m, u_h = fused / k_m, fused / k_h
        if is_gauged:
            u_m /= u_m.max(axis=2, keepdims=True)
            u_h /= u_h.max(axis=(0, 1))
    return fused


def log_hmwb(measure_m, measure_h, widths_m, widths_h, weight, iterations):
    """Algorithm 1 of the paper on logarithms, where no range is too large."""

    def blurred_log(cube, each):
        for axis, width in enumerate(each):
            if width:
                distance = np.subtract.outer(np.arange(cube.shape[axis]), np.arange(cube.shape[axis]))
                terms = np.moveaxis(cube, axis, -1)[..., None, :] - distance**2 / (2 * width**2)
                cube = np.moveaxis(np.logaddexp.reduce(terms, axis=-1), -1, axis)
        return cube

    first, second = np.log(measure_m), np.log(measure_h)
    u_m, u_h = np.zeros_like(first), np.zeros_like(second)
    for _ in range(iterations):
        k_m = blurred_log(first - blurred_log(u_m, widths_m), widths_m)
        k_h = blurred_log(second - blurred_log(u_h, widths_h), widths_h)
        fused = weight * (u_m + k_m) + (1 - weight) * (u_h + k_h)
        u_m, u_h = fused - k_m, fused - k_h
    return np.exp(fused)
